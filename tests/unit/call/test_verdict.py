"""What a person is told about a call, in words that need no book on telephony."""

from typing import Any

import pytest

from offhook.call.end_reason import EndReason
from offhook.call.verdict import agent_audio, audio, verdict
from offhook.ids import CallId
from offhook.report.record import CallRecord

pytestmark = pytest.mark.unit

GOOD = {
    "received_packets": 1_240, "received_jitter_us": 2_100, "sent_packets": 1_240, "sent_audio_packets": 800,
    "sent_silence_packets": 440,
}  # fmt: skip


def call(**values: Any) -> CallRecord:
    ended = {"answer_at": 1, "end_at": 2, "end_reason": "caller_hung_up"}
    return CallRecord.of({"call_id": CallId("a"), "setup_at": 0, **ended, **values})


@pytest.mark.parametrize("reason", EndReason, ids=lambda reason: reason.slug)
def test_every_ending_gets_a_verdict(reason: EndReason) -> None:
    judged = verdict(call(end_at=2, end_reason=reason.slug))
    assert judged.text.startswith(reason.text)
    assert judged.good == (reason.fault == "none")
    assert ("to fix" in judged.text) == (reason.fault not in ("none", "caller"))


def test_a_call_that_is_on_and_an_ending_of_a_later_version() -> None:
    assert verdict(call(end_reason=None)).text == "The call is on."
    assert verdict(call(end_reason=None, answer_at=None)).text == "The call is being set up."
    assert verdict(call(end_at=2, end_reason="of_tomorrow")).text == "The call ended: of_tomorrow."


def test_a_good_call() -> None:
    lines = audio(call(media=GOOD))
    assert [line.text for line in lines] == [
        "1,240 packets, none lost, jitter 2.1 ms",
        "1,240 packets: 800 with sound, 440 silent",
    ]
    assert not any(line.warning for line in lines)


@pytest.mark.parametrize(
    ("counters", "texts"),
    [
        ({"holds": 1, "held_ms": 12_340}, ["once, 12.3 s in all"]),
        ({"holds": 3, "held_ms": 60_000}, ["3 times, 60.0 s in all"]),
        (
            {"holds": 1, "held_ms": 9_000, "sent_music_packets": 450},
            ["1,240 packets: 800 with sound, 440 silent, 450 of music on hold", "once, 9.0 s in all"],
        ),
    ],
)
def test_how_long_a_call_was_on_hold(counters: dict[str, int], texts: list[str]) -> None:
    lines = [line.text for line in audio(call(media={**GOOD, **counters}))]
    assert set(texts) <= set(lines)
    assert not any("in all" in line.text for line in audio(call(media=GOOD)))


@pytest.mark.parametrize(
    ("speech_ms", "noise_level", "text"),
    [
        (12_340, 52, "the caller spoke for 12.3 s, noise of the line -52 dBov"),
        (0, 0, "no speech in it"),
    ],
)
def test_how_long_the_caller_spoke(speech_ms: int, noise_level: int, text: str) -> None:
    media = {**GOOD, "speech_ms": speech_ms, "noise_level": noise_level}
    assert text in [line.text for line in audio(call(media=media))]
    ringing = call(media=media, answer_at=None)
    assert text not in [line.text for line in audio(ringing)], "nobody was there to hear it"


@pytest.mark.parametrize(
    ("counters", "text", "hint"),
    [
        ({}, "caller audio never arrived: 0 packets in, 1,240 out", "media.ports"),
        ({"received_wrong_source": 1}, "1 packet came from an address that this call does not accept", "nat = true"),
        ({"received_wrong_payload_type": 9}, "9 packets came in a codec that was not agreed", "its own SDP"),
    ],
)
def test_one_way_audio_names_side_and_cause(counters: dict[str, int], text: str, hint: str) -> None:
    line = audio(call(media={**GOOD, "received_packets": 0, **counters}))[0]
    assert line.warning
    assert line.way == "caller → offhook"
    assert text in line.text
    assert hint in line.hint


@pytest.mark.parametrize(
    ("counters", "text"),
    [
        ({"received_lost": 100}, "100 lost (7.5 %)"),
        ({"received_late": 100}, "100 too late to be heard"),
        ({"sent_audio_packets": 0}, "1,240 packets, all silent"),
        ({"sent_packets": 0}, "nothing was sent to the caller"),
        ({"rtcp_received": 3, "remote_lost": 62}, "the caller’s side reports 62 lost (5.0 %)"),
        ({"playout_underruns": 2}, "the agent’s speech ran dry in mid-sentence 2 times"),
        ({"received_wrong_source": 500}, "500 packets from an address"),
    ],
)
def test_what_is_worth_a_look_is_marked(counters: dict[str, int], text: str) -> None:
    marked = [line.text for line in audio(call(media={**GOOD, **counters})) if line.warning]
    assert any(text in line for line in marked)


def test_an_echo_that_had_to_wait_blames_no_agent() -> None:
    lines = audio(call(destination="echo:welcome", media={**GOOD, "playout_underruns": 1}))
    assert lines[-1].text == "the echo waited for the caller’s packets 1 time"
    assert not any(line.warning for line in lines)


def test_a_call_that_ended_well_and_went_badly() -> None:
    judged = verdict(call(end_at=2, end_reason="caller_hung_up", media={**GOOD, "received_packets": 0}))
    assert judged.good
    assert judged.but.startswith("caller audio never arrived")
    assert "media.ports" in judged.hint
    assert verdict(call(end_at=2, end_reason="caller_hung_up", media=GOOD)).but == ""


@pytest.mark.parametrize("reason", [None, "gateway_crashed"])
def test_counters_of_the_answer_say_nothing_of_the_sound_since(reason: str | None) -> None:
    record = call(end_reason=reason, media={"received_packets": 0, "sent_packets": 0}, wire={"sent_audio_us": 0})
    assert audio(record) == []
    assert agent_audio(record) == []


def test_a_call_never_answered_has_no_audio_to_speak_of() -> None:
    assert audio(call(answer_at=None, media={"received_packets": 0, "sent_packets": 0})) == []
    assert audio(call()) == []


def test_the_agents_side() -> None:
    lines = agent_audio(call(wire={"sent_audio_us": 64_800_000, "received_audio_us": 36_100_000}))
    assert [line.text for line in lines] == [
        "64.8 s of the caller’s audio sent to the agent",
        "36.1 s of speech received from the agent",
    ]
    silent = agent_audio(call(wire={"sent_audio_us": 1, "sent_dropped_us": 2_000_000, "received_garbage": 3}))
    assert all(line.warning for line in silent)
    assert "2.0 s dropped because the agent read too slowly" in silent[0].text
    assert silent[1].text == "the agent never sent any audio"
    assert silent[2].text == "3 messages from the agent made no sense"
    flood = agent_audio(call(wire={"received_audio_us": 1_000_000, "received_dropped_us": 9_000_000}))
    assert "9.0 s more dropped" in flood[1].text
    assert agent_audio(call()) == []


def test_of_a_call_out_the_other_side_is_the_called_party() -> None:
    silent = call(
        direction="outbound", end_reason="media_timeout", media={"sent_packets": 500, "sent_audio_packets": 9}
    )
    assert verdict(silent).text.startswith("No audio packets came from the called party for too long.")
    line, *_ = audio(silent)
    assert (line.way, line.text) == (
        "called party → offhook",
        "called party audio never arrived: 0 packets in, 500 out",
    )
    refused = call(direction="outbound", end_reason="trunk_failed", answer_at=None)
    assert "compare `caller_id` and `number_format`" in verdict(refused).hint
