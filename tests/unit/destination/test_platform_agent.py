"""Agents on platforms: whom the gateway dials, what it tells them, and what comes of a platform that does not play."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.platform_api import FakeApi

from offhook.destination.base import AgentNote, Destination, DestinationEvent, DestinationListener
from offhook.destination.dialect.facts import AgentFacts, CallerIdentity
from offhook.destination.openai_calls import OpenAICalls, OpenAISpec
from offhook.destination.platform_agent import PlatformDestination, PlatformSpec
from offhook.destination.platform_api import ApiSpec
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.platform.openai import CALL_HEADER, IncomingCall
from offhook.platform.webhook import Verifier
from offhook.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.unit

FACTS = AgentFacts(
    CallId("c1"), "+14155550142", "+14155550100", trunk="acme", headers={"X-Tier": "gold"}, data={"name": "Ada"}
)
RETELL = PlatformSpec("retell", "retell", "sip.retellai.com", agent_id="a1", api=ApiSpec("https://r.example", "k"))
OPENAI = PlatformSpec(
    "openai-sip",
    "openai",
    "sip.api.openai.com",
    dial="proj_1",
    openai=OpenAISpec("bot", "gpt-realtime", api=ApiSpec("https://o.example", "k"), verifier=Verifier(b"x" * 32)),
)


class FarLeg:
    """The call to the platform, which answers when the test lets it."""

    def __init__(self, listener: DestinationListener) -> None:
        self.listener = listener
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.said: list[str] = []

    async def prepare(self, leg: Any, facts: AgentFacts) -> None:
        await self.answered

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **more: self.said.append(name)


class Asked:
    """A destination and what becomes of it."""

    def __init__(self, spec: PlatformSpec, api: FakeApi | None = None, facts: AgentFacts = FACTS) -> None:
        self.api = api or FakeApi()
        self.calls = OpenAICalls(self.api, token=lambda: "t1")
        self.dialled: list[tuple[str, str, dict[str, str]]] = []
        self.far: list[FarLeg] = []
        self.events: list[tuple[Any, DestinationEvent]] = []
        self.destination = PlatformDestination(
            "agent:bot",
            spec,
            lambda who, event: self.events.append((who, event)),
            dial=self._dial,
            api=self.api,
            calls=self.calls,
        )
        self.preparing = asyncio.ensure_future(self.destination.prepare(None, facts))  # type: ignore[arg-type]

    def _dial(
        self, uri: str, trunk: str, headers: tuple[tuple[str, str], ...], listener: DestinationListener, *, listed: bool
    ) -> Destination:
        self.dialled.append((uri, trunk, dict(headers)))
        self.listed = listed
        self.far.append(FarLeg(listener))
        return self.far[-1]  # type: ignore[return-value]

    async def turn(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def failure(self) -> DestinationError:
        with pytest.raises(DestinationError) as raised:
            await self.preparing
        return raised.value


def virtually(test: Callable[[], Any]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(test())
    finally:
        loop.close()


async def test_livekit_is_dialled_by_the_number_that_was_called() -> None:
    asked = Asked(PlatformSpec("livekit", "lk", "abc.sip.livekit.cloud", dial="{to}"))
    await asked.turn()
    uri, trunk, headers = asked.dialled[0]
    assert (uri, trunk) == ("sip:+14155550100@abc.sip.livekit.cloud", "lk")
    assert headers == {"X-Call-ID": "c1", "X-Caller-ID": "+14155550142", "X-Tier": "gold", "X-name": "Ada"}
    # The caller chose the number: the trunk has to list it.
    assert not asked.listed
    assert not asked.preparing.done()
    asked.far[0].answered.set_result(None)
    await asked.preparing


async def test_what_the_far_leg_says_is_said_by_the_agent_and_what_the_call_says_goes_there() -> None:
    asked = Asked(PlatformSpec("vapi", "vapi", "sip.vapi.ai", dial="desk"))
    await asked.turn()
    asked.far[0].answered.set_result(None)
    await asked.preparing
    event = AgentNote("hello", {})
    asked.far[0].listener(asked.far[0], event)  # type: ignore[arg-type]
    assert asked.events[-1] == (asked.destination, event)
    asked.destination.begin()
    asked.destination.held("caller")
    asked.destination.close("caller_hung_up")
    asked.destination.close("caller_hung_up")
    assert asked.far[0].said == ["begin", "held", "close"]


async def test_a_caller_who_is_withheld_is_told_to_nobody() -> None:
    facts = AgentFacts(CallId("c1"), "anonymous", "+14155550100", identity=CallerIdentity(withheld=True))
    asked = Asked(PlatformSpec("elevenlabs", "el", "sip.rtc.elevenlabs.io", dial="{to}"), facts=facts)
    await asked.turn()
    assert asked.dialled[0][2] == {"X-CALL-ID": "c1"}
    asked.preparing.cancel()


@pytest.mark.parametrize("number", ["", "1;phone-context=x", "a@evil", "a b", "x%0d%0a", "1" * 129, "\u0661"])
async def test_a_dialled_number_can_not_lead_to_another_place(number: str) -> None:
    facts = AgentFacts(CallId("c1"), "+1", number)
    asked = Asked(PlatformSpec("livekit", "lk", "abc.sip.livekit.cloud", dial="{to}"), facts=facts)
    assert (await asked.failure()).code == "agent_refused"
    assert not asked.dialled


async def test_retell_is_told_of_the_call_and_dialled_by_the_id_that_it_gives() -> None:
    asked = Asked(RETELL, FakeApi({"register-phone-call": b'{"call_id": "call_77"}'}))
    await asked.turn()
    path, body = asked.api.asked[0]
    assert path == "/v2/register-phone-call"
    assert body["agent_id"] == "a1"
    assert body["retell_llm_dynamic_variables"] == {"Tier": "gold", "name": "Ada"}
    assert asked.dialled[0][:2] == ("sip:call_77@sip.retellai.com", "retell")
    assert asked.listed
    asked.preparing.cancel()


async def test_a_call_that_retell_refuses_is_not_dialled() -> None:
    refusal = DestinationError("HTTP 402", code="agent_refused", hint="pay")
    asked = Asked(RETELL, FakeApi({"register-phone-call": refusal}))
    assert await asked.failure() is refusal
    asked = Asked(RETELL, FakeApi({"register-phone-call": b'{"call_id": "x@evil"}'}))
    assert (await asked.failure()).code == "agent_refused"
    assert not asked.dialled


async def test_openai_answers_once_its_webhook_was_told_to() -> None:
    asked = Asked(OPENAI)
    await asked.turn()
    uri, _, headers = asked.dialled[0]
    assert uri == "sip:proj_1@sip.api.openai.com"
    assert headers[CALL_HEADER] == "t1"
    assert OPENAI.openai is not None
    call = IncomingCall("rtc_1", ((CALL_HEADER, "t1"),), "srtp")
    assert asked.calls.incoming(OPENAI.openai, call) == "accepted"
    await asked.turn()
    assert asked.api.asked[0][0] == "/realtime/calls/rtc_1/accept"
    assert not asked.preparing.done()
    asked.far[0].answered.set_result(None)
    await asked.preparing
    note = next(event for _, event in asked.events if isinstance(event, AgentNote))
    assert note.fields == {"call_id": "rtc_1", "media": "srtp"}


async def test_openai_that_does_not_take_our_session_ends_the_call_to_it() -> None:
    asked = Asked(OPENAI, FakeApi({"accept": DestinationError("HTTP 401", code="agent_refused", hint="key")}))
    await asked.turn()
    assert OPENAI.openai is not None
    asked.calls.incoming(OPENAI.openai, IncomingCall("rtc_1", ((CALL_HEADER, "t1"),)))
    assert (await asked.failure()).code == "agent_refused"
    asked.destination.close("agent_refused")
    await asked.turn()
    assert "close" in asked.far[0].said


async def test_a_far_leg_that_is_refused_before_any_webhook_is_told_as_it_is() -> None:
    asked = Asked(OPENAI)
    await asked.turn()
    asked.far[0].answered.set_exception(DestinationError("404", code="agent_refused"))
    assert (await asked.failure()).code == "agent_refused"


def test_a_webhook_that_never_comes_is_named_with_its_address() -> None:
    async def test() -> None:
        asked = Asked(OPENAI)
        error = await asked.failure()
        assert error.code == "webhook_missing"
        assert "/v1/webhooks/openai/bot" in error.hint
        asked.destination.close("webhook_missing")
        assert OPENAI.openai is not None
        assert asked.calls.incoming(OPENAI.openai, IncomingCall("rtc_1", ((CALL_HEADER, "t1"),))) == "late"

    virtually(test)


def test_a_webhook_of_the_other_api_is_named_where_the_right_one_never_comes() -> None:
    async def test() -> None:
        asked = Asked(OPENAI)
        await asked.turn()
        assert OPENAI.openai is not None
        live = IncomingCall("live_1", ((CALL_HEADER, "t1"),), "srtp", "live", "live.transport.incoming")
        assert asked.calls.incoming(OPENAI.openai, live) == "left"
        error = await asked.failure()
        assert error.code == "webhook_missing"
        assert "only live.transport.incoming came" in error.hint
        assert "subscribe the webhook to realtime.call.incoming" in error.hint

    virtually(test)


async def test_openai_answered_by_its_owners_own_server_needs_nothing_of_us() -> None:
    spec = PlatformSpec("openai-sip", "openai", "sip.api.openai.com", dial="proj_1", openai=OpenAISpec("bot"))
    asked = Asked(spec)
    await asked.turn()
    assert CALL_HEADER not in asked.dialled[0][2]
    asked.far[0].answered.set_result(None)
    await asked.preparing
