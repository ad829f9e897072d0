"""Twinkle calls the gateway: its tone comes back in both codecs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.mid_call.phones import TwinklePhone
from tests.interop.twinkle.phone import Twinkle
from tests.support.gateway import Gateway, running_gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

CODECS = {"PCMU": "g711u", "PCMA": "g711a"}
_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML) as gateway:
        yield gateway


@pytest.mark.parametrize("codec", CODECS)
@undisturbed
def test_a_tone_sent_is_that_tone_heard(gateway: Gateway, tmp_path: Path, codec: str) -> None:
    with Twinkle(tmp_path / "twinkle", 440, codecs=CODECS[codec]) as twinkle:
        phone = TwinklePhone(twinkle)
        phone.dial("echo", gateway.udp)
        phone.hears(440)
        phone.hang_up()
        sip_call_id = last_call_id(twinkle)
    record = gateway.record(sip_call_id)
    assert (record["codec"], record["end_reason"]) == (codec, "caller_hung_up")
    assert record["media"]["received_lost"] == record["media"]["received_malformed"] == 0


def last_call_id(twinkle: Twinkle) -> str:
    """Of the call that it made last."""
    return re.findall(r"^Call-ID: *(\S+)", twinkle.log(), re.M | re.I)[-1]
