"""Where a call's sound is: agreed on before a port is taken, moved with the caller, parted when two look alike."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.sdp import crypto
from tests.support.world import CALLER, ECHO, World, notes, sdp

from offhook._media import MediaError
from offhook.sip.message import Request

pytestmark = pytest.mark.scenario

BEHIND_NAT = ECHO.replace('name = "acme"', 'name = "acme"\nnat = true\nmedia_allow = ["198.51.100.0/24"]')


def reinvites(world: World) -> list[bytes]:
    """The offers of the gateway's own re-INVITEs."""
    found = [m for _, sender, m in world.network.log if sender != CALLER and isinstance(m, Request)]
    return [request.body for request in found if request.method == "INVITE"]


@in_virtual_time
async def test_the_port_is_chosen_by_what_the_offer_and_the_trunk_say() -> None:
    async with World(BEHIND_NAT) as world:
        await world.place(offer=sdp(port=4100))
        config = world.leg.config
        assert config.remote == (CALLER, 4100)
        assert config.signalling_address == CALLER
        assert list(config.media_allow) == ["198.51.100.0/24"]
        assert config.nat


@in_virtual_time
async def test_without_an_offer_it_is_one_that_any_answer_may_use() -> None:
    async with World(ECHO) as world:
        await world.place(offer=None)
        assert world.leg.config.remote is None
        assert world.leg.config.signalling_address == CALLER


@pytest.mark.rfc(5761, "5.1.1")
@pytest.mark.parametrize("asked", [True, False])
@in_virtual_time
async def test_rtcp_shares_the_port_where_the_caller_asks_for_it(asked: bool) -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp() + (b"a=rtcp-mux\r\n" if asked else b""))
        assert (b"a=rtcp-mux\r\n" in call.answer) == world.leg.remote.rtcp_mux == asked
        assert world.leg.remote.rtcp_port == (4000 if asked else 4001)


@pytest.mark.rfc(3389, "5")
@in_virtual_time
async def test_comfort_noise_has_the_number_that_was_agreed_on() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(codecs=["0 PCMU/8000", "98 CN/8000"]))
        assert b"m=audio 40000 RTP/AVP 0 101 98\r\n" in call.answer
        assert world.leg.remote.comfort_noise == 98


@in_virtual_time
async def test_every_event_number_that_was_offered_is_heard() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(codecs=["0 PCMU/8000", "96 telephone-event/8000"], dtmf=101))
        assert b"RTP/AVP 0 96\r\n" in call.answer, "one of them is named"
        assert (world.leg.remote.dtmf_send, world.leg.remote.dtmf_receive) == (96, [96, 101])


@pytest.mark.rfc(3264, "8.3.2")
@in_virtual_time
async def test_what_is_under_way_in_the_old_codec_is_still_read() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(codecs=["0 PCMU/8000"]))
        call.reinvite(sdp(codecs=["8 PCMA/8000"], version=2))
        await world.pass_time(0.1)
        assert (world.leg.remote.codec, world.leg.remote.receive_payload_types) == ("PCMA", {8: "PCMA", 0: "PCMU"})


@pytest.mark.rfc(3264, "8.3.1")
@in_virtual_time
async def test_a_move_to_the_other_ip_version_takes_our_address_along() -> None:
    async with World('[media]\nlisten = ["0.0.0.0", "::"]\n' + ECHO) as world:
        call = await world.place()
        world.leg.moves_to = ("::", 40010)
        call.reinvite(sdp(host="2001:db8::1", version=2))
        await world.pass_time(0.1)
        [response] = call.reinvited
        assert response is not None
        assert b"c=IN IP6 2001:db8::2\r\n" in response.body
        assert b"m=audio 40010 " in response.body
        assert world.leg.remote.address == "2001:db8::1"
        call.hang_up()
        await world.pass_time(1)
        assert (world.records[0].media_family, world.records[0].local_media) == (6, "[2001:db8::2]:40010")


@pytest.mark.rfc(4568, "7.1.4")
@in_virtual_time
async def test_who_moves_brings_a_new_key() -> None:
    def offer(**options: object) -> bytes:
        body = sdp(**options).replace(b"RTP/AVP", b"RTP/SAVP")  # type: ignore[arg-type]
        return body + f"{crypto()}\r\n".encode()

    async with World(ECHO.replace('name = "acme"', 'name = "acme"\nsrtp = "required"')) as world:
        call = await world.place(offer=offer())
        stays = world.leg.remote.srtp
        call.reinvite(offer(port=4100, version=2))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp == stays
        world.leg.moves_to = ("192.0.2.2", 40098)
        call.reinvite(offer(port=4200, version=3))
        await world.pass_time(0.1)
        assert world.leg.remote.srtp != stays
        assert world.leg.remote.port == 4200


# -- our offer goes first, and the answer names what another call has


@in_virtual_time
async def test_an_answer_that_names_another_calls_address_is_offered_another_port() -> None:
    async with World(ECHO) as world:
        call = world.caller.call(offer=None)
        await world.pass_time(0.008)
        world.leg.collides, world.leg.moves_to = True, ("192.0.2.2", 40098)
        await world.pass_time(0.1)
        [offer] = reinvites(world)
        assert b"m=audio 40098 " in offer
        assert world.leg.remote.port == 4000
        assert world.leg.started_at is not None
        assert world.leg.released_at is not None
        assert call.bye is None
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.local_media) == ("caller_hung_up", "192.0.2.2:40098")
        assert any("another call on our port has the caller's" in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_where_there_is_no_other_port_the_call_ends_with_the_reason() -> None:
    async with World(ECHO) as world:
        call = world.caller.call(offer=None)
        await world.pass_time(0.008)
        world.leg.collides, world.leg.misplaced = True, MediaError("of 6 media ports none is fit", code="no_port")
        await world.pass_time(1)
        assert call.bye is not None
        assert [(r.end_reason, r.end_detail) for r in world.records] == [("no_port", "of 6 media ports none is fit")]
        world.engine.assert_all_free()


@in_virtual_time
async def test_a_caller_that_does_not_follow_is_let_go() -> None:
    async with World(ECHO) as world:
        call = world.caller.call(offer=None)
        call.refuses_reinvites = True
        await world.pass_time(0.008)
        world.leg.collides, world.leg.moves_to = True, ("192.0.2.2", 40098)
        await world.pass_time(1)
        assert call.bye is not None
        [record] = world.records
        assert record.end_reason == "collision"
        assert "488" in record.end_detail
        world.engine.assert_all_free()


# -- what the core says no to, before anything was promised


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("no_port", 503, "no_port"),
        ("too_many", 503, "no_port"),
        ("collision", 503, "collision"),
        ("no_family", 488, "no_family"),
        ("system", 500, "internal_error"),
    ],
)
@in_virtual_time
async def test_a_leg_that_cannot_be_had(code: str, status: int, reason: str) -> None:
    async with World(ECHO) as world:
        world.engine.refusal = MediaError("the core's own words", code=code)
        call = await world.place()
        assert call.statuses == [status]
        await world.pass_time(1)
        assert [(r.end_reason, r.end_detail) for r in world.records] == [(reason, "the core's own words")]


@in_virtual_time
async def test_the_callers_words_do_no_harm_on_a_terminal() -> None:
    escape = sdp().replace(b"RTP/AVP", b"RTP/\x1b[31m" + b"x" * 2000)
    async with World(ECHO) as world:
        call = await world.place(offer=escape)
        assert call.statuses == [488]
        await world.pass_time(1)
        detail = world.records[0].end_detail
        assert "\x1b" not in detail
        assert len(detail) <= 500
        assert not any("\x1b" in note for note in notes(world.timelines[0], "sdp"))
