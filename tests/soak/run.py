"""A gateway under a fixed load of all that goes wrong: `make soak`, or `python tests/soak/run.py --minutes 60`.

Calls, CANCELs at any moment, BYEs that cross, lost ACKs, callers that vanish, agents that refuse, die, are deaf or are
killed and started again, strangers and garbage, beside calls of the load tool over UDP and TCP. At the end everything
must be as before: memory, descriptors, ports, transactions, dialogs; one record a call, none of them `internal_error`.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT)]

from tests.soak.callers import Book, keep_calling  # noqa: E402
from tests.support.gateway import Gateway, ports, wait_until  # noqa: E402
from tests.support.level import SETTLE, Level, rows  # noqa: E402

TOOL = ROOT / "target" / "release" / "offhook-bench"
GROWTH = 1.05
"""Memory at the end against memory after the warm-up."""
SLACK_KIB = 2_048
"""Less than this is no growth: one page more in SQLite's and the allocator's caches."""
TURNED_AWAY = 0.1
"""Of the calls; with more of them a soak proves little."""
MEDIA_TIMEOUT = 10

TOML = """
[limits]
max_calls = 400
max_cps = 400

[[trunk]]
name = "line"
allow = ["127.0.0.1/32"]
media_timeout = {media_timeout}

{routes}
"""


@dataclass
class Soak:
    """One soak, and what was found wrong."""

    minutes: float
    workers: int
    seed: int
    directory: Path
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    tool_calls: int = 0
    tool_trouble: list[str] = field(default_factory=list)
    agents_killed: int = 0

    def run(self) -> None:
        """The whole of it."""
        port = ports(2)
        toml = TOML.format(media_timeout=MEDIA_TIMEOUT, routes=routes(port))
        first = ports(500)
        media = f'listen = "127.0.0.1"\nports = "{first}-{first + 499}"'
        with Gateway(self.directory, toml, media=media) as gateway, ExitStack() as agents:
            begin = Level.of(gateway)
            book = Book(random.Random(self.seed), gateway.udp)
            agents.enter_context(twilio_agent(port + 1))
            asyncio.run(self._load(gateway, book, port))
            self.figures |= {
                "calls": len(book.placed) + self.tool_calls,
                "by kind": dict(sorted(book.kinds.items())) | {"load tool": self.tool_calls},
                "agents killed": self.agents_killed,
                "turned away, the machine being busy": book.turned_away,
                "calls that went wrong": len(book.wrong),
            }
            if book.turned_away > TURNED_AWAY * len(book.placed):
                self.wrong.append(f"{book.turned_away} calls got 503: the machine is too busy for this load")
            self.wrong += [f"call went wrong: {text}" for text in book.wrong[:20]]
            self._settle(gateway, begin)
            self._records(gateway, book)
            self._log(gateway)

    async def _load(self, gateway: Gateway, book: Book, port: int) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        end = start + self.minutes * 60
        # What a gateway loads and caches in its first minutes is no leak.
        warm = start + min(self.minutes * 60 * 0.4, 900)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._agent(port, end))
            group.create_task(self._tool(gateway, end))
            for _ in range(self.workers):
                group.create_task(keep_calling(book, end))
            before: list[int] = []
            after: list[int] = []
            window = max(20.0, min(120.0, self.minutes * 60 * 0.1))
            told = start
            while (now := loop.time()) < end:
                level = await asyncio.to_thread(Level.of, gateway)
                if warm <= now < warm + window:
                    before.append(level.rss_kib)
                elif now >= end - window:
                    after.append(level.rss_kib)
                if now >= told:
                    told += 30
                    left = (end - now) / 60
                    print(
                        f"{left:6.1f} min left  {len(book.placed) + self.tool_calls} calls  {len(book.wrong)} wrong  "
                        f"RSS {level.rss_kib / 1024:.1f} MiB  {level.descriptors} descriptors  "
                        f"{level.held['calls']:.0f} calls on",
                        flush=True,
                    )
                await asyncio.sleep(2)
        first, last = statistics.median(before), statistics.median(after)
        self.figures["RSS after warm-up, KiB"] = round(first)
        self.figures["RSS at the end, KiB"] = round(last)
        if last > first * GROWTH and last - first > SLACK_KIB:
            self.wrong.append(f"memory grew from {first:.0f} to {last:.0f} KiB")

    async def _agent(self, port: int, end: float) -> None:
        """The agent, killed and started again at times."""
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            agent = await asyncio.create_subprocess_exec(
                sys.executable, str(Path(__file__).with_name("agent.py")), str(port), stderr=subprocess.DEVNULL
            )
            try:
                await asyncio.sleep(min(random.uniform(10, 30), max(1, end - loop.time() + 20)))
            finally:
                agent.kill()
                await agent.wait()
            self.agents_killed += 1
            await asyncio.sleep(random.uniform(0, 2))

    async def _tool(self, gateway: Gateway, end: float) -> None:
        """Rounds of ordinary calls with paced sound, over UDP and TCP in turn."""
        loop = asyncio.get_running_loop()
        transports = [("udp", gateway.udp), ("tcp", gateway.tcp)]
        while loop.time() < end - 15:
            transport, (host, port) = transports[0]
            transports.reverse()
            tool = await asyncio.create_subprocess_exec(
                str(TOOL), "calls", "--target", f"{host}:{port}", "--transport", transport, "--to", "echo",
                "--calls", "10", "--rate", "20", "--seconds", "6", "--settle", "1", "--json",
                stdout=subprocess.PIPE,
            )  # fmt: skip
            said, _ = await tool.communicate()
            report = json.loads(said)
            self.tool_calls += report["sip"]["placed"]
            if report["sip"]["answered"] != 10 or report["sip"]["hung_up_by_far_end"] or report["sip"]["still_open"]:
                self.tool_trouble.append(f"load tool over {transport}: {report['violations']}")
        self.wrong += self.tool_trouble[:10]

    def _settle(self, gateway: Gateway, begin: Level) -> None:
        """Wait for the last calls to end, then for all that they held."""
        with suppress(AssertionError):
            wait_until(lambda: not gateway.metric("offhook_calls_active"), 60 + MEDIA_TIMEOUT)
        over = time.monotonic()

        level = begin

        def clean() -> bool:
            nonlocal level
            # Reading it costs a descriptor for a moment, so this reading is the one that counts.
            level = Level.of(gateway)
            return not any(level.held.values()) and level.descriptors <= begin.descriptors

        with suppress(AssertionError):
            wait_until(clean, SETTLE)
        self.figures["seconds until all was released"] = round(time.monotonic() - over, 1)
        self.wrong += [f"{count:.0f} {kind} are left" for kind, count in level.held.items() if count]
        if level.descriptors > begin.descriptors:
            self.wrong.append(f"{level.descriptors} descriptors, {begin.descriptors} before")
        self.figures["threads"] = f"{begin.threads} at first, {level.threads} at the end"
        for name in ("internal_errors", "events_dropped"):
            count = gateway.metric("offhook_media_engine", counter=name)
            if count:
                self.wrong.append(f"media engine: {count:.0f} {name}")

    def _records(self, gateway: Gateway, book: Book) -> None:
        """One record for each call that was placed, and all of them ended with a reason that may be."""
        expected = len(book.placed) + self.tool_calls
        with suppress(AssertionError):
            wait_until(lambda: len(rows(gateway)) >= expected and all(row[1] for row in rows(gateway)), 10)
        found = rows(gateway)
        ids = [row[0] for row in found]
        missing = book.placed.keys() - set(ids)
        self.figures["records"] = len(found)
        if len(found) != expected or len(set(ids)) != len(ids) or missing:
            lost = sorted(book.placed[call_id] for call_id in missing)
            self.wrong.append(f"{len(found)} records of {expected} calls; none of {lost}")
        reasons: dict[str, int] = {}
        faults: dict[str, int] = {}
        for _, reason, detail in found:
            reasons[reason or "open"] = reasons.get(reason or "open", 0) + 1
            if reason in (None, "internal_error", "gateway_crashed"):
                faults[f"{reason}: {detail}"] = faults.get(f"{reason}: {detail}", 0) + 1
        self.wrong += [f"{count} calls ended as {what}" for what, count in faults.items()]
        self.figures["end reasons"] = dict(sorted(reasons.items(), key=lambda one: -one[1]))
        bad = [name for name in ("dropped", "timelines_dropped") if gateway.metric("offhook_store", counter=name)]
        self.wrong += [f"the store counts {name}" for name in bad]

    def _log(self, gateway: Gateway) -> None:
        """Nothing in the log that nobody caught."""
        lines = gateway.said().splitlines()
        bad = [line for line in lines if "Traceback" in line or '"level": "error"' in line or '"exception"' in line]
        self.wrong += [f"log: {line[:300]}" for line in bad[:10]]


def routes(port: int) -> str:
    """A route for each character of the agent, by name."""
    destinations = {
        "echo": "echo:",
        "agent": f"ws://127.0.0.1:{port}/echo",
        "twilio": f"twilio+ws://127.0.0.1:{port + 1}/media",
    }
    destinations |= {
        name: f"ws://127.0.0.1:{port}/{name}" for name in ("late", "leave", "die", "refuse", "deaf", "rude")
    }
    return "\n".join(
        f'[[route]]\nname = "{name}"\nto = "{name}"\ndestination = "{destination}"\nring_timeout = 5\n'
        for name, destination in destinations.items()
    )


@contextmanager
def twilio_agent(port: int) -> Iterator[None]:
    """The load tool's agent of Twilio's protocol."""
    agent = subprocess.Popen(
        [str(TOOL), "agent", "--listen", f"127.0.0.1:{port}", "--dialect", "twilio"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(10)


def main() -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the load")
    parser.add_argument("--workers", type=int, default=12, help="scripted calls at once, beside 10 of the load tool")
    parser.add_argument("--seed", type=int, help="start of the random numbers; default: new each time, and printed")
    parser.add_argument("--keep", type=Path, help="directory for the gateway's data and log, kept")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "offhook-bench"], cwd=ROOT, check=True)
    if options.keep and options.keep.exists():
        parser.error(f"{options.keep} is there already: its records would be counted, too")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    with tempfile.TemporaryDirectory(prefix="offhook-soak-") as name:
        soak = Soak(options.minutes, options.workers, seed, options.keep or Path(name))
        print(f"soak of {options.minutes:g} min, {options.workers} workers, seed {seed}", flush=True)
        try:
            soak.run()
        except AssertionError as error:
            soak.wrong.append(str(error).partition("\n")[0])
    for figure, value in soak.figures.items():
        print(f"{figure}: {value}")
    for text in soak.wrong:
        print(f"WRONG: {text}")
    print(f"soak: {soak.figures.get('calls', 0)} calls, {len(soak.wrong)} findings")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
