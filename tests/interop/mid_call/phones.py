"""Three foreign phones behind the same few words: each says a tone and lets one hear what it hears."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tests.interop.baresip.phone import Baresip
from tests.interop.linphone.phone import Linphone
from tests.interop.twinkle.phone import Twinkle
from tests.support.gateway import wait_until
from tests.support.sound_card import SoundCard
from tests.support.speech import as_pcm, write_wav
from tests.support.tone import share

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
    def hang_up(self) -> None:
        """End the call."""

    @abstractmethod
    def heard(self) -> tuple[list[int], int]:
        """What it has heard so far, as PCM16, and its rate."""

    def hears(self, hz: float, within: float = 5.0) -> None:
        """Wait until the last that it has heard is this tone."""
        begin = len(self.heard()[0])

        def found() -> bool:
            samples, rate = self.heard()
            last = samples[max(begin, len(samples) - round(WINDOW * rate)) :]
            return len(last) >= round(WINDOW * rate) and share(last, hz, rate) > 0.9

        wait_until(found, within, lambda: f"it does not hear {hz} Hz: {self.spectrum()}")

    def spectrum(self) -> str:
        """What the last that it heard was, in words, for a failure."""
        samples, rate = self.heard()
        last = np.array(samples[-round(WINDOW * rate) :], dtype=float)
        if not last.any():
            return f"{len(samples)} samples, silence at the end"
        loudest = float(np.argmax(np.abs(np.fft.rfft(last)))) * rate / len(last)
        return f"{len(samples)} samples, mostly {loudest:.0f} Hz at the end"


class BaresipPhone(Phone):
    """baresip. Its hold is `a=sendonly`, and it goes on to send what it says."""

    def __init__(self, phone: Baresip, card: SoundCard) -> None:
        self.phone, self.card, self.port = phone, card, phone.port

    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        self.phone.dial(user, gateway)
        self._agreed()

    def hold(self) -> None:
        self.phone.command("hold")
        self._agreed()

    def resume(self) -> None:
        self.phone.command("resume")
        self._agreed()

    def hang_up(self) -> None:
        self.phone.command("hangup")
        self.phone.wait_for("CALL_CLOSED")

    def heard(self) -> tuple[list[int], int]:
        return self.card.heard(), 8000

    def _agreed(self) -> None:
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

    def hang_up(self) -> None:
        self._does("terminate", r"ended \(No error\)")

    def heard(self) -> tuple[list[int], int]:
        return self.phone.heard_so_far()

    def _does(self, command: str, result: str) -> None:
        before = len(self.phone.said())
        self.phone.type(command)
        self.phone.says(result, since=before)


class TwinklePhone(Phone):
    """Twinkle. Its hold is `a=sendonly`, or 0.0.0.0 if it was told so, and it sends nothing meanwhile."""

    def __init__(self, phone: Twinkle) -> None:
        self.phone, self.port = phone, phone.port

    def dial(self, user: str, gateway: tuple[str, int]) -> None:
        self._agreed(f"call {user}@{gateway[0]}:{gateway[1]}")

    def hold(self) -> None:
        self._agreed("hold")

    def resume(self) -> None:
        self._agreed("retrieve")

    def hang_up(self) -> None:
        self.phone.type("bye")
        wait_until(lambda: "BYE" in self._answered(), 5, self.phone.said)

    def heard(self) -> tuple[list[int], int]:
        return self.phone.card.heard(), 8000

    def _agreed(self, command: str) -> None:
        before = self._answered().count("INVITE")
        self.phone.type(command)
        wait_until(lambda: self._answered().count("INVITE") > before, 10, lambda: self.phone.said() + self.phone.log())

    def _answered(self) -> list[str]:
        """The methods of its requests that got a 200."""
        return re.findall(r"^SIP/2\.0 200 .*?^CSeq: *\d+ (\w+)", self.phone.log(), re.S | re.M)


@contextmanager
def baresip(directory: Path) -> Iterator[Phone]:
    with SoundCard(directory, HZ) as card, Baresip(directory, None, codec="PCMU/8000/1,PCMA", card=card) as phone:
        yield BaresipPhone(phone, card)


@contextmanager
def linphone(directory: Path) -> Iterator[Phone]:
    directory.mkdir(parents=True)
    said = directory / "said.wav"
    write_wav(said, as_pcm(8_000 * np.sin(2 * np.pi * HZ * np.arange(60 * 16_000) / 16_000)), 16_000)
    with Linphone(directory / "home") as phone:
        phone.use_files(said)
        phone.use("PCMU", "PCMA")
        yield LinphonePhone(phone)


@contextmanager
def twinkle(directory: Path) -> Iterator[Phone]:
    with Twinkle(directory, HZ) as phone:
        yield TwinklePhone(phone)


PHONES: dict[str, Callable[[Path], "Iterator[Phone]"]] = {"baresip": baresip, "linphone": linphone, "twinkle": twinkle}
