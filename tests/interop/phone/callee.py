"""Foreign stacks that take a call of the phone, and the phone as a user runs it."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.commands import Forked, output
from tests.support.gateway import ports, python_path, wait_until

LIMIT = 40.0

RESPONSE = """\
<send{attributes}><![CDATA[
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:];tag=callee[call_number]
[last_Call-ID:]
[last_CSeq:]
{headers}{body}
]]></send>
"""

TO_INVITE = """\
<send{attributes}><![CDATA[
SIP/2.0 {status}
Via: [$via]
From: [$from]
To: [$to];tag={tag}
[last_Call-ID:]
CSeq: [$cseq]
{headers}
]]></send>
"""

BYE_AND_ACK = """\
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""

CALLEE_HANGS_UP = """\
<recv request="ACK" rrs="true"><action>
<ereg regexp="&lt;([^&gt;]*)" search_in="hdr" header="Contact:" assign_to="all,theirs"/></action></recv>
<pause milliseconds="700"/>
<send retrans="500"><![CDATA[
BYE [$theirs] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:callee@[local_ip]:[local_port]>;tag=callee[call_number]
To: [$caller]
[last_Call-ID:]
CSeq: 7 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
<nop><action><log message="[$all]"/></action></nop>
"""

ASKS_FOR_AN_OFFER = """\
<pause milliseconds="700"/>
<send retrans="500"><![CDATA[
INVITE [$theirs] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bKasks
From: <sip:callee@[local_ip]:[local_port]>;tag=callee[call_number]
To: [$caller]
[last_Call-ID:]
CSeq: 6 INVITE
Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="100" optional="true"/>
<recv response="200"><action>
<ereg regexp="m=audio [1-9].*" search_in="body" check_it="true" assign_to="offer"/></action></recv>
<send><![CDATA[
ACK [$theirs] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bKanswers
From: <sip:callee@[local_ip]:[local_port]>;tag=callee[call_number]
To: [$caller]
[last_Call-ID:]
CSeq: 6 ACK
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

{answer}]]></send>
<nop><action><log message="[$offer]"/></action></nop>
"""

SDP = """\
v=0
o=callee 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio {port} RTP/AVP {formats}
{lines}"""


def invite() -> str:
    """sipp takes the INVITE."""
    return '<recv request="INVITE"/>\n'


def invite_of_forks() -> str:
    """sipp takes the INVITE and keeps what `fork` answers it with, whatever comes meanwhile."""
    kept = {"via": "Via", "from": "From", "to": "To", "cseq": "CSeq"}
    actions = [
        f'<ereg regexp="[^ ].*" search_in="hdr" header="{header}:" check_it="true" assign_to="{name}"/>'
        for name, header in kept.items()
    ]
    return f'<recv request="INVITE"><action>{"".join(actions)}</action></recv>\n'


def fork(tag: str, status: str, *headers: str, sdp: str = "", retrans: bool = False) -> str:
    """sipp responds to the INVITE as one of several far ends."""
    lines = ["Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>", *headers]
    lines += ["Content-Type: application/sdp", "Content-Length: [len]", "", sdp] if sdp else ["Content-Length: 0", ""]
    repeated = ' retrans="500"' if retrans else ""
    return TO_INVITE.format(attributes=repeated, status=status, tag=tag, headers="\n".join(lines))


def takes(method: str, *checks: tuple[str, str]) -> str:
    """sipp takes a request with these headers (name, POSIX expression), and answers all but ACK."""
    actions = [
        f'<ereg regexp="{pattern}" search_in="hdr" header="{name}:" check_it="true" assign_to="checked"/>'
        for name, pattern in checks
    ]
    taken = f'<recv request="{method}"><action>{"".join(actions)}</action></recv>\n'
    return (
        taken
        if method == "ACK"
        else taken
        + RESPONSE.format(attributes="", status="200 OK", headers="Content-Length: 0\n", body="").replace(
            ";tag=callee[call_number]", ""
        )
    )


CHECKED = '<Reference variables="checked"/>\n'
"""sipp wants a use of what it has checked."""


def respond(status: str, *headers: str, sdp: str = "", retrans: bool = False) -> str:
    """sipp responds to what it received last, with Contact where it may want one."""
    lines = ["Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>", *headers]
    if sdp:
        lines += ["Content-Type: application/sdp", "Content-Length: [len]", "", sdp]
    else:
        lines += ["Content-Length: 0", ""]
    repeated = ' retrans="500"' if retrans else ""
    return RESPONSE.format(attributes=repeated, status=status, headers="\n".join(lines), body="")


def audio(formats: str = "0 101", *lines: str) -> str:
    """An SDP answer at sipp's media port, whose packets it sends back (`-rtp_echo`)."""
    known = {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "96": "telephone-event/8000"}
    maps = [f"a=rtpmap:{name} {known[name]}" for name in formats.split() if name in known]
    return SDP.format(port="[media_port]", formats=formats, lines="\n".join([*maps, *lines]))


def pause(ms: int) -> str:
    """sipp waits."""
    return f'<pause milliseconds="{ms}"/>\n'


def touch(file: Path) -> str:
    """sipp says that it came so far."""
    return f'<nop><action><exec command="touch {file}"/></action></nop>\n'


@dataclass
class Callee:
    """A running peer: where it takes calls."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ended_well(self) -> None:
        """Fail unless it went through its scenario to the end."""
        assert self.process.wait(LIMIT) == 0, self.log.read_text(errors="replace")[-3000:]


@contextmanager
def sipp(directory: Path, *steps: str, transport: str = "u1", options: tuple[str, ...] = ()) -> Iterator[Callee]:
    """sipp as the callee of one call: `steps` is its scenario."""
    program = shutil.which("sipp")
    assert program, "sipp is missing: apt-get install sip-tester"
    scenario = directory / "callee.xml"
    scenario.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="callee">\n' + "".join(steps) + "</scenario>\n"
    )
    for attempt in range(5):
        with _sipp(program, scenario, transport, options) as callee:
            # Another test of this machine may have taken one of the ports meanwhile.
            if callee.process.poll() is None or attempt == 4:
                yield callee
                return


@contextmanager
def _sipp(program: str, scenario: Path, transport: str, options: tuple[str, ...]) -> Iterator[Callee]:
    directory, kind = scenario.parent, socket.SOCK_STREAM if transport == "t1" else socket.SOCK_DGRAM
    port, log = ports(2), directory / "sipp.log"
    command = [
        *(program, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-t", transport, "-m", "1", "-nostdin"),
        *("-mi", "127.0.0.1", "-mp", str(ports(8)), "-rtp_echo", "-timeout", f"{LIMIT:.0f}s"),
        *("-trace_err", "-error_file", str(directory / "sipp.err"), *options),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=directory,
            env={**os.environ, "TERM": "dumb"},
        )  # fmt: skip
    try:
        wait_until(
            lambda: process.poll() is not None or _is_bound(port, kind),
            LIMIT,
            lambda: f"sipp: {log.read_text(errors='replace')}",
        )
        yield Callee(port, process, log)
    finally:
        process.kill()
        process.wait()


@contextmanager
def baresip(directory: Path, *, source: str, encryption: str = "") -> Iterator[Callee]:
    """baresip, which answers every call by itself and plays `source` (`ausine,440`). `encryption` is its `mediaenc`."""
    program = shutil.which("baresip")
    assert program, "baresip is missing: apt-get install baresip-core"
    port, first, log = ports(2), ports(8), directory / "baresip.log"
    modules = ("g711.so", "ausine.so", "sndfile.so", "stdio.so", "srtp.so", "account.so", "menu.so")
    (directory / "config").write_text(
        "\n".join(
            [
                f"sip_listen 127.0.0.1:{port}",
                "module_path /usr/lib/baresip/modules",
                f"audio_source {source}",
                # Its sine exists in this form only.
                "ausrc_srate 48000",
                "ausrc_channels 2",
                # It writes down what it hears and says there.
                f"snd_path {directory}",
                f"rtp_ports {first}-{first + 7}",
                *(f"module {name}" for name in modules),
            ]
        )
        + "\n"
    )
    account = f"<sip:callee@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=PCMU"
    (directory / "accounts").write_text(f"{account};mediaenc={encryption}\n" if encryption else f"{account}\n")
    (directory / "contacts").write_text("")
    command = [program, "-f", str(directory), "-v"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=directory) as process,
    ):
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                wait_until(
                    lambda k=kind: _is_bound(port, k),  # type: ignore[misc]
                    LIMIT,
                    lambda: f"baresip: {log.read_text(errors='replace')}",
                )
            yield Callee(port, process, log)
        finally:
            process.kill()


def _is_bound(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind is socket.SOCK_STREAM)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@dataclass(frozen=True)
class Told:
    """What the phone left behind: its exit code, what it printed, and the same as JSON if asked for."""

    code: int
    out: str
    err: str

    @property
    def found(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def slug(self) -> str:
        """What it says of the call in one word."""
        return str(self.found["verdict"]["slug"])


@dataclass
class RunningPhone:
    """`offhook phone …` in a process of its own, and the files of what it prints."""

    process: Forked
    out: Path
    err: Path


@contextmanager
def running_phone(*arguments: str) -> Iterator[RunningPhone]:
    """Call."""
    environ = {**os.environ, **python_path(), "COLUMNS": "100"}
    with output() as (out, err):
        process = Forked(["phone", *arguments], environ, Path.cwd(), out, err)
        try:
            yield RunningPhone(process, out, err)
        finally:
            process.kill()
            process.wait()


def end_of(running: RunningPhone) -> Told:
    """Wait for the phone."""
    try:
        code = running.process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
        raise AssertionError(f"the phone did not end: {running.out.read_text()}{running.err.read_text()}") from None
    return Told(code, running.out.read_text(), running.err.read_text())


def phone(*arguments: str) -> Told:
    """Call with `--json` and wait for the end; nothing may go wrong unseen."""
    with running_phone(*arguments, "--json") as process:
        told = end_of(process)
    assert "Traceback" not in told.err, told.err
    return told


def interrupt(running: RunningPhone) -> None:
    """Ctrl-C."""
    running.process.send_signal(signal.SIGINT)
