"""The phone calls the gateway in wideband, on IPv6, encrypted: what it says comes back to it."""

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.phone.callee import phone
from tests.support.gateway import Gateway, running_gateway
from tests.support.tone import purest
from tests.support.undisturbed import undisturbed

from offhook.phone.sound import RATE, WIDE_RATE, from_bytes

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "::1"]
codecs = ["G722", "PCMU", "PCMA"]
srtp = "optional"

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    listen = 'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0"]'
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML, sip=listen) as gateway:
        yield gateway


@pytest.mark.parametrize("srtp", [False, True])
@pytest.mark.parametrize(("codecs", "spoken"), [("PCMA", "PCMA"), ("PCMU,G722", "G722")])
@pytest.mark.parametrize("family", [4, 6])
@undisturbed
def test_what_is_said_comes_back(
    gateway: Gateway, tmp_path: Path, family: int, codecs: str, spoken: str, srtp: bool
) -> None:
    host, port = gateway.ipv6 if family == 6 else gateway.udp
    record, rate = tmp_path / "call.wav", WIDE_RATE if spoken == "G722" else RATE
    hz = 5_000 if spoken == "G722" else 700
    told = phone(
        f"sip:echo@[{host}]:{port}" if family == 6 else f"sip:echo@{host}:{port}",
        *("--codec", codecs, "--play", f"tone:{hz}", "--seconds", "2", "--record", str(record), "--dtmf", "5"),
        *(("--srtp",) if srtp else ()),
    )
    found = told.found
    assert told.code == 0, found["verdict"]
    assert found["codec"] == spoken
    assert (found["encryption"] != "none") == srtp
    assert found["addresses"]["local_media"].startswith("[::1]" if family == 6 else "127.0.0.1")
    with wave.open(str(record)) as reader:
        assert reader.getframerate() == rate
        both = from_bytes(reader.readframes(reader.getnframes()))
    for channel in (both[0::2], both[1::2]):
        assert purest(channel, hz, rate, seconds=0.3) > 0.9
    shown = gateway.record(found["sip_call_id"])
    assert (shown["codec"], shown["encryption"], shown["media_family"]) == (spoken, found["encryption"], family)
    assert shown["media"]["received_digits"] == 1


def test_it_insists_on_encryption_where_there_is_none(tmp_path: Path) -> None:
    plain = _TOML.replace('srtp = "optional"\n', "")
    with running_gateway(tmp_path / "gateway", plain) as gateway:
        told = phone(f"sip:echo@127.0.0.1:{gateway.udp[1]}", "--srtp")
    assert (told.code, told.slug) == (1, "no_common_codec")
    assert "--srtp" in told.found["verdict"]["hint"]
