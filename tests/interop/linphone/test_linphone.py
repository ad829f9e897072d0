"""Linphone calls the gateway: what it says comes back and is heard, in each codec that both have."""

import os
import re
import shutil
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.support.gateway import Gateway, ports, running_gateway, wait_until
from tests.support.speech import as_pcm, read_wav, write_wav
from tests.support.tone import share

pytestmark = pytest.mark.interop

CODECS = ("PCMU", "PCMA", "G722")
TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
codecs = ["PCMU", "PCMA", "G722"]

[[route]]
name = "echo"
destination = "echo:"
"""

CONFIG = """\
[sip]
sip_port={sip}
sip_tcp_port=0
sip_tls_port=0
use_ipv6=0
bind_address=127.0.0.1
contact="Lin" <sip:lin@127.0.0.1>
auto_net_state_mon=0
[rtp]
audio_rtp_port={rtp}
prefer_ipv6=0
[sound]
echocancellation=0
"""


class Linphone:
    """`linphonec`, driven by what is typed; WAV files for its sound card."""

    def __init__(self, directory: Path) -> None:
        assert shutil.which("linphonec"), "linphonec is missing: sudo apt-get install linphone-cli"
        (directory / ".local/share/linphone").mkdir(parents=True)
        (directory / "config").write_text(CONFIG.format(sip=ports(2), rtp=ports(2)))
        self.heard = directory / "heard.wav"
        self._said = directory / "said"
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                ["linphonec", "-c", str(directory / "config")],
                stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=directory,
                env={**os.environ, "HOME": str(directory)},
            )  # fmt: skip

    def type(self, line: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def says(self, pattern: str, within: float = 15.0) -> str:
        """Wait until it has printed this; all that it has printed."""

        def found() -> str | None:
            said = self._said.read_text(errors="replace")
            return said if re.search(pattern, said) else None

        return wait_until(found, within, lambda: f"no {pattern}: {self._said.read_text(errors='replace')}")

    def use(self, codec: str) -> None:
        """Offer this codec alone."""
        self.type("codec list")
        listed = self.says(r"(\d+: L16.*\s+){2}")
        for number, name in re.findall(r"^ *(\d+): (\S+) ", listed, re.MULTILINE):
            self.type(f"codec {'enable' if name == codec else 'disable'} {number}")

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


@contextmanager
def linphone(directory: Path) -> Iterator[Linphone]:
    phone = Linphone(directory)
    try:
        yield phone
    finally:
        phone.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), TOML) as gateway:
        yield gateway


@pytest.mark.parametrize("codec", CODECS)
def test_a_tone_sent_is_that_tone_heard(gateway: Gateway, tmp_path: Path, codec: str) -> None:
    rate = 16_000
    said = tmp_path / "said.wav"
    write_wav(said, as_pcm(8_000 * np.sin(2 * np.pi * 440 * np.arange(20 * rate) / rate)), rate)
    with linphone(tmp_path / "linphone") as phone:
        phone.type("soundcard use files")
        phone.use(codec)
        phone.type(f"play {said}")
        phone.type(f"record {phone.heard}")
        phone.type(f"call sip:echo@{gateway.udp[0]}:{gateway.udp[1]}")
        phone.says("Media streams established")
        time.sleep(3)
        phone.type("terminate")
        phone.says(r"ended \(No error\)")
        wait_until(lambda: is_whole(phone.heard), 5, "the recording is not finished")
        heard, heard_rate = read_wav(phone.heard)
    (record,) = wait_until(
        lambda: [call for call in gateway.calls() if call["codec"] == codec and call["end_reason"]],
        5,
        "the call has no end",
    )
    assert record["end_reason"] == "caller_hung_up"
    assert record["media"]["received_lost"] == 0
    assert len(heard) > 2 * heard_rate
    half = heard_rate // 2
    likeness = [share(heard[at : at + half].tolist(), 440, heard_rate) for at in range(0, len(heard) - half, half)]
    assert sorted(likeness)[len(likeness) // 2] > 0.97, likeness


def is_whole(path: Path) -> bool:
    """Whether a WAV has been closed: its header says how long it is."""
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes() > 0
    except (wave.Error, EOFError, FileNotFoundError):
        return False
