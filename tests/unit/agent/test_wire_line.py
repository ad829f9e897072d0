"""One call's records: what a line says, and what it makes of what it is told."""

import asyncio
import json
import struct
from typing import Any

import pytest
from tests.support.clock import in_virtual_time

from offhook.agent.events import DigitsMasked, Key, WantsFloor
from offhook.agent.line import Answered, CallOver, UtteranceOver
from offhook.agent.protocol import Kind, Record, unpack
from offhook.agent.wire_line import WireLine
from offhook.speech.protocol import Spoken

pytestmark = pytest.mark.unit

RATE = 8_000
RINGING = {"type": "ringing", "call_id": "c", "headers": {"X-A": "1"}, "ready_within_ms": 19_500}


class Told:
    """A listener that keeps all."""

    def __init__(self, **ringing: Any) -> None:
        self.events: list[Any] = []
        self.sound = bytearray()
        self.written: list[bytes] = []
        self.line = WireLine(5, RINGING | ringing, RATE, self.written.append)
        self.line.listener = self

    def receive(self, event: Any) -> None:
        self.events.append(event)

    def hear(self, pcm: bytes) -> None:
        self.sound += pcm

    def told(self, **message: Any) -> None:
        self.line.receive(Record(Kind.CONTROL, 5, 0, json.dumps(message).encode()))

    def audio(self, position: int, value: int = 1) -> None:
        self.line.receive(Record(Kind.AUDIO, 5, position, bytes([value]) * (RATE // 25)))

    async def speak(self, utterance: str, ms: int, **options: Any) -> None:
        pcm = bytes(RATE * ms // 500)
        self.line.begin(utterance, Spoken(pcm, RATE, options.pop("text", "")), options.pop("barge_in", None))
        await self.line.send(pcm)

    def said(self) -> list[dict[str, Any]]:
        records = [record for message in self.written for record in unpack(message)]
        return [json.loads(record.payload) for record in records if record.kind == Kind.CONTROL]

    def of(self, kind: Kind) -> list[Record]:
        return [record for message in self.written for record in unpack(message) if record.kind == kind]


@in_virtual_time
async def test_a_mark_says_that_all_was_played_and_a_clear_how_much() -> None:
    told = Told()
    await told.speak("u1", 400)
    told.line.finish("u1")
    told.told(type="mark", name="u1")
    await told.speak("u2", 1000)
    told.line.clear()
    told.told(type="cleared", played_ms=700, dropped_ms=700, marks=[])
    await told.speak("u3", 100)
    told.told(type="mark", name="nonsense")
    assert told.events == [UtteranceOver("u1", 400, False), UtteranceOver("u2", 300, True)]
    assert [message["type"] for message in told.said()] == ["mark", "clear"]


@in_virtual_time
async def test_an_answer_to_a_clear_ends_only_what_was_to_be_cleared() -> None:
    told = Told(barge_in="clear")
    await told.speak("u1", 400)
    # The caller interrupts while our own clear is on its way; what is said next is not touched by its answer.
    told.line.clear()
    told.told(type="cleared", played_ms=100, dropped_ms=300, marks=[])
    told.told(type="interrupted", utterance="u1", played_ms=100, by="caller")
    await told.speak("u2", 400)
    told.told(type="cleared", played_ms=0, dropped_ms=0, marks=[])
    told.audio(0)
    assert told.events == [UtteranceOver("u1", 100, True)]
    told.told(type="mark", name="u2")
    assert told.events[1:] == [UtteranceOver("u2", 400, False)]


@in_virtual_time
async def test_a_clear_of_what_was_played_already_is_answered_without_an_interruption() -> None:
    told = Told(barge_in="clear")
    await told.speak("u1", 400)
    told.line.clear()
    told.told(type="cleared", played_ms=400, dropped_ms=0, marks=[])
    assert told.events == [], "an interruption might follow"
    told.audio(0)
    assert told.events == [UtteranceOver("u1", 400, True)]


@in_virtual_time
async def test_nothing_of_an_utterance_is_sent_after_the_clear_that_cuts_it_off() -> None:
    told = Told()
    speaking = asyncio.create_task(told.speak("u1", 30_000))
    await asyncio.sleep(5)
    told.line.clear()
    sent = len(told.of(Kind.AUDIO))
    await asyncio.sleep(5)
    assert len(told.of(Kind.AUDIO)) == sent, "although the answer takes so long"
    told.told(type="cleared", played_ms=5000, dropped_ms=10_000, marks=[])
    await speaking
    assert told.events == [UtteranceOver("u1", 5000, True)]
    await told.speak("u2", 400)
    assert len(told.of(Kind.AUDIO)) == sent + 2


@in_virtual_time
async def test_sound_of_an_utterance_that_was_cut_off_is_not_sent_any_more() -> None:
    told = Told(barge_in="clear")
    await told.speak("u1", 400, text="Hello.", barge_in="off")
    told.told(type="cleared", played_ms=100, dropped_ms=300, marks=[])
    told.told(type="interrupted", utterance="u1", played_ms=100, by="caller")
    sent = len(told.of(Kind.AUDIO))
    await told.line.send(bytes(1000))
    await told.speak("u1", 100, text="And more.")
    assert len(told.of(Kind.AUDIO)) == sent
    assert told.said() == [
        {"type": "utterance", "id": "u1", "text": "Hello.", "barge_in": "off"},
        {"type": "utterance_end"},
    ]


@in_virtual_time
async def test_sound_is_sent_ten_seconds_ahead_and_no_more() -> None:
    told = Told()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await told.speak("u1", 30_000)
    assert loop.time() - begun == pytest.approx(20, abs=0.3)
    assert sum(len(record.payload) for record in told.of(Kind.AUDIO)) == 30 * RATE * 2


@in_virtual_time
async def test_credit_follows_what_was_heard_and_gaps_are_filled() -> None:
    told = Told()
    for position in (*range(0, 400, 20), 500, 520):
        told.audio(position)
    assert len(told.sound) == 540 * RATE // 500
    assert bytes(told.sound[400 * RATE // 500 : 500 * RATE // 500]) == bytes(100 * RATE // 500)
    assert told.line.dropped_ms == 100
    assert [record.position for record in told.of(Kind.CREDIT)] == [1200, 1400], "of what was really sent"


@in_virtual_time
async def test_what_happens_is_told_and_the_end_once() -> None:
    told = Told()
    told.told(type="start", audio={})
    told.told(type="dtmf", digit="5", duration_ms=80, at_ms=10)
    told.told(type="barge_in", utterance="u1", since_ms=1, at_ms=2)
    told.told(type="digits_masked", state="withheld")
    told.told(type="digits_masked", state="unheard of")
    told.told(type="end", reason="caller_hung_up", text="bye")
    told.line.hang_up("", now=True)
    told.line.receive(Record(Kind.CLOSE, 5, 0, struct.pack(">H", 1000)))
    assert told.events == [
        Answered(),
        Key("5", 80, 10),
        WantsFloor(1, 2),
        DigitsMasked("withheld"),
        CallOver("caller_hung_up", "bye"),
    ]
    assert told.said() == [], "nothing is said after the end"
    assert [record.payload for record in told.of(Kind.CLOSE)] == [struct.pack(">H", 1000)]
    assert not told.line.is_open


@in_virtual_time
async def test_facts_are_read_whatever_they_are() -> None:
    facts = Told(headers=["x"], ready_within_ms="soon", from_number=5).line.facts
    assert (facts.call_id, facts.from_number, facts.headers, facts.answer_within) == ("c", "", {}, 20.0)
    assert Told().line.facts.headers == {"X-A": "1"}


@pytest.mark.parametrize(
    ("ringing", "rate"),
    [
        ({"early_media": True, "audio": {"encoding": "pcm16", "rate": 24_000, "frame_ms": 20}}, 24_000),
        ({"early_media": True, "audio": {"encoding": "pcmu", "rate": 8_000, "frame_ms": 20}}, RATE),
        ({"early_media": True}, RATE),
        ({"early_media": False, "audio": {"encoding": "pcm16", "rate": 24_000, "frame_ms": 20}}, RATE),
    ],
)
def test_what_is_heard_before_the_answer_is_in_the_audio_that_was_offered(ringing: dict[str, Any], rate: int) -> None:
    told = Told(**ringing)
    assert (told.line.rate, told.line.facts.early_media) == (rate, ringing["early_media"])


def test_what_the_gateway_does_not_take_is_logged_and_the_call_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    line = Told()
    line.told(type="error", code="bad_header", message="headers: Via is the gateway's own header")
    line.told(type="error")
    assert [record.getMessage() for record in caplog.records] == [
        "the gateway did not take what the agent said (bad_header): headers: Via is the gateway's own header",
        "the gateway did not take what the agent said (): ",
    ]
    assert line.events == []


def test_headers_leave_as_the_protocol_has_them() -> None:
    line = Told()
    line.line.set_headers({"X-A": "1", "X-B": None}, "all")
    line.line.set_headers({"X-A": "2"}, "bye")
    assert line.said() == [
        {"type": "headers", "headers": {"X-A": "1", "X-B": None}},
        {"type": "headers", "headers": {"X-A": "2"}, "on": "bye"},
    ]


def test_a_start_that_names_another_trunk_is_believed() -> None:
    told = Told(trunk="first", from_number="+14155550100", to_number="+14155550142")
    told.told(type="start", audio={"encoding": "pcm16", "rate": RATE}, trunk="second", from_number="+14155550177")
    facts = told.line.facts
    assert (facts.trunk, facts.from_number, facts.to_number) == ("second", "+14155550177", "+14155550142")
    assert told.events == [Answered()]
