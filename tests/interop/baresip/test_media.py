"""baresip's sound by every way that the gateway's SDP can agree on: a tone sent is that tone heard."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import RATE, RATES, Baresip, tone
from tests.interop.baresip.test_baresip import answered, decisions, talk
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.tone import share

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "::1"]
codecs = ["opus", "G722", "PCMU", "PCMA"]
srtp = "optional"

[[trunk]]
name = "secure"
allow = ["127.0.0.2"]
# baresip's RTP leaves from the address that the system chooses.
media_allow = ["127.0.0.1"]
srtp = "required"

[[route]]
name = "echo"
destination = "echo:"
"""


def call_and_listen(phone: Baresip, gateway: tuple[str, int]) -> tuple[str, list[int]]:
    """Dial the echo test, talk for a while and hang up: the Call-ID, and what was heard."""
    call_id = phone.dial("echo", gateway)
    talk(2.5)
    phone.command("hangup")
    phone.wait_for("CALL_CLOSED")
    return call_id, phone.heard()


def middle(heard: list[int], rate: int = RATE) -> list[int]:
    """A second out of the middle."""
    assert len(heard) > 1.5 * rate
    return heard[len(heard) // 2 : len(heard) // 2 + rate]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that is heard on IPv4 and IPv6."""
    listen = 'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0"]'
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML, sip=listen) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("host", "codec"),
    [*itertools.product(["127.0.0.1", "::1"], ["PCMU", "PCMA", "G722"]), ("127.0.0.1", "opus")],
)
def test_a_tone_comes_back_in_every_codec_on_both_ip_versions(
    gateway: Gateway, tmp_path: Path, host: str, codec: str
) -> None:
    rate = RATES.get(codec, RATE)
    # What only wideband carries, where it is spoken.
    hz = 5_000 if codec in RATES else 440
    with Baresip(tmp_path / "phone", tone(hz, 30, rate=rate), codec=codec, host=host) as phone:
        call_id, heard = call_and_listen(phone, gateway.ipv6 if ":" in host else gateway.udp)
    record = gateway.record(call_id)
    assert (record["codec"], record["media_family"], record["encryption"]) == (codec, 6 if ":" in host else 4, "none")
    assert record["media"]["received_lost"] == record["media"]["received_wrong_payload_type"] == 0
    left = heard[::2] if codec == "opus" else heard
    assert share(middle(left, rate), hz, rate) > 0.9


@pytest.mark.parametrize("encryption", ["srtp", "srtp-mand", "srtp-mandf"])
@pytest.mark.parametrize("trunk", ["phones", "secure"])
def test_encrypted(gateway: Gateway, tmp_path: Path, trunk: str, encryption: str) -> None:
    """By keys on RTP/AVP, RTP/SAVP and RTP/SAVPF, where the trunk leaves it to the caller and where it insists."""
    host = "127.0.0.1" if trunk == "phones" else "127.0.0.2"
    with Baresip(tmp_path / "phone", tone(440, 30), encryption=encryption, host=host) as phone:
        call_id, heard = call_and_listen(phone, gateway.udp)
    shown = gateway.explained(call_id)
    record = shown["call"]
    assert record["trunk"] == trunk
    assert record["encryption"].startswith(("AES_", "AEAD_"))
    assert f"encrypted with {record['encryption']}" in decisions(shown)
    assert record["media"]["received_packets"] > 50
    assert share(middle(heard), 440) > 0.97


def test_held_and_resumed_encrypted(gateway: Gateway, tmp_path: Path) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), encryption="srtp-mand", host="127.0.0.2") as phone:
        call_id = phone.dial("echo", gateway.udp)
        answered(phone)
        talk(0.8)
        phone.command("hold")
        answered(phone)
        talk(0.5)
        phone.command("resume")
        answered(phone)
        talk(1.5)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
        heard = phone.heard()
    record = gateway.record(call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert record["encryption"] != "none"
    assert share(heard[-RATE // 2 :], 440) > 0.97


def test_without_keys_where_they_are_required(gateway: Gateway, tmp_path: Path) -> None:
    with Baresip(tmp_path / "phone", tone(440, 5), host="127.0.0.2") as phone:
        phone.command("dial", f"sip:echo@{gateway.udp[0]}:{gateway.udp[1]}")
        assert "488" in str(phone.wait_for("CALL_CLOSED")["param"])
    assert wait_until(lambda: gateway.calls()[0]["end_reason"], 5, "the call has no end") == "srtp_required"
