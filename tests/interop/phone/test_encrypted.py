"""The phone insists on encryption: with baresip in each suite that it has, and with a gateway that requires it."""

import re
import wave
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.phone.callee import Callee, Told, baresip, end_of, phone, running_phone
from tests.support.gateway import running_gateway, wait_until
from tests.support.suite_filter import only_suite
from tests.support.tone import purest
from tests.support.undisturbed import undisturbed

from offhook.phone.sound import RATE, from_bytes

pytestmark = pytest.mark.interop

SUITES = ("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


@undisturbed
def test_both_tones_cross_encrypted(tmp_path: Path) -> None:
    """In each suite a call, all of them at once: past baresip's first report, which is encrypted too."""
    with ExitStack() as stack:
        begun = []
        for number, suite in enumerate(SUITES):
            # baresip has room for short names only.
            directory = tmp_path / str(number)
            directory.mkdir()
            callee = stack.enter_context(baresip(directory, source="ausine,440", encryption="srtp-mand"))
            host, port = stack.enter_context(only_suite(suite, ("127.0.0.1", callee.port)))
            calling = running_phone(
                *(f"sip:callee@{host}:{port}", "--srtp", "--play", "tone:700", "--seconds", "7"),
                *("--record", str(directory / "call.wav"), "--json"),
            )
            begun.append((suite, directory, callee, stack.enter_context(calling)))
        for suite, directory, callee, process in begun:
            crossed(suite, directory, callee, end_of(process))


def crossed(suite: str, directory: Path, callee: Callee, told: Told) -> None:
    """The call was encrypted in this suite, and each side has heard the other's tone."""
    assert told.code == 0, told.found["verdict"]
    wait_until(lambda: b"terminated" in callee.log.read_bytes(), 30, "baresip did not see the BYE")
    said = callee.log.read_text(errors="replace")
    assert f"SRTP is Enabled (cryptosuite={suite})" in said
    assert told.found["encryption"] == suite
    media = told.found["media"]
    assert (media["received_unauthenticated"], media["received_lost"]) == (0, 0)
    # With this one libre puts tags of 32 bits on RTCP, where RFC 4568 section 6.2.2 has 80.
    if suite != "AES_CM_128_HMAC_SHA1_32":
        assert "failed to decrypt" not in said
        assert media["rtcp_received"] >= 1
    with wave.open(str(directory / "call.wav")) as reader:
        heard = from_bytes(reader.readframes(reader.getnframes()))[1::2]
    assert purest(heard[RATE : 5 * RATE], 440) > 0.92
    (dump,) = directory.glob("dump-*-dec.wav")
    with wave.open(str(dump)) as reader:
        theirs, rate = from_bytes(reader.readframes(reader.getnframes())), reader.getframerate()
    assert purest(theirs[rate : 5 * rate], 700, rate) > 0.92, "what baresip heard, by its own account, is our tone"
    assert re.findall(r"inline:(?!\*\*\*)", told.out) == [], "no key is printed"


@undisturbed
def test_a_gateway_that_requires_it(tmp_path: Path) -> None:
    toml = """
[[trunk]]
name = "local"
allow = ["127.0.0.1"]
srtp = "required"

[[route]]
name = "all"
destination = "echo:"
"""
    with running_gateway(tmp_path / "gateway", toml) as gateway:
        host, port = gateway.udp
        plain = phone(f"sip:echo@{host}:{port}", "--seconds", "1")
        assert (plain.code, plain.slug) == (1, "no_common_codec")
        told = phone(f"sip:echo@{host}:{port}", "--srtp", "--seconds", "4")
        shown = gateway.explained(told.found["sip_call_id"])
    assert told.code == 0, told.found["verdict"]
    assert told.found["encryption"] == shown["call"]["encryption"] == "AEAD_AES_256_GCM"
    assert told.found["echo"]["likeness"] > 0.7, "0.96 and more on a quiet machine; other speech is below 0.4"
    for output in (told.out, str(shown), gateway.said()):
        assert re.findall(r"inline:(?!\*\*\*)", output) == [], "no key is shown"
