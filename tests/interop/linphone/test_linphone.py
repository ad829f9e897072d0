"""Linphone calls the gateway: what it says comes back and is heard, in each codec that both have."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.interop.linphone.phone import Linphone
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.speech import as_pcm, read_wav, write_wav
from tests.support.tone import purest
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

CODECS = ("PCMU", "PCMA", "G722", "opus")
TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
codecs = ["PCMU", "PCMA", "G722", "opus"]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), TOML) as gateway:
        yield gateway


@pytest.mark.parametrize("codec", CODECS)
@undisturbed
def test_a_tone_sent_is_that_tone_heard(gateway: Gateway, tmp_path: Path, codec: str) -> None:
    rate = 16_000
    said = tmp_path / "said.wav"
    write_wav(said, as_pcm(8_000 * np.sin(2 * np.pi * 440 * np.arange(20 * rate) / rate)), rate)
    with Linphone(tmp_path / "linphone") as phone:
        phone.use_files(said)
        phone.use(codec)
        phone.type(f"call sip:echo@{gateway.udp[0]}:{gateway.udp[1]}")
        phone.says("Media streams established")
        wait_until(lambda: is_heard(phone, codec), 30, "the tone does not come back")
        phone.type("terminate")
        phone.says(r"ended \(No error\)")
        wait_until(lambda: is_whole(phone.heard), 30, "the recording is not finished")
        heard, heard_rate = read_wav(phone.heard)
    record, *_ = wait_until(
        lambda: [call for call in gateway.calls() if call["codec"] == codec and call["end_reason"]],
        30,
        "the call has no end",
    )
    assert record["end_reason"] == "caller_hung_up"
    assert record["media"]["received_lost"] == 0
    assert len(heard) > 1.5 * heard_rate
    assert purest(heard.tolist(), 440, heard_rate) > 0.92


def is_heard(phone: Linphone, codec: str) -> bool:
    """Whether it has the tone by now, in two seconds of sound; its file says at which rate only when it is closed."""
    samples, rate = phone.heard_so_far()[0], {"G722": 16_000, "opus": 48_000}.get(codec, 8_000)
    return len(samples) > 2 * rate and purest(samples, 440, rate) > 0.92


def is_whole(path: Path) -> bool:
    """Whether a WAV has been closed: its header says how long it is."""
    try:
        with wave.open(str(path), "rb") as file:
            return file.getnframes() > 0
    except (wave.Error, EOFError, FileNotFoundError):
        return False
