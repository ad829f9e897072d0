"""Calls of the talk page in memory: what its browser is told, from the first record to the last words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeEngine, FakeLeg, FakeMux, FakeWire
from tests.support.world import Book, Names, notes

from offhook._media import EngineConfig
from offhook.api.upgrade import Accepted, Declined, UpgradeRequest
from offhook.config.load import examine_text
from offhook.media.plane import MediaPlane
from offhook.observe.metrics import Metrics
from offhook.signalling import Signalling
from offhook.talk import desk as desks
from offhook.talk.access import Access
from offhook.talk.choices import talk_trunk
from offhook.talk.desk import TalkDesk
from offhook.talk.pages import LINES
from offhook.talk.words import SUBPROTOCOL, TICKET
from offhook.transport.driver import SipStack

pytestmark = pytest.mark.scenario

TOML = """
[[trunk]]
name = "acme"
allow = ["198.51.100.0/24"]

[[route]]
name = "front"
to = "+14155550123"
destination = "ws://agent.example/voice"
"""


class Talking:
    """A gateway whose calls come from the page alone, and the page's end of the latest one."""

    def __init__(
        self, signalling: Signalling, book: Book, agents: FakeEngine, page: FakeEngine, desk: TalkDesk
    ) -> None:
        self.signalling = signalling
        self.book = book
        self.agents = agents
        self.page = page
        self.desk = desk

    async def call(self, choice: str = "route:front", line: str = "wideband") -> None:
        """The button is pressed."""
        assert await self.desk.make_ready() is None
        found = self.desk.choices.get(choice)
        assert found is not None
        verdict = self.judge(self.desk.access.give_ticket(found, LINES[line]))
        assert isinstance(verdict, Accepted)
        verdict.take(5, b"HTTP/1.1 101")
        await asyncio.sleep(0.05)

    def judge(self, ticket: str, **headers: str) -> Accepted | Declined:
        offered = f"{SUBPROTOCOL}, {TICKET}{ticket}"
        return self.desk.judge(
            UpgradeRequest("/v1/talk", {}, {"sec-websocket-protocol": offered} | headers, "127.0.0.1")
        )

    async def answered(self) -> None:
        """The agent takes the call, and its first sound comes back."""
        self.agent.accept()
        self.agent.says(type="ready")
        await asyncio.sleep(0.05)
        self.agents.legs[-1].hears()
        self.leg.hears()
        await asyncio.sleep(0)

    @property
    def agent(self) -> FakeWire:
        return self.agents.wires[-1]

    @property
    def leg(self) -> FakeLeg:
        """The page's own RTP leg."""
        return self.page.legs[-1]

    @property
    def mux(self) -> FakeMux:
        return self.page.muxes[-1]

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the browser was told, in order: records, then the last words."""
        return [*self.page.wires[-1].said, *self.mux.said]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [news for news in self.told if news["type"] == kind]


@asynccontextmanager
async def talking(monkeypatch: pytest.MonkeyPatch, toml: str = TOML, max_calls: int = 2) -> AsyncIterator[Talking]:
    config = examine_text(toml, {}, file="test", base=Path("/"), host_name="edge").config
    assert config is not None
    loop = asyncio.get_running_loop()
    agents, page, book = FakeEngine(), FakeEngine(), Book()
    monkeypatch.setattr(desks, "MediaPlane", lambda config: MediaPlane(config, engine=page))
    async with MediaPlane(EngineConfig(), engine=agents) as plane:
        signalling = Signalling(
            config, plane, book, Metrics(node="edge", version="1"), now=loop.time, wall=lambda at: round(at * 1000),
            loop_lag=lambda: 0.0, version="1", route=lambda towards: "127.0.0.1",
        )  # fmt: skip
        stack = SipStack(
            signalling.user_agent,
            [],
            resolver=Names(),
            gate=signalling.screen.gate,
            on_event=lambda event, now: signalling.switchboard.take(event),
            on_message=lambda direction, message, source, now: signalling.switchboard.see(direction, message, source),
        )
        signalling.perform = stack.perform
        await stack.start()
        access = Access("token", (), now=loop.time, refused=lambda *_: None)
        desk = TalkDesk(signalling.choices, access, media="0.0.0.0", max_calls=max_calls, version="1", now=loop.time)
        signalling.follower = desk.follower
        signalling.screen.admit_inside(await desk.open(stack), talk_trunk(max_calls))
        yield Talking(signalling, book, agents, page, desk)
        await desk.close()
        await signalling.switchboard.close()
        await stack.close()
        assert desk.calls == 0
        faults = {name: count for name, count in stack.counters.items() if name.startswith("fault")}
        assert faults == {}, "a fault of ours that no test expects"
        agents.assert_all_free()
        page.assert_all_free()
    agents.dispose()
    page.dispose()


@in_virtual_time
async def test_the_browser_is_told_of_a_call_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        # The route's own destination, as the page shows it; the agent gets the number that the route is for.
        assert talk.told == [
            {"type": "calling", "destination": "ws://agent.example/voice"},
            {"type": "agent", "uri": "ws://agent.example/voice"},
            {"type": "ringing"},
        ]
        talk.agent.accept()
        await asyncio.sleep(0.05)
        [ringing] = talk.agent.said
        assert (ringing["trunk"], ringing["route"], ringing["headers"]) == ("@talk", "front", {})
        assert (ringing["from_number"], ringing["to_number"]) == ("talk", "+14155550123")
        await talk.answered()
        assert talk.of("answered") == [{"type": "answered", "codec": "G722"}]
        # The browser hears and is heard by the leg of the page's own phone.
        assert talk.leg.wire is talk.page.wires[-1]
        assert (talk.leg.remote.codec, talk.leg.remote.allow_loopback) == ("G722", True)
        assert talk.leg.config.media_timeout_ms is None
        talk.mux.says(type="hang_up")
        await asyncio.sleep(0.1)
        [ended] = talk.of("ended")
        assert (ended["reason"], ended["fault"]) == ("caller_hung_up", "nobody")
        assert talk.mux.close_asked == (1000, "")
        await asyncio.sleep(0.6)
        [(record, _)] = talk.book.finished
        assert (record.call_id, record.end_reason, record.trunk) == (ended["call_id"], "caller_hung_up", "@talk")


@in_virtual_time
async def test_what_is_said_reaches_the_browser_and_nothing_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        talk.agent.says(type="transcript", who="caller", id="c1", text="My pin is", final=False)
        talk.agent.says(type="transcript", who="caller", id="c1", text="My pin is four two.")
        talk.agent.says(type="transcript", who="agent", id="u1", text="Thank", interrupted=True)
        talk.agent.says(type="transcript", who="nobody", id="u1", text="x")
        await asyncio.sleep(0.05)
        fields = ("who", "id", "text", "final", "interrupted")
        assert [tuple(line[field] for field in fields) for line in talk.of("transcript")] == [
            ("caller", "c1", "My pin is", False, False),
            ("caller", "c1", "My pin is four two.", True, False),
            ("agent", "u1", "Thank", True, True),
        ]  # fmt: skip
        assert [said["code"] for said in talk.agent.said if said["type"] == "error"] == ["bad_field"]
        talk.agent.ends(1000)
        await asyncio.sleep(1)
        [(_, timeline)] = talk.book.finished
        assert not any("pin" in note for note in notes(timeline))
        told = [dict(entry.fields) for entry in timeline.entries if "the agent has told" in str(entry.fields)]
        assert [fields["words"] for fields in told] == [5, 1]


@in_virtual_time
async def test_an_answer_is_measured_from_the_callers_last_sound_to_the_agents_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        caller, agent = talk.agents.legs[-1], talk.leg
        # Positions count at 8 kHz from the first packet, which came at the same time on both.
        caller.tells("speech_started", position=8_000)
        await asyncio.sleep(1.3)
        # Sure of it 300 ms later: what counts is where it was.
        caller.tells("speech_ended", position=16_000, duration_ms=1_000)
        agent.tells("speech_started", position=22_400)
        await asyncio.sleep(0.05)
        assert [news["latency_ms"] for news in talk.of("turn")] == [800]
        agent.tells("speech_ended", position=30_000, duration_ms=900)
        agent.tells("speech_started", position=40_000)
        await asyncio.sleep(0.05)
        assert [news["started"] for news in talk.of("speaks") if news["who"] == "caller"] == [True, False]
        assert [news["started"] for news in talk.of("speaks") if news["who"] == "agent"] == [True, False, True]
        assert len(talk.of("turn")) == 1


@pytest.mark.rfc(3261, "14.2")
@in_virtual_time
async def test_the_page_offers_where_a_reinvite_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        [call] = talk.signalling.switchboard._calls.values()
        session, offers = call.leg.session, list[bytes | None]()
        monkeypatch.setattr(call.leg, "refresh_answered", lambda body, now: offers.append(body))
        monkeypatch.setattr(call.leg, "reinvite_answered", lambda body, now: offers.append(body))
        for answer in (b"m=audio 5004 RTP/AVP 0\r\n", b""):
            assert talk.signalling.perform(lambda now: session.reinvite(None, now=now))
            await asyncio.sleep(0.05)
            assert offers[-1] is not None
            assert b"m=audio" in offers[-1], "no 488"
            head = b"v=0\r\no=- 1 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" if answer else b""
            talk.signalling.perform(lambda now, sdp=head + answer: session.acknowledge(sdp, now=now))
            await asyncio.sleep(0.05)
            # The second answer is missing: the call goes on as it was.
            assert talk.leg.remote.codec == "PCMU"
        talk.mux.says(type="hang_up")
        await asyncio.sleep(1)
        assert [record.end_reason for record, _ in talk.book.finished] == ["caller_hung_up"]


@in_virtual_time
async def test_a_browser_that_is_gone_ends_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        talk.mux.breaks()
        await asyncio.sleep(0.6)
        assert [record.end_reason for record, _ in talk.book.finished] == ["caller_hung_up"]
        # And one that goes while it rings.
        await talk.call()
        talk.mux.breaks()
        await asyncio.sleep(0.6)
        assert [record.end_reason for record, _ in talk.book.finished] == ["caller_hung_up", "caller_cancelled"]
        assert talk.desk.calls == 0


@in_virtual_time
async def test_a_browser_that_does_not_keep_up_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        talk.page.wires[-1].ends(1008, "reads too slowly", code="too_slow")
        await asyncio.sleep(0.1)
        [ended] = talk.of("ended")
        assert ended["reason"] == "page_too_slow"
        assert ended["hint"]


@in_virtual_time
async def test_an_agent_that_fails_is_named_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        talk.agent.refuse(401, "who are you?")
        await asyncio.sleep(0.6)
        [ended] = talk.of("ended")
        assert (ended["reason"], ended["fault"]) == ("agent_refused", "the agent")
        assert "HTTP 401" in ended["detail"]
        assert ended["text"]
        assert talk.of("answered") == []


@in_virtual_time
async def test_calls_of_the_page_are_bounded_at_each_of_its_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch, max_calls=1) as talk:
        choice = talk.desk.choices.get("route:front")
        assert choice is not None
        assert await talk.desk.make_ready() is None
        late = talk.desk.access.give_ticket(choice, ("PCMU",))
        await talk.call()
        refused = await talk.desk.make_ready()
        assert refused is not None
        assert refused.code == "too_many_calls"
        verdict = talk.judge(late)
        assert isinstance(verdict, Declined)
        assert (verdict.status, verdict.code) == (503, "too_many_calls")
        await talk.answered()


@in_virtual_time
async def test_who_has_no_ticket_or_comes_from_elsewhere_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        assert await talk.desk.make_ready() is None
        choice = talk.desk.choices.get("route:front")
        assert choice is not None
        ticket = talk.desk.access.give_ticket(choice, ("PCMU",))
        stranger = talk.judge(ticket, origin="http://evil.example", host="127.0.0.1:8080")
        assert isinstance(stranger, Declined)
        assert stranger.code == "strange_origin"
        nobody = talk.judge("guessed")
        assert isinstance(nobody, Declined)
        assert nobody.code == "no_ticket"
        old = talk.desk.judge(UpgradeRequest("/v1/talk", {}, {"sec-websocket-protocol": "offhook.talk.v0"}, "::1"))
        assert isinstance(old, Declined)
        assert old.code == "wrong_subprotocol"
        assert isinstance(talk.judge(ticket, origin="http://127.0.0.1:8080", host="127.0.0.1:8080"), Accepted)


@in_virtual_time
async def test_a_gateway_that_stops_hangs_up_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(monkeypatch) as talk:
        await talk.call()
        await talk.answered()
        await talk.signalling.switchboard.close()
        await asyncio.sleep(0.1)
        [ended] = talk.of("ended")
        assert ended["reason"] == "gateway_shutdown"
