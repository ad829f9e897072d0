"""Calls that are recorded: announced first, paused for the agent, told in the record; a bad disk harms none."""

import functools
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import ECHO, OFFHOOK, World, notes, sdp

from offhook.recording.envelope import WrappingKey
from offhook.recording.recorder import Recorder, RecorderSettings
from offhook.recording.shelf import Shelf, Stored, read_transcript

pytestmark = pytest.mark.scenario

KEY = WrappingKey(bytes(range(32)))
ANNOUNCEMENT = (bytes(2 * 8000), 8000)
"""A second of it."""
RECORDED = OFFHOOK + "record = true\n"
FALLBACK = RECORDED + 'fallback = [{ on = ["lost"], to = "echo:" }]\n'


class Counted:
    """What was counted."""

    def __init__(self) -> None:
        self.endings: list[str] = []

    def recording_ended(self, ending: str, lost_frames: int) -> None:
        self.endings.append(ending)

    def recordings_deleted(self, files: int) -> None:
        raise AssertionError("nothing here is old")


class Studio:
    """A recorder over a directory, and what became of its recordings once the world has ended."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.shelf = Shelf(directory)
        self.shelf.open()
        self.counted = Counted()
        self.recorder = Recorder(self.shelf, RecorderSettings(**settings), self.counted)

    @asynccontextmanager
    async def world(self, config: str = RECORDED) -> AsyncIterator[World]:
        async with World(config, recorder=self.recorder) as world:
            yield world
        assert self.recorder._clerk.close(10)

    @property
    def stored(self) -> list[Stored]:
        return list(self.shelf.all())


@pytest.fixture
def studio(tmp_path: Path) -> Callable[..., Studio]:
    return functools.partial(Studio, tmp_path / "recordings")


def told(world: World) -> list[tuple[str, int]]:
    """What the agent dialled last was told of the recording."""
    return [(said["state"], said["at_ms"]) for said in world.wire.said if said.get("type") == "recording"]


async def hang_up(world: World, call: Any) -> dict[str, Any]:
    call.hang_up()
    await world.pass_time(1)
    return dict(world.records[-1].recording)


@in_virtual_time
async def test_a_call_of_such_a_route_is_recorded_from_its_answer(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(3)
        record = await hang_up(world, call)
        assert told(world) == [("on", 0)]
        assert "the recording begins" in notes(world.timelines[0])
        await world.pass_time(40)
        world.assert_nothing_left()
    (stored,) = place.stored
    assert record["file"] == stored.facts["file"]
    assert record["duration_ms"] == stored.facts["duration_ms"] == pytest.approx(3050, abs=30)
    assert (record["paused_ms"], record["dropped_frames"], record["key_id"], record["error"]) == (0, 0, None, None)
    assert stored.facts["complete"]
    assert stored.call_id == world.records[0].call_id
    assert place.counted.endings == ["complete"]
    with wave.open(str(stored.path)) as sound:
        assert sound.getnframes() == stored.facts["samples"]


@in_virtual_time
async def test_other_calls_are_not(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world(ECHO) as world:
        call = await world.place_answered()
        assert await hang_up(world, call) == {}
        assert world.engine.recordings == []
    assert place.stored == []


@in_virtual_time
async def test_a_call_that_is_never_answered_leaves_no_recording(studio: Callable[..., Studio]) -> None:
    place = studio(announcement=ANNOUNCEMENT)
    async with place.world() as world:
        call = await world.place()
        assert await hang_up(world, call) == {}
    assert place.stored == []


@in_virtual_time
async def test_wideband_is_recorded_as_such_also_where_our_offer_goes_first(studio: Callable[..., Studio]) -> None:
    place = studio(format="flac")
    wide = RECORDED.replace('name = "acme"', 'name = "acme"\ncodecs = ["G722", "PCMU"]')
    async with place.world(wide) as world:
        call = await world.place(offer=None)
        call.acknowledges = sdp(codecs=("9 G722/8000",))
        world.take_call()
        await world.pass_time(0.1)
        (recording,) = world.engine.recordings
        assert (recording.config.rate, recording.config.format) == (16000, "flac")
        await hang_up(world, call)


@in_virtual_time
async def test_an_agent_pauses_it_and_hears_when_it_has(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(1)
        world.wire.says(type="record", action="pause")
        await world.pass_time(2)
        world.wire.says(type="record", action="pause")
        await world.pass_time(1)
        world.wire.says(type="record", action="resume")
        await world.pass_time(1)
        record = await hang_up(world, call)
        states = [state for state, _ in told(world)]
        assert states == ["on", "paused", "paused", "on"]
        assert told(world)[1] == told(world)[2], "it is told again, and nothing changes"
        assert told(world)[3][1] - told(world)[1][1] == pytest.approx(3000, abs=30)
        assert record["paused_ms"] == told(world)[3][1] - told(world)[1][1]
        assert "the recording pauses" in notes(world.timelines[0])
    (stored,) = place.stored
    assert stored.facts["pauses"] == [{"from_ms": told(world)[1][1], "to_ms": told(world)[3][1]}]


@in_virtual_time
async def test_a_pause_lasts_to_the_end_if_nobody_ends_it(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        call = await world.place_answered()
        world.wire.says(type="record", action="pause")
        await world.pass_time(2)
        record = await hang_up(world, call)
        assert record["paused_ms"] == pytest.approx(2000, abs=60)
    assert place.stored[0].facts["pauses"][0]["to_ms"] == place.stored[0].facts["duration_ms"]


@in_virtual_time
async def test_an_agent_of_a_call_that_is_not_recorded_is_told_so(studio: Callable[..., Studio]) -> None:
    async with studio().world(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.says(type="record", action="pause")
        world.wire.says(type="record", action="begin")
        await world.pass_time(0.5)
        assert told(world) == [("off", 0)]
        assert [said["code"] for said in world.wire.said if said["type"] == "error"] == ["bad_field"]
        await hang_up(world, call)


# -- the announcement


@in_virtual_time
async def test_nobody_is_recorded_before_being_told(studio: Callable[..., Studio]) -> None:
    place = studio(announcement=ANNOUNCEMENT)
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(0.5)
        assert world.engine.recordings == []
        assert "start" not in world.wire.said_types, "the agent waits"
        await world.pass_time(0.7)
        assert world.wire.said_types[-2:] == ["start", "recording"]
        assert len(world.engine.recordings) == 1
        ((began, seconds, _),) = world.leg.played
        assert seconds == 1.0
        assert world.engine.recordings[0]._began_at >= began + 1.0
        await hang_up(world, call)
    assert place.stored[0].facts["announced"]


@in_virtual_time
async def test_a_call_that_is_answered_at_once_is_told_while_its_agent_makes_ready(
    studio: Callable[..., Studio],
) -> None:
    async with studio(announcement=ANNOUNCEMENT).world(RECORDED + 'answer = "at-once"\n') as world:
        call = await world.place()
        assert call.is_answered
        await world.pass_time(2)
        assert len(world.engine.recordings) == 1, "recorded from the end of the announcement"
        world.take_call()
        await world.pass_time(0.1)
        assert told(world) == [("on", 0)]
        await hang_up(world, call)


@in_virtual_time
async def test_an_announcement_that_was_cleared_with_a_lost_agent_is_said_again(
    studio: Callable[..., Studio],
) -> None:
    async with studio(announcement=ANNOUNCEMENT).world(FALLBACK) as world:
        call = await world.place_answered()
        await world.pass_time(0.4)
        world.wire.breaks()
        await world.pass_time(0.8)
        assert world.engine.recordings == []
        await world.pass_time(0.4)
        assert len(world.engine.recordings) == 1
        assert world.leg.echoing
        await hang_up(world, call)


@in_virtual_time
async def test_a_recording_goes_on_with_the_next_agent(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world(FALLBACK) as world:
        call = await world.place_answered()
        await world.pass_time(1)
        world.wire.breaks()
        await world.pass_time(1)
        await hang_up(world, call)
        assert len(world.engine.recordings) == 1
    assert place.stored[0].facts["duration_ms"] == pytest.approx(2050, abs=40)


# -- what goes wrong


@in_virtual_time
async def test_a_full_disk_ends_the_recording_and_not_the_call(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(2)
        world.engine.recordings[0].fail("No space left on device (os error 28)")
        await world.pass_time(2)
        assert call.bye is None
        assert [state for state, _ in told(world)] == ["on", "off"]
        assert "the recording has failed: No space left on device (os error 28)" in notes(
            world.switchboard._calls[next(iter(world.switchboard._calls))].timeline
        )
        record = await hang_up(world, call)
        assert "No space left" in record["error"]
        assert world.records[0].end_reason == "caller_hung_up"
    (stored,) = place.stored
    assert not stored.facts["complete"]
    assert stored.facts["duration_ms"] == pytest.approx(2000, abs=60), "what was written is kept"
    assert place.counted.endings == ["incomplete"]


@in_virtual_time
async def test_a_directory_that_has_gone_costs_the_recording_alone(studio: Callable[..., Studio]) -> None:
    place = studio()
    (place.shelf.directory / ".lock").unlink()
    place.shelf.directory.rmdir()
    async with place.world() as world:
        call = await world.place_answered()
        world.engine.recordings[0].fail("No such file or directory (os error 2)")
        await world.pass_time(1)
        record = await hang_up(world, call)
        assert "No such file" in record["error"]
    assert place.counted.endings == ["failed"]


@in_virtual_time
async def test_a_disk_that_stands_still_delays_the_record_by_two_seconds_at_most(
    studio: Callable[..., Studio],
) -> None:
    async with studio().world() as world:
        call = await world.place_answered()
        recording = world.engine.recordings[0]
        recording.is_over = True
        call.hang_up()
        await world.pass_time(1)
        assert world.records == []
        assert world.admission.calls == 0, "its place is free all the same"
        await world.pass_time(2)
        assert len(world.records) == 1
        assert any("not been written" in note for note in notes(world.timelines[0]))
        recording.is_over = False
        recording.stop()
        await world.pass_time(0.1)


@in_virtual_time
async def test_a_gateway_that_ends_publishes_what_it_has(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        await world.place_answered()
        await world.pass_time(2)
    assert place.stored[0].facts["complete"]


# -- encryption


@in_virtual_time
async def test_an_encrypted_recording_has_its_key_in_its_header_alone(studio: Callable[..., Studio]) -> None:
    place = studio(key=KEY)
    async with place.world() as world:
        call = await world.place_answered()
        config = world.engine.recordings[0].config
        assert config.path.name.endswith(".wav.enc.part")
        record = await hang_up(world, call)
        assert record["key_id"] == KEY.id
        assert str(record["file"]).endswith(".wav.enc")
        assert KEY.id not in json.dumps(notes(world.timelines[0]))


# -- started by the agent


ASKED = OFFHOOK + 'record = "when-asked"\n'


@in_virtual_time
async def test_an_agent_starts_and_stops_it_where_its_route_leaves_that_to_it(studio: Callable[..., Studio]) -> None:
    place = studio(transcript="jsonl")
    async with place.world(ASKED) as world:
        call = await world.place_answered()
        says(world, "caller", "c1", "nothing of this", start_ms=0, end_ms=800)
        await world.pass_time(2)
        assert world.engine.recordings == []
        world.wire.says(type="record", action="pause")
        world.wire.says(type="record", action="start")
        world.wire.says(type="record", action="start")
        await world.pass_time(1)
        says(world, "caller", "c2", "but all of this", start_ms=2200, end_ms=2800)
        await world.pass_time(1)
        world.wire.says(type="record", action="stop")
        await world.pass_time(3)
        world.wire.says(type="record", action="start")
        await world.pass_time(1)
        record = await hang_up(world, call)
        assert [state for state, _ in told(world)] == ["off", "on", "off", "off"]
        assert {"the agent starts the recording", "the agent stops the recording"} <= set(notes(world.timelines[0]))
        assert "the agent asks for a second recording; a call has one" in notes(world.timelines[0])
    (stored,) = place.stored
    assert stored.facts["complete"]
    assert record["duration_ms"] == stored.facts["duration_ms"] == pytest.approx(2000, abs=60)
    (line,) = read_transcript(stored, None).splitlines()
    assert "but all of this" in line


@in_virtual_time
async def test_what_an_agent_starts_is_announced_first(studio: Callable[..., Studio]) -> None:
    place = studio(announcement=ANNOUNCEMENT)
    async with place.world(ASKED) as world:
        call = await world.place_answered()
        await world.pass_time(1)
        assert world.leg.played == []
        world.wire.says(type="record", action="start")
        await world.pass_time(0.5)
        assert (world.engine.recordings, told(world)) == ([], [])
        await world.pass_time(0.7)
        assert told(world) == [("on", 0)]
        await hang_up(world, call)
    assert place.stored[0].facts["announced"]


@in_virtual_time
async def test_one_that_is_asked_for_while_it_rings_begins_with_the_answer(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world(ASKED) as world:
        call = await world.place()
        await world.pass_time(0.5)
        world.wire.says(type="record", action="start")
        await world.pass_time(0.5)
        assert world.engine.recordings == []
        world.take_call()
        await world.pass_time(1)
        assert told(world)[0] == ("on", 0)
        await hang_up(world, call)
    assert place.stored[0].facts["duration_ms"] == pytest.approx(1050, abs=60)


@in_virtual_time
async def test_where_all_calls_are_recorded_no_agent_stops_it(studio: Callable[..., Studio]) -> None:
    place = studio()
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(1)
        world.wire.says(type="record", action="stop")
        await world.pass_time(1)
        assert [state for state, _ in told(world)] == ["on", "on"]
        await hang_up(world, call)
        note = "the agent asks to stop the recording, which its route does not leave to it"
        assert note in notes(world.timelines[0])
    assert place.stored[0].facts["duration_ms"] == pytest.approx(2050, abs=60)


# -- the transcript


def says(world: World, who: str, id: str, text: str, **fields: object) -> None:
    world.wire.says(type="transcript", who=who, id=id, text=text, **fields)


@in_virtual_time
async def test_what_was_said_lies_beside_the_recording(studio: Callable[..., Studio]) -> None:
    place = studio(transcript="jsonl")
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(1)
        says(world, "agent", "u1", "Hello.", final=False)
        await world.pass_time(2)
        says(world, "agent", "u1", "Hello. Your code is 1 2 3 4.")
        says(world, "caller", "c1", "thank you", start_ms=3200, end_ms=3900)
        await world.pass_time(2)
        record = await hang_up(world, call)
        kept = json.dumps([entry.as_dict() for entry in world.timelines[0].entries], default=str)
        assert "thank you" not in kept
        await world.pass_time(40)
        world.assert_nothing_left()
    (stored,) = place.stored
    first, second = (json.loads(line) for line in read_transcript(stored, None).splitlines())
    assert first["text"] == "Hello. Your code is # # # #."
    assert (first["from_ms"], first["to_ms"]) == pytest.approx((1050, 3050), abs=80)
    assert second == {"from_ms": second["from_ms"], "to_ms": second["to_ms"], "who": "caller", "text": "thank you"}
    assert second["to_ms"] - second["from_ms"] == pytest.approx(700, abs=700)
    assert record["transcript"] == stored.facts["transcript"]["file"]
    assert record["no_transcript_of"] is None
    assert (stored.facts["transcript"]["lines"], stored.facts["transcript"]["withheld"]) == (2, 0)


@in_virtual_time
async def test_nothing_that_was_said_in_a_pause_is_in_the_transcript(studio: Callable[..., Studio]) -> None:
    place = studio(transcript="vtt", mask_digits=False)
    async with place.world() as world:
        call = await world.place_answered()
        says(world, "agent", "u1", "Your card, please.")
        await world.pass_time(1)
        world.wire.says(type="record", action="pause")
        await world.pass_time(1)
        says(world, "caller", "c1", "4111 1111", start_ms=1200, end_ms=1900)
        says(world, "agent", "u2", "That was 4111 1111.")
        await world.pass_time(1)
        world.wire.says(type="record", action="resume")
        await world.pass_time(1)
        says(world, "agent", "u3", "Thank you.")
        await hang_up(world, call)
    (stored,) = place.stored
    words = read_transcript(stored, None)
    assert "4111" not in words
    assert "Thank you." in words
    assert (stored.facts["transcript"]["lines"], stored.facts["transcript"]["withheld"]) == (2, 2)


@in_virtual_time
async def test_an_agent_that_tells_no_words_is_named(studio: Callable[..., Studio]) -> None:
    place = studio(transcript="vtt")
    async with place.world(FALLBACK) as world:
        call = await world.place_answered()
        says(world, "agent", "u1", "Hello.")
        await world.pass_time(1)
        world.wire.breaks()
        await world.pass_time(2)
        record = await hang_up(world, call)
        assert record["no_transcript_of"] == "echo:"
        assert "the transcript has no words of echo:: it told none" in notes(world.timelines[0])
    (stored,) = place.stored
    assert stored.facts["transcript"]["silent_agents"] == ["echo:"]
    assert stored.transcript is not None


@in_virtual_time
async def test_without_any_words_there_is_no_transcript(studio: Callable[..., Studio]) -> None:
    place = studio(transcript="vtt")
    async with place.world() as world:
        call = await world.place_answered()
        await world.pass_time(1)
        record = await hang_up(world, call)
        assert (record["transcript"], record["no_transcript_of"]) == (None, stored_uri(world))
    (stored,) = place.stored
    assert stored.transcript is None
    assert stored.facts["transcript"]["lines"] == 0


def stored_uri(world: World) -> str:
    return str(world.records[-1].destination)


@in_virtual_time
async def test_an_agent_that_leaves_while_the_announcement_waits_behind_a_hold_ends_the_call(
    studio: Callable[..., Studio],
) -> None:
    async with studio(announcement=ANNOUNCEMENT).world() as world:
        call = await world.place_answered(offer=sdp(way="inactive"))
        await world.pass_time(5)
        assert world.leg.wire is None, "nobody has been told so far that the call is recorded"
        world.wire.says(type="hangup")
        await world.pass_time(0.1)
        assert call.bye is not None
        await world.pass_time(70)
        assert world.records[0].end_reason == "agent_hung_up"
        world.assert_nothing_left()


@in_virtual_time
async def test_an_agent_that_leaves_during_the_announcement_leaves_behind_it(studio: Callable[..., Studio]) -> None:
    async with studio(announcement=ANNOUNCEMENT).world() as world:
        call = await world.place_answered()
        world.wire.speaks(1.0)
        world.wire.says(type="hangup")
        await world.pass_time(0.7)
        assert call.bye is None
        await world.pass_time(3)
        assert call.bye is not None
        assert [seconds for _, seconds, _ in world.leg.played] == [1.0, 1.0]
        await world.pass_time(70)
        assert world.records[0].end_reason == "agent_hung_up"
        world.assert_nothing_left()
