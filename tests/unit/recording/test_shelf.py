"""Recordings appear whole at the place of their day, are found, grow old, and go."""

import hashlib
import json
import wave
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.recording.files import CALL, KEY, OTHER_KEY, facts, modes, seal, wav

from offhook.recording.envelope import WrappingKey
from offhook.recording.error import RecordingError
from offhook.recording.shelf import DELETED_IN_A_STEP, Shelf, Stored, export, read_transcript

pytestmark = pytest.mark.unit


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "deep" / "recordings")
    shelf.open()
    return shelf


def put(shelf: Shelf, call: str = CALL, day: str = "2026-11-22", **changes: object) -> Stored:
    part = shelf.part(call, "wav", sealed=False)
    part.write_bytes(wav(4000))
    part.chmod(0o600)
    assert shelf.publish(part, facts(call_id=call, started_at=f"{day}T16:00:00+00:00", **changes), None)
    return shelf.find(call)


def calls(shelf: Shelf) -> list[str]:
    return [stored.call_id for stored in shelf.all()]


def call(number: int) -> str:
    return f"{CALL[:-4]}{number:04}"


def test_a_recording_lies_by_its_day_with_its_facts_beside_it(shelf: Shelf) -> None:
    stored = put(shelf)
    assert stored.path == shelf.directory / "2026" / "11" / "22" / f"{CALL}.wav"
    assert stored.facts["duration_ms"] == 500
    assert stored.facts["sha256"] == hashlib.sha256(stored.path.read_bytes()).hexdigest()
    assert (stored.facts["file"], stored.facts["bytes"]) == (f"2026/11/22/{CALL}.wav", stored.path.stat().st_size)
    with wave.open(str(stored.path)) as sound:
        assert sound.getnframes() == 4000
    assert modes(shelf.directory) == {0o600, 0o700}
    assert not list(shelf.directory.glob(".*.part"))


def test_what_is_being_written_is_not_listed(shelf: Shelf) -> None:
    part = shelf.part(CALL, "wav", sealed=False)
    part.write_bytes(wav(10))
    shelf.note(part, facts())
    assert calls(shelf) == []


def test_a_recording_without_sound_is_no_recording(shelf: Shelf) -> None:
    part = shelf.part(CALL, "wav", sealed=False)
    part.write_bytes(wav(0))
    shelf.note(part, facts())
    assert shelf.publish(part, facts(), None) is None
    assert shelf.publish(part, facts(), None) is None, "nor one without a file"
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


def test_one_is_found_by_the_beginning_or_the_end_of_its_id(shelf: Shelf) -> None:
    put(shelf, call(1))
    put(shelf, call(2))
    assert shelf.find(call(1)[-3:]).call_id == call(1)
    assert shelf.find(f" {call(2).upper()} ").call_id == call(2)
    with pytest.raises(RecordingError, match="more than one"):
        shelf.find(CALL[:5])
    for unknown in ("zzz", "", "../../etc/passwd"):
        with pytest.raises(RecordingError, match="no recording"):
            shelf.find(unknown)


def test_a_path_is_made_of_our_own_ids_alone(shelf: Shelf) -> None:
    for name in ("../../../etc/cron.d/x", "a", CALL + "/x", CALL.upper()):
        with pytest.raises(AssertionError):
            shelf.part(name, "wav", sealed=False)


def test_deleting_leaves_nothing_behind(shelf: Shelf) -> None:
    put(shelf, call(1))
    put(shelf, call(2), day="2026-11-21")
    shelf.delete(shelf.find(call(1)))
    assert calls(shelf) == [call(2)]
    shelf.delete(shelf.find(call(2)))
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


def test_recordings_go_when_the_last_of_their_day_is_old_enough(shelf: Shelf) -> None:
    for number, day in enumerate(("2026-10-30", "2026-11-14", "2026-11-15", "2026-11-22")):
        put(shelf, call(number), day=day)
    (shelf.directory / "2026/10/30/notes.txt").write_text("somebody's own")
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert shelf.sweep(7, now) == (4, False), "two recordings with their facts"
    assert calls(shelf) == [call(2), call(3)]
    assert (shelf.directory / "2026/10/30/notes.txt").exists()
    assert not (shelf.directory / "2026/11/14").exists()
    assert shelf.sweep(7, now) == (0, False)


def test_a_step_of_a_sweep_deletes_so_much_and_no_more(shelf: Shelf) -> None:
    day = shelf.directory / "2026" / "01" / "01"
    day.mkdir(parents=True)
    for number in range(DELETED_IN_A_STEP + 50):
        (day / f"{call(number)}.wav").write_bytes(b"")
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert shelf.sweep(7, now) == (DELETED_IN_A_STEP, True)
    assert shelf.sweep(7, now) == (50, False)
    assert not (shelf.directory / "2026").exists()


def test_two_gateways_do_not_share_a_shelf(shelf: Shelf) -> None:
    with pytest.raises(RecordingError, match="another gateway records into"):
        Shelf(shelf.directory).open()
    shelf.close()
    Shelf(shelf.directory).open()


# -- what a dead process left


def test_what_a_dead_process_left_is_made_whole_and_says_so(shelf: Shelf) -> None:
    part = shelf.part(CALL, "wav", sealed=False)
    part.write_bytes(wav(8000)[:-3])
    shelf.note(part, facts(pauses=[{"from_ms": 100, "to_ms": None}]))
    found = shelf.recover(None)
    assert (found.recovered, found.removed, found.left) == ((CALL,), (), ())
    stored = shelf.find(CALL)
    assert (stored.facts["complete"], stored.facts["recovered"]) == (False, True)
    assert stored.facts["duration_ms"] == 7999 * 1000 // 8000
    assert stored.facts["pauses"] == [{"from_ms": 100, "to_ms": None}]
    with wave.open(str(stored.path)) as sound:
        assert sound.getnframes() == 7999
    assert sorted(path.name for path in shelf.directory.iterdir()) == [".lock", "2026"]


def test_one_whose_notes_are_lost_is_recovered_by_its_name(shelf: Shelf) -> None:
    shelf.part(CALL, "wav", sealed=False).write_bytes(wav(800))
    assert shelf.recover(None).recovered == (CALL,)
    assert shelf.find(CALL).facts["call_id"] == CALL


def test_what_holds_no_sound_goes(shelf: Shelf) -> None:
    part = shelf.part(CALL, "wav", sealed=False)
    part.write_bytes(wav(0))
    shelf.note(part, facts())
    assert shelf.recover(None).removed == (CALL,)
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


def test_an_encrypted_one_waits_for_its_key(shelf: Shelf) -> None:
    part = shelf.part(CALL, "wav", sealed=True)
    part.write_bytes(seal(wav(20_000), ended=False))
    (left,) = shelf.recover(OTHER_KEY).left
    assert left[0] == CALL
    assert KEY.id in left[1]
    assert part.exists()
    assert shelf.recover(KEY).recovered == (CALL,)
    assert shelf.find(CALL).is_encrypted


def test_notes_of_a_file_that_never_was_go(shelf: Shelf) -> None:
    shelf.note(shelf.part(CALL, "wav", sealed=False), facts())
    shelf.recover(None)
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


# -- exporting


def test_an_encrypted_recording_is_exported_as_any_other(shelf: Shelf, tmp_path: Path) -> None:
    clear = wav(20_000)
    part = shelf.part(CALL, "wav", sealed=True)
    part.write_bytes(seal(clear))
    shelf.publish(part, facts(samples=20_000, key_id=KEY.id), KEY)
    stored = shelf.find(CALL)
    assert stored.path.name == f"{CALL}.wav.enc"
    assert stored.facts["duration_ms"] == 2500
    out = tmp_path / "out.wav"
    export(stored, out, KEY)
    assert out.read_bytes()[44:] == clear[44:]
    assert out.stat().st_mode & 0o777 == 0o600
    with wave.open(str(out)) as sound:
        assert sound.getnframes() == 20_000
    for key in (None, OTHER_KEY):
        with pytest.raises(RecordingError):
            export(stored, tmp_path / "never.wav", key)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "out.wav"]


def test_broken_facts_hide_no_recording(shelf: Shelf) -> None:
    stored = put(shelf)
    stored.path.with_suffix(".json").write_text("{")
    assert shelf.find(CALL).facts == {}
    stored.path.with_suffix(".json").write_text(json.dumps([1]))
    assert shelf.find(CALL).facts == {}


# -- the transcript beside it


def with_words(shelf: Shelf, *, key: WrappingKey | None = None) -> Path:
    part = shelf.part(CALL, "wav", sealed=False)
    part.write_bytes(wav(800))
    part.chmod(0o600)
    shelf.note_transcript(part, "vtt", b"WEBVTT\n", key)
    return part


def test_a_transcript_appears_with_its_recording_and_goes_with_it(shelf: Shelf) -> None:
    part = with_words(shelf)
    assert calls(shelf) == []
    shelf.note_transcript(part, "vtt", b"WEBVTT\n\nNOTE more\n", None)
    done = shelf.publish(part, facts(transcript={"lines": 0}), None)
    assert done is not None
    stored = shelf.find(CALL)
    assert stored.transcript == stored.path.with_suffix(".vtt")
    assert read_transcript(stored, None) == "WEBVTT\n\nNOTE more\n"
    words = stored.transcript.read_bytes()
    assert done["transcript"] == {
        "lines": 0,
        "file": f"2026/11/22/{CALL}.vtt",
        "bytes": len(words),
        "sha256": hashlib.sha256(words).hexdigest(),
    }
    assert modes(shelf.directory) == {0o600, 0o700}
    shelf.delete(stored)
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


def test_a_transcript_grows_old_with_its_recording(shelf: Shelf) -> None:
    shelf.publish(with_words(shelf), facts(), None)
    assert shelf.sweep(7, datetime(2027, 1, 1, tzinfo=UTC)) == (3, False)
    assert not (shelf.directory / "2026").exists()


def test_a_transcript_is_sealed_where_a_key_is_given(shelf: Shelf) -> None:
    shelf.publish(with_words(shelf, key=KEY), facts(), None)
    stored = shelf.find(CALL)
    assert stored.transcript is not None
    assert stored.transcript.name == f"{CALL}.vtt.enc"
    assert b"WEBVTT" not in stored.transcript.read_bytes()
    assert read_transcript(stored, KEY) == "WEBVTT\n"
    for key in (None, OTHER_KEY):
        with pytest.raises(RecordingError, match="encrypted under key"):
            read_transcript(stored, key)
    sealed = bytearray(stored.transcript.read_bytes())
    sealed[-1] ^= 1
    stored.transcript.write_bytes(sealed)
    with pytest.raises(RecordingError, match="chunk 0 was changed"):
        read_transcript(stored, KEY)


def test_what_had_been_said_when_the_gateway_died_is_there(shelf: Shelf) -> None:
    shelf.note(with_words(shelf), facts(transcript={"lines": None}))
    (shelf.directory / f".{CALL}.vtt.part.tmp").write_bytes(b"half a")
    assert shelf.recover(None).recovered == (CALL,)
    stored = shelf.find(CALL)
    assert read_transcript(stored, None) == "WEBVTT\n"
    assert stored.facts["transcript"]["file"] == f"2026/11/22/{CALL}.vtt"
    assert sorted(path.name for path in shelf.directory.iterdir()) == [".lock", "2026"]


def test_words_without_any_sound_go(shelf: Shelf) -> None:
    part = with_words(shelf)
    part.write_bytes(wav(0))
    assert shelf.publish(part, facts(), None) is None
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]
    with_words(shelf).unlink()
    assert shelf.recover(None).recovered == ()
    assert [path.name for path in shelf.directory.iterdir()] == [".lock"]


def test_a_recording_without_one_says_why(shelf: Shelf) -> None:
    stored = put(shelf, transcript={"silent_agents": ["twilio+wss://bot.example.net"]})
    with pytest.raises(RecordingError) as error:
        read_transcript(stored, None)
    assert error.value.hint == "twilio+wss://bot.example.net told no words"
