"""baresip's sound by every way that the gateway's SDP can agree on: a tone sent is that tone heard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import RATE, Baresip, tone
from tests.interop.baresip.test_baresip import talk
from tests.support.gateway import Gateway, running_gateway
from tests.support.tone import share

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1", "::1"]

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


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_over_ipv6(gateway: Gateway, tmp_path: Path, codec: str) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), codec=codec, host="::1") as phone:
        call_id = phone.dial("echo", gateway.ipv6)
        talk(2.5)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
        heard = phone.heard()
    record = gateway.record(call_id)
    assert (record["codec"], record["media_family"]) == (codec, 6)
    assert record["remote_media"].startswith("[::1]:")
    assert record["media"]["received_lost"] == 0
    second = heard[len(heard) // 2 : len(heard) // 2 + RATE]
    assert share(second, 440) > 0.97
