"""What the examination says to an agent is what a gateway says: the same call by each, compared field by field."""

import asyncio
import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.interop.examine.examining import plan_for
from tests.support.agent import Agent, AgentCall, Dialect, agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PlainPhone
from tests.support.tone import SILENT_FRAME, frames, tone
from tests.support.undisturbed import undisturbed
from websockets.http11 import Request

from offhook.cli.version import offhook_version
from offhook.examine.call import CALLED, CALLER, ExaminedCall
from offhook.examine.speech import Speech
from offhook.phone.sound import load

pytestmark = pytest.mark.interop

PORT = ports(2)
SCHEME = {"twilio": "twilio+ws", "offhook": "ws"}
TOML = f"""
[[trunk]]
name = "examination"
allow = ["127.0.0.1"]

[[route]]
name = "twilio"
to = "+14155550199"
destination = "twilio+ws://127.0.0.1:{PORT}/a?b=c"

[[route]]
name = "offhook"
to = "+14155550198"
destination = "ws://127.0.0.1:{PORT}/a?b=c"
"""
NUMBER = {"twilio": "+14155550199", "offhook": "+14155550198"}

# What differs from call to call, as what it is written like.
_LIKE = (
    (re.compile(r"(MZ|CA|AC)[0-9a-f]{32}"), r"\1…"),
    (re.compile(r"[0-9a-hjkmnp-z]{26}"), "call id"),
    (re.compile(r"\+141555501\d\d"), "number"),
    (re.compile(r"\d+"), "digits"),
)
_OF_THE_CALL = {"session_id", "trunk", "route", "sip_call_id", "display_name"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("like"), TOML) as running:
        yield running


async def converse(bot: AgentCall) -> None:
    """The agent's half of the call: it takes it, says something with marks, and drops the rest of it."""
    if bot.dialect == "offhook":
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
    await bot.text("start")
    if bot.dialect == "offhook":
        await bot.say(type="utterance", id="u1", text="one two", word_ends_ms=[100, 9_000], barge_in="off")
    await bot.play(tone(900, 0.4))
    await bot.mark("heard")
    await bot.play(tone(900, 9.0))
    await bot.mark('dropped "once"')
    await bot.text("mark")
    await bot.message("dtmf")
    await bot.clear()
    if bot.dialect == "offhook":
        await bot.text("cleared")
        await bot.text("interrupted")
        await bot.text("speech_ended")
    else:
        await bot.message("mark", 2)
    await bot.hears(8_000)


async def by_a_gateway(gateway: Gateway, dialect: Dialect) -> tuple[AgentCall, Request]:
    async with agent_on(PORT, dialect) as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, NUMBER[dialect], caller=CALLER, name="")
        bot = await agent.call()
        talking = asyncio.create_task(converse(bot))
        await call.answered()
        # Whoever speaks from the very first moment on is noise for a while.
        call.say([*[SILENT_FRAME] * 50, *frames(load("sentence")[:20_000])])
        await bot.text("mark")
        call.press("5")
        await talking
        call.hang_up()
        await bot.over()
        return bot, agent.requests[0]


async def by_an_examination(dialect: Dialect) -> tuple[AgentCall, Request]:
    plan = plan_for(f"{SCHEME[dialect]}://127.0.0.1:{PORT}/a?b=c", user_agent=f"offhook/{offhook_version()}")
    async with agent_on(PORT, dialect) as agent:
        async with ExaminedCall(plan, Speech(load("sentence")[:20_000]), "talk", "like a gateway's") as call:
            await call.dial()
            bot = await agent.call()
            talking = asyncio.create_task(converse(bot))
            await call.ring()
            call.answer()
            call.begin_to_speak()
            await bot.text("mark")
            call.press("5")
            await talking
            await call.hang_up()
            await bot.over()
        return bot, sole(agent)


def sole(agent: Agent) -> Request:
    assert len(agent.requests) == 1
    return agent.requests[0]


@pytest.mark.parametrize("dialect", ["twilio", "offhook"])
@undisturbed
async def test_each_message_is_the_gateways(gateway: Gateway, dialect: Dialect) -> None:
    theirs, asked = await by_a_gateway(gateway, dialect)
    ours, asked_by_us = await by_an_examination(dialect)

    assert asked_by_us.path == asked.path
    assert headers(asked_by_us) == headers(asked)

    kinds = sorted(set(theirs.kinds()))
    assert sorted(set(ours.kinds())) == kinds, "the same kinds of messages"
    expected = {
        "twilio": ["connected", "dtmf", "mark", "start", "stop"],
        "offhook": [
            "cleared", "dtmf", "end", "interrupted", "mark", "ringing", "speech_ended", "speech_started", "start",
        ],
    }  # fmt: skip
    assert kinds == expected[dialect], "the call has all of them"
    assert in_order(ours.kinds()) == in_order(theirs.kinds())
    for kind in [*kinds, *(["media"] if dialect == "twilio" else [])]:
        assert shape(ours.of(kind)[0].body) == shape(theirs.of(kind)[0].body), kind
        assert list(ours.of(kind)[0].body) == list(theirs.of(kind)[0].body), "its fields in the same order"
    assert audio_sizes(ours) == audio_sizes(theirs)
    if dialect == "twilio":
        for bot in (ours, theirs):
            numbers = [int(message.body["sequenceNumber"]) for message in bot.messages[1:]]
            assert numbers == list(range(1, len(numbers) + 1))
            stamps = [int(message.body["media"]["timestamp"]) for message in bot.of("media")]
            assert stamps[:50] == list(range(0, 1000, 20))
    else:
        for bot in (ours, theirs):
            cleared = bot.of("cleared")[0].body
            assert cleared["played_ms"] + cleared["dropped_ms"] == 9_400
            assert cleared["marks"] == ['dropped "once"']
            started, ended = bot.of("speech_started")[0].body, bot.of("speech_ended")[0].body
            assert 0 < started["at_ms"] - started["since_ms"] < 300
            assert 200 < ended["at_ms"] - ended["since_ms"] < 500
    close = [bot.socket.protocol.close_rcvd for bot in (ours, theirs)]
    assert close[0] == close[1]
    assert NUMBER["twilio"] == CALLED


def headers(request: Request) -> dict[str, str]:
    sent = {name.lower(): value for name, value in request.headers.raw_items()}
    assert len(sent.pop("sec-websocket-key")) == 24
    # A tree that was never installed has no version.
    assert sent["user-agent"].startswith("offhook/")
    return sent | {"user-agent": "offhook/"}


def in_order(kinds: list[str]) -> list[str]:
    """The kinds but those whose moment is the caller's or the machine's."""
    return [kind for kind in kinds if not kind.startswith("speech_")]


def shape(value: Any, name: str = "") -> Any:
    """A message with what belongs to one call alone replaced by what it looks like."""
    match value:
        case dict():
            return {field: shape(inner, field) for field, inner in value.items()}
        case list() if name == "formats":
            return value
        case list():
            return [shape(inner) for inner in value]
        case bool():
            return value
        case int() if name in ("rate", "frame_ms", "sampleRate", "channels"):
            return value
        case int():
            return "a number"
        case str() if name in _OF_THE_CALL:
            return "text"
        case str() if name == "payload":
            return len(base64.b64decode(value))
        case str() if name in ("protocol", "version", "encoding", "track", "name"):
            return value
        case str():
            for pattern, like in _LIKE:
                value, found = pattern.subn(like, value)
                if found:
                    break
            return value
    return value


def audio_sizes(bot: AgentCall) -> set[int]:
    """Bytes of each audio message but the last, which a gateway may send shorter when the call is over."""
    if bot.dialect == "twilio":
        return {len(base64.b64decode(message.body["media"]["payload"])) for message in bot.of("media")[:-1]}
    return {message.audio_before % 160 for message in bot.messages[:-1]}
