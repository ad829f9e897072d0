"""A recording as its file shows it, of the real engine."""

import asyncio
import stat
import struct
from pathlib import Path

import pytest
from tests.support.rtp_peer import FRAME
from tests.unit.media.conftest import Call, Events

from offhook._media import MediaError, RecordingConfig
from offhook.media.recording import Recording

pytestmark = pytest.mark.unit


def begin(call: Call, path: Path, **options: object) -> tuple[Recording, Events]:
    events = Events()
    config = RecordingConfig(path, **options)  # type: ignore[arg-type]
    recording = call.plane.record(config, leg=call.leg, on_event=events.add, on_error=events.errors.append)
    return recording, events


def sides(file: Path) -> tuple[list[int], list[int]]:
    data = file.read_bytes()[44:]
    samples = struct.unpack(f"<{len(data) // 2}h", data)
    return list(samples[::2]), list(samples[1::2])


async def test_the_caller_is_on_the_left_and_what_it_is_told_on_the_right(call: Call, tmp_path: Path) -> None:
    call.answer()
    _, events = begin(call, tmp_path / "one.part")
    call.leg.play(struct.pack("<h", 8316) * 4000, 8000)
    # 0x9f of µ-law is 8316, too, and 0x1f the same below zero.
    await call.peer.talk([b"\x1f" * FRAME] * 40)
    call.leg.close()
    done = await events.wait("recorded")
    assert (done.text, done.dropped_frames) == (None, 0)
    left, right = sides(tmp_path / "one.part")
    assert len(left) == len(right) == done.samples
    # Of 6,400 and 4,000: what is late is made up for, and with a few more the end fades.
    assert 3000 < left.count(-8316) <= 6400
    assert 3000 < right.count(8316) <= 4100
    assert stat.S_IMODE((tmp_path / "one.part").stat().st_mode) == 0o600
    assert done.file_bytes == (tmp_path / "one.part").stat().st_size
    assert events.kinds() == ["recording_started", "recorded"]


async def test_a_pause_is_told_and_silent(call: Call, tmp_path: Path) -> None:
    call.answer()
    recording, events = begin(call, tmp_path / "one.part")
    recording.pause()
    recording.pause()
    await call.peer.talk([b"\x9f" * FRAME] * 10)
    paused = await events.wait("recording_paused")
    # What is made up behind the last packet fades meanwhile.
    await asyncio.sleep(0.4)
    recording.resume()
    resumed = await events.wait("recording_resumed")
    recording.stop()
    await events.wait("recorded")
    assert events.kinds() == ["recording_started", "recording_paused", "recording_resumed", "recorded"]
    assert paused.position_ms is not None
    assert resumed.position_ms is not None
    assert resumed.position_ms - paused.position_ms >= 150
    assert not any(sides(tmp_path / "one.part")[0])
    recording.pause()
    recording.stop()


async def test_a_file_that_cannot_be_made_is_told_and_the_call_goes_on(call: Call, tmp_path: Path) -> None:
    call.answer()
    (tmp_path / "there").write_bytes(b"somebody else's")
    _, events = begin(call, tmp_path / "there")
    assert "exists" in ((await events.wait("recorded")).text or "")
    _, events = begin(call, tmp_path / "no" / "where")
    assert "No such file" in ((await events.wait("recorded")).text or "")
    assert (tmp_path / "there").read_bytes() == b"somebody else's"
    call.leg.echo(True)
    await call.peer.talk([b"\x9f" * FRAME] * 10)
    await call.peer.until(lambda peer: len(peer.audio) > 3)


async def test_the_end_of_the_engine_ends_recordings_whole(call: Call, tmp_path: Path) -> None:
    call.answer()
    _, events = begin(call, tmp_path / "one.part", format="flac", rate=16000)
    await asyncio.sleep(0.2)
    await call.plane.close()
    assert events.kinds() == ["recording_started", "recorded"]
    assert (tmp_path / "one.part").read_bytes()[:4] == b"fLaC"


@pytest.mark.parametrize(
    "options",
    [{"format": "opus"}, {"rate": 44100}, {"key": b"short", "nonce_prefix": b"7 bytes", "header": b""}, {"key": b""}],
)
async def test_what_nobody_writes_is_refused(call: Call, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(MediaError) as raised:
        begin(call, tmp_path / "one.part", **options)
    assert raised.value.code == "bad_config"
