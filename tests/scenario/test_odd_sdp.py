"""Offers that no textbook has: each is answered by 200 or 488, the process goes on, and the timeline says why."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import ECHO, World, notes, sdp

pytestmark = pytest.mark.scenario

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def audio(formats: str, *attributes: str) -> bytes:
    lines = [f"m=audio 4000 RTP/AVP {formats}", *(f"a={attribute}" for attribute in attributes), ""]
    return (HEAD + "\r\n".join(lines)).encode()


TAKEN = {
    "a payload type out of range beside a good one": audio("128 65535 4294967296 -1 0"),
    "an rtpmap of a payload type out of range": audio("0", "rtpmap:4294967296 PCMU/8000", "rtpmap:-1 x/1"),
    "an fmtp of a payload type out of range": audio("0 101", "fmtp:65535 0-15", "rtpmap:101 telephone-event/8000"),
    "a static type without an rtpmap": audio("8"),
    "an rtpmap that is on no m= line": audio("0", "rtpmap:96 opus/48000/2"),
    "an fmtp before its rtpmap": audio("0 101", "fmtp:101 0-15", "rtpmap:101 telephone-event/8000"),
    "the same rtpmap twice": audio("96", "rtpmap:96 PCMU/8000", "rtpmap:96 PCMA/8000"),
    "a packet time of nothing": audio("0", "ptime:0"),
    "a packet time of a millisecond": audio("0", "ptime:1"),
    "a packet time of seconds": audio("0", "ptime:5000"),
    "a packet time of weeks": audio("0", "ptime:4294967295", "maxptime:4294967295"),
    "a clock rate of nothing beside a good codec": audio("96 0", "rtpmap:96 PCMU/0"),
    "64 codecs on a line": audio(" ".join(map(str, range(64)))),
    "200 candidates": audio("0", *(f"candidate:{n} 1 UDP {n} 192.0.2.1 4000 typ host" for n in range(200))),
    "redundant audio that names types out of range": audio("96 0", "rtpmap:96 red/8000", "fmtp:96 65535/4294967296"),
    "terminal escapes in every text": audio("0", "tool:\x1b[31mred\x1b[0m").replace(b"s=-", b"s=\x1b]0;x\x07"),
    "an RTCP port out of range": audio("0", "rtcp:70000"),
    "an address that is a name": sdp(host="phone.invalid"),
}

REFUSED = {
    "only payload types out of range": audio("128 65535 4294967296 -1"),
    "only a clock rate of nothing": audio("96", "rtpmap:96 PCMU/0"),
    "a dynamic type without an rtpmap": audio("96"),
    "an rtpmap that says otherwise than the RFC": audio("0", "rtpmap:0 PCMU/16000"),
    "100 m= lines": (HEAD + "m=audio 4000 RTP/AVP 0\r\n" * 100).encode(),
    "65 codecs on a line": audio(" ".join(map(str, range(65)))),
    "1,000 attributes": audio("0", *(f"x-{n}:1" for n in range(1000))),
    "a body of 40,000 bytes": audio("0", *(f"x-{n}:{'x' * 390}" for n in range(100))),
    "a line of 10,000 bytes": audio("0", "tool:" + "x" * 10_000),
    "no media at all": HEAD.encode(),
}


@pytest.mark.parametrize("offer", TAKEN.values(), ids=TAKEN)
@in_virtual_time
async def test_what_can_be_answered_is_answered(offer: bytes) -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=offer)
        assert call.statuses == [180, 200]
        assert world.leg.remote.ptime_ms == 20
        assert world.leg.remote.codec in ("PCMU", "PCMA")
        call.hang_up()
        await world.pass_time(40)
        world.assert_nothing_left()


@pytest.mark.parametrize("offer", REFUSED.values(), ids=REFUSED)
@in_virtual_time
async def test_what_cannot_is_refused_with_a_reason_and_takes_no_port(offer: bytes) -> None:
    async with World(ECHO) as world:
        call = await world.place(offer=offer)
        assert call.statuses == [488]
        assert world.engine.legs == []
        await world.pass_time(40)
        [record] = world.records
        assert record.sip_status == 488
        assert record.end_reason in ("bad_sdp", "no_common_codec", "no_audio_offered")
        assert record.end_detail
        world.assert_nothing_left()


@pytest.mark.parametrize("offer", REFUSED.values(), ids=REFUSED)
@in_virtual_time
async def test_within_a_call_it_leaves_the_call_as_it_was(offer: bytes) -> None:
    async with World(ECHO) as world:
        call = await world.place()
        call.reinvite(offer)
        await world.pass_time(0.1)
        assert [response.status for response in call.reinvited if response] == [488]
        assert len(world.leg.remotes) == 1
        assert call.bye is None
        call.hang_up()
        await world.pass_time(1)
        assert any("stays as it was" in note for note in notes(world.timelines[0], "sdp"))


@in_virtual_time
async def test_fifty_changes_a_second_are_all_answered() -> None:
    async with World(ECHO) as world:
        call = await world.place()
        for number in range(50):
            call.reinvite(sdp(port=4000 + 2 * (number % 3), version=number + 2))
            await world.pass_time(0.02)
        await world.pass_time(1)
        assert [response.status for response in call.reinvited if response] == [200] * 50
        assert len(world.engine.open_legs) == 1
        call.hang_up()
        await world.pass_time(40)
        world.assert_nothing_left()
