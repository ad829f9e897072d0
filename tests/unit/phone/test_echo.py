"""An echo is found where there is one, and its delay is that of the packets."""

import random
from array import array

import pytest

from offhook.phone.echo import find_echo
from offhook.phone.recording import Recording, gaps_ms
from offhook.phone.sound import RATE, Samples, load, tone

pytestmark = pytest.mark.unit


def speech(seconds: float) -> Samples:
    sentence = load("sentence") + array("h", bytes(RATE))
    return (sentence * 4)[: round(seconds * RATE)]


def later(sound: Samples, ms: float, *, loudness: float = 0.5) -> Samples:
    noise = random.Random(1)
    heard = (max(-32_768, min(32_767, round(loudness * sample + noise.gauss(0, 80)))) for sample in sound)
    return array("h", [0] * round(ms * RATE / 1000)) + array("h", heard)


@pytest.mark.parametrize("ms", [0, 1.625, 41, 640])
def test_the_delay_of_an_echo(ms: float) -> None:
    sent = speech(6)
    echo = find_echo(sent, later(sent, ms))
    assert echo is not None
    assert echo.round_trip_ms == pytest.approx(ms, abs=0.13)
    assert echo.longest_ms - echo.shortest_ms < 0.3
    assert echo.likeness > 0.95


def test_an_echo_that_begins_after_a_greeting() -> None:
    sent = speech(10)
    heard = later(tone(300, 4), 0)[: 4 * RATE] + later(sent, 20)[4 * RATE :]
    echo = find_echo(sent, heard)
    assert echo is not None
    assert echo.round_trip_ms == pytest.approx(20, abs=0.13)


def test_other_sound_is_no_echo() -> None:
    sent = speech(5)
    assert find_echo(sent, tone(440, 5)) is None
    assert find_echo(sent, array("h", bytes(2 * len(sent)))) is None
    assert find_echo(array("h"), sent) is None
    assert find_echo(sent, sent[::-1]) is None


def test_an_even_tone_can_not_be_placed() -> None:
    assert find_echo(tone(440, 5), tone(440, 5)) is None


def test_sent_sound_joins_and_heard_sound_keeps_its_place() -> None:
    recording = Recording(100.0)
    chunk = array("h", range(1, 801))
    recording.add_sent(chunk, 100.0 + 0.080)
    recording.add_sent(chunk, 100.0 + 0.1803)
    assert recording.sent == chunk + chunk
    frame = array("h", range(1, 161))
    # The third frame was lost, the fourth late: its place is that of its timestamp.
    for number, at in ((0, 100.5), (1, 100.52), (3, 100.60)):
        recording.add_heard(frame, at, number * 160)
    assert recording.heard[4_000:4_320] == frame + frame
    assert recording.heard[4_320:4_480] == array("h", bytes(320))
    assert recording.heard[4_480:] == frame
    left, right = recording.level()
    assert len(left) == len(right)


def test_a_late_packet_leaves_no_hole_and_a_pause_does() -> None:
    recording, chunk = Recording(0.0), array("h", [7] * 800)
    for at in (0.08, 0.18, 0.32, 0.38):
        recording.add_sent(chunk, at)
    assert recording.sent == chunk * 4
    for at in (0.54, 0.64, 0.74):
        recording.add_sent(chunk, at)
    assert len(recording.sent) == pytest.approx(0.76 * RATE, abs=1)
    assert recording.sent.count(7) == 7 * 800


def test_a_slow_first_packet_is_taken_out_of_the_delay() -> None:
    recording, sent = Recording(0.0), speech(4)
    for number in range(len(sent) // 800):
        recording.add_sent(sent[number * 800 : number * 800 + 800], number * 0.1 + 0.08)
    for number in range(len(sent) // 160):
        slow = 0.035 if number == 0 else 0.0
        recording.add_heard(sent[number * 160 : number * 160 + 160], number * 0.02 + 0.025 + slow, number * 160)
    echo = find_echo(*recording.level(), recording.lateness_ms)
    assert echo is not None
    assert echo.round_trip_ms == pytest.approx(25, abs=0.2)


def test_a_recording_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offhook.phone.recording.LONGEST_SECONDS", 1)
    recording = Recording(0.0)
    recording.add_heard(array("h", bytes(320)), 0.5, 0)
    recording.add_heard(array("h", bytes(320)), 5.0, 36_000)
    assert len(recording.heard) <= RATE
    assert recording.left_out_seconds == pytest.approx(0.02)


def test_the_gaps_between_frames() -> None:
    arrivals = [(n * 160, n * 0.02) for n in range(100)] + [(16_000, 2.1)]
    gaps = gaps_ms(arrivals)
    assert gaps is not None
    median, most, longest = gaps
    assert (median, longest) == (pytest.approx(20), pytest.approx(120))
    assert most <= longest
    assert gaps_ms(arrivals[:5]) is None
