"""Calls whose ringing is acknowledged: 180 with PRACK, by the trunk and by the caller (RFC 3262)."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import OFFHOOK, World, notes, sdp

from offhook.sip.message import Request

pytestmark = pytest.mark.scenario


@pytest.mark.parametrize(("prack", "reliable"), [("auto", False), ("always", True), ("required", False)])
@in_virtual_time
async def test_a_180_is_reliable_only_where_the_trunk_wants_it(prack: str, reliable: bool) -> None:
    async with World(OFFHOOK.replace('name = "acme"\n', f'name = "acme"\nprack = "{prack}"\n', 1)) as world:
        call = await world.place_answered()
        assert (world.network.responses(180)[0].rseq is not None) is reliable
        assert call.statuses == [180, 200]


@in_virtual_time
async def test_who_requires_100rel_gets_it_whatever_the_trunk_says() -> None:
    async with World(OFFHOOK.replace('name = "acme"\n', 'name = "acme"\nprack = "required"\n', 1)) as world:
        call = await world.place_answered(headers=(("Require", "100rel"),))
        assert world.network.responses(180)[0].rseq is not None
        assert len(world.network.requests("PRACK")) == 1
        assert call.statuses == [180, 200]


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_an_invite_without_an_offer_that_requires_100rel_gets_ours_in_the_first_response() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place(offer=None, headers=(("Require", "100rel"),))
        assert call.early[0][0] == 180
        assert b"m=audio" in call.early[0][1]
        # Nothing is heard of us before the answer.
        assert world.leg.started_at is None
        world.take_call()
        await world.pass_time(0.05)
        assert call.statuses == [180, 200]
        assert call.answer == b""
        assert [after for _, after in world.leg.starts] == [300]


REQUIRES = (("Require", "100rel"),)


@pytest.mark.rfc(3262, "3")
@in_virtual_time
async def test_a_prack_that_never_comes_ends_the_call_as_no_prack() -> None:
    async with World(OFFHOOK) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place(headers=REQUIRES)
        await world.pass_time(19)
        world.take_call()
        await world.pass_time(0.1)
        # Without SDP it holds nothing back.
        assert call.statuses == [180, 200]
        late = await world.place(headers=REQUIRES, offer=None)
        world.take_call()
        await world.pass_time(33)
        assert late.statuses == [180, 504]
        [record] = world.records
        assert (record.end_reason, record.sip_status, record.was_answered) == ("no_prack", 504, False)
        call.hang_up()
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_the_200_waits_for_the_answer_in_the_prack() -> None:
    async with World(OFFHOOK) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place(headers=REQUIRES, offer=None)
        world.take_call()
        await world.pass_time(1)
        assert call.statuses == [180]
        assert world.book.answered_ == []
        world.network.lost = lambda sender, message: False
        await world.pass_time(2)
        assert call.statuses == [180, 200]
        assert len(world.book.answered_) == 1
        assert world.wire.said_types == ["ringing", "start"]
        call.hang_up()
        await world.pass_time(70)
        assert "the 200 waits for the PRACK of what rang" in notes(world.timelines[0])
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
@pytest.mark.parametrize("answer", [b"", b"v=0\r\nnothing of use", sdp(codecs=("18 G729/8000",))])
@in_virtual_time
async def test_a_prack_without_the_answer_ends_the_call(answer: bytes) -> None:
    async with World(OFFHOOK) as world:
        call = world.caller.call(offer=None, headers=REQUIRES)
        call.acknowledges = answer
        await world.pass_time(1)
        assert call.statuses == [180, 488]
        assert [record.end_reason for record in world.records] == ["no_offer_answer"]
        await world.pass_time(70)
        world.assert_nothing_left()


@in_virtual_time
async def test_who_gives_up_while_the_200_waits_was_never_answered() -> None:
    async with World(OFFHOOK) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place(headers=REQUIRES, offer=None)
        world.take_call()
        await world.pass_time(0.5)
        call.hang_up()
        await world.pass_time(5)
        assert call.statuses == [180, 487]
        assert [(record.end_reason, record.was_answered) for record in world.records] == [("caller_cancelled", False)]
        await world.pass_time(70)
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
@pytest.mark.parametrize(
    ("route", "statuses"),
    [
        ("", [180, 200]),
        ('answer = "first-audio"\n', [180, 200]),
        ('answer = "at-once"\n', [180, 200]),
        ('early_media = "ringback"\n', [183, 200]),
        ('early_media = "agent"\n', [180, 183, 200]),
    ],
)
@in_virtual_time
async def test_with_prack_always_who_makes_no_offer_gets_ours_in_the_first_response(
    route: str, statuses: list[int]
) -> None:
    config = OFFHOOK.replace('name = "acme"\n', 'name = "acme"\nprack = "always"\n', 1) + route
    async with World(config) as world:
        call = await world.place(offer=None, headers=(("Supported", "100rel"),))
        world.wire.accept()
        world.wire.speaks()
        await world.pass_time(0.1)
        world.wire.says(type="ready")
        await world.pass_time(0.1)
        assert call.statuses == statuses
        # The offer is in the first response and its answer in the PRACK; what said SDP again would be a new offer.
        assert [bool(said) for _, said in call.early] == [True, *[False] * (len(statuses) - 2)]
        assert call.answer == b""
        prack, ack = world.network.requests("PRACK")[0], world.network.requests("ACK")[0]
        assert (bool(prack.body), bool(ack.body)) == (True, False)
        world.leg.hears()
        await world.pass_time(1)
        call.hang_up()
        await world.pass_time(70)
        assert [record.end_reason for record in world.records] == ["caller_hung_up"]
        assert world.records[0].codec == "PCMU"
        world.assert_nothing_left()


@pytest.mark.rfc(3262, "5")
@in_virtual_time
async def test_an_agent_that_speaks_before_the_prack_has_come_makes_no_second_offer() -> None:
    config = OFFHOOK.replace('name = "acme"\n', 'name = "acme"\nprack = "always"\n', 1) + 'early_media = "agent"\n'
    async with World(config) as world:
        world.network.lost = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        call = await world.place(offer=None)
        world.wire.accept()
        world.wire.speaks(2.0)
        await world.pass_time(0.3)
        assert call.statuses == [180]
        world.network.lost = lambda sender, message: False
        await world.pass_time(1)
        assert [(status, bool(body)) for status, body in call.early] == [(180, True), (183, False)]
        assert world.leg.played
        world.wire.says(type="ready")
        await world.pass_time(1)
        assert call.statuses == [180, 183, 200]
        call.hang_up()
        await world.pass_time(70)
        assert "the agent is heard before the answer" in notes(world.timelines[0])
        world.assert_nothing_left()
