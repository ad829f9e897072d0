"""baresip calls with SRTP: in each of its ways, hold and resume, and what each policy makes of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.support.gateway import Gateway, running_gateway

pytestmark = pytest.mark.interop

# The one that it offers. As the callee it takes others too: tests/interop/phone/test_encrypted.py.
SUITE = "AES_CM_128_HMAC_SHA1_80"
POLICIES = {"off": "127.0.0.1", "optional": "127.0.0.2", "required": "127.0.0.3"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Whatever its signalling leaves from, its media leaves from 127.0.0.1.
    trunks = [
        f'[[trunk]]\nname = "{policy}"\nallow = ["{host}"]\nmedia_allow = ["127.0.0.1"]\nsrtp = "{policy}"\n'
        for policy, host in POLICIES.items()
    ]
    toml = "\n".join([*trunks, '[[route]]\nname = "echo"\ndestination = "echo:"\n'])
    with running_gateway(tmp_path_factory.mktemp("encrypted"), toml) as gateway:
        yield gateway


def hears_itself(phone: Baresip, seconds: float = 0.0) -> None:
    """A tone that was sent has come back, by the echo test; the call goes on, and is hung up."""
    phone.hears(440)
    time.sleep(seconds)
    phone.command("hangup")
    phone.wait_for("CALL_CLOSED")
    assert "failed to decrypt" not in phone.said()


def assert_clean(record: dict[str, Any]) -> None:
    """Both ways were encrypted and nothing was refused."""
    assert (record["encryption"], record["end_reason"]) == (SUITE, "caller_hung_up")
    media = record["media"]
    assert media["received_packets"] > 10
    refused = ("received_unauthenticated", "received_replayed", "received_lost")
    assert {name: media[name] for name in refused} == dict.fromkeys(refused, 0)
    # A ping before it has its keys, a goodbye when it has them no more: both go in the clear, and are dropped.
    assert media["rtcp_unauthenticated"] <= 2


@pytest.mark.parametrize("word", ["srtp", "srtp-mand", "srtp-mandf"])
@pytest.mark.parametrize("policy", ["optional", "required"])
def test_a_tone_comes_back_encrypted(gateway: Gateway, tmp_path: Path, policy: str, word: str) -> None:
    # One goes past its first report, after 5 s, which is encrypted too.
    reports = (policy, word) == ("required", "srtp-mand")
    with Baresip(tmp_path / "phone", tone(440, 30), host=POLICIES[policy], encryption=word) as phone:
        call_id = phone.dial("echo", gateway.udp)
        hears_itself(phone, seconds=6 if reports else 0)
        assert f"SRTP is Enabled (cryptosuite={SUITE})" in phone.said()
    record = gateway.record(call_id)
    assert_clean(record)
    assert record["media"]["rtcp_received"] >= reports


@pytest.mark.parametrize("word", ["srtp", "srtp-mand"])
def test_hold_and_resume_stay_encrypted(gateway: Gateway, tmp_path: Path, word: str) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), host=POLICIES["required"], encryption=word) as phone:
        call_id = phone.dial("echo", gateway.udp)
        answered(phone)
        phone.hears(440)
        phone.command("hold")
        answered(phone)
        phone.command("resume")
        answered(phone)
        # Packets with the keys of the last offer.
        hears_itself(phone, seconds=0.5)
    shown = gateway.explained(call_id)
    assert shown["call"]["encryption"] == SUITE
    decisions = [str(entry["note"]) for entry in shown["timeline"]["entries"] if entry["kind"] == "sdp"]
    assert sum("encrypted with" in note and ", to " in note for note in decisions) == 3
    assert shown["call"]["media"]["received_unauthenticated"] == 0


@pytest.mark.parametrize(
    ("policy", "word", "reason"),
    [("required", "", "srtp_required"), ("off", "srtp-mand", "srtp_not_supported")],
)
def test_what_the_policy_forbids_is_refused(
    gateway: Gateway, tmp_path: Path, policy: str, word: str, reason: str
) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), host=POLICIES[policy], encryption=word) as phone:
        phone.command("dial", f"sip:echo@{gateway.udp[0]}:{gateway.udp[1]}")
        closed = phone.wait_for("CALL_CLOSED")
        assert "488" in str(closed["param"])
    record = gateway.record(str(closed["id"]))
    assert (record["end_reason"], record["encryption"]) == (reason, None)


@pytest.mark.parametrize(("policy", "word"), [("optional", ""), ("off", ""), ("off", "srtp")])
def test_a_plain_call_where_it_may_be_plain(gateway: Gateway, tmp_path: Path, policy: str, word: str) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), host=POLICIES[policy], encryption=word) as phone:
        call_id = phone.dial("echo", gateway.udp)
        hears_itself(phone)
    assert gateway.record(call_id)["encryption"] == "none"


def answered(phone: Baresip) -> None:
    """Wait until an offer of the phone has its answer."""
    assert phone.wait_for("CALL_REMOTE_SDP")["param"] == "answer"
