"""baresip's sound by every way that the gateway's SDP can agree on: a tone sent is that tone heard."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import RATE, RATES, Baresip, tone
from tests.support.gateway import Gateway, running_gateway

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "::1"]
codecs = ["opus", "G722", "PCMU", "PCMA"]

[[route]]
name = "echo"
destination = "echo:"
"""


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
        call_id = phone.dial("echo", gateway.ipv6 if ":" in host else gateway.udp)
        phone.hears(hz, at_least=0.9)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    record = gateway.record(call_id)
    assert (record["codec"], record["media_family"], record["encryption"]) == (codec, 6 if ":" in host else 4, "none")
    assert record["media"]["received_lost"] == record["media"]["received_wrong_payload_type"] == 0
