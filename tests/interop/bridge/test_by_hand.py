"""A bridge between two ends of plain sockets: what each is told at every point of the set-up, and what holds carry."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from tests.support.gateway import Gateway, ports, running_gateway, wait_until
from tests.support.plain_callee import PlainCallee, Received, callee, sdp
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_text import Heard
from tests.support.tone import decode, is_silent, purest, tone

pytestmark = pytest.mark.interop

RING_TIMEOUT = 5
AT_ONCE = 6
"""Each call of two legs has two of the test gateway's twenty ports to itself."""
_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[trunk]]
name = "carrier"
host = "127.0.0.1"
port = {port}
caller_id = "+14155550100"
dial_to = "+1415*"

[[route]]
name = "on"
destination = "tel:+14155550142"
ring_timeout = {ring}
early_media = "agent"
pass_headers = ["X-Point"]
"""


@pytest.fixture(scope="module")
def port() -> int:
    return ports(1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML.format(port=port, ring=RING_TIMEOUT)) as running:
        yield running


@dataclass
class Two:
    """A call and the one that the gateway has placed for it: `invite` is what has come there."""

    call: PhoneCall
    there: PlainCallee
    invite: Received
    rtp: RtpPeer = field(default_factory=RtpPeer)

    def answer(self, status: str, *, media: bool = False, body: str = "") -> None:
        """Respond to the INVITE there."""
        self.rtp.target = Heard.read(self.invite.text.encode()).media
        self.there.answer(self.invite, status, sdp=body or (sdp(self.rtp.address[1]) if media else ""))

    def came(self, method: str) -> list[Received]:
        """The requests of this method that came there."""
        call_id = self.invite.header("Call-ID")
        return [one for one in self.there.of(method) if one.header("Call-ID") == call_id]

    async def gets(self, method: str) -> Received:
        """Wait for one."""
        return await self.there.until(lambda: next(iter(self.came(method)), None), f"{method} ({self.invite.text})")

    async def rings_at_caller(self, status: int = 180) -> None:
        """The caller was told."""
        await self.call._until(lambda: status in self.call.statuses(), 30)


@asynccontextmanager
async def two(gateway: Gateway, phone: PlainPhone, there: PlainCallee, name: str) -> AsyncIterator[Two]:
    """A call under this name, as far as the INVITE of the second one."""
    # Each has a caller of its own: many of one at one target look like a circle.
    caller = f"+1415556{len(phone.calls):04}"
    call = phone.dial(gateway.udp, "on", caller=caller, headers=(f"X-Point: {name}",))
    invite = await there.until(lambda: next((one for one in there.of("INVITE") if one.header("X-Point") == name), None))
    ends = Two(call, there, invite)
    with ends.rtp:
        yield ends


async def _cancelled(ends: Two) -> None:
    """The caller gives up: CANCEL is carried over, and both INVITEs end with 487."""
    ends.call.cancel()
    await ends.gets("CANCEL")
    ends.answer("487 Request Terminated")
    await ends.gets("ACK")


async def before_a_word(ends: Two) -> None:
    ends.call.cancel()
    assert (await ends.call.final()).status == 487
    # RFC 3261 section 9.1: nothing is cancelled that has not been heard of.
    assert not ends.came("CANCEL")
    ends.answer("180 Ringing")
    await ends.gets("CANCEL")
    ends.answer("487 Request Terminated")
    await ends.gets("ACK")


async def as_it_is_tried(ends: Two) -> None:
    ends.answer("100 Trying")
    await _cancelled(ends)


async def as_it_rings(ends: Two) -> None:
    ends.answer("180 Ringing")
    await ends.rings_at_caller()
    await _cancelled(ends)


async def as_it_is_heard_early(ends: Two) -> None:
    ends.answer("183 Session Progress", media=True)
    await ends.rings_at_caller(183)
    early = next(heard for heard in ends.call.heard if heard.status == 183)
    ends.call.rtp.target = early.media
    playing = asyncio.create_task(ends.rtp.talk(tone(425, 20)))
    await ends.call.hears(425)
    playing.cancel()
    await _cancelled(ends)


async def as_it_is_answered(ends: Two) -> None:
    ends.answer("180 Ringing")
    await ends.rings_at_caller()
    ends.call.cancel()
    await ends.gets("CANCEL")
    ends.answer("200 OK", media=True)
    await ends.gets("ACK")
    await ends.gets("BYE")


async def busy_behind_early_media(ends: Two) -> None:
    ends.answer("183 Session Progress", media=True)
    await ends.rings_at_caller(183)
    ends.answer("486 Busy Here")
    await ends.gets("ACK")
    assert (await ends.call.final()).status == 486


async def nobody_answers(ends: Two) -> None:
    ends.answer("180 Ringing")
    await ends.gets("CANCEL")
    ends.answer("487 Request Terminated")
    assert (await ends.call.final()).status == 480


async def answered_without_sdp(ends: Two) -> None:
    ends.answer("200 OK")
    await ends.gets("ACK")
    await ends.gets("BYE")
    assert (await ends.call.final()).status >= 400


async def callee_leaves_as_it_answers(ends: Two) -> None:
    ends.answer("200 OK", media=True)
    await ends.gets("ACK")
    ends.there.request("BYE", ends.invite)
    final = await ends.call.final()
    # Which of the two is the case is a matter of moments.
    assert final.status in (200, 480)
    if final.status == 200:
        await ends.call.hung_up()


async def callee_leaves_at_once(ends: Two) -> None:
    ends.answer("200 OK", media=True)
    await ends.call.answered()
    ends.there.request("BYE", ends.invite)
    await ends.call.hung_up()


async def caller_leaves_at_once(ends: Two) -> None:
    ends.answer("200 OK", media=True)
    await ends.call.answered()
    ends.call.hang_up()
    await ends.gets("BYE")


Point = Callable[[Two], Awaitable[None]]

POINTS: dict[Point, tuple[Sequence[int] | None, str, str]] = {
    before_a_word: ([487], "caller_cancelled", "dial_cancelled"),
    as_it_is_tried: ([487], "caller_cancelled", "dial_cancelled"),
    as_it_rings: ([487], "caller_cancelled", "dial_cancelled"),
    as_it_is_heard_early: ([183, 487], "caller_cancelled", "dial_cancelled"),
    as_it_is_answered: ([487], "caller_cancelled", "dial_cancelled"),
    busy_behind_early_media: ([183, 486], "callee_busy", "callee_busy"),
    nobody_answers: ([480], "no_answer", "no_answer"),
    answered_without_sdp: ([488], "no_offer_answer", "no_offer_answer"),
    callee_leaves_as_it_answers: (None, "partner_hung_up", "callee_hung_up"),
    callee_leaves_at_once: ([200], "partner_hung_up", "callee_hung_up"),
    caller_leaves_at_once: ([200], "caller_hung_up", "partner_hung_up"),
}
"""What the caller was told beside 100 and 180, where that is certain, and what the two records end with."""


def all_over(gateway: Gateway) -> dict[str, dict[str, Any]] | None:
    """The records by their SIP Call-ID, once each has an end."""
    records = {record["sip_call_id"]: record for record in gateway.calls()}
    return records if all(record["end_reason"] for record in records.values()) else None


async def test_at_every_point_of_its_set_up_both_sides_learn_of_the_end(gateway: Gateway, port: int) -> None:
    async with callee("there", port) as there, PlainPhone.open() as phone:
        places = asyncio.Semaphore(AT_ONCE)

        async def play(point: Point) -> tuple[str, list[int], int]:
            async with places, two(gateway, phone, there, point.__name__) as ends:
                await point(ends)
                await ends.call.final()
                # What was said twice was said once too often.
                return ends.call.call_id, ends.call.statuses(), len(ends.came("INVITE"))

        told = dict(zip(POINTS, await asyncio.gather(*map(play, POINTS)), strict=True))
        await asyncio.to_thread(wait_until, lambda: gateway.metric("offhook_calls_active") == 0, 30)
        # A call that is over is written a moment later.
        records = await asyncio.to_thread(wait_until, partial(all_over, gateway), 30, "a record has no end")
    by_id = {record["call_id"]: record for record in records.values()}
    found, wanted = {}, {}
    for point, (call_id, statuses, invites) in told.items():
        first = records[call_id]
        second = by_id[first["bridged_to"]]
        expected, *reasons = POINTS[point]
        said = [status for status in statuses if status not in (100, 180)] if expected is not None else None
        found[point.__name__] = (said, first["end_reason"], second["end_reason"], invites, second["bridged_from"])
        wanted[point.__name__] = (expected, *reasons, 1, first["call_id"])
    assert found == wanted
    # Each has these two records and no other.
    firsts = {records[call_id]["call_id"] for call_id, *_ in told.values()}
    assert sum(bool({record["call_id"], record["bridged_from"]} & firsts) for record in by_id.values()) == 2 * len(
        POINTS
    )


def _sound(rtp: RtpPeer, since: int) -> list[int]:
    return list(itertools.chain.from_iterable(decode(packet.payload) for packet in rtp.packets[since:]))


async def test_who_is_held_hears_what_the_holder_plays_else_our_own_music(gateway: Gateway, port: int) -> None:
    async with callee("there", port) as there, PlainPhone.open() as phone, two(gateway, phone, there, "hold") as ends:
        ends.answer("200 OK", media=True)
        await ends.call.answered()
        held = ends.call.line.offer(*ends.call.rtp.address, version=2).replace("sendrecv", "sendonly")
        assert "a=recvonly" in (await ends.call.offer(held)).body
        again = await there.until(lambda: next(iter(ends.came("INVITE")[1:]), None))
        assert "a=sendonly" in again.body
        there.answer(again, "200 OK", sdp=sdp(ends.rtp.address[1], way="recvonly", version=2))
        ends.call.say(tone(440, 60))
        await ends.rtp.until(lambda rtp: purest(_sound(rtp, -50), 440) > 0.92, 30)
        ends.call.send_nothing()
        silent_since = len(ends.rtp.packets) + 25
        await ends.rtp.until(
            lambda rtp: (
                any(not is_silent(one.payload) for one in rtp.packets[silent_since:])
                and purest(_sound(rtp, silent_since)[-8000:], 440) < 0.5
            ),
            30,
        )
        ends.call.start_talking()
        await ends.call.offer(ends.call.line.offer(*ends.call.rtp.address, version=3))
        back = await there.until(lambda: next(iter(ends.came("INVITE")[2:]), None))
        assert "a=sendrecv" in back.body
        there.answer(back, "200 OK", sdp=sdp(ends.rtp.address[1], version=3))
        since = len(ends.call.packets)
        playing = asyncio.create_task(ends.rtp.talk(tone(660, 60)))
        await ends.call.hears(660, frames=20, since=since)
        playing.cancel()
        ends.call.hang_up()
        await ends.gets("BYE")
        record = await asyncio.to_thread(gateway.record, ends.call.call_id)
    assert (record["end_reason"], record["media"]["holds"]) == ("caller_hung_up", 1)
