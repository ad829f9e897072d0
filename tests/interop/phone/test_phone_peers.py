"""The phone calls baresip, and the gateway as a user runs it."""

import socket
import wave
from array import array
from pathlib import Path

import pytest
from tests.interop.phone.callee import baresip, phone
from tests.support.gateway import running_gateway, wait_until
from tests.support.tone import purest
from tests.support.undisturbed import undisturbed

from offhook.phone.sound import RATE, Samples, from_bytes, level_db

pytestmark = pytest.mark.interop


def channels(path: Path) -> tuple[Samples, Samples]:
    with wave.open(str(path)) as reader:
        assert (reader.getnchannels(), reader.getframerate()) == (2, RATE)
        both = from_bytes(reader.readframes(reader.getnframes()))
    return both[0::2], both[1::2]


def middle(samples: Samples, begin: float, end: float) -> Samples:
    return samples[round(begin * RATE) : round(end * RATE)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@undisturbed
def test_both_tones_cross_between_the_phone_and_baresip(transport: str, tmp_path: Path) -> None:
    record = tmp_path / "call.wav"
    with baresip(tmp_path, source="ausine,440") as callee:
        told = phone(
            f"sip:callee@127.0.0.1:{callee.port}", "--transport", transport, "--play", "tone:700", "--seconds", "3",
            "--record", str(record), "--codec", "PCMU",
        )  # fmt: skip
        assert told.code == 0, told.found["verdict"]
        wait_until(lambda: b"terminated" in callee.log.read_bytes(), 30, "baresip did not see the BYE")
    sent, heard = channels(record)
    assert purest(middle(sent, 0.5, 2.5), 700) > 0.92
    assert purest(middle(heard, 0.5, 2.5), 440) > 0.92
    assert told.found["heard"]["sound_seconds"] > 2
    assert told.found["echo"] is None
    assert told.found["media"]["received_lost"] == 0
    assert "baresip" in told.found["device"]
    # What baresip heard, by its own account, is our tone.
    (dump,) = tmp_path.glob("dump-*-dec.wav")
    with wave.open(str(dump)) as reader:
        theirs, rate = from_bytes(reader.readframes(reader.getnframes())), reader.getframerate()
    assert purest(theirs[rate // 2 :], 700, rate) > 0.92


@undisturbed
def test_the_welcome_and_the_echo_of_the_gateway(tmp_path: Path) -> None:
    record = tmp_path / "call.wav"
    with running_gateway(tmp_path / "gateway", "") as gateway:
        host, port = gateway.udp
        told = phone(
            # Until the sentence, said again after the prompt, has come back.
            f"sip:hello@{host}:{port}", "--seconds", "11", "--record", str(record), "--from", "+14155550123",
            "--dtmf", ",,,,,,,7",
        )  # fmt: skip
        shown = gateway.explained(told.found["sip_call_id"])
    found = told.found
    assert told.code == 0
    assert not found["verdict"]["but"]
    # The prompt is heard before the echo begins. It outlasts our sentence, and is waited for before that is said again.
    sent, heard = channels(record)
    assert level_db(middle(heard, 1, 3)) > -40
    assert level_db(middle(sent, 6.1, 7.9)) < -60
    assert level_db(middle(sent, 9, 10)) > -40
    assert found["intervals_ms"]["first_sound"] < 3_000, "of the prompt, not of the echo that follows it"
    assert found["echo"]["likeness"] > 0.7, "0.96 and more on a quiet machine; other speech is below 0.4"
    assert found["echo"]["round_trip_ms"] < 200
    call = shown["call"]
    assert call["from_number"] == "+14155550123"
    assert call["end_reason"] == "caller_hung_up"
    assert call["media"]["received_digits"] == 1
    assert abs(call["media"]["received_packets"] - found["media"]["sent_packets"]) < 50, "of 550"


def test_what_the_gateway_refuses_is_said_with_its_reason(tmp_path: Path) -> None:
    toml = """
[[trunk]]
name = "local"
allow = ["127.0.0.0/8"]
domain = "voice.example"

[[route]]
name = "one"
to = "+4420*"
destination = "echo:"
"""
    with running_gateway(tmp_path, toml) as gateway:
        host, port = gateway.tcp
        wrong_domain = phone(f"sip:+442012345678@{host}:{port}", "--transport", "tcp")
        assert (wrong_domain.code, wrong_domain.slug) == (1, "forbidden")


def test_a_password_of_the_gateway(tmp_path: Path) -> None:
    toml = """
[[trunk]]
name = "home"
inbound = { username = "alice", password = "correct horse" }

[[route]]
name = "all"
destination = "echo:"
"""
    with running_gateway(tmp_path, toml) as gateway:
        host, port = gateway.udp
        target = f"sip:hello@{host}:{port}"
        assert phone(target).slug == "password_wanted"
        assert phone(target, "--user", "alice", "--password", "wrong").slug == "wrong_password"
        told = phone(target, "--user", "alice", "--password", "correct horse", "--seconds", "1")
    assert told.code == 0
    assert "correct horse" not in told.out


def test_ipv6(tmp_path: Path) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    sip, media = 'listen = ["udp://[::1]:0", "tcp://[::1]:0"]', 'listen = "::"\nports = "33400-33419"'
    with running_gateway(tmp_path, "", sip=sip, media=media) as gateway:
        host, port = gateway.udp
        told = phone(f"sip:hello@[{host}]:{port}", "--seconds", "2")
    assert told.code == 0, told.found["verdict"]
    assert told.found["heard"]["sound_seconds"] > 1
    assert told.found["addresses"]["local_media"].startswith("[::1]:")


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@undisturbed
def test_a_file_is_played_once(tmp_path: Path) -> None:
    question = tmp_path / "question.wav"
    with wave.open(str(question), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(array("h", (8_000 if n // 16 % 2 else -8_000 for n in range(16_000))).tobytes())
    record = tmp_path / "call.wav"
    with running_gateway(tmp_path / "gateway", "") as gateway:
        host, port = gateway.udp
        told = phone(
            f"sip:hello@{host}:{port}", "--play", str(question), "--once", "--seconds", "3", "--record", str(record)
        )
    sent, _ = channels(record)
    assert told.code == 0
    assert purest(middle(sent, 0.0, 1.0), 500) > 0.7, "a square wave of 500 Hz"
    assert level_db(middle(sent, 1.5, 2.8)) < -60
