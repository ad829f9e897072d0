"""UPDATE within a call: the same changes as by re-INVITE, and what crosses them."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, GATEWAY, TWILIO, World, sdp

from offhook.sip.message import Request, Response

pytestmark = pytest.mark.scenario


def statuses(world: World, method: str) -> list[int]:
    """What the gateway answered to requests of this method, 100 aside."""
    sent = [message for _, sender, message in world.network.log if sender == GATEWAY]
    said = [message for message in sent if isinstance(message, Response) and message.cseq.method == method]
    return [response.status for response in said if response.status >= 200]


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_hold_and_resume() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.update(sdp(way="sendonly", version=2))
        await world.pass_time(0.1)
        assert b"a=recvonly" in call.reinvited[-1].body  # type: ignore[union-attr]
        assert world.leg.remote.send is False
        call.update(sdp(version=3))
        await world.pass_time(0.1)
        assert b"a=sendrecv" in call.reinvited[-1].body  # type: ignore[union-attr]
        assert world.leg.remote.send is True
        # No ACK follows an UPDATE, and none is missed.
        await world.pass_time(40)
        call.hang_up()
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == ["caller_hung_up"]


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_codec_and_address_change_and_what_cannot_be_met_changes_nothing() -> None:
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.update(sdp(codecs=["8 PCMA/8000"], dtmf=96, port=4100, version=2))
        await world.pass_time(0.1)
        remote = world.leg.remote
        assert (remote.codec, remote.payload_type, remote.port, remote.dtmf_receive) == ("PCMA", 8, 4100, [96])
        call.update(sdp(codecs=["18 G729/8000"], port=4200, version=3))
        await world.pass_time(0.1)
        assert statuses(world, "UPDATE") == [200, 488]
        assert (world.leg.remote.codec, world.leg.remote.port) == ("PCMA", 4100)


@pytest.mark.rfc(3311, "5.2")
@in_virtual_time
async def test_an_update_and_a_reinvite_that_come_together_are_answered_one_by_one() -> None:
    """The call answers each at once, so both have their turn, in the order of their numbers."""
    async with World(TWILIO) as world:
        call = await world.place_answered()
        call.update(sdp(way="sendonly", version=2))
        call.reinvite(sdp(version=3))
        await world.pass_time(0.5)
        assert (statuses(world, "UPDATE"), statuses(world, "INVITE")) == ([200], [200, 200])
        assert world.leg.remote.send is True


@in_virtual_time
async def test_a_refresh_of_a_caller_that_has_moved_takes_our_bye_along() -> None:
    """An UPDATE without SDP may bring a new Contact, and that is where the gateway hangs up."""
    async with World(TWILIO) as world:
        call = await world.place_answered()
        dialog = call.session.dialog
        assert dialog is not None
        moved = dialog.request("UPDATE", (("Contact", f"<sip:elsewhere@{CALLER}:5070>"),))
        world.caller.send(
            f"UPDATE {moved.request_uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKmoved",
            *(f"{name}: {value}" for name, value in moved.headers if name != "Contact"),
            f"Contact: <sip:elsewhere@{CALLER}:5070>",
        )
        await world.pass_time(0.1)
        assert statuses(world, "UPDATE") == [200]
        world.wire.ends(1000)
        await world.pass_time(2)
        byes = [m for _, sender, m in world.network.log if sender == GATEWAY and isinstance(m, Request)]
        assert str(byes[-1].request_uri) == f"sip:elsewhere@{CALLER}:5070"


@pytest.mark.rfc(3311, "5.1")
@in_virtual_time
async def test_t_3311_a_a_caller_that_hears_ringing_moves_before_the_answer() -> None:
    """The 183 has been acknowledged by PRACK, so there is something to change; the 200 has nothing to add to it."""
    async with World(TWILIO + 'early_media = "ringback"\n') as world:
        call = await world.place(
            headers=[("Supported", "100rel"), ("Allow", "INVITE, ACK, PRACK, UPDATE, BYE, CANCEL")]
        )
        assert [status for status, _ in call.early] == [183]
        call.update(sdp(codecs=["8 PCMA/8000"], port=4100, version=2))
        await world.pass_time(0.1)
        assert statuses(world, "UPDATE") == [200]
        assert (world.leg.remote.codec, world.leg.remote.port) == ("PCMA", 4100)
        world.take_call()
        await world.pass_time(0.1)
        assert (call.statuses, call.answer) == ([183, 200], b"")
        assert (world.leg.remote.codec, world.leg.remote.port) == ("PCMA", 4100)
        call.hang_up()
        await world.pass_time(1)
        assert [record.end_reason for record in world.records] == ["caller_hung_up"]
