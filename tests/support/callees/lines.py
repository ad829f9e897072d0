"""Lines: what is heard of a callee from the answer on, with the truth about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .noises import KINDS, at, office, piece, talk, white
from .phrases import ANSWERS, HUMAN, MACHINE, PROMPTS
from .tones import BEEPS, BUSY, FAX, RINGING, SIT, silence
from .voices import RATE, VOICES, Chance, Set, Sound, allison, reader

SEEDS: dict[Set, int] = {"tuning": 1_000_000, "test": 4_000_000}


@dataclass(slots=True)
class Callee:
    """One line. `truth` is who it is, `beep` the seconds from the answer at which its beep ends."""

    name: str
    truth: str
    sound: Sound
    kind: str = ""
    code: str = ""
    beep: float | None = None
    beep_kind: str = ""
    greeting_ends: float | None = None
    level: float = -20.0
    codec: str = "PCMU"
    loss: float = 0.0
    jitter_ms: float = 0.0
    noise: str = ""
    agent_speaks: bool = False
    seed: int = 0
    marks: dict[str, float] = field(default_factory=dict)


def _said(chance: Chance, of: Set, text: str, voice: int) -> Sound:
    voices = VOICES[of]
    sound = voices[voice % len(voices)].say(text)
    if of == "tuning" and voice % len(voices) == 1:
        # The same voice, deeper and slower or higher and quicker.
        stretch = float(chance.choice([0.9, 1.12]))
        at_points = np.arange(0, len(sound) - 1, stretch)
        sound = np.interp(at_points, np.arange(len(sound)), sound)
    return sound


def _human(chance: Chance, of: Set, number: int) -> Callee:
    texts = HUMAN[of]
    if of == "test" and number % 5 == 4:
        kind = number // 5 % 2
        said = allison(ANSWERS[number // 10 % len(ANSWERS)]) if kind else reader(number // 10)
        text = "recorded"
    else:
        text = texts[number % len(texts)]
        said = _said(chance, of, text, int(chance.integers(0, 1000)))
    before = float(min(3.0, 0.12 + chance.gamma(2.0, 0.22)))
    parts = [silence(before), said, silence(float(chance.uniform(2.5, 4.0)))]
    if chance.random() < 0.4:
        parts += [_said(chance, of, texts[number % 4], int(chance.integers(0, 1000))), silence(1.5)]
    if chance.random() < 0.25:
        # Whoever has been answered may have a lot to say.
        voice = int(chance.integers(0, 1000))
        for text in texts[-5:]:
            parts += [_said(chance, of, text, voice), silence(float(chance.uniform(0.1, 0.4)))]
    sound = np.concatenate([*parts, silence(2.0)])
    marks = {"speech_begins": before, "speech_ends": before + len(said) / RATE}
    return Callee(f"human: {text}", "human", sound, kind="human", marks=marks)


def _machine(chance: Chance, of: Set, number: int) -> Callee:
    texts = MACHINE[of]
    before = float(chance.uniform(0.2, 1.6))
    if of == "test" and number % 4 == 3:
        names = PROMPTS[number // 4 % len(PROMPTS)]
        gap = silence(float(chance.uniform(0.05, 0.4)))
        said = np.concatenate([part for name in names for part in (allison(name), gap)])
        text = "+".join(names)
    else:
        text = texts[number % len(texts)]
        said = _said(chance, of, text, int(chance.integers(0, 1000)))
    ends = before + len(said) / RATE
    callee = Callee(f"machine: {text[:40]}", "machine", said, kind="machine", greeting_ends=ends)
    parts = [silence(before), said]
    if chance.random() < 0.8:
        name, beep = BEEPS[of][number % len(BEEPS[of])]
        gap_s = float(chance.uniform(0.1, 1.6))
        parts += [silence(gap_s), beep]
        callee.beep, callee.beep_kind = ends + gap_s + len(beep) / RATE, name
    parts += [silence(5.0)]
    callee.sound = np.concatenate(parts)
    return callee


def _beep_alone(chance: Chance, of: Set, number: int) -> Callee:
    name, beep = BEEPS[of][number % len(BEEPS[of])]
    before = float(chance.uniform(0.3, 2.0))
    sound = np.concatenate([silence(before), beep, silence(6.0)])
    ends = before + len(beep) / RATE
    return Callee(f"beep alone: {name}", "machine", sound, kind="beep alone", beep=ends, beep_kind=name)


def _sit(chance: Chance, of: Set, number: int) -> Callee:
    code, tones = SIT[of][number % len(SIT[of])]
    before = float(chance.uniform(0.1, 0.8))
    text = "We're sorry. The number you have dialed is not in service. Please check the number and dial again."
    said = _said(chance, of, text, int(chance.integers(0, 1000)))
    sound = np.concatenate([silence(before), tones, silence(0.25), said, silence(1.0)])
    return Callee(f"sit: {code}", "sit", sound, kind="sit", code=code)


def _tones(chance: Chance, of: Set, kind: str, number: int) -> Callee:
    match kind:
        case "fax":
            name, sound, truth, latest = str(number % len(FAX[of])), FAX[of][number % len(FAX[of])], "fax", 1.5
        case "busy":
            (name, sound), truth, latest = BUSY[of][number % len(BUSY[of])], "busy_tone", 0.6
        case _:
            (name, sound), truth, latest = RINGING[of][number % len(RINGING[of])], "no_one", 0.6
    made = np.concatenate([silence(float(chance.uniform(0.1, latest))), sound, silence(1.0)])
    return Callee(f"{kind}: {name}", truth, made, kind=kind)


def _nobody(chance: Chance, of: Set, number: int) -> Callee:
    count = round(11 * RATE)
    match number % 3:
        case 0:
            return Callee("silence", "silence", silence(11), kind="silence")
        case 1:
            level = float(chance.uniform(-70, -52))
            return Callee("soft noise", "silence", at(white(chance, count), level), kind="silence")
        case _:
            level = float(chance.uniform(-60, -50))
            return Callee("a quiet room", "silence", at(office(chance, count), level), kind="silence")


def _music(chance: Chance, of: Set, number: int) -> Callee:
    name, sound = piece(chance, round(13 * RATE), of, number)
    return Callee(f"music: {name}", "music", at(sound, float(chance.uniform(-28, -12))), kind="music")


def _held(chance: Chance, of: Set, number: int) -> Callee:
    """Somebody behind music, or before it."""
    name, played = piece(chance, round(float(chance.uniform(3, 8)) * RATE), of, number)
    played = at(played, -22)
    said = _said(chance, of, HUMAN[of][number % len(HUMAN[of])], int(chance.integers(0, 1000)))
    before, gap = float(chance.uniform(0.2, 0.8)), silence(float(chance.uniform(0, 0.8)))
    if number % 3 == 2:
        sound = np.concatenate([silence(before), said, gap, np.tile(played, 3)])
        marks = {"speech_begins": before, "speech_ends": before + len(said) / RATE}
        return Callee(f"a person, then music: {name}", "human", sound, kind="a person, then music", marks=marks)
    begins = (len(played) + len(gap)) / RATE
    sound = np.concatenate([played, gap, said, silence(5.0)])
    marks = {"speech_begins": begins, "speech_ends": begins + len(said) / RATE}
    return Callee(f"music, then a person: {name}", "human", sound, kind="music, then a person", marks=marks)


def _else(chance: Chance, of: Set, number: int) -> Callee:
    count = round(12 * RATE)
    if number % 2:
        return Callee("noise", "unknown", at(office(chance, count), -28), kind="noise")
    return Callee("people far away", "unknown", at(talk(chance, count, of), -32), kind="talk")


COUNTS = {
    "human": 220, "machine": 160, "beep alone": 20, "sit": 24, "fax": 16, "busy": 28, "ringing": 24, "silence": 24,
    "music": 40, "held": 24, "else": 16,
}  # fmt: skip


def callees(of: Set, share: float = 1.0) -> Iterator[Callee]:
    """The lines of a set, or the first of each kind."""
    seed = SEEDS[of]
    for kind, count in COUNTS.items():
        for number in range(max(1, round(count * share))):
            seed += 1
            chance = np.random.default_rng(seed)
            match kind:
                case "human":
                    made = _human(chance, of, number)
                case "machine":
                    made = _machine(chance, of, number)
                case "beep alone":
                    made = _beep_alone(chance, of, number)
                case "sit":
                    made = _sit(chance, of, number)
                case "silence":
                    made = _nobody(chance, of, number)
                case "music":
                    made = _music(chance, of, number)
                case "held":
                    made = _held(chance, of, number)
                case "else":
                    made = _else(chance, of, number)
                case _:
                    made = _tones(chance, of, kind, number)
            made.seed = seed
            yield _carried(chance, of, made)


def _carried(chance: Chance, of: Set, callee: Callee) -> Callee:
    """The line that it comes over: how loud, what lies behind it, codec, loss, jitter, and whether our agent speaks."""
    if callee.truth not in ("silence", "unknown", "music"):
        callee.level = float(chance.uniform(-30, -6))
        sound = callee.sound * 10 ** ((callee.level + 20) / 20)
        if chance.random() < 0.6:
            kind = str(chance.choice(["white", "office", "car", "music", "talk"]))
            ratio = float(chance.uniform(12, 35))
            if kind in ("music", "talk"):
                ratio = max(ratio, 20.0)
            behind = talk(chance, len(sound), of) if kind == "talk" else KINDS[kind](chance, len(sound))
            sound = sound + at(behind, callee.level - ratio)
            callee.noise = f"{kind} {ratio:.0f} dB"
        else:
            sound = sound + at(white(chance, len(sound)), float(chance.uniform(-75, -60)))
        callee.sound = sound
    callee.codec = str(chance.choice(["PCMU", "PCMA", "G722"], p=[0.45, 0.45, 0.1]))
    if chance.random() < 0.35:
        callee.loss = float(chance.uniform(0.005, 0.05))
    callee.jitter_ms = float(chance.choice([0, 0, 2, 6]))
    callee.agent_speaks = bool(chance.random() < 0.3)
    return callee
