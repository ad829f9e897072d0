"""The ringing tones of countries, as a caller there knows them (ITU-T E.180)."""

import math
from array import array
from dataclasses import dataclass
from functools import cache

RATE = 8000
"""Samples a second of the tones."""

_PEAK = 0.11 * 32767
"""Of all frequencies of a tone together, about -19 dBm0: as loud as exchanges are."""

_RAMP = RATE // 200


@dataclass(frozen=True, slots=True)
class RingTone:
    """Frequencies in Hz that sound together, and seconds of sound and silence in turn; `modulated` by so many Hz."""

    frequencies: tuple[float, ...]
    cadence: tuple[float, ...]
    modulated: float = 0.0


GENERIC = RingTone((425.0,), (1.0, 4.0))
"""What E.180 recommends, and most countries have."""

_TWICE = (0.4, 0.2, 0.4, 2.0)
_NORTH_AMERICA = RingTone((440.0, 480.0), (2.0, 4.0))

RING_TONES: dict[str, RingTone] = {
    "AT": RingTone((420.0,), (1.0, 5.0)),
    "AU": RingTone((400.0, 425.0), _TWICE),
    "BE": RingTone((425.0,), (1.0, 3.0)),
    "CA": _NORTH_AMERICA,
    "CL": RingTone((400.0,), (1.0, 3.0)),
    "CN": RingTone((450.0,), (1.0, 4.0)),
    "ES": RingTone((425.0,), (1.5, 3.0)),
    "FR": RingTone((440.0,), (1.5, 3.5)),
    "GB": RingTone((400.0, 450.0), _TWICE),
    "HU": RingTone((425.0,), (1.25, 3.75)),
    "IE": RingTone((400.0, 450.0), _TWICE),
    "IL": RingTone((400.0,), (1.0, 3.0)),
    "IN": RingTone((400.0,), _TWICE, modulated=25.0),
    "JP": RingTone((400.0,), (1.0, 2.0), modulated=16.0),
    "MX": RingTone((425.0,), (1.0, 4.0)),
    "NZ": RingTone((400.0, 450.0), _TWICE),
    "PT": RingTone((425.0,), (1.0, 5.0)),
    "SE": RingTone((425.0,), (1.0, 5.0)),
    "SG": RingTone((425.0,), _TWICE, modulated=24.0),
    "TW": RingTone((440.0, 480.0), (1.0, 2.0)),
    "US": _NORTH_AMERICA,
    "ZA": RingTone((400.0,), _TWICE, modulated=33.0),
}
"""Those that differ from the generic one, by ISO 3166 code."""


@cache
def ring_tone(country: str) -> bytes:
    """One ring and its silence, PCM16 little-endian mono of `RATE`; of an unknown country, or none, the generic one."""
    tone = RING_TONES.get(country, GENERIC)
    samples = array("h")
    for index, seconds in enumerate(tone.cadence):
        count = round(seconds * RATE)
        samples.extend(_sounding(tone, count) if index % 2 == 0 else [0] * count)
    return samples.tobytes()


def _sounding(tone: RingTone, count: int) -> list[int]:
    level = _PEAK / (len(tone.frequencies) * (2 if tone.modulated else 1))
    sound = []
    for n in range(count):
        value = sum(math.sin(2 * math.pi * frequency * n / RATE) for frequency in tone.frequencies)
        if tone.modulated:
            value *= 1 + math.cos(2 * math.pi * tone.modulated * n / RATE)
        # Without a ramp each ring would begin and end with a click.
        sound.append(round(value * level * min(1.0, n / _RAMP, (count - 1 - n) / _RAMP)))
    return sound
