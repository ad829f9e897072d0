"""The processes of a measurement: the gateway or the floor, the agent behind it, the load tool in front."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import ROOT
from rows import ROWS, TWILIO_TLS, WORKER, Agent, Row

SIP = "127.0.0.1:15060"
SIP_TLS = "127.0.0.1:15061"
HTTP = "127.0.0.1:18080"
FLOOR = "127.0.0.1:15070"
START_SECONDS = 30
WORKER_TOKEN = "the-token-of-the-benchmark-s-workers"
TOOL = ROOT / "target" / "release" / "offhook-bench"


class StageError(Exception):
    """A process did not start or ended too early; the text says which and shows the end of what it wrote."""


def build_tool() -> None:
    """Builds the load tool, optimised."""
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "offhook-bench"], cwd=ROOT, check=True)


@dataclass(frozen=True)
class Credentials:
    """A certificate of this machine's, with its key: what gateway and agent show, and what each trusts of the other."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, directory: Path) -> "Credentials":
        """New ones, as files in `directory`."""
        made = cls(directory / "certificate.pem", directory / "key.pem")
        subprocess.run([str(TOOL), "certificate", *made.arguments()], check=True)
        return made

    def arguments(self) -> list[str]:
        """What the tool wants to be told of them."""
        return ["--certificate", str(self.certificate), "--key", str(self.key)]


def _is_tls(row: Row) -> bool:
    return "tls" in row.caller


def configuration(row: Row, data_dir: Path, credentials: Credentials) -> str:
    """One configuration for all rows, with a number for each destination; only what is encrypted is so for its row
    alone."""
    routes = {row.number: row.destination for row in ROWS if row.destination}
    certificate = json.dumps(str(credentials.certificate))
    listen = f'listen = ["udp://{SIP}", "tcp://{SIP}"]\n'
    if _is_tls(row):
        listen = f'listen = ["udp://{SIP}", "tls://{SIP_TLS}"]\n'
        listen += f"tls_certificate = {certificate}\ntls_key = {json.dumps(str(credentials.key))}\n"
    parts = [
        f'[node]\nname = "bench"\ndata_dir = {json.dumps(str(data_dir))}\n',
        f"[sip]\n{listen}",
        '[media]\nlisten = "127.0.0.1"\nports = "40000-49999"\n',
        f'[http]\nlisten = "{HTTP}"\n',
        "[limits]\nmax_calls = 4000\nmax_cps = 4000\n",
        '[[trunk]]\nname = "bench"\nallow = ["127.0.0.0/8"]\nmax_calls = 4000\nmax_cps = 4000\n'
        f'codecs = ["PCMU", "PCMA", "G722"]\nsrtp = "{"required" if "--srtp" in row.caller else "off"}"\n',
    ]
    parts.append(
        f'[[agent]]\nname = "encrypted"\nkind = "twilio"\nurl = "wss://127.0.0.1:{TWILIO_TLS.port}/media"\n'
        f"tls_ca = {certificate}\n"
    )
    parts.append(
        f'[[agent]]\nname = {json.dumps(WORKER.worker)}\nkind = "worker"\ntoken = {json.dumps(WORKER_TOKEN)}\n'
        'encoding = "pcmu"\n'
    )
    for number, destination in routes.items():
        parts.append(f'[[route]]\nname = "to-{number}"\nto = "{number}"\ndestination = "{destination}"\n')
    return "\n".join(parts)


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _died(what: str, log: Path) -> StageError:
    return StageError(f"{what} did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _is_ready(row: Row) -> bool:
    worker = row.agent.worker if row.agent else ""
    try:
        with urllib.request.urlopen(f"http://{HTTP}/health/ready", timeout=1) as answer:
            if answer.status != 200 or not worker:
                return bool(answer.status == 200)
        with urllib.request.urlopen(f"http://{HTTP}/metrics", timeout=1) as answer:
            return f'offhook_workers{{agent="{worker}"}} 1.0' in answer.read().decode()
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def gateway(row: Row, command: str | None, credentials: Credentials) -> Iterator[subprocess.Popen[bytes]]:
    """The gateway, ready to take calls; a row of one core keeps all its threads on the machine's first."""
    with tempfile.TemporaryDirectory(prefix="offhook-bench-") as name:
        directory = Path(name)
        config = directory / "offhook.toml"
        config.write_text(configuration(row, directory / "data", credentials))
        words = shlex.split(command) if command else [sys.executable, "-m", "offhook"]
        pinned = ["taskset", "-c", "0"] if row.one_core else []
        log = directory / "gateway.log"
        with _process([*pinned, *words, "run", "--config", str(config)], log) as process:
            deadline = time.monotonic() + START_SECONDS
            while True:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise _died("the gateway", log)
                if _is_ready(row):
                    break
                time.sleep(0.1)
            yield process
            if process.poll() is not None:
                raise _died("the gateway died during the measurement; it", log)


@contextlib.contextmanager
def floor(character: Agent | None) -> Iterator[subprocess.Popen[bytes]]:
    """The bare echo, or the bare way to an agent."""
    with tempfile.TemporaryDirectory(prefix="offhook-bench-") as name:
        log = Path(name) / "floor.log"
        behind = ["--agent", f"127.0.0.1:{character.port}"] if character else []
        with _process([str(TOOL), "floor", "--listen", FLOOR, *behind], log) as process:
            time.sleep(0.3)
            if process.poll() is not None:
                raise _died("the floor", log)
            yield process


@contextlib.contextmanager
def agent(character: Agent | None, credentials: Credentials) -> Iterator[subprocess.Popen[bytes] | None]:
    """The agent behind the gateway, if the row has one."""
    if character is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="offhook-bench-") as name:
        log = Path(name) / "agent.log"
        if character.worker:
            command = [str(TOOL), "worker", "--gateway", HTTP, "--name", character.worker, "--token", WORKER_TOKEN]
        else:
            command = [str(TOOL), "agent", "--listen", f"127.0.0.1:{character.port}"]
        command += character.arguments
        command += credentials.arguments() if character.tls else []
        with _process(command, log) as process:
            time.sleep(0.3)
            if process.poll() is not None:
                raise _died("the agent", log)
            yield process


def load(row: Row, arguments: list[str], processes: dict[str, int], credentials: Credentials) -> dict[str, Any]:
    """Runs the load tool and hands out its report; `processes` are measured, the one named `gateway` as such."""
    target = FLOOR if row.target == "floor" else SIP_TLS if _is_tls(row) else SIP
    command = [str(TOOL), row.command, "--target", target, "--to", row.number, "--json", *row.caller, *arguments]
    if _is_tls(row):
        command += ["--tls-ca", str(credentials.certificate)]
    for name, pid in processes.items():
        command += ["--pid", str(pid)] if name == "gateway" else ["--watch", f"{name}={pid}"]
    # On one core the gateway has the first; the tool must not take it.
    cores = os.sched_getaffinity(0)
    if row.one_core and len(cores) > 1:
        command = ["taskset", "-c", str(max(cores)), *command]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StageError(f"the load tool failed: {result.stderr.strip()}")
    report: dict[str, Any] = json.loads(result.stdout)
    return report
