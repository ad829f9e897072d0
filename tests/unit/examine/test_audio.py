"""Audio of agents as samples, and samples as audio: held against the tests' own G.711."""

from array import array

import pytest
from tests.support import tone

from offhook.examine.audio import Format, at_line_rate, decoded, encoded, loudness

pytestmark = pytest.mark.unit


def test_every_code_of_mu_law_is_its_sample() -> None:
    assert tuple(decoded(bytes(range(256)), "pcmu")) == tone.LINEAR


def test_a_law_has_the_values_of_its_table() -> None:
    # G.711 table 1a: the first and last step of each half, and one in the middle.
    assert list(decoded(bytes([0xD5, 0x55, 0xAA, 0x2A, 0x80, 0x00]), "pcma")) == [8, -8, 32_256, -32_256, 5_504, -5_504]


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_what_is_encoded_is_the_nearest_there_is(encoding: str) -> None:
    samples = array("h", range(-32_768, 32_768, 37))
    values = sorted(set(decoded(bytes(range(256)), encoding)))
    back = decoded(encoded(samples, encoding), encoding)
    for sample, found in zip(samples, back, strict=True):
        nearest = min(abs(sample - value) for value in values)
        assert abs(sample - found) <= nearest + 4, sample


def test_pcm16_goes_through_as_it_is_without_half_a_sample_at_its_end() -> None:
    samples = array("h", [0, -1, 32_767, -32_768])
    assert decoded(encoded(samples, "pcm16") + b"\x7f", "pcm16") == samples


def test_loudness_is_told_for_each_20_ms() -> None:
    loud = array("h", [1_000, -1_000] * 80 + [0] * 160 + [50] * 8)
    assert loudness(loud, 8_000) == [1_000.0, 0.0, 50.0]
    assert list(at_line_rate(array("h", [0, 2, 10, 20, 7]), 16_000)) == [1, 15]


def test_formats_know_their_size() -> None:
    wide = Format.parse("pcm16/16000")
    assert (wide.bytes_per_second, wide.silence, str(wide)) == (32_000, b"\0\0", "pcm16/16000")
    assert Format.parse("pcmu/8000").bytes_per_second == 8_000
    assert loudness(decoded(Format.parse("pcmu/8000").silence * 160, "pcmu"), 8_000) == [0.0]
