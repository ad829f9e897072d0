"""baresip as a phone: its own process and configuration, sound from and into WAV files, commands over its TCP door."""

import array
import json
import re
import shutil
import socket
import subprocess
import wave
from pathlib import Path
from typing import Self

import numpy as np
from tests.support.gateway import ports, wait_until
from tests.support.sound_card import SoundCard
from tests.support.tone import purest_part, share

RATE = 8000
RATES = {"G722": 16_000, "opus": 48_000}
"""Of what it says and hears, where that is another."""
APT = "sudo apt-get install baresip-core"
_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """\
sip_listen {name}:{port}
audio_player {device},{ears}
audio_source {device},{mouth}
audio_alert aufile,/dev/null
audio_channels 1
module_path {modules}
module g711.so
module g722.so
module opus.so
opus_bitrate 32000
opus_inbandfec yes
opus_packet_loss 20
module {device}.so
{plc}module srtp.so
module account.so
module menu.so
module ctrl_tcp.so
module sndfile.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {directory}/recorded
call_local_timeout 30
"""

# `regint=0`: no registration; `outbound` is none, the gateway is dialled by its address.
_ACCOUNT = (
    "<sip:{user}@{name}:{port};transport={transport}>;regint=0;answermode={answer};audio_codecs={codec}{encryption}\n"
)


class Baresip:
    """A phone at `host`. What it said and heard is in the two WAV files that it records of each call.

    `sound` is at 8 kHz, with G722 at 16, with opus at 48. `encryption` is a word of baresip's: `srtp` offers keys on
    RTP/AVP, `srtp-mand` insists on RTP/SAVP, `srtp-mandf` on RTP/SAVPF.
    With `transport="tls"` it trusts `tls_ca`, and shows `tls_certificate` (a file with its key in it) if there is one.
    Without `sound`, at 8 kHz, it takes every call and says what it plays: what comes back is what a listener hears.
    With `answers` it takes every call for `user`, too. `alone` is for a machine that has no other address: it writes
    that of loopback into its SDP.
    `registers` is a host and port, a blank and a password: it registers there as `user`.
    With a `card`, at 8 kHz, it says and hears by that: what it records ends with the first hold.
    """

    def __init__(
        self,
        directory: Path,
        sound: list[int] | None,
        *,
        transport: str = "udp",
        codec: str = "PCMU",
        host: str = "127.0.0.1",
        encryption: str = "",
        tls_ca: Path | None = None,
        tls_certificate: Path | None = None,
        alone: bool = False,
        answers: bool = False,
        card: SoundCard | None = None,
        user: str = "phone",
        registers: str = "",
    ) -> None:
        assert shutil.which("baresip"), f"baresip is missing: {APT}"
        self.directory = directory
        self.transport = transport
        # A test that is played once more has the same, and what was heard then is no matter.
        shutil.rmtree(directory / "recorded", ignore_errors=True)
        (directory / "recorded").mkdir(parents=True)
        rate = self.rate = RATES.get(codec, RATE)
        self._channels = 2 if codec == "opus" else 1
        if sound is not None:
            both = [sample for sample in sound for _ in range(self._channels)]
            write_wav(directory / "said.wav", both, rate, channels=self._channels)
        # The port after its own it takes for TLS.
        self.port, control = ports(2), ports(1)
        fields = {
            "name": f"[{host}]" if ":" in host else host,
            "port": self.port,
            "user": user,
            "transport": transport,
            "codec": f"{codec}/{rate}/{self._channels}",
            "encryption": f";mediaenc={encryption}" if encryption else "",
            "plc": "" if codec == "opus" else "module plc.so\n",
            "control": control,
            "answer": "auto" if sound is None or answers else "manual",
            "device": "aubridge" if sound is None else "aufile",
        }
        fields |= dict.fromkeys(("ears", "mouth"), "air" if sound is None else f"{directory}/said.wav")
        if card is not None:
            fields |= {"device": "alsa", "ears": "ears", "mouth": "mouth", "answer": "auto" if answers else "manual"}
        config = _CONFIG.format(directory=directory, modules=_MODULES, **fields)
        # A pipe takes what is played page by page, a quarter of a second at once.
        config += "audio_buffer 20-1000\n" if card is not None else ""
        config += f"sip_cafile {tls_ca}\n" if tls_ca is not None else ""
        config += f"sip_certificate {tls_certificate}\n" if tls_certificate is not None else ""
        (directory / "config").write_text(config)
        account = _ACCOUNT.format(**fields)
        if registers:
            where, password = registers.split(" ")
            account = account.replace(f"{fields['name']}:{self.port}", where).replace("regint=0", "regint=60")
            account = account.replace(";regint", f";auth_pass={password};regint")
        (directory / "accounts").write_text(account)
        (directory / "contacts").write_text("")
        self._log = (directory / "baresip.log").open("wb")
        # Left to itself it writes the address of some interface into its SDP, and IPv4 for a call over IPv6.
        where = ["-6" if ":" in host else "-4", *(["-n", host] if alone or host != "127.0.0.1" else [])]
        self._process = subprocess.Popen(
            ["baresip", *where, "-f", str(directory)], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env=card.environ if card is not None else None,
        )  # fmt: skip
        self._control: socket.socket | None = None
        self._buffer = b""
        self.events: list[dict[str, object]] = []

        def connected() -> bool:
            try:
                self._control = socket.create_connection(("127.0.0.1", control), timeout=5)
            except ConnectionRefusedError:
                assert self._process.poll() is None, self.said()
                return False
            return True

        wait_until(connected, 30, lambda: f"baresip does not start: {self.said()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def said(self) -> str:
        """What it printed."""
        text = (self.directory / "baresip.log").read_text(errors="replace")
        # Without its meter, which it writes over itself ten times a second.
        return re.sub(r"[^\r\n]*audio=\d+/\d+ \(bit/s\)\s*", "", text)

    def dial(self, user: str, gateway: tuple[str, int]) -> str:
        """Call a user of the gateway and wait for the answer; its Call-ID."""
        suffix = "" if self.transport == "udp" else f";transport={self.transport}"
        host = f"[{gateway[0]}]" if ":" in gateway[0] else gateway[0]
        self.command("dial", f"sip:{user}@{host}:{gateway[1]}{suffix}")
        event = self.wait_for("CALL_ESTABLISHED")
        return str(event["id"])

    def command(self, name: str, parameters: str = "") -> None:
        """Give it a command of its menu."""
        assert self._control is not None, "started"
        message = json.dumps({"command": name, "params": parameters})
        self._control.sendall(f"{len(message)}:{message},".encode())

    def wait_for(self, kind: str, within: float = 30.0) -> dict[str, object]:
        """The next event of this type (`CALL_ESTABLISHED`, `CALL_CLOSED`, …)."""

        def found() -> dict[str, object] | None:
            self._read()
            for number, event in enumerate(self.events):
                if event.get("type") == kind:
                    return self.events.pop(number)
            return None

        event = wait_until(found, within, lambda: f"no {kind}: {self.events}\n{self.said()}")
        assert event is not None, "waited for"
        return event

    def says(self, sound: Path) -> None:
        """Say what is in this WAV from now on, at the rate of the first one. At its end the call ends, too."""
        self.command("ausrc", f"aufile,{sound}")

    def heard_so_far(self) -> bytes:
        """What it has heard in the call that goes on, as PCM16."""
        return b"".join(_sound_of(path.read_bytes()) for path in self._recordings("dec")[-1:])

    def hears(self, hz: float, *, seconds: float = 0.25, at_least: float = 0.92) -> list[int]:
        """Wait until so many seconds of this tone and nothing else were heard since the answer; gives these.

        Until the first hold: from then on it writes nothing down.
        """

        def found() -> list[int] | None:
            sound = np.frombuffer(self.heard_so_far(), "<i2")[:: self._channels]
            part = purest_part(sound, hz, self.rate, seconds)
            return part.tolist() if share(part, hz, self.rate) > at_least else None

        return wait_until(found, 30, lambda: f"no {hz} Hz in {len(self.heard_so_far())} bytes: {self.said()}")

    def heard(self) -> list[int]:
        """What it has heard, as PCM16 at its own rate: complete once the call is over."""
        return read_wav(self._recording("dec"))

    def _recording(self, way: str) -> Path:
        files = self._recordings(way)
        assert files, f"baresip recorded nothing: {self.said()}"
        return files[-1]

    def _recordings(self, way: str) -> list[Path]:
        return sorted((self.directory / "recorded").glob(f"*-{way}.wav"))

    def _read(self) -> None:
        assert self._control is not None, "started"
        self._control.settimeout(0.02)
        try:
            data = self._control.recv(65536)
            assert data, f"baresip ended: {self.said()}"
            self._buffer += data
        except TimeoutError:
            pass
        while match := re.match(rb"(\d+):", self._buffer):
            end = match.end() + int(match[1])
            if len(self._buffer) <= end:
                break
            told = json.loads(self._buffer[match.end() : end])
            self._buffer = self._buffer[end + 1 :]
            if told.get("event"):
                self.events.append(told)


def tone(hz: float, seconds: float, amplitude: float = 9000.0, rate: int = RATE) -> list[int]:
    """A sine as PCM16."""
    when = np.arange(round(seconds * rate)) / rate
    sound: list[int] = np.rint(amplitude * np.sin(2 * np.pi * hz * when)).astype(int).tolist()
    return sound


def write_wav(path: Path, samples: list[int], rate: int = RATE, channels: int = 1) -> None:
    """PCM16 mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array.array("h", samples).tobytes())


def read_wav(path: Path) -> list[int]:
    """The samples of a WAV at 8 kHz; also of one whose writer never filled in its length."""
    return array.array("h", _sound_of(path.read_bytes())).tolist()


def _sound_of(data: bytes) -> bytes:
    sound = data[data.find(b"data") + 8 :]
    return sound[: len(sound) // 2 * 2]
