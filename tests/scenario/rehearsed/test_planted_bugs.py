"""Bugs planted in the SDK's protocol, or in what the gateway says: each fails a test that is about something else."""

import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.support.desk import STORY, desk

import offhook.agent.connection as connection
import offhook.agent.wire_line as wire_line
from offhook.agent.protocol import Kind, Record
from offhook.agent.wire_line import WireLine
from offhook.testing import CallerFor

pytestmark = pytest.mark.scenario


async def conversation(caller_for: CallerFor) -> None:
    """What somebody tests who thinks of no bug below."""
    async with caller_for(desk()) as caller:
        await caller.hears("Hello, how can I help you today?")
        await caller.says("A table for two, please")
        answer = await caller.hears("A table for two, very well. At what time would you like to come?")
        assert answer.latency_ms is not None
        assert answer.latency_ms < 1_500, "too late"
        await caller.says("Tell me a story")
        cut = await caller.interrupts("Wait a moment, please", after=1.5)
        assert cut.silent_after_ms < 800, "it goes on"
        assert STORY.startswith(cut.heard)
        assert cut.words_off <= 1, "the agent does not know what was heard"
        answer = await caller.hears()
        assert answer.text == "You said: Wait a moment, please"
        assert answer.unclear_ms < 100, "something of the story is left"
        await caller.says("Tell me a story")
        await caller.waits(2)
        await caller.presses("0")
        heard = await caller.hears()
        assert heard.ends < caller.now - 0.4, "the key does not stop it"
        assert STORY.startswith(heard.text)
        assert len(heard.text.split()) < 15
        told = caller.call.history[-1]
        assert told.interrupted
        assert abs(len(told.text.split()) - len(heard.text.split())) <= 1, "the agent does not know what was heard"
        await caller.hears_nothing(1)
        await caller.says("The menu, please")
        await caller.hears("then hash")
        await caller.presses("12#")
        await caller.hears("You entered 1 2")
        await caller.is_sent("12")
        await caller.says("Goodbye")
        await caller.hears("thank you")
        await caller.is_hung_up_on()


async def test_without_a_bug_it_passes(caller_for: CallerFor) -> None:
    await conversation(caller_for)


def swapped(pcm: bytes) -> bytes:
    samples = array("h", pcm[: len(pcm) & ~1])
    samples.byteswap()
    return samples.tobytes()


def sent(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]) -> None:
    """The agent's sound is spoiled on its way to the gateway."""
    pack = wire_line.pack

    def spoiled(kind: Kind, call: int, payload: bytes = b"", position: int = 0) -> bytes:
        return pack(kind, call, spoil(payload) if kind == Kind.AUDIO else payload, position)

    monkeypatch.setattr(wire_line, "pack", spoiled)


def received(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Record], Record | None]) -> None:
    """Records of the gateway are spoiled, as by a gateway that is wrong."""
    unpack = connection.unpack

    def spoiled(message: bytes) -> Iterator[Record]:
        return filter(None, map(spoil, unpack(message)))

    monkeypatch.setattr(connection, "unpack", spoiled)


def said(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Control messages of the SDK are spoiled or lost."""
    say = WireLine._say

    def spoiled(self: WireLine, message: dict[str, Any]) -> None:
        changed = spoil(message)
        if changed is not None:
            say(self, changed)

    monkeypatch.setattr(WireLine, "_say", spoiled)


def of_audio(spoil: Callable[[Record], Record | None]) -> Callable[[Record], Record | None]:
    return lambda record: spoil(record) if record.kind == Kind.AUDIO else record


def of_control(kind: str, spoil: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Any:
    def change(record: Record) -> Record | None:
        if record.kind != Kind.CONTROL:
            return record
        message = json.loads(record.payload)
        if message["type"] != kind:
            return record
        changed = spoil(message)
        return None if changed is None else replace(record, payload=json.dumps(changed).encode())

    return change


def lost(_: Any) -> None:
    return None


def without(kind: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    return lambda message: None if message["type"] == kind else message


def other_rate(message: dict[str, Any]) -> dict[str, Any]:
    return message | {"audio": {"encoding": "pcm16", "rate": 8_000}} if message["type"] == "ready" else message


def words_at_once(message: dict[str, Any]) -> dict[str, Any]:
    ends = message.get("word_ends_ms", ())
    return message | {"word_ends_ms": [1] * len(ends)} if ends else message


class EveryOther:
    """Lets one of two through."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, record: Record) -> Record | None:
        self.count += 1
        return record if self.count % 2 else None


class Late:
    """Sends each piece of sound when the next one comes: what was left before a clear is played after it."""

    def __init__(self) -> None:
        self.left = b""

    def __call__(self, pcm: bytes) -> bytes:
        now, self.left = self.left, pcm
        return now


def granted(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int], int]) -> None:
    """The SDK grants other credit than it should."""
    pack = wire_line.pack

    def spoiled(kind: Kind, call: int, payload: bytes = b"", position: int = 0) -> bytes:
        return pack(kind, call, payload, spoil(position) if kind == Kind.CREDIT else position)

    monkeypatch.setattr(wire_line, "pack", spoiled)


def with_fields(kind: str, **fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda message: message | fields if message["type"] == kind else message


BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the SDK names the wrong rate": lambda patch: said(patch, other_rate),
    "the SDK sends swapped bytes": lambda patch: sent(patch, swapped),
    "the SDK sends every second sample": lambda patch: sent(patch, lambda pcm: array("h", pcm)[::2].tobytes()),
    "the SDK sends sound one byte off": lambda patch: sent(patch, lambda pcm: pcm[1:] + pcm[:1]),
    "the SDK's marks are lost": lambda patch: said(patch, without("mark")),
    "the SDK does not clear": lambda patch: said(patch, without("clear")),
    "the SDK never hangs up": lambda patch: said(patch, without("hangup")),
    "the SDK presses no keys": lambda patch: said(patch, without("dtmf")),
    "the SDK reads swapped bytes": lambda patch: received(
        patch, of_audio(lambda record: replace(record, payload=swapped(record.payload)))
    ),
    "the gateway's sound is lost": lambda patch: received(patch, of_audio(lost)),
    "the gateway sends half of the sound": lambda patch: received(patch, of_audio(EveryOther())),
    "the gateway sends sound of another rate": lambda patch: received(
        patch, of_audio(lambda record: replace(record, payload=record.payload[: len(record.payload) // 2]))
    ),
    "the gateway's marks have other names": lambda patch: received(
        patch, of_control("mark", lambda message: message | {"name": "m"})
    ),
    "the gateway forgets keys": lambda patch: received(patch, of_control("dtmf", lost)),
    "the SDK names nothing that it says": lambda patch: said(patch, without("utterance")),
    "the SDK says other words than it speaks": lambda patch: said(patch, with_fields("utterance", text=STORY[::-1])),
    "the SDK says that words end at once": lambda patch: said(patch, words_at_once),
    "the SDK's sound comes a piece late": lambda patch: sent(patch, Late()),
    "the SDK grants no credit": lambda patch: patch.setattr(wire_line, "_GRANT_EVERY_MS", 1 << 40),
    "the SDK grants credit once": lambda patch: granted(patch, lambda _: wire_line.CREDIT_MS + 200),
    "the SDK grants half of the credit": lambda patch: granted(patch, lambda position: position // 2),
    "the gateway says that all was played": lambda patch: received(
        patch, of_control("interrupted", lambda message: message | {"played_ms": 60_000})
    ),
    "the gateway says that nothing was played": lambda patch: received(
        patch, of_control("interrupted", lambda message: message | {"played_ms": 0})
    ),
    "the gateway says that every word was heard": lambda patch: received(
        patch, of_control("interrupted", lambda message: message | {"text_heard": STORY})
    ),
    "the gateway says that no word was heard": lambda patch: received(
        patch, of_control("interrupted", lambda message: message | {"text_heard": ""})
    ),
    "the gateway does not tell of interruptions": lambda patch: received(patch, of_control("interrupted", lost)),
}


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_fails_the_test(bug: str, caller_for: CallerFor, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[bug](monkeypatch)
    with pytest.raises((AssertionError, TimeoutError)) as failure:
        await conversation(caller_for)
    print(str(failure.value).splitlines()[0])
