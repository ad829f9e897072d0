"""Changes that cross, offers that are asked for, an INVITE that comes back: our signalling against sipp.

sipp answers ours only when its own has been refused, so that the crossing is one whatever the machine does.
"""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Played, Player, Scenario
from tests.support.gateway import ports
from tests.support.messages import SDP
from tests.support.stack import Running, running

from offhook.sip.effects import Target
from offhook.sip.events import (
    Acknowledged,
    Event,
    InviteReceived,
    InviteRefused,
    ReinviteAnswered,
    Reinvited,
    ReinviteRefused,
)
from offhook.sip.invite import InviteSession
from offhook.sip.uri import parse_uri

pytestmark = pytest.mark.interop

EventT = TypeVar("EventT")

OURS = SDP.replace(b" 1 1 IN", b" 1 2 IN")


def answers(us: Running, then: Callable[[InviteSession, float], object] | None = None) -> None:
    """Take calls and changes; `then` is what we want once the first ACK is here."""

    def on_event(event: Event, now: float) -> None:
        match event:
            case InviteReceived(session):
                session.answer(SDP, now=now)
            case Acknowledged(session) if then is not None and len(told(us, Acknowledged)) == 1:
                then(session, now)
            case Reinvited(session):
                session.answer_reinvite(SDP, now=now)
            case ReinviteAnswered(session) if session.owes_answer:
                session.acknowledge(OURS, now=now)
            case _:
                pass

    us.on_event = on_event


def told(us: Running, kind: type[EventT]) -> list[EventT]:
    return [event for event in us.events if isinstance(event, kind)]


async def play(us: Running, flow: Scenario, directory: Path) -> Played:
    """Run the flow against `us` to its end, and see that nothing is left of the call."""
    player = Player(directory, ("127.0.0.1", us.port("udp")))
    played = await asyncio.to_thread(player.play, flow)
    await us.until(lambda: us.user_agent.open_dialogs == 0)
    assert us.user_agent.counters["session_faults"] == 0
    return played


def crossing(name: str, ours: str) -> Scenario:
    """Our change comes; sipp's re-INVITE leaves before it has answered, and both are refused."""
    return (
        Scenario(name, talks_over=True)
        .set_up()
        .expect_request(ours, keep=True)
        .invite(cseq=2, branch="glare", within=True)
        .expect(491)
        .answer("491 Request Pending")
    )


async def test_two_reinvites_at_once(tmp_path: Path) -> None:
    """Glare: both get 491. We did not make the Call-ID, so ours comes again first, and then sipp's is taken."""
    flow = (
        crossing("glare", "INVITE")
        .expect_request("ACK")
        .request("ACK", cseq=2, branch="glare")
        .expect_request("INVITE", Check("o=- 1 2 IN"), within_ms=2_600)
        .answer(body=OFFER)
        .expect_request("ACK")
        .invite(cseq=3, branch="again", within=True)
        .expect(100, optional=True)
        .expect(200, Check("m=audio"))
        .ack(cseq=3)
        .tear_down(cseq=4)
    )
    async with running("udp://127.0.0.1:0") as us:
        answers(us, lambda session, now: session.reinvite(OURS, now=now))
        await play(us, flow, tmp_path)
        assert (len(told(us, ReinviteAnswered)), len(told(us, Reinvited))) == (1, 1)


async def test_our_update_and_their_reinvite_at_once(tmp_path: Path) -> None:
    flow = (
        crossing("glare-update", "UPDATE")
        .request("ACK", cseq=2, branch="glare")
        .expect_request("UPDATE", Check("o=- 1 2 IN"), within_ms=2_600)
        .answer(body=OFFER)
        .tear_down(cseq=3)
    )
    async with running("udp://127.0.0.1:0") as us:
        answers(us, lambda session, now: session.update(OURS, now=now))
        await play(us, flow, tmp_path)
        assert (len(told(us, ReinviteAnswered)), len(told(us, Reinvited))) == (1, 0)


async def test_a_second_reinvite_before_the_first_is_answered(tmp_path: Path) -> None:
    """500 with a time to come again, and the first gets its own answer."""
    flow = (
        Scenario("two-open", talks_over=True)
        .set_up()
        .invite(cseq=2, branch="first", within=True)
        .invite(cseq=3, branch="second", within=True)
        .expect(100, optional=True)
        .expect(500, Check("[0-9]", "Retry-After"), Check("3 INVITE", "CSeq"))
        .request("ACK", cseq=3, branch="second")
        .request("UPDATE", OFFER, cseq=4, branch="update")
        .expect(500, Check("[0-9]", "Retry-After"), Check("4 UPDATE", "CSeq"))
        .expect(200, Check("2 INVITE", "CSeq"))
        .ack(cseq=2)
        .tear_down(cseq=5)
    )

    async with running("udp://127.0.0.1:0") as us:
        answers(us)
        plain = us.on_event
        loop = asyncio.get_running_loop()

        def on_event(event: Event, now: float) -> None:
            if isinstance(event, Reinvited):
                session = event.session
                loop.call_later(0.4, us.stack.perform, lambda now: session.answer_reinvite(SDP, now=now))
            else:
                plain(event, now)

        us.on_event = on_event
        await play(us, flow, tmp_path)
        assert len(told(us, Reinvited)) == 1


async def test_we_ask_for_an_offer(tmp_path: Path) -> None:
    flow = (
        Scenario("ask")
        .set_up()
        .expect_request("INVITE", Check("Content-Length: 0"), Check("m=audio", absent=True))
        .answer(body=OFFER)
        .expect_request("ACK", Check("m=audio 4000"))
        .tear_down()
    )
    async with running("udp://127.0.0.1:0") as us:
        answers(us, lambda session, now: session.reinvite(None, now=now))
        await play(us, flow, tmp_path)
        assert [event.response.sdp is not None for event in told(us, ReinviteAnswered)] == [True]


async def test_a_refused_change_leaves_the_call(tmp_path: Path) -> None:
    flow = (
        Scenario("refused")
        .set_up()
        .expect_request("INVITE")
        .answer("488 Not Acceptable Here")
        .expect_request("ACK")
        .expect_request("UPDATE")
        .answer("606 Not Acceptable")
        .tear_down()
    )
    async with running("udp://127.0.0.1:0") as us:
        answers(us, lambda session, now: session.reinvite(OURS, now=now))
        plain = us.on_event

        def on_event(event: Event, now: float) -> None:
            if isinstance(event, ReinviteRefused) and len(told(us, ReinviteRefused)) == 1:
                event.session.update(OURS, now=now)
            plain(event, now)

        us.on_event = on_event
        await play(us, flow, tmp_path)
        refused = [event.response.status for event in told(us, ReinviteRefused) if event.response is not None]
        assert refused == [488, 606]


async def test_an_invite_of_ours_that_comes_back(tmp_path: Path) -> None:
    """A proxy that sends it round: its own Via on top, ours below."""
    reflected = (
        "INVITE sip:us@[remote_ip]:[remote_port] SIP/2.0",
        "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=z9hG4bK-loop-[pid]",
        "[last_Via:]",
        "Max-Forwards: 69",
        "[last_From:]",
        "[last_To:]",
        "[last_Call-ID:]",
        "[last_CSeq:]",
        "Contact: <sip:sipp@[local_ip]:[local_port]>",
        "Content-Length: 0",
        "",
    )
    flow = (
        Scenario("loop", talks_over=True)
        .expect_request("INVITE", keep=True)
        .text(*reflected)
        .expect(482)
        .answer("486 Busy Here", tag="sipp")
        .expect_request("ACK")
    )
    port = ports(1)
    async with running("udp://127.0.0.1:0") as us:
        player = Player(tmp_path, ("127.0.0.1", us.port("udp")))
        process, where = player.start(flow, own_port=port)
        uri = parse_uri(f"sip:us@127.0.0.1:{port}")
        target = Target("udp", "127.0.0.1", port)
        us.stack.perform(
            lambda now: us.user_agent.invite(uri, "<sip:us@127.0.0.1>", f"<{uri}>", SDP, now, target=target)
        )
        out = await asyncio.to_thread(_output, process)
        player.judge(process.returncode or 0, out, where)
        assert us.user_agent.counters["looped_invites"] == 1
        assert [event.response.status for event in told(us, InviteRefused)] == [482]


def _output(process: "subprocess.Popen[bytes]") -> bytes:
    out, _ = process.communicate(timeout=40)
    return out
