"""WAV and FLAC files that broke off anywhere become files that hold what was whole of them."""

import subprocess
import wave
from pathlib import Path

import pytest
from tests.unit.recording.files import wav

from offhook.recording.container import Sound, complete
from offhook.recording.error import RecordingError

pytestmark = pytest.mark.unit

FLAC = Path(__file__).with_name("tones.flac")
"""Three seconds at 8 kHz as the media core writes them, a tone on each side: six frames, the last a short one."""


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_wav_file_says_how_long_it_is(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "one.wav"
    whole = wav(1000, 16000)
    path.write_bytes(whole[: len(whole) - lost])
    assert complete(path, "wav") == Sound(1000 - (lost > 0), 16000)
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, 16000)
        assert sound.getnframes() == 1000 - (lost > 0)
        assert whole[44:].startswith(sound.readframes(2000))


def test_a_flac_file_says_how_many_samples_it_has(tmp_path: Path) -> None:
    path = tmp_path / "one.flac"
    path.write_bytes(FLAC.read_bytes())
    assert complete(path, "flac") == Sound(24000, 8000)
    assert path.stat().st_size == FLAC.stat().st_size
    assert decoded(path) == decoded(FLAC)
    assert len(decoded(path)) == 4 * 24000


def test_a_flac_file_that_broke_off_ends_with_its_last_whole_frame(tmp_path: Path) -> None:
    path, whole = tmp_path / "one.flac", FLAC.read_bytes()
    sound = decoded(FLAC)
    for cut in range(len(whole) - 1, 42, -397):
        path.write_bytes(whole[:cut])
        found = complete(path, "flac")
        assert found.samples % 4096 == 0
        assert found.samples < 24000
        if found.samples:
            assert decoded(path) == sound[: 4 * found.samples]
        else:
            assert cut < 6000, "the first frame is that long at most"


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_what_is_no_such_file_is_left_alone(tmp_path: Path, format: str) -> None:
    path = tmp_path / "one"
    for content in (b"", b"RIFF", b"fLaC" + bytes(10), bytes(100)):
        path.write_bytes(content)
        with pytest.raises(RecordingError):
            complete(path, format)  # type: ignore[arg-type]
        assert path.read_bytes() == content


def decoded(path: Path) -> bytes:
    """What other people's decoder makes of it; it fails for a wrong checksum."""
    command = ["sox", str(path), "--type", "raw", "--encoding", "signed-integer", "--bits", "16", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout
