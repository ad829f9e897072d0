"""IPv4 and IPv6: the sound of a call is on the version that its caller's SDP names, or the caller is told why not."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, ECHO, GATEWAY, GATEWAY_6, World, notes, sdp

pytestmark = pytest.mark.scenario

BOTH = '[media]\nlisten = ["0.0.0.0", "::"]\n' + ECHO
CALLER_6 = "2001:db8::1"


@pytest.mark.rfc(3264, "6")
@in_virtual_time
async def test_an_ipv6_offer_is_refused_where_media_is_on_ipv4_alone() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(host=CALLER_6))
        assert call.statuses == [488]
        assert world.engine.legs == []
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.fault) == ("no_family", "operator")
        assert record.end_detail == (
            "`media.listen` has no IPv6 address, and the caller's media is at [2001:db8::1]:4000"
        )


@pytest.mark.rfc(8866, "5.7")
@pytest.mark.parametrize(("host", "ours", "family"), [(CALLER, GATEWAY, 4), (CALLER_6, GATEWAY_6, 6)])
@in_virtual_time
async def test_the_answer_is_on_the_offers_version(host: str, ours: str, family: int) -> None:
    async with World(BOTH) as world:
        call = await world.place(offer=sdp(host=host))
        assert call.statuses == [180, 200]
        for line in ("c=IN", "o=offhook"):
            [written] = [text for text in call.answer.decode().splitlines() if text.startswith(line)]
            assert written.endswith(f"IP{family} {ours}")
        assert world.leg.remote.address == host
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].media_family == family


@in_virtual_time
async def test_an_offer_of_ours_is_on_the_version_of_signalling() -> None:
    async with World(BOTH) as world:
        call = await world.place(offer=None)
        assert f"c=IN IP4 {GATEWAY}" in call.answer.decode()


@in_virtual_time
async def test_ipv4_written_as_ipv6_is_ipv4() -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=sdp(host=f"::ffff:{CALLER}"))
        assert call.statuses == [180, 200]
        assert world.leg.remote.address == CALLER
        assert f"c=IN IP4 {GATEWAY}" in call.answer.decode()


@in_virtual_time
async def test_a_change_to_a_version_that_is_not_there_leaves_the_call_as_it_was() -> None:
    async with World(ECHO) as world:
        call = await world.place()
        call.reinvite(sdp(host=CALLER_6, version=2))
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [488]
        assert len(world.leg.remotes) == 1
        call.hang_up()
        await world.pass_time(1)
        assert any("no IPv6 address" in note for note in notes(world.timelines[0], "sdp"))
