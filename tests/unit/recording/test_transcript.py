"""What was said, as it is written: the last word on each line, in order, with no numbers and nothing of a pause."""

import json
from typing import Any

import pytest

from offhook.recording.transcript import KEPT, Told, Transcript, TranscriptFormat, masked, page

pytestmark = pytest.mark.unit

DESK = "worker:desk"


def heard(format: TranscriptFormat = "jsonl", *, mask_digits: bool = False) -> Transcript:
    transcript = Transcript(format, mask_digits=mask_digits)
    transcript.agent(DESK)
    transcript.joined(100.0)
    return transcript


def agent(text: str, id: str = "u1", *, final: bool = True, interrupted: bool = False) -> Told:
    return Told("agent", id, text, final, interrupted)


def caller(
    text: str, id: str = "c1", *, start_ms: int | None = None, end_ms: int | None = None, final: bool = True
) -> Told:
    return Told("caller", id, text, final, start_ms=start_ms, end_ms=end_ms)


def lines(transcript: Transcript, *pauses: tuple[int, int | None], began_s: float = 100.0) -> list[dict[str, Any]]:
    written = page(
        transcript.lines,
        "jsonl",
        call_id="call",
        began_s=began_s,
        pauses=[{"from_ms": from_ms, "to_ms": to_ms} for from_ms, to_ms in pauses],
    )
    assert len(written.data.splitlines()) == written.lines
    return [json.loads(line) for line in written.data.decode().splitlines()]


def test_a_line_is_the_last_that_was_told_of_it_from_its_first_word_on() -> None:
    transcript = heard()
    transcript.told(agent("Hello.", final=False), 100.5)
    transcript.told(agent("Hello. How can I help you today?", final=False), 101.0)
    transcript.told(agent("Hello. How can", interrupted=True), 101.9)
    transcript.told(caller("the opening hours", start_ms=1_500, end_ms=2_600), 103.4)
    assert lines(transcript) == [
        {"from_ms": 500, "to_ms": 1900, "who": "agent", "text": "Hello. How can", "agent": DESK, "interrupted": True},
        {"from_ms": 1500, "to_ms": 2600, "who": "caller", "text": "the opening hours"},
    ]


def test_times_count_from_the_recording_wherever_the_agent_joined() -> None:
    transcript = heard()
    transcript.agent("worker:second")
    transcript.joined(160.0)
    transcript.told(caller("hello again", start_ms=1_000, end_ms=2_000), 163.0)
    assert [(line["from_ms"], line["to_ms"]) for line in lines(transcript, began_s=98.0)] == [(63_000, 64_000)]


def test_two_agents_may_use_the_same_ids() -> None:
    transcript = heard()
    transcript.told(agent("I connect you."), 101.0)
    transcript.agent("worker:second")
    transcript.joined(110.0)
    transcript.told(agent("Second desk."), 111.0)
    assert [(line["agent"], line["text"]) for line in lines(transcript)] == [
        (DESK, "I connect you."),
        ("worker:second", "Second desk."),
    ]


def test_a_line_without_times_is_set_where_it_was_probably_said() -> None:
    transcript = heard()
    transcript.told(caller("what are your opening hours"), 105.0)
    [line] = lines(transcript)
    assert line["estimated"]
    assert 2_000 <= line["from_ms"] < line["to_ms"] <= 5_000


def test_what_never_became_final_says_so() -> None:
    transcript = heard()
    transcript.told(agent("And then", final=False), 101.0)
    [line] = lines(transcript)
    assert line["final"] is False


def test_nothing_of_a_line_that_reaches_into_a_pause_is_written() -> None:
    transcript = heard()
    for number, (start, end) in enumerate([(0, 900), (800, 1500), (1200, 1300), (1900, 2500), (2600, 2700)]):
        transcript.told(caller(f"line {number}", f"c{number}", start_ms=start, end_ms=end), 100 + end / 1000 + 0.5)
    transcript.told(agent("whatever is said next", final=False), 102.8)
    assert [line["text"] for line in lines(transcript, (1_000, 2_000))] == ["line 0", "line 4", "whatever is said next"]
    assert [line["text"] for line in lines(transcript, (1_000, 2_000), (2_750, None))] == ["line 0", "line 4"]
    assert [line["text"] for line in lines(transcript, (5_000, 6_000))][-1] == "line 4", "it may go on until then"
    written = page(transcript.lines, "vtt", call_id="call", began_s=100.0, pauses=[{"from_ms": 0, "to_ms": None}])
    assert (written.lines, written.withheld) == (0, 6)


def test_nothing_is_written_of_what_was_said_before_the_recording_began() -> None:
    transcript = heard()
    transcript.told(caller("my number is four one five", start_ms=0, end_ms=2_000), 103.0)
    transcript.told(caller("and after that", "c2", start_ms=8_000, end_ms=11_000), 112.0)
    transcript.told(agent("This call is recorded from now on.", final=False), 109.0)
    transcript.told(agent("This call is recorded from now on."), 111.0)
    assert [line["text"] for line in lines(transcript, began_s=110.0)] == ["This call is recorded from now on."]
    assert lines(transcript, began_s=110.0)[0]["from_ms"] == 0


def test_the_greeting_that_was_told_before_the_answer_begins_with_the_recording() -> None:
    transcript = Transcript("jsonl", mask_digits=False)
    transcript.agent(DESK)
    transcript.told(agent("Welcome.", final=False), 98.0)
    transcript.joined(100.0)
    transcript.told(agent("Welcome."), 101.2)
    assert [(line["from_ms"], line["to_ms"]) for line in lines(transcript)] == [(0, 1_200)]


def test_agents_that_tell_nothing_are_named_once() -> None:
    transcript = heard()
    assert transcript.silent_agents == [DESK]
    transcript.agent("echo:")
    transcript.agent("echo:")
    transcript.told(agent("Hello."), 101.0)
    assert transcript.silent_agents == [DESK]
    assert heard().silent_agents == [DESK]


def test_more_lines_than_are_kept_are_counted() -> None:
    transcript = heard()
    for number in range(KEPT + 7):
        transcript.told(agent(f"line {number}", f"u{number}"), 101.0)
    transcript.told(agent("line 0, told again", "u0"), 102.0)
    assert (len(transcript.lines), transcript.forgotten) == (KEPT, 7)
    assert transcript.lines[0].text == "line 0, told again"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("My card is 4111 1111-1111 1111, thanks.", "My card is #### ####-#### ####, thanks."),
        ("It is four one five, five double five.", "It is # # #, # double #."),
        ("Nineteen eighty-four", "# #-#"),
        ("a hundred and twenty three pounds", "a # and # # pounds"),
        ("One or two rooms, please, at 7 pm", "One or two rooms, please, at 7 pm"),
        ("extension 42", "extension 42"),
        ("The code 12 3", "The code ## #"),
        ("Phone someone at noon", "Phone someone at noon"),
        ("٤٢٣ is a number too", "### is a number too"),
    ],
)
def test_numbers_of_three_digits_are_hidden(text: str, shown: str) -> None:
    assert masked(text) == shown
    transcript = heard(mask_digits=True)
    transcript.told(agent(text), 101.0)
    assert transcript.lines[0].text == shown, "it isn't kept at all"


def test_webvtt_has_a_voice_for_each_cue_and_no_markup_of_strangers() -> None:
    transcript = heard("vtt")
    transcript.told(agent("Is that <b>Q&A</b> --> right?", interrupted=True), 101.0)
    transcript.told(caller("Yes\n\nNOTE it is", start_ms=3_600_500, end_ms=3_601_000), 3702.0)
    written = page(transcript.lines, "vtt", call_id="call", began_s=100.0, pauses=[]).data.decode()
    assert written == (
        "WEBVTT\n\nNOTE call call\n\n"
        "00:00:01.000 --> 00:00:01.001\n<v.interrupted Agent>Is that &lt;b&gt;Q&amp;A&lt;/b&gt; --&gt; right?\n\n"
        "01:00:00.500 --> 01:00:01.000\n<v Caller>Yes NOTE it is\n"
    )
