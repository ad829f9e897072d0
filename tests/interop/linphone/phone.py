"""Linphone as a phone: `linphonec`, driven by what is typed, with WAV files for its sound card."""

import array
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.gateway import ports, wait_until

APT = "sudo apt-get install linphone-cli"

CONFIG = """\
[sip]
sip_port={sip}
sip_tcp_port=0
sip_tls_port=0
use_ipv6=0
bind_address=127.0.0.1
contact="Lin" <sip:lin@127.0.0.1>
auto_net_state_mon=0
{lines}
[rtp]
audio_rtp_port={rtp}
prefer_ipv6=0
[sound]
echocancellation=0
"""


class Linphone:
    """A phone at 127.0.0.1 that says what is in a WAV file (`uses_files`), and keeps what it hears in another.

    `lines` are further settings of its section `[sip]`.
    """

    def __init__(self, directory: Path, lines: str = "") -> None:
        assert shutil.which("linphonec"), f"linphonec is missing: {APT}"
        (directory / ".local/share/linphone").mkdir(parents=True)
        self.port = ports(2)
        (directory / "config").write_text(CONFIG.format(sip=self.port, rtp=ports(2), lines=lines))
        self.heard = directory / "heard.wav"
        self._said = directory / "said"
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                ["linphonec", "-c", str(directory / "config")],
                stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=directory,
                # libpulse would leave a folder for its socket in /tmp.
                env={**os.environ, "HOME": str(directory), "PULSE_RUNTIME_PATH": str(directory / "pulse")},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def type(self, line: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def said(self) -> str:
        """What it has printed."""
        return self._said.read_text(errors="replace")

    def says(self, pattern: str, within: float = 40.0, since: int = 0) -> str:
        """Wait until it has printed this after `since`; all that it has printed."""

        def found() -> str | None:
            said = self.said()
            return said if re.search(pattern, said[since:]) else None

        return wait_until(found, within, lambda: f"no {pattern}: {self.said()}")

    def register(self, user: str, password: str, where: str) -> None:
        """Register at a host and port. Made with `register_only_when_network_is_up=0` in `lines`."""
        self.type(f"register sip:{user}@{where} sip:{where} {password}")

    def use_files(self, said: Path) -> None:
        """Say what is in this WAV, again and again, and keep what is heard."""
        self.type("soundcard use files")
        self.type(f"play {said}")
        self.type(f"record {self.heard}")

    def use(self, *codecs: str) -> None:
        """Offer these alone."""
        self.type("codec list")
        listed = self.says(r"(\d+: L16.*\s+){2}")
        for number, name in re.findall(r"^ *(\d+): (\S+) ", listed, re.MULTILINE):
            self.type(f"codec {'enable' if name in codecs else 'disable'} {number}")

    def heard_so_far(self) -> tuple[list[int], int]:
        """What it has heard in the call that goes on, as PCM16, and its rate."""
        data = self.heard.read_bytes() if self.heard.exists() else b""
        sound = data[44:]
        samples = array.array("h", sound[: len(sound) // 2 * 2]).tolist()
        return samples, int.from_bytes(data[24:28], "little") or 8_000

    def kill(self) -> None:
        """End it as a phone ends whose battery is empty."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.close()
