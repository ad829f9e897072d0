"""Callers and agents that break off at every step of real calls, and a gateway that is then as it was before.

`make test` breaks off a few calls of each kind, `make prove` (OFFHOOK_PROVE=1) a thousand.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import OFFER, Player, Scenario
from tests.support.gateway import REPOSITORY, Gateway, media_ports, ports, running_gateway, wait_until
from tests.support.level import SETTLE, Level, rows

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
OF_EACH = 30 if PROVE else 3
RATE = 1 if PROVE else 2
"""Calls a second of each flow: all are played side by side, and a gateway that is late takes no calls."""
# Who is held is not expected to send, so only the length of the call ends such a one.
LONGEST_CALL = 6
MEDIA_TIMEOUT = 2
# 200 without ACK for 64*T1, then a BYE without answer for as long.
UNANSWERED = 64 * 0.5
# Nobody acknowledges the 200, and then nobody answers the BYE: more than a minute, for which `make test` has no time.
LONG = (
    "rings-and-gone",
    "hold-without-ack",
    "answered-without-ack",
    "no-offer-and-gone",
    "asks-for-an-offer-and-gone",
    "hold-and-gone",
)
AGENTS = ("echo", "late", "leave", "die", "refuse", "deaf")

TOML = f"""
[limits]
max_calls = 2000
max_cps = 2000

[[trunk]]
name = "line"
allow = ["127.0.0.1"]
media_timeout = {MEDIA_TIMEOUT}
max_duration = {LONGEST_CALL}

[[route]]
name = "mirror"
to = "mirror"
destination = "echo:"
"""

HOLD = OFFER + "a=sendonly\n"
DIGIT = "Signal=5\nDuration=160\n"


def broken(name: str, to: str = "mirror") -> Scenario:
    """The beginning of a flow in which what is not expected is passed over."""
    return Scenario(name, to, talks_over=True)


def flows() -> list[Scenario]:
    """A caller, or an agent, who breaks off: one flow a step. Most end before the gateway has said its last word."""
    hang_up_of_the_gateway = 1000 * (LONGEST_CALL + round(UNANSWERED) + 5)
    return [
        # Before the answer.
        broken("rings-and-gone", "late").invite().expect(100),
        broken("cancel-at-once", "late").invite().cancel(),
        broken("cancel-without-ack", "late").invite().expect(180).cancel().expect(200).expect(487),
        broken("cancel-of-nothing", "late").invite().expect(180).cancel(branch="other").expect(481),
        broken("bye-while-it-rings", "late").invite().expect(180).bye().expect(487).ack_refusal(),
        broken("refused-without-ack", "refuse").invite().expect(480),
        broken("refused-by-sdp").invite(OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 18")).expect(488),
        broken("unreadable-sdp").invite("v=what\n").expect(400),
        # At the answer.
        broken("answered-without-ack").invite().expect(200),
        broken("bye-instead-of-ack").invite().expect(200).bye().expect(200),
        broken("cancel-after-the-answer").invite().expect(200).cancel().expect(200).ack().tear_down(),
        broken("invites-three-times").invite().invite().invite().expect(200).ack().invite().tear_down(),
        broken("no-offer-no-answer").invite(None).expect(200).ack().expect_request("BYE").answer(),
        broken("no-offer-and-gone").invite(None).expect(200),
        # In the call.
        broken("vanishes").set_up(),
        broken("vanishes-from-an-agent", "echo").set_up(),
        broken("bye-and-gone").set_up().bye(),
        broken("bye-twice").set_up().bye().expect(200).bye(cseq=3).expect(481),
        broken("bye-of-another").set_up().request("BYE", cseq=2, branch="b", to_tag=";tag=x").expect(481).bye(cseq=3),
        broken("info-and-gone").set_up().request("INFO", DIGIT, cseq=2, branch="i", kind="application/dtmf-relay"),
        broken("update-and-gone").set_up().request("UPDATE", cseq=2, branch="u"),
        broken("refer-and-gone")
        .set_up()
        .request("REFER", cseq=2, branch="r", headers=("Refer-To: <sip:a@[local_ip]>", "Contact: <sip:s@[local_ip]>")),
        broken("garbage").set_up().text("GARBAGE in SIP/2.0", "").text("BYE sip:x SIP/2.0", "CSeq: x", "").tear_down(),
        # In a change of it.
        broken("held-and-gone").set_up().invite(HOLD, cseq=2, branch="h", within=True).expect(200).ack(cseq=2),
        broken("hold-without-ack")
        .set_up()
        .invite(HOLD, cseq=2, branch="h", within=True)
        .expect(200)
        .expect_request("BYE", within_ms=hang_up_of_the_gateway)
        .answer(),
        broken("hold-and-gone").set_up().invite(HOLD, cseq=2, branch="h", within=True),
        broken("hold-and-bye").set_up().invite(HOLD, cseq=2, branch="h", within=True).bye(cseq=3).expect(200),
        broken("asks-for-an-offer-and-gone").set_up().invite(None, cseq=2, branch="o", within=True).expect(200),
        broken("two-at-once")
        .set_up()
        .invite(HOLD, cseq=2, branch="h1", within=True)
        .invite(HOLD, cseq=3, branch="h2", within=True)
        .bye(cseq=4),
        # By the agent.
        broken("agent-dies", "die").set_up().expect_request("BYE").answer(),
        broken("agent-dies-caller-gone", "die").set_up().pause(300),
        broken("agent-leaves", "leave").set_up().expect_request("BYE"),
        broken("agent-is-deaf", "deaf").set_up().tear_down(),
    ]  # fmt: skip


@contextmanager
def agent_process(directory: Path) -> Iterator[int]:
    """The agents, each of another character; the port that they listen on."""
    port = ports(1)
    with (directory / "agent.log").open("wb") as log:
        script = REPOSITORY / "tests/soak/agent.py"
        process = subprocess.Popen([sys.executable, str(script), str(port)], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def routes(port: int) -> str:
    """A route to each agent."""
    return "".join(
        f'\n[[route]]\nname = "{name}"\nto = "{name}"\ndestination = "ws://127.0.0.1:{port}/{name}"\nring_timeout = 4\n'
        for name in AGENTS
    )


@pytest.mark.timeout(300)
def test_calls_that_are_broken_off_leave_nothing(tmp_path: Path) -> None:
    with (
        agent_process(tmp_path) as port,
        running_gateway(tmp_path / "gateway", TOML + routes(port), media=media_ports(200)) as gateway,
    ):
        sipp = Player(tmp_path, gateway.udp)
        before = Level.of(gateway)
        chosen = [flow for flow in flows() if PROVE or flow.name not in LONG]
        placed = play_all(sipp, chosen) + broken_connections(tmp_path, gateway)
        settles(gateway, before)
        every_call_has_its_row(gateway, placed)
        sipp.play(Scenario("last", "mirror").set_up().tear_down())
        said = gateway.said()
        assert "Traceback" not in said
        assert gateway.metric("offhook_calls_ended_total", reason="internal_error") == 0


def play_all(sipp: Player, scenarios: list[Scenario]) -> int:
    """Run them side by side, each call of each to the end of its flow; how many calls that were.

    Where the machine is busy the gateway turns calls away, which are no less calls; their flows are not judged.
    """
    begun = [(flow, *sipp.start(flow, calls=OF_EACH, rate=RATE, limit=100.0)) for flow in scenarios]
    for _, process, where in begun:
        out, _ = process.communicate(timeout=120)
        if "SIP/2.0 503" not in (where / "messages.log").read_text(errors="replace"):
            sipp.judge(process.returncode, out, where)
    return OF_EACH * len(scenarios)


def broken_connections(directory: Path, gateway: Gateway) -> int:
    """Calls by TCP whose connection is cut while they ring, and while they are up; how many."""
    sipp = Player(directory, gateway.tcp)
    stays = [broken("cut-ringing", "late").invite().expect(180).pause(60_000), broken("cut").set_up().pause(60_000)]
    for flow, mark in zip(stays, ("SIP/2.0 180", "ACK sip:"), strict=True):
        process, where = sipp.start(flow, transport="tcp", calls=OF_EACH, rate=10)
        log = where / "messages.log"

        def are_there(log: Path = log, mark: str = mark) -> bool:
            said = log.read_text(errors="replace") if log.exists() else ""
            return said.count(mark) + said.count("SIP/2.0 503") >= OF_EACH

        try:
            wait_until(are_there, 15, f"{flow.name}: the calls are not where they are to be cut")
        finally:
            process.kill()
            process.communicate()
    return OF_EACH * len(stays)


def settles(gateway: Gateway, before: Level) -> None:
    """Wait until nothing is held any more, and no descriptor or thread is open that was not before."""
    level = before

    def clean() -> bool:
        nonlocal level
        level = Level.of(gateway)
        return not any(level.held.values()) and level.descriptors <= before.descriptors

    wait_until(clean, LONGEST_CALL + 2 * UNANSWERED + SETTLE, lambda: f"left: {level}, before: {before}")
    assert level.threads <= before.threads + 32, "dial threads are kept for a while; no others"


def every_call_has_its_row(gateway: Gateway, placed: int) -> None:
    """One row for each call, and all of them have ended."""
    found = wait_until(
        lambda: done if len(done := rows(gateway)) >= placed else None, 10, lambda: f"{len(rows(gateway))} rows"
    )
    assert len(found) == placed, Counter(re.sub(r"\d+-\d+-", "", row[0]) for row in found)
    open_ones = [row for row in found if not row[1]]
    assert open_ones == []
