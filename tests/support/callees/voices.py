"""Voices: engines of Debian and our own, and people who were recorded. Each belongs to one set."""

import asyncio
import hashlib
import shutil
import subprocess
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tests.support.gateway import REPOSITORY
from tests.support.human import PHRASES, reading
from tests.support.speech import read_wav, resampled

RATE = 8000
Sound = NDArray[np.float64]
"""Samples at 8 kHz, full scale 1."""
Set = Literal["tuning", "test"]

_KEPT = REPOSITORY / "target" / "callees"
_ALLISON = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_FESTIVAL = Path("/usr/share/festival/voices")
_PROGRAMS = {"espeak-ng": "espeak-ng", "flite": "flite", "text2wave": "festival"}
_VOICES = {
    _ALLISON: "asterisk-core-sounds-en-wav",
    _FESTIVAL / "english" / "kal_diphone": "festvox-kallpc16k",
    _FESTIVAL / "english" / "ked_diphone": "festvox-kdlpc16k",
    _FESTIVAL / "us" / "cmu_us_slt_arctic_hts": "festvox-us-slt-hts",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who says any text."""

    name: str
    command: Sequence[str] = ()
    """Reads the text from stdin and writes `{out}`."""

    def say(self, text: str) -> Sound:
        """The text, from its first sound to its last, kept for the next time."""
        key = hashlib.sha256(f"{self.name}|{self.command}|{text}".encode()).hexdigest()[:24]
        path = _KEPT / f"{key}.wav"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = path.with_suffix(".new.wav")
            if self.command:
                command = [word.format(out=made) for word in self.command]
                subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=60)
            else:
                _hibari(text, made)
            made.rename(path)
        return trimmed(*read_wav(path))


def _hibari(text: str, path: Path) -> None:
    from offhook.speech.hibari import HibariTextToSpeech

    async def said() -> bytes:
        engine = HibariTextToSpeech()
        try:
            return b"".join([piece.pcm async for piece in engine.say(text, rate=16_000)])
        finally:
            await engine.close()

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(asyncio.run(said()))


def trimmed(pcm: NDArray[np.int16], rate: int) -> Sound:
    """At 8 kHz, without silence at its ends, its loud parts at -20 dBov."""
    sound = resampled(pcm, rate, RATE).astype(float) / 32_768
    pieces = [float(np.sqrt(np.mean(piece**2))) for piece in np.array_split(sound, max(1, len(sound) // 160))]
    loud = float(np.percentile(pieces, 90)) or 1.0
    there = [index for index, level in enumerate(pieces) if level > loud * 0.03]
    begin, end = (there[0] * 160, (there[-1] + 1) * 160) if there else (0, len(sound))
    return sound[max(0, begin - 160) : end + 160] * (0.1 / loud)


def _espeak(voice: str, speed: int, pitch: int) -> Voice:
    command = ("espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", "{out}", "--stdin")
    return Voice(f"espeak-ng {voice} {speed} {pitch}", command)


def _flite(voice: str, stretch: float = 1.0) -> Voice:
    command = ("flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-f", "/dev/stdin", "-o", "{out}")
    return Voice(f"flite {voice} {stretch}", command)


def _festival(voice: str) -> Voice:
    return Voice(f"festival {voice}", ("text2wave", "-eval", f"(voice_{voice})", "-o", "{out}", "-"))


VOICES: dict[Set, tuple[Voice, ...]] = {
    "tuning": (
        Voice("hibari"),
        Voice("hibari"),
        _espeak("en-us+m3", 165, 45),
        _espeak("en-us+f2", 175, 60),
        _espeak("en-gb+m1", 155, 40),
        _flite("kal16"),
        _flite("awb", 0.9),
        _festival("kal_diphone"),
    ),
    "test": (
        _espeak("en-us+f4", 185, 55),
        _espeak("en-gb+f3", 160, 50),
        _espeak("en-us+m7", 170, 35),
        _espeak("en-gb-scotland+m4", 150, 45),
        _flite("slt"),
        _flite("slt", 0.85),
        _flite("rms"),
        _flite("rms", 1.15),
        _festival("cmu_us_slt_arctic_hts"),
        _festival("ked_diphone"),
    ),
}
"""Who says what, by set."""


PIECES: dict[Set, Callable[[], list[Path]]] = {
    "tuning": lambda: sorted(Path("/usr/share/asterisk/moh").glob("*.wav")),
    "test": lambda: sorted(Path("/usr/share/games/neverball/bgm").glob("*.ogg")),
}
"""Music of Debian: that of Asterisk's queues (asterisk-moh-opsound-wav), and of a game (neverball-data)."""


@cache
def tune(path: Path) -> Sound:
    """A piece of music, one channel of it."""
    kept = _KEPT / f"{path.stem}.wav"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = kept.with_suffix(".new.wav")
        command = ["sox", "-D", str(path), "-r", str(RATE), "-b", "16", str(made), "remix", "1"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made.rename(kept)
    pcm, _ = read_wav(kept)
    return pcm.astype(float) / 32_768


def music_is_installed(of: Set) -> None:
    """Fail with the line that installs the pieces of a set, if they are missing."""
    package = {"tuning": "asterisk-moh-opsound-wav", "test": "neverball-data"}[of]
    assert PIECES[of](), f"music is missing: sudo apt-get install {package}"


def voices_are_installed() -> None:
    """Fail with the line that installs them, if one is missing."""
    programs = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    missing = [*programs, *(package for files, package in _VOICES.items() if not files.is_dir())]
    assert not missing, f"voices are missing: sudo apt-get install {' '.join(missing)}"


@cache
def allison(name: str) -> Sound:
    """A prompt of Asterisk's, which a person has recorded."""
    return trimmed(*read_wav(_ALLISON / f"{name}.wav"))


def reader(number: int) -> Sound:
    """A phrase of the reader of Dickens."""
    phrase = PHRASES[number % len(PHRASES)]
    return trimmed(phrase.sound(RATE), RATE)


@cache
def play(begin: float, end: float) -> Sound:
    """A part of a radio play: two people, a room."""
    sound, rate = reading("endgame_nagg_nell.wav")
    return trimmed(sound[round(begin * rate) : round(end * rate)], rate)


Chance = np.random.Generator
Maker = Callable[[Chance], Sound]
