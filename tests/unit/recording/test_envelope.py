"""A sealed file gives its sound to its key alone, whole, and to nobody a part of it as if it were all."""

from pathlib import Path

import pytest
from tests.unit.recording.files import CALL, KEY, OTHER_KEY, seal, wav

from offhook.recording.envelope import CHUNK, MAGIC, TAG, Envelope, WrappingKey, complete_sealed, open_sealed
from offhook.recording.error import RecordingError

pytestmark = pytest.mark.unit

CLEAR = wav(3 * CHUNK // 4 + 1000)


def opened(path: Path, key: WrappingKey | None = KEY) -> bytes:
    return b"".join(open_sealed(path, key)[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sealed"


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, len(CLEAR)])
def test_what_was_sealed_is_opened(path: Path, length: int) -> None:
    path.write_bytes(seal(CLEAR[:length]))
    assert opened(path) == CLEAR[:length]


def test_nothing_of_the_sound_or_of_a_key_stands_in_the_file(path: Path) -> None:
    sealed = seal(CLEAR)
    assert sealed.startswith(MAGIC)
    assert CLEAR[44:60] not in sealed
    assert bytes(range(32)) not in sealed
    assert KEY.id.encode() in sealed


def test_another_key_is_named_and_refused(path: Path) -> None:
    path.write_bytes(seal(CLEAR))
    with pytest.raises(RecordingError, match=f"under key {KEY.id}, and the key given is {OTHER_KEY.id}") as raised:
        opened(path, OTHER_KEY)
    assert raised.value.code == "recording_key_wrong"
    with pytest.raises(RecordingError, match="no key is given") as raised:
        opened(path, None)
    assert raised.value.code == "recording_key_missing"


def test_two_files_of_one_call_have_keys_of_their_own() -> None:
    (one, first), (two, second) = Envelope.make(CALL, "wav", KEY), Envelope.make(CALL, "wav", KEY)
    assert first != second
    assert one.prefix != two.prefix


@pytest.mark.parametrize("place", [5, 40, 200, 400, 400 + CHUNK, -1])
def test_a_bit_that_was_changed_is_found_out(path: Path, place: int) -> None:
    sealed = bytearray(seal(CLEAR))
    sealed[place] ^= 1
    path.write_bytes(sealed)
    with pytest.raises(RecordingError) as raised:
        opened(path)
    assert raised.value.code in ("recording_damaged", "recording_key_wrong")


def test_a_file_that_was_cut_is_found_out_even_between_chunks(path: Path) -> None:
    sealed = seal(CLEAR)
    begin = len(sealed) % (CHUNK + TAG)
    for cut in (len(sealed) - 1, len(sealed) - 100, begin + 2 * (CHUNK + TAG), len(MAGIC) + 2):
        path.write_bytes(sealed[:cut])
        with pytest.raises(RecordingError):
            opened(path)


def test_a_chunk_of_another_file_is_found_out(path: Path) -> None:
    one, two = seal(CLEAR), seal(CLEAR)
    path.write_bytes(one[: -(CHUNK + TAG)] + two[-(CHUNK + TAG) :])
    with pytest.raises(RecordingError):
        opened(path)


def test_what_a_killed_writer_left_is_made_whole(path: Path) -> None:
    sealed = seal(CLEAR, ended=False)
    # With a piece of the chunk that was being written.
    path.write_bytes(sealed + b"\x55" * 777)
    with pytest.raises(RecordingError):
        opened(path)
    assert complete_sealed(path, KEY)
    assert opened(path) == CLEAR[: len(CLEAR) // CHUNK * CHUNK]
    whole = path.read_bytes()
    assert complete_sealed(path, KEY), "once more does nothing"
    assert path.read_bytes() == whole


def test_a_whole_file_stays_as_it_is(path: Path) -> None:
    path.write_bytes(seal(CLEAR))
    before = path.read_bytes()
    assert complete_sealed(path, KEY)
    assert path.read_bytes() == before


def test_a_writer_that_had_written_no_chunk_left_nothing(path: Path) -> None:
    path.write_bytes(seal(b"x" * 10, ended=False) + b"\x55" * 100)
    assert not complete_sealed(path, KEY)


def test_without_its_key_nothing_is_touched(path: Path) -> None:
    path.write_bytes(seal(CLEAR, ended=False))
    before = path.read_bytes()
    with pytest.raises(RecordingError):
        complete_sealed(path, OTHER_KEY)
    assert path.read_bytes() == before
