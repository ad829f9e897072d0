"""Three foreign phones behind the same few words: each says a tone and lets one hear what it hears."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tests.interop.baresip.phone import Baresip
from tests.interop.linphone.phone import Linphone
from tests.interop.mid_call.line import HZ as AGENT
from tests.interop.mid_call.line import QUIET
from tests.interop.twinkle.phone import Twinkle
from tests.support.capture import captured
from tests.support.gateway import wait_until
from tests.support.sound_card import SoundCard
from tests.support.speech import as_pcm, write_wav
from tests.support.tone import decode, share

HZ = 440.0
"""What every phone says."""
WINDOW = 0.24
"""Seconds of sound that are looked at."""


class Phone(ABC):
    """A phone in a call, or about to be in one. `port` is where it takes calls by UDP, at 127.0.0.1."""

    port: int

    @abstractmethod
    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        """Call a user of the gateway; returns when the call is up."""

    @abstractmethod
    def hold(self) -> None:
        """Hold the call; returns when the gateway has agreed."""

    @abstractmethod
    def resume(self) -> None:
        """The opposite."""

    @abstractmethod
    def press(self, keys: str) -> None:
        """Press these keys, in the way that it is set up for."""

    @abstractmethod
    def hang_up(self) -> None:
        """End the call."""

    @abstractmethod
    def heard(self) -> tuple[list[int], int]:
        """What it has heard so far, as PCM16, and its rate."""

    def hears(self, hz: float, within: float = 30.0) -> None:
        """Wait until the last that it has heard is this tone."""
        begin = len(self.heard()[0])

        def found() -> bool:
            samples, rate = self.heard()
            last = samples[max(begin, len(samples) - round(WINDOW * rate)) :]
            return len(last) >= round(WINDOW * rate) and share(last, hz, rate) > 0.9

        wait_until(found, within, lambda: f"it does not hear {hz} Hz: {self.spectrum()}")

    def meanwhile(self, seconds: float) -> tuple[list[int], int]:
        """What it hears on hold, from now on for so long, as PCM16, and its rate."""
        begin = len(self.heard()[0])
        time.sleep(seconds)
        samples, rate = self.heard()
        return samples[begin:], rate

    def hears_on_hold(self, hz: float, within: float = 30.0) -> None:
        """Wait until what it hears on hold is this tone."""
        wait_until(lambda: _is(self.meanwhile(WINDOW), hz), within, lambda: f"no {hz} Hz: {self.spectrum()}")

    def hears_nothing(self, within: float = 30.0) -> None:
        """Wait for half a second on hold in which it hears silence or nothing at all."""
        wait_until(
            lambda: _loudest(self.meanwhile(0.5)) < QUIET, within, lambda: f"it hears something: {self.spectrum()}"
        )

    def hears_music(self, within: float = 30.0) -> None:
        """Wait until it hears something on hold that is not the agent."""

        def found() -> bool:
            samples, rate = self.meanwhile(WINDOW)
            return _loudest((samples, rate)) > 5 * QUIET and share(samples, AGENT, rate) < 0.05

        wait_until(found, within, lambda: f"it hears no music: {self.spectrum()}")

    def spectrum(self) -> str:
        """What the last that it heard was, in words, for a failure."""
        samples, rate = self.heard()
        last = np.array(samples[-round(WINDOW * rate) :], dtype=float)
        if not last.any():
            return f"{len(samples)} samples, silence at the end"
        loudest = float(np.argmax(np.abs(np.fft.rfft(last)))) * rate / len(last)
        return f"{len(samples)} samples, mostly {loudest:.0f} Hz at the end"


def _is(sound: tuple[list[int], int], hz: float) -> bool:
    samples, rate = sound
    return share(samples, hz, rate) > 0.9


def _loudest(sound: tuple[list[int], int]) -> float:
    return float(np.abs(np.array(sound[0], dtype=float)).max(initial=0.0))


class BaresipPhone(Phone):
    """baresip. Its hold is `a=sendonly`, and it goes on to send what it says."""

    def __init__(self, phone: Baresip, card: SoundCard) -> None:
        self.phone, self.card, self.port = phone, card, phone.port

    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        self.phone.events.clear()
        self.phone.dial(user, gateway)

    def hold(self) -> None:
        self._agreed("hold")

    def resume(self) -> None:
        self._agreed("resume")

    def press(self, keys: str) -> None:
        for key in keys:
            self.phone.command("sndcode", key)
            # It has no queue of them.
            time.sleep(0.3)

    def hang_up(self) -> None:
        self.phone.events.clear()
        self.phone.command("hangup")
        self.phone.wait_for("CALL_CLOSED")

    def heard(self) -> tuple[list[int], int]:
        return self.card.heard(), 8000

    def _agreed(self, command: str) -> None:
        self.phone.events.clear()
        self.phone.command(command)
        assert self.phone.wait_for("CALL_REMOTE_SDP")["param"] == "answer"


class LinphonePhone(Phone):
    """Linphone. Its hold is `a=sendonly`."""

    def __init__(self, phone: Linphone) -> None:
        self.phone, self.port = phone, phone.port

    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        self._does(f"call sip:{user}@{gateway[0]}:{gateway[1]}", "Media streams established")

    def hold(self) -> None:
        self._does("pause", "is now paused")

    def resume(self) -> None:
        self._does("resume", "Media streams established")

    def press(self, keys: str) -> None:
        self.phone.type(keys)

    def hang_up(self) -> None:
        self._does("terminate", r"ended \(No error\)")

    def heard(self) -> tuple[list[int], int]:
        return self.phone.heard_so_far()

    def _does(self, command: str, result: str) -> None:
        before = len(self.phone.said())
        self.phone.type(command)
        self.phone.says(result, since=before)


class TwinklePhone(Phone):
    """Twinkle. Its hold is `a=sendonly`, or 0.0.0.0 if it was told so, and it sends nothing meanwhile.

    Held by the other side it reads what comes and plays nothing, so what is sent to it is looked at.
    """

    def __init__(self, phone: Twinkle) -> None:
        self.phone, self.port = phone, phone.port

    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        self._agreed(f"call {user}@{gateway[0]}:{gateway[1]}")

    def hold(self) -> None:
        self._agreed("hold")

    def resume(self) -> None:
        self._agreed("retrieve")

    def press(self, keys: str) -> None:
        self.phone.type(f"dtmf {keys}")

    def hang_up(self) -> None:
        before = self._byes()
        self.phone.type("bye")
        wait_until(lambda: self._byes() > before, 30, self.phone.said)

    def heard(self) -> tuple[list[int], int]:
        return self.phone.card.heard(), 8000

    def meanwhile(self, seconds: float) -> tuple[list[int], int]:
        sound = [payload for payload_type, payload in captured(self.phone.rtp, seconds) if payload_type == 0]
        return decode(b"".join(sound)), 8000

    def _agreed(self, command: str) -> None:
        """Until its ACK has left: a command that comes before that is lost."""
        before = self._acknowledged()
        self.phone.type(command)
        wait_until(lambda: self._acknowledged() > before, 30, lambda: self.phone.said() + self.phone.log())

    def _byes(self) -> int:
        """How many have been answered, its own and others'."""
        return len(re.findall(r"^SIP/2\.0 200 (?:(?!^\+\+\+).)*?^CSeq: *\d+ BYE", self.phone.log(), re.S | re.M))

    def _acknowledged(self) -> int:
        return len(re.findall(r"^Send to: .*\nACK ", self.phone.log(), re.M))


@contextmanager
def baresip(directory: Path) -> Iterator[Phone]:
    with SoundCard(directory, HZ) as card, Baresip(directory, None, codec="PCMU/8000/1,PCMA", card=card) as phone:
        yield BaresipPhone(phone, card)


@contextmanager
def linphone(directory: Path, lines: str = "") -> Iterator[Phone]:
    """`lines` are further settings of its section `[sip]`."""
    directory.mkdir(parents=True)
    said = directory / "said.wav"
    write_wav(said, as_pcm(8_000 * np.sin(2 * np.pi * HZ * np.arange(60 * 16_000) / 16_000)), 16_000)
    with Linphone(directory / "home", lines) as phone:
        phone.use_files(said)
        phone.use("PCMU", "PCMA")
        yield LinphonePhone(phone)


@contextmanager
def twinkle(directory: Path, **settings: Any) -> Iterator[Phone]:
    """`settings` are those of `Twinkle`."""
    with Twinkle(directory, HZ, **settings) as phone:
        yield TwinklePhone(phone)


PHONES: dict[str, Callable[..., "AbstractContextManager[Phone]"]] = {
    "baresip": baresip,
    "linphone": linphone,
    "twinkle": twinkle,
}
