"""Calls out by a trunk that requires SRTP: the sound to it is encrypted, or there is no call, and a record why."""

import re
from collections.abc import Sequence

import pytest
from tests.scenario.test_bridged import CONFIG as BRIDGED
from tests.scenario.test_bridged import BridgingWorld
from tests.scenario.test_next_target import ONE, TWO, Edge, trunk, udp
from tests.scenario.test_transfer_by_us import CONFIG as TRANSFERS
from tests.scenario.test_transfer_by_us import TransferringWorld
from tests.support.carrier import CARRIER, CONFIG, CalledPhone, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.encrypted import SUITE, our_keys, secured, theirs
from tests.support.media import FakeLeg
from tests.support.sdp import crypto
from tests.support.world import GATEWAY, notes, sdp

from offhook._media import SrtpKeys
from offhook.call.end_reason import EndReason
from offhook.sdp.crypto import SUITES

pytestmark = [pytest.mark.scenario, pytest.mark.rfc(4568, "7")]

TAG = list(SUITES).index(SUITE) + 1
PLAIN = sdp(host=CARRIER)


def required(config: str) -> str:
    return config.replace(f'host = "{CARRIER}"', f'host = "{CARRIER}"\nsrtp = "required"')


def keyed(fill: int = 7, *, protocol: str = "RTP/SAVP", tag: int = TAG, **options: object) -> bytes:
    """The trunk's SDP with a key that is all `fill`, as an answer to our offer."""
    return secured(crypto(tag=tag, fill=fill), protocol=protocol, host=CARRIER, **options)


def agreed(phone: CalledPhone, fill: int = 7) -> SrtpKeys:
    """What both sides use once that answer is taken."""
    return SrtpKeys(SUITE, send=our_keys(phone.offer)[SUITE], receive=theirs(fill))


def never_plain(leg: FakeLeg) -> bool:
    """Whether the media core was never told to send without keys."""
    return all(remote.srtp is not None for remote in leg.remotes) and (leg.started_at is None or bool(leg.remotes))


def says(world: DiallingWorld, phone: CalledPhone, status: int, tag: str, body: bytes) -> None:
    """A response of a fork that the carrier's own phone knows nothing of."""
    headers = (("Contact", f"<sip:{tag}@{CARRIER}>"),)
    response = phone.request.response(
        status, to_tag=tag, headers=headers, body=body, content_type="application/sdp" if body else None
    )
    world.network.send(world.carrier.flows, bytes(response), (GATEWAY, 5060))


def endings(world: DiallingWorld | BridgingWorld | TransferringWorld, direction: str) -> Sequence[str]:
    return [record.end_reason for record in world.records if record.direction == direction]


# -- the first answer


@in_virtual_time
async def test_the_offer_is_encrypted_alone_and_so_is_the_sound() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        _, phone = await world.dial()
        assert re.findall(rb"m=\S+ \d+ (\S+)", phone.offer) == [b"RTP/SAVP"]
        assert list(our_keys(phone.offer)) == list(SUITES)
        phone.answer(keyed())
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone)
        assert world.leg.started_at is not None
        phone.hang_up()
        await world.pass_time(0.1)
        assert world.records[0].encryption == SUITE
        assert never_plain(world.leg)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (PLAIN, "srtp_required"),
        (secured(host=CARRIER), "no_common_crypto"),
        (keyed(tag=TAG + 1), "no_common_crypto"),
        (keyed(tag=99), "no_common_crypto"),
        (keyed(tag=99, protocol="RTP/AVP"), "srtp_required"),
        (secured(crypto(tag=TAG) + "|2^20|1:4", host=CARRIER), "no_common_crypto"),
        (secured(f"a=crypto:{TAG} {SUITE} inline:AAAA", host=CARRIER), "no_common_crypto"),
        (secured(crypto(tag=TAG) + " UNENCRYPTED_SRTP", host=CARRIER), "no_common_crypto"),
        (secured("a=fingerprint:sha-256 AA:BB", protocol="UDP/TLS/RTP/SAVP", host=CARRIER), "no_offer_answer"),
    ],
)
@in_virtual_time
async def test_an_answer_without_a_key_that_we_can_use_is_no_call(answer: bytes, reason: str) -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial()
        phone.ring()
        await world.pass_time(1)
        phone.answer(answer)
        await world.pass_time(0.2)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", reason)
        assert outcome.hint == EndReason.of(reason).hint
        assert outcome.detail
        assert phone.acknowledged == 1
        assert phone.bye is not None
        assert (world.leg.remotes, world.leg.started_at) == ([], None)
        [record] = world.records
        assert (record.end_reason, record.encryption, record.billable_seconds) == (reason, None, 0)
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_key_on_rtp_avp_that_answers_our_offer_is_used_and_noted() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        _, phone = await world.dial()
        phone.answer(keyed(protocol="RTP/AVP"))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone)
        phone.hang_up()
        await world.pass_time(0.1)
        assert world.records[0].encryption == SUITE
        assert any("the answer says RTP/AVP to our RTP/SAVP" in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_a_refused_offer_says_that_it_was_encrypted_alone() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial()
        phone.refuse(488)
        await world.pass_time(0.1)
        assert 'srtp = "required"' in call.decided.result().detail
        assert world.leg.remotes == []
    async with DiallingWorld() as world:
        call, phone = await world.dial()
        phone.refuse(488)
        await world.pass_time(0.1)
        assert call.decided.result().end_reason == "no_common_codec"


@pytest.mark.rfc(3261, "21.4.26")
@pytest.mark.parametrize(
    ("srtp", "reason", "warning", "body", "ending"),
    [
        ("required", None, None, b"", "srtp_refused"),
        ("required", None, (302, "Incompatible transport protocol"), b"", "srtp_refused"),
        ("required", None, None, PLAIN, "srtp_refused"),
        ("required", None, (305, "Incompatible media format"), b"", "no_common_codec"),
        ("required", None, None, secured(host=CARRIER), "no_common_codec"),
        ("off", None, None, b"", "no_common_codec"),
        ("off", None, (304, "Media type not available"), PLAIN, "no_common_codec"),
        ("off", None, (302, "Incompatible transport protocol"), b"", "srtp_demanded"),
        ("off", None, (399, "RTP/SAVP only"), b"", "srtp_demanded"),
        ("off", "SRTP Required", None, b"", "srtp_demanded"),
        ("optional", None, None, secured(host=CARRIER), "srtp_demanded"),
    ],
)
@in_virtual_time
async def test_a_488_says_whether_it_was_the_encryption(
    srtp: str, reason: str | None, warning: tuple[int, str] | None, body: bytes, ending: str
) -> None:
    async with DiallingWorld(required(CONFIG).replace('"required"', f'"{srtp}"')) as world:
        call, phone = await world.dial()
        headers = (("Warning", f'{warning[0]} edge.carrier.test "{warning[1]}"'),) if warning is not None else ()
        answer = phone.request.response(
            488, to_tag="t", reason=reason, headers=headers, body=body, content_type="application/sdp" if body else None
        )
        world.network.send(world.carrier.flows, bytes(answer), (GATEWAY, 5060))
        await world.pass_time(0.1)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason, outcome.status) == ("failed", ending, 488)
        assert outcome.hint == EndReason.of(ending).hint
        [record] = world.records
        assert (record.end_reason, record.sip_status) == (ending, 488)


# -- before the answer


@pytest.mark.rfc(3261, "13.2.2.4")
@in_virtual_time
async def test_each_fork_is_heard_with_its_own_key() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial(early_media=True)
        says(world, phone, 183, "one", keyed(1))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone, 1)
        says(world, phone, 183, "two", keyed(2, port=4100))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone, 1), "one is heard at a time"
        says(world, phone, 199, "one", b"")
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone, 2)
        says(world, phone, 200, "three", keyed(3, port=4200))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == agreed(phone, 3)
        assert [remote.port for remote in world.leg.remotes] == [4000, 4100, 4200]
        assert call.answered_at is not None
        assert never_plain(world.leg)


@pytest.mark.parametrize("first", ["plain", "keyed"])
@in_virtual_time
async def test_of_two_forks_the_one_without_a_key_is_not_heard(first: str) -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial(early_media=True)
        for tag in (first, "keyed" if first == "plain" else "plain"):
            says(world, phone, 183, tag, PLAIN if tag == "plain" else keyed(5))
            await world.pass_time(0.1)
            says(world, phone, 199, tag, b"")
            await world.pass_time(0.1)
        assert [remote.srtp for remote in world.leg.remotes] == [agreed(phone, 5)]
        says(world, phone, 200, "plain", PLAIN)
        await world.pass_time(0.2)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", "srtp_required")
        assert never_plain(world.leg)
        assert any("no sound before the answer" in note for note in notes(world.timelines[0], "sdp"))
        assert len(world.network.requests("BYE")) == 1


@in_virtual_time
async def test_a_key_before_the_answer_and_none_in_it_is_no_call() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial(early_media=True)
        says(world, phone, 183, "one", keyed(1))
        await world.pass_time(0.1)
        says(world, phone, 200, "one", PLAIN)
        await world.pass_time(0.2)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.end_reason) == ("failed", "srtp_required")
        assert [remote.srtp for remote in world.leg.remotes] == [agreed(phone, 1)]
        assert len(world.network.requests("BYE")) == 1


@in_virtual_time
async def test_another_key_in_the_answer_than_before_it_is_the_one_that_counts() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial(early_media=True)
        says(world, phone, 183, "one", keyed(1))
        await world.pass_time(0.1)
        says(world, phone, 200, "one", keyed(2))
        await world.pass_time(0.1)
        assert [remote.srtp for remote in world.leg.remotes] == [agreed(phone, 1), agreed(phone, 2)]
        assert call.answered_at is not None


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_an_update_before_the_answer_can_not_take_the_keys_away() -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        call, phone = await world.dial(early_media=True)
        phone.ring(183, keyed(), reliable=True)
        await world.pass_time(0.5)
        phone.update(sdp(host=CARRIER, version=2))
        await world.pass_time(0.5)
        assert len(world.network.responses(488, "UPDATE")) == 1
        phone.answer(keyed())
        await world.pass_time(0.1)
        assert call.answered_at is not None
        assert [remote.srtp for remote in world.leg.remotes] == [agreed(phone)]


# -- later


@pytest.mark.parametrize("offer", [sdp(host=CARRIER, version=2), secured(host=CARRIER, version=2)])
@in_virtual_time
async def test_a_later_offer_that_would_be_plain_is_refused_and_the_call_stays_encrypted(offer: bytes) -> None:
    async with DiallingWorld(required(CONFIG)) as world:
        _, phone = await world.dial()
        phone.answer(keyed())
        await world.pass_time(0.1)
        phone.reinvite(offer)
        await world.pass_time(0.2)
        assert len(world.network.responses(488)) == 1
        assert [remote.srtp for remote in world.leg.remotes] == [agreed(phone)]
        assert phone.bye is None
        phone.hang_up()
        await world.pass_time(0.1)
        assert world.records[0].encryption == SUITE
        assert any("the call stays as it was" in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_the_next_trunk_that_is_asked_has_its_own_policy() -> None:
    trunks = trunk("one", ONE, "priority = 1") + trunk("two", TWO, 'srtp = "required"', "priority = 2")
    async with Edge(trunks, names={"acme.test": udp(ONE)}) as world:
        call = await world.place()
        assert b"crypto" not in world.rang_at(ONE).offer
        world.rang_at(ONE).refuse(503)
        await world.pass_time(0.1)
        phone = world.rang_at(TWO)
        assert re.findall(rb"m=\S+ \d+ (\S+)", phone.offer) == [b"RTP/SAVP"]
        phone.answer(sdp(host=TWO))
        await world.pass_time(0.2)
        assert call.decided.result().end_reason == "srtp_required"
        assert world.leg.remotes == []


# -- two legs


@in_virtual_time
async def test_a_bridged_call_is_encrypted_towards_the_trunk_that_requires_it() -> None:
    async with BridgingWorld(required(BRIDGED)) as world:
        call, phone = await world.ringing()
        phone.answer(keyed())
        await world.pass_time(0.2)
        assert call.is_answered
        first, second = world.engine.legs
        assert first.remote.srtp is None
        assert second.remote.srtp == agreed(phone)
        # The caller holds, and the trunk would answer our offer of that in the clear.
        phone.answers_reinvites = sdp(host=CARRIER, version=9)
        call.reinvite(sdp(way="sendonly", version=2))
        await world.pass_time(1)
        assert never_plain(second)
        assert phone.bye is not None
        assert call.bye is not None
        assert endings(world, "outbound") == ["srtp_required"]
        await world.is_clean()


@in_virtual_time
async def test_a_bridged_call_that_is_answered_in_the_clear_is_none() -> None:
    async with BridgingWorld(required(BRIDGED)) as world:
        call, phone = await world.ringing()
        phone.answer(PLAIN)
        await world.pass_time(2)
        assert not call.is_answered
        assert call.statuses[-1] >= 400
        assert phone.bye is not None
        assert world.engine.legs[1].remotes == []
        assert endings(world, "inbound") == endings(world, "outbound") == ["srtp_required"]
        await world.is_clean()


@pytest.mark.parametrize(("answer", "outcome"), [(PLAIN, "refused"), (keyed(), "completed")])
@in_virtual_time
async def test_a_transfer_by_a_call_of_ours_is_encrypted_or_did_not_happen(answer: bytes, outcome: str) -> None:
    async with TransferringWorld(required(TRANSFERS)) as world:
        call, phone = await world.rung()
        phone.answer(answer)
        await world.pass_time(0.5)
        [result] = world.told()
        assert (result["outcome"], result["way"]) == (outcome, "bridge")
        second = world.engine.legs[1]
        assert never_plain(second)
        assert len(second.remotes) == (1 if outcome == "completed" else 0)
        assert not call.is_over, "the caller is with the agent, or with the target"
        if outcome == "refused":
            assert "encrypted media only" in result["reason"]
            assert endings(world, "outbound") == ["srtp_required"]
        call.hang_up()
        await world.is_clean()
