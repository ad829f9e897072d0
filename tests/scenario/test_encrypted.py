"""Encrypted media by the trunk's policy: what is answered, what is refused, and that no output holds a key."""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import asdict

import pytest
from structlog.testing import capture_logs
from tests.support.clock import in_virtual_time
from tests.support.encrypted import SUITE, our_keys, secured, theirs
from tests.support.sdp import crypto
from tests.support.world import ECHO, World, notes, sdp

from offhook._media import SrtpKeys
from offhook.sdp.crypto import SUITES

pytestmark = [pytest.mark.scenario, pytest.mark.rfc(4568, "7")]


def policy(policy: str) -> str:
    return ECHO.replace("[[route]]", f'srtp = "{policy}"\n\n[[route]]')


@pytest.mark.parametrize("wanted", ["optional", "required"])
@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/SAVPF", "RTP/AVP"])
@in_virtual_time
async def test_an_encrypted_offer_is_answered_in_kind(wanted: str, protocol: str) -> None:
    async with World(policy(wanted)) as world:
        call = await world.place_answered(offer=secured(crypto(tag=5), protocol=protocol))
        assert f"{protocol} 0" in call.answer.decode()
        assert "a=crypto:5 AES_CM_128_HMAC_SHA1_80 inline:" in call.answer.decode()
        ours = our_keys(call.answer)[SUITE]
        assert world.leg.remote.srtp == SrtpKeys(SUITE, send=ours, receive=theirs())
        assert ours != theirs()
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].encryption == SUITE


@in_virtual_time
async def test_each_call_has_a_key_of_its_own() -> None:
    async with World(policy("optional")) as world:
        keys = set()
        for _ in range(5):
            call = await world.place_answered(offer=secured(crypto()))
            keys.add(our_keys(call.answer)[SUITE])
            call.hang_up()
            await world.pass_time(1)
        assert len(keys) == 5


@in_virtual_time
async def test_optional_takes_plain_calls_and_the_encrypted_line_of_two() -> None:
    async with World(policy("optional")) as world:
        call = await world.place_answered()
        assert world.leg.remote.srtp is None
        assert b"crypto" not in call.answer
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].encryption == "none"
        plain_line = b"m=audio 4002 RTP/AVP 0\r\n"
        for offer in (secured(crypto()) + plain_line, sdp() + f"m=audio 4002 RTP/SAVP 0\r\n{crypto()}\r\n".encode()):
            call = await world.place_answered(offer=offer)
            assert world.leg.remote.srtp is not None
            assert len(re.findall(rb"m=audio 0 RTP/AVP", call.answer)) == 1
            call.hang_up()
            await world.pass_time(1)


@pytest.mark.parametrize(
    ("wanted", "offer", "reason"),
    [
        ("off", secured(crypto()), "srtp_not_supported"),
        ("required", sdp(), "srtp_required"),
        ("required", secured(protocol="RTP/AVP"), "srtp_required"),
        ("required", secured("a=crypto:1 F8_128_HMAC_SHA1_80 inline:AA"), "no_common_crypto"),
        ("optional", secured("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA"), "no_common_crypto"),
        ("optional", secured(crypto() + "|2^20|1:4"), "no_common_crypto"),
        ("required", secured(protocol="UDP/TLS/RTP/SAVP"), "no_common_crypto"),
    ],
)
@in_virtual_time
async def test_what_can_not_be_agreed_on_is_refused_by_name(wanted: str, offer: bytes, reason: str) -> None:
    async with World(policy(wanted)) as world:
        call = await world.place(offer=offer)
        await world.pass_time(1)
        assert call.statuses[-1] == 488
        assert (world.records[0].end_reason, world.records[0].encryption) == (reason, None)
        assert world.engine.legs == [], "a refused call takes no port"


@in_virtual_time
async def test_off_reads_past_keys_on_a_plain_line() -> None:
    async with World(policy("off")) as world:
        call = await world.place_answered(offer=secured(crypto(), protocol="RTP/AVP"))
        assert world.leg.remote.srtp is None
        assert b"crypto" not in call.answer


# -- later offers


@in_virtual_time
async def test_hold_and_resume_keep_the_keys() -> None:
    async with World(policy("required")) as world:
        call = await world.place_answered(offer=secured(crypto()))
        keys = world.leg.remote.srtp
        for version, way in ((2, "sendonly"), (3, "sendrecv")):
            call.reinvite(secured(crypto(), way=way, version=version))
            await world.pass_time(0.1)
            assert world.leg.remote.srtp == keys
            assert world.leg.remote.hold is (way == "sendonly")
        answers = [response.body for response in call.reinvited if response]
        assert [our_keys(answer) for answer in answers] == [our_keys(call.answer)] * 2


@in_virtual_time
async def test_a_new_key_of_the_caller_brings_a_new_key_of_ours() -> None:
    async with World(policy("required")) as world:
        call = await world.place_answered(offer=secured(crypto()))
        before = our_keys(call.answer)[SUITE]
        call.reinvite(secured(crypto(fill=8), version=2))
        await world.pass_time(0.1)
        assert call.reinvited[0] is not None
        after = our_keys(call.reinvited[0].body)[SUITE]
        assert after != before
        assert world.leg.remote.srtp == SrtpKeys(SUITE, send=after, receive=theirs(8))


@pytest.mark.parametrize(
    "offer",
    [
        sdp(version=2),
        secured(protocol="RTP/AVP", version=2),
        secured(version=2),
        secured("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", version=2),
    ],
)
@in_virtual_time
async def test_a_later_offer_that_would_be_plain_is_refused_and_the_call_stays_encrypted(offer: bytes) -> None:
    async with World(policy("required")) as world:
        call = await world.place_answered(offer=secured(crypto()))
        keys, count = world.leg.remote.srtp, len(world.leg.remotes)
        call.reinvite(offer)
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [488]
        assert world.leg.remote.srtp == keys
        assert len(world.leg.remotes) == count, "the media core is told nothing"
        call.reinvite(secured(crypto(), version=3))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == keys
        assert call.bye is None


@in_virtual_time
async def test_where_it_is_optional_a_call_may_become_plain_and_says_so() -> None:
    async with World(policy("optional")) as world:
        call = await world.place_answered(offer=secured(crypto(), protocol="RTP/AVP"))
        call.reinvite(sdp(version=2))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp is None
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].encryption == "none", "not encrypted throughout"
        assert any("the media is plain" in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_a_reinvite_without_sdp_is_offered_encryption_again_with_new_keys() -> None:
    async with World(policy("required")) as world:
        call = await world.place_answered(offer=secured(crypto()))
        call.acknowledges = secured(crypto(tag=4, fill=9))
        call.reinvite(None)
        await world.pass_time(0.1)
        assert call.reinvited[0] is not None
        offer = call.reinvited[0].body
        assert b"RTP/SAVP 0" in offer
        fresh = our_keys(offer)
        assert list(fresh) == list(SUITES)
        assert our_keys(call.answer)[SUITE] not in fresh.values()
        assert world.leg.remote.srtp == SrtpKeys(SUITE, send=fresh[SUITE], receive=theirs(9))


@pytest.mark.parametrize(("wanted", "protocol"), [("required", "RTP/SAVP"), ("optional", "RTP/AVP")])
@in_virtual_time
async def test_an_invite_without_sdp_is_offered_encryption(wanted: str, protocol: str) -> None:
    async with World(policy(wanted)) as world:
        call = world.caller.call(offer=None)
        call.acknowledges = secured(crypto(tag=4), protocol=protocol)
        await world.pass_time(1)
        assert call.is_answered
        assert f"{protocol} 0" in call.answer.decode()
        assert world.leg.remote.srtp == SrtpKeys(SUITE, send=our_keys(call.answer)[SUITE], receive=theirs())


@pytest.mark.parametrize("answer", [sdp(), secured(), secured(crypto(tag=1))])
@in_virtual_time
async def test_an_answer_that_would_be_plain_ends_the_call(answer: bytes) -> None:
    async with World(policy("required")) as world:
        call = world.caller.call(offer=None)
        call.acknowledges = answer
        await world.pass_time(2)
        assert call.bye is not None
        assert world.records[0].end_reason in ("srtp_required", "no_common_crypto", "no_offer_answer")
        assert world.engine.legs[0].remotes == [], "nothing was ever sent"


@in_virtual_time
async def test_a_plain_answer_to_a_later_offer_of_ours_ends_the_call() -> None:
    async with World(policy("required")) as world:
        call = await world.place_answered(offer=secured(crypto()))
        keys = world.leg.remote.srtp
        call.acknowledges = sdp()
        call.reinvite(None)
        await world.pass_time(2)
        assert call.bye is not None
        assert world.engine.legs[0].remote.srtp == keys


# -- secrets


def spellings(key: bytes) -> Iterable[str]:
    text = base64.b64encode(key).decode()
    return (text, text[:16], text[-20:-4], key.hex(), repr(key)[2:40])


@in_virtual_time
async def test_no_output_holds_a_key(capfd: pytest.CaptureFixture[str]) -> None:
    suites = list(SUITES)
    secrets = []
    with capture_logs() as logs:
        async with World(policy("optional")) as world:
            offer = [crypto(suite, tag, fill=100 + tag) for tag, suite in enumerate(suites)]
            broken = [f"a=crypto:9 {SUITE} inline: {crypto(fill=99)[40:]}", f"a=crypto:{crypto(fill=98)[40:]} x y"]
            call = await world.place_answered(offer=secured(*offer, *broken))
            secrets += our_keys(call.answer).values()
            call.reinvite(secured(*offer, protocol="RTP/AVP", version=2))
            await world.pass_time(0.1)
            call.reinvite(secured(crypto(fill=97), version=3))
            await world.pass_time(0.1)
            call.acknowledges = secured(crypto(tag=4, fill=96))
            call.reinvite(None)
            await world.pass_time(0.1)
            for response in call.reinvited:
                assert response is not None
                secrets += our_keys(response.body).values()
            world.leg.tells("unauthentic", packets=7)
            call.hang_up()
            await world.pass_time(1)
            shown = repr(world.leg.remotes) + repr([remote.srtp for remote in world.leg.remotes])
            record, timeline = world.records[0], world.timelines[0]
    assert len(secrets) > 8
    secrets += [bytes([fill] * SUITES[SUITE]) for fill in (96, 97, 98, 99)]
    secrets += [bytes([100 + tag] * SUITES[suite]) for tag, suite in enumerate(suites)]
    told = json.dumps([asdict(record), timeline.as_dict(), logs], default=repr)
    printed = "".join(capfd.readouterr())
    assert "inline:***" in told
    assert "not authentic" in told
    for secret in secrets:
        for text in spellings(secret):
            assert text not in told
            assert text not in shown + printed
