"""Tones of machines and networks: beeps, special information, fax, busy, ringing."""

import numpy as np

from .voices import RATE, Set, Sound


def silence(seconds: float) -> Sound:
    """Nothing."""
    return np.zeros(round(seconds * RATE))


def tone(seconds: float, *hertz: float, level: float = -12.0, fade: float = 0.004) -> Sound:
    """One tone or several at once, so many dBov together."""
    when = np.arange(round(seconds * RATE)) / RATE
    loud = 10 ** (level / 20) * np.sqrt(2 / len(hertz))
    sound = sum((np.sin(2 * np.pi * each * when + index) for index, each in enumerate(hertz)), np.zeros(len(when)))
    edge = np.minimum(1.0, np.minimum(when, when[::-1]) / fade)
    return np.asarray(sound * loud * edge)


def ding(seconds: float, hertz: float, level: float = -10.0) -> Sound:
    """A tone that dies away, by 9 dB a second times four."""
    when = np.arange(round(seconds * RATE)) / RATE
    return tone(seconds, hertz, level=level) * np.exp(-1.2 * when / seconds)


BEEPS: dict[Set, tuple[tuple[str, Sound], ...]] = {
    "tuning": (
        ("1000 Hz, 0.5 s", tone(0.5, 1000)),
        ("440 Hz, 1 s", tone(1.0, 440)),
        ("850 Hz, 0.3 s", tone(0.3, 850)),
        ("1400 Hz, 0.4 s", tone(0.4, 1400)),
        ("2000 Hz, 0.2 s", tone(0.2, 2000)),
        ("660 and 880 Hz, 0.4 s", tone(0.4, 660, 880)),
        ("600 Hz, 1.6 s", tone(1.6, 600)),
        ("1050 Hz, 0.1 s", tone(0.1, 1050)),
        ("800 Hz dying away, 0.6 s", ding(0.6, 800)),
    ),
    "test": (
        ("950 Hz, 0.35 s", tone(0.35, 950)),
        ("1330 Hz, 0.25 s", tone(0.25, 1330)),
        ("480 Hz, 0.7 s", tone(0.7, 480)),
        ("390 Hz, 0.5 s", tone(0.5, 390)),
        ("1770 Hz, 0.15 s", tone(0.15, 1770)),
        ("2180 Hz, 0.5 s", tone(0.5, 2180)),
        ("1120 Hz, 0.9 s", tone(0.9, 1120)),
        ("740 Hz, 2 s", tone(2.0, 740)),
        ("1250 Hz, 0.08 s", tone(0.08, 1250)),
        ("520 and 1040 Hz, 0.5 s", tone(0.5, 520, 1040)),
        ("700 then 1100 Hz", np.concatenate([tone(0.2, 700), tone(0.3, 1100)])),
        ("three of 900 Hz", np.concatenate([tone(0.15, 900), silence(0.1)] * 2 + [tone(0.5, 900)])),
        ("1500 Hz dying away, 0.5 s", ding(0.5, 1500)),
        ("420 Hz, 0.12 s, soft", tone(0.12, 420, level=-24)),
    ),
}

_LOW, _HIGH = (913.8, 1370.6), (985.2, 1428.5)
SIT: dict[Set, tuple[tuple[str, Sound], ...]] = {
    "tuning": (
        ("sit_intercept", np.concatenate([tone(0.274, _LOW[0]), tone(0.274, _LOW[1]), tone(0.38, 1776.7)])),
        ("sit_no_circuit", np.concatenate([tone(0.38, _HIGH[0]), tone(0.38, _HIGH[1]), tone(0.38, 1776.7)])),
        ("sit", np.concatenate([tone(0.33, 950), silence(0.02), tone(0.33, 1400), silence(0.02), tone(0.33, 1800)])),
    ),
    "test": (
        ("sit_vacant", np.concatenate([tone(0.38, _HIGH[0]), tone(0.274, _LOW[1]), tone(0.38, 1776.7)])),
        ("sit_reorder", np.concatenate([tone(0.274, _LOW[0]), tone(0.38, _HIGH[1]), tone(0.38, 1776.7)])),
        ("sit_no_circuit", np.concatenate([tone(0.38, _LOW[0]), tone(0.38, _LOW[1]), tone(0.38, 1776.7)])),
        ("sit_reorder", np.concatenate([tone(0.274, _HIGH[0]), tone(0.38, _LOW[1]), tone(0.38, 1776.7)])),
        ("sit", np.concatenate([tone(0.35, 940), silence(0.01), tone(0.35, 1410), silence(0.01), tone(0.35, 1810)])),
        ("sit", np.concatenate([tone(0.28, 965), silence(0.03), tone(0.28, 1390), silence(0.03), tone(0.28, 1795)])),
    ),
}


def _repeated(sound: Sound, pause: float, times: int) -> Sound:
    return np.concatenate([np.concatenate([sound, silence(pause)])] * times)


def _answer_tone(seconds: float, *, modem: bool) -> Sound:
    """2100 Hz; of a modem with a turn of its phase each 0.45 s and 15 Hz on it (V.8)."""
    when = np.arange(round(seconds * RATE)) / RATE
    turn = np.pi * (when // 0.45) if modem else 0.0
    swell = 1 + 0.2 * np.sin(2 * np.pi * 15 * when) if modem else 1.0
    return np.asarray(0.25 * np.sin(2 * np.pi * 2100 * when + turn) * swell)


FAX: dict[Set, tuple[Sound, ...]] = {
    "tuning": (_answer_tone(3.0, modem=False), _repeated(tone(0.5, 1100), 3.0, 3)),
    "test": (
        _answer_tone(2.7, modem=False),
        _answer_tone(3.3, modem=True),
        _repeated(tone(0.5, 1110), 3.1, 3),
        np.concatenate([silence(0.2), _answer_tone(3.0, modem=False), tone(1.0, 1650, 1850)]),
    ),
}

BUSY: dict[Set, tuple[tuple[str, Sound], ...]] = {
    "tuning": (
        ("US busy", _repeated(tone(0.5, 480, 620), 0.5, 8)),
        ("EU busy", _repeated(tone(0.5, 425), 0.5, 8)),
        ("US reorder", _repeated(tone(0.25, 480, 620), 0.25, 16)),
    ),
    "test": (
        ("UK busy", _repeated(tone(0.375, 400), 0.375, 10)),
        ("FR busy", _repeated(tone(0.5, 440), 0.5, 8)),
        ("CN busy", _repeated(tone(0.35, 450), 0.35, 10)),
        ("EU congestion", _repeated(tone(0.2, 425), 0.2, 20)),
        (
            "UK congestion",
            _repeated(np.concatenate([tone(0.4, 400), silence(0.35), tone(0.225, 400)]), 0.525, 5),
        ),
        ("IN busy", _repeated(tone(0.75, 400), 0.75, 5)),
        ("US busy of a PBX", _repeated(tone(0.48, 484, 624), 0.52, 8)),
    ),
}

RINGING: dict[Set, tuple[tuple[str, Sound], ...]] = {
    "tuning": (
        ("US", _repeated(tone(2.0, 440, 480), 4.0, 2)),
        ("DE", _repeated(tone(1.0, 425), 4.0, 2)),
    ),
    "test": (
        ("UK", _repeated(np.concatenate([tone(0.4, 400, 450), silence(0.2), tone(0.4, 400, 450)]), 2.0, 4)),
        ("FR", _repeated(tone(1.5, 440), 3.5, 2)),
        ("JP", _repeated(tone(1.0, 384, 416), 2.0, 3)),
        ("AU", _repeated(np.concatenate([tone(0.4, 400, 425), silence(0.2), tone(0.4, 400, 425)]), 2.0, 4)),
        ("US of a PBX", _repeated(tone(1.0, 440, 480), 3.0, 3)),
        ("dial tone", tone(8.0, 350, 440)),
    ),
}
