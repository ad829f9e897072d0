"""Requests within a call from elsewhere than its trunk, with wrong names, or after its end: none of them touches it."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, GATEWAY, OFFHOOK, Party, PhoneCall, World, sdp

from offhook.sip.digest import Credentials
from offhook.sip.message import Response

pytestmark = pytest.mark.scenario

OTHER, SECOND, STRANGER = "192.0.2.9", "192.0.2.11", "203.0.113.7"

TRUNKS = OFFHOOK.replace("[[route]]", f'[[trunk]]\nname = "other"\nallow = ["{OTHER}"]\n\n[[route]]').replace(
    f'allow = ["{CALLER}"]', f'allow = ["{CALLER}", "{SECOND}"]'
)

ACME = 'name = "acme"\n'
PASSWORD = TRUNKS.replace(ACME, ACME + 'inbound = { username = "acme", password = "opensesame" }\n')

METHODS = ["BYE", "INVITE", "UPDATE", "INFO", "ACK"]


def forged(party: Party, call: PhoneCall, method: str, **names: str) -> None:
    """A request of the call, written by `party` who has seen its names; `names` are those that it gets wrong."""
    session = call.session
    known = {"call_id": session.sip_call_id, "from_tag": session.local_tag, "to_tag": session.remote_tag or ""} | names
    elsewhere = sdp(host=party.host, port=6666, version=9)
    bodies = {
        "INVITE": ("application/sdp", elsewhere),
        "UPDATE": ("application/sdp", elsewhere),
        "INFO": ("application/dtmf-relay", b"Signal=5\r\n"),
    }
    kind, body = bodies.get(method, ("", b""))
    number = 1 if method == "ACK" else 900
    party.send(
        f"{method} sip:offhook@{GATEWAY} SIP/2.0",
        f"Via: SIP/2.0/UDP {party.host}:5060;branch=z9hG4bKforged-{method}",
        "Max-Forwards: 70",
        f"From: <sip:+14155550199@{CALLER}>;tag={known['from_tag']}",
        f"To: <sip:+14155550100@{GATEWAY}>;tag={known['to_tag']}",
        f"Call-ID: {known['call_id']}",
        f"CSeq: {number} {method}",
        f"Contact: <sip:evil@{party.host}>",
        *([f"Content-Type: {kind}"] if body else []),
        body=body,
    )


def statuses_to_forged(world: World) -> list[int]:
    """What the forged requests were answered, 100 aside."""
    sent = [message for _, sender, message in world.network.log if sender == GATEWAY]
    said = [m for m in sent if isinstance(m, Response) and "forged" in (m.via.branch or "")]
    return [response.status for response in said if response.status != 100]


async def goes_on(world: World, call: PhoneCall) -> None:
    """The call is as it was: nothing moved, and its own BYE ends it."""
    assert (call.is_over, call.bye) == (False, None)
    assert (world.leg.remote.address, world.leg.remote.port) == (CALLER, 4000)
    call.hang_up()
    await world.pass_time(1)
    assert [record.end_reason for record in world.records] == ["caller_hung_up"]


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("host", [STRANGER, OTHER])
@in_virtual_time
async def test_who_is_not_of_the_calls_trunk_gets_no_answer(host: str, method: str) -> None:
    """Not even one of another trunk of ours, who has seen Call-ID and tags."""
    async with World(TRUNKS) as world:
        call = await world.place_answered()
        forged(await world.party(host), call, method)
        await world.pass_time(0.5)
        assert statuses_to_forged(world) == []
        await goes_on(world, call)


@pytest.mark.rfc(3261, "22.1")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("host", [SECOND, OTHER])
@in_virtual_time
async def test_where_the_trunk_has_a_password_another_address_of_it_has_to_prove_itself(host: str, method: str) -> None:
    async with World(PASSWORD) as world:
        call = await world.place_answered(credentials=Credentials("acme", "opensesame", frozenset({GATEWAY})))
        forged(await world.party(host), call, method)
        await world.pass_time(0.5)
        challenged = [401] if host == SECOND and method != "ACK" else []
        assert statuses_to_forged(world) == challenged
        await goes_on(world, call)


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO"])
@in_virtual_time
async def test_another_address_of_the_calls_own_trunk_may_speak(method: str) -> None:
    """Carriers answer an INVITE by one machine and hang up by another."""
    async with World(TRUNKS) as world:
        call = await world.place_answered()
        forged(await world.party(SECOND), call, method)
        await world.pass_time(0.5)
        assert statuses_to_forged(world) == [200]


@pytest.mark.rfc(3261, "12.2.2")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", ["call_id", "from_tag", "to_tag"])
@in_virtual_time
async def test_a_dialog_that_does_not_exist_is_481(wrong: str, method: str) -> None:
    async with World(TRUNKS) as world:
        call = await world.place_answered()
        forged(world.caller, call, method, **{wrong: "nobody"})
        await world.pass_time(0.5)
        assert statuses_to_forged(world) == ([] if method == "ACK" else [481])
        await goes_on(world, call)


@in_virtual_time
async def test_a_cancel_from_elsewhere_cancels_nothing() -> None:
    async with World(TRUNKS) as world:
        call = await world.place()
        invite = call.session.request
        for host in (STRANGER, OTHER):
            (await world.party(host)).send(
                f"CANCEL {invite.request_uri} SIP/2.0",
                f"Via: {invite.via}",
                "Max-Forwards: 70",
                f"From: {invite.from_}",
                f"To: {invite.to}",
                f"Call-ID: {invite.call_id}",
                f"CSeq: {invite.cseq.number} CANCEL",
            )
        await world.pass_time(0.5)
        assert call.statuses == [180]
        world.take_call()
        await world.pass_time(0.5)
        assert call.is_answered
        await goes_on(world, call)


@in_virtual_time
async def test_livekit_sip_112_our_bye_has_both_tags_and_ends_the_call_at_the_far_end() -> None:
    """pains: a BYE without its tag was answered 481, and the call lived on as a zombie."""
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        world.wire.says(type="hangup", now=True)
        await world.pass_time(1)
        assert call.bye is not None
        assert (call.bye.to.tag, call.bye.from_.tag) == (call.session.local_tag, call.session.remote_tag)
        assert [record.end_reason for record in world.records] == ["agent_hung_up"]
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_bye_that_is_answered_481_has_ended_the_call() -> None:
    """The far end has forgotten it already: there is nobody to hang up on."""
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        call.session.core.unbind(call.session.dialog.id)  # type: ignore[union-attr]
        world.wire.says(type="hangup", now=True)
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == ["agent_hung_up"]
        await world.pass_time(40)
        assert world.switchboard.calls == 0
