"""WAV and FLAC files as the media core leaves them: brought to the end of what is whole, their headers completed."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from offhook.recording.error import RecordingError

Format = Literal["wav", "flac"]

_WAV_HEADER = 44
_FRAME_BYTES = 4
_FLAC_HEADER = 42
_BLOCK = 4096
# No frame is longer: two sides as they are, and what stands around them.
_LONGEST_FRAME = 2 * 2 * _BLOCK + 64


@dataclass(frozen=True, slots=True)
class Sound:
    """What is in a file: samples of each side, and how many a second."""

    samples: int
    rate: int

    @property
    def duration_ms(self) -> int:
        """How long it is."""
        return self.samples * 1000 // self.rate


def complete(path: Path, format: Format) -> Sound:
    """Cut off what is not whole, and write into the header how much there is. Raises `RecordingError`, OSError."""
    with path.open("r+b") as file:
        return _complete_wav(file) if format == "wav" else _complete_flac(file)


def _complete_wav(file: BinaryIO) -> Sound:
    header, size = file.read(_WAV_HEADER), file.seek(0, os.SEEK_END)
    if len(header) < _WAV_HEADER or header[:4] != b"RIFF" or header[36:40] != b"data":
        raise RecordingError("the recording can't be read: it has no header of WAV", code="recording_damaged")
    (rate,) = struct.unpack_from("<I", header, 24)
    samples = (size - _WAV_HEADER) // _FRAME_BYTES
    data = samples * _FRAME_BYTES
    file.truncate(_WAV_HEADER + data)
    # Beyond 4 GiB the lengths stay open, as players know it of streams.
    for place, length in ((4, data + _WAV_HEADER - 8), (40, data)):
        file.seek(place)
        file.write(struct.pack("<I", min(length, 0xFFFFFFFF)))
    return Sound(samples, rate)


def _complete_flac(file: BinaryIO) -> Sound:
    """RFC 9639: the last whole frame is found by its sync code and checksums; its number says how many came before."""
    header, size = file.read(_FLAC_HEADER), file.seek(0, os.SEEK_END)
    if len(header) < _FLAC_HEADER or header[:4] != b"fLaC":
        raise RecordingError("the recording can't be read: it has no header of FLAC", code="recording_damaged")
    (facts,) = struct.unpack_from(">Q", header, 18)
    begin = max(_FLAC_HEADER, size - 2 * _LONGEST_FRAME)
    file.seek(begin)
    tail = file.read()
    end, samples = _last_frame(tail)
    file.truncate(begin + end if samples else _FLAC_HEADER)
    file.seek(18)
    file.write(struct.pack(">Q", facts >> 36 << 36 | samples))
    return Sound(samples, facts >> 44)


def _last_frame(tail: bytes) -> tuple[int, int]:
    """Where the last whole frame ends, and the samples up to there; twice 0 if there is none."""
    ends = [len(tail)]
    begin = tail.rfind(b"\xff\xf8")
    while begin >= 0:
        samples = _samples_up_to(tail[begin : begin + 32])
        if samples is not None:
            # What looks like the beginning of a frame may be sound; then the frame goes on to a later end.
            for end in reversed(ends):
                if end - begin <= _LONGEST_FRAME and _crc16(tail[begin:end]) == 0:
                    return end, samples
            ends.append(begin)
        begin = tail.rfind(b"\xff\xf8", 0, begin)
    return 0, 0


def _samples_up_to(frame: bytes) -> int | None:
    """By the header of a frame how many samples there are with it; None if it is no header (section 9.1)."""
    if len(frame) < 6 or frame[2] >> 4 not in (0b1100, 0b0111) or frame[3] != 0b0001_1000:
        return None
    lead = frame[4]
    more = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    if not (lead < 0x80 or 1 <= more <= 6):
        return None
    number = lead & (0x7F if not more else 0x3F >> more)
    for byte in frame[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    place, count = 5 + more, _BLOCK
    if frame[2] >> 4 == 0b0111:
        count = int.from_bytes(frame[place : place + 2], "big") + 1
        place += 2
    if len(frame) <= place or _crc8(frame[: place + 1]) != 0:
        return None
    return number * _BLOCK + count


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = crc << 8 & 0xFFFF ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _crc16_of_byte(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


_CRC16 = tuple(_crc16_of_byte(byte) for byte in range(256))
