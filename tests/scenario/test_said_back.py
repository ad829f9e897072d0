"""What a platform says in headers of its own, in its answer, its refusal, a REFER and its BYE, is in both records."""

from typing import Any, Self

import pytest
from tests.support.carrier import CARRIER, OURS, CalledPhone, Carrier
from tests.support.clock import in_virtual_time
from tests.support.world import ECHO, PhoneCall, World, notes, sdp

from offhook.report.record import CallRecord

pytestmark = pytest.mark.scenario

PLATFORM = (
    ECHO.replace('"echo:"', '"agent:desk"')
    + f"""
fallback = [{{ on = ["refused"], to = "echo:" }}]

[[trunk]]
name = "out"
host = "{CARRIER}"
caller_id = ["{OURS}"]
dial_to = ["front-desk"]

[[agent]]
name = "desk"
kind = "vapi"
trunk = "out"
dial = "front-desk"
"""
)


class PlatformWorld(World):
    """A gateway whose callers speak with an agent on a platform, whose edge is in the test's hand."""

    def __init__(self, config: str = PLATFORM, **options: Any) -> None:
        super().__init__(config, **options)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.platform = Carrier(self.network)
        await self.platform.stack.start()
        return self

    async def asked(self) -> tuple[PhoneCall, CalledPhone]:
        """A call that the platform has been asked to take."""
        call = await self.place()
        return call, self.platform.calls[-1]

    async def talking(self, *headers: tuple[str, str]) -> tuple[PhoneCall, CalledPhone]:
        """A call that the platform has answered, with these headers in its 200."""
        call, agent = await self.asked()
        agent.answer(headers=headers)
        agent.answers_reinvites = sdp(host=CARRIER, version=9)
        await self.pass_time(0.5)
        assert call.is_answered
        return call, agent

    async def both(self) -> tuple[CallRecord, CallRecord]:
        """The record of the caller, and that of the call to the platform."""
        await self.pass_time(5)
        by_direction = {record.direction: record for record in self.records}
        return by_direction["inbound"], by_direction["outbound"]


@in_virtual_time
async def test_what_answer_and_bye_say_is_in_the_records_of_both_calls() -> None:
    async with PlatformWorld() as world:
        call, agent = await world.talking(("X-Conversation", "conv_1"), ("X-Outcome", "asking"), ("Server", "edge/1"))
        [there] = [one for one in world.switchboard._calls.values() if one.direction == "outbound"]
        assert there.variables.values == {"Conversation": "conv_1", "Outcome": "asking"}
        agent.hang_up((("X-Outcome", "booked"), ("X-Session-Token", "5ec4e7")))
        inbound, outbound = await world.both()
        assert call.is_over
        said = {"Conversation": "conv_1", "Outcome": "booked", "Session-Token": "***"}
        assert (inbound.variables, outbound.variables) == (said, said)
        assert not any("5ec4e7" in str(entry.fields) for timeline in world.timelines for entry in timeline.entries)
        assert CallRecord.of(inbound.as_dict()) == inbound


@in_virtual_time
async def test_what_a_refer_says_is_in_the_records_though_it_is_refused() -> None:
    async with PlatformWorld() as world:
        call, agent = await world.talking()
        headers = (
            ("Refer-To", "<sip:+14155550177@192.0.2.9?X-Ticket=4711&X-Evil=1%0d%0aVia:%20x>"),
            ("X-Transfer-Summary", "wants a cake"),
        )
        assert world.platform.stack.perform(lambda now: agent.session.ask("REFER", headers, now=now))
        await world.pass_time(0.5)
        call.hang_up()
        inbound, outbound = await world.both()
        assert inbound.variables == outbound.variables == {"Transfer-Summary": "wants a cake", "Ticket": "4711"}
        assert any("X-Evil is no variable" in note for timeline in world.timelines for note in notes(timeline, "note"))


@in_virtual_time
async def test_why_a_platform_refuses_is_kept_though_another_agent_takes_the_call() -> None:
    async with PlatformWorld() as world:
        call, agent = await world.asked()
        agent.refuse(486, headers=(("X-Reason", "no free slot"),))
        await world.pass_time(0.5)
        assert call.is_answered
        call.hang_up()
        inbound, outbound = await world.both()
        assert (inbound.destination, inbound.variables) == ("echo:", {"Reason": "no free slot"})
        assert outbound.variables == inbound.variables


@in_virtual_time
async def test_a_destination_that_names_the_platform_is_called_as_its_agent_would_be() -> None:
    before, _, _ = PLATFORM.partition("[[agent]]")
    async with PlatformWorld(before.replace('"agent:desk"', '"vapi:front-desk?trunk=out"')) as world:
        call, agent = await world.talking(("X-Conversation", "conv_1"))
        assert str(agent.request.request_uri) == f"sip:front-desk@{CARRIER}"
        assert agent.request.headers.get("X-call_id")
        call.hang_up()
        inbound, _ = await world.both()
        assert (inbound.destination, inbound.variables) == ("agent:vapi-front-desk", {"Conversation": "conv_1"})


@in_virtual_time
async def test_a_trunk_that_passes_no_headers_has_none_kept() -> None:
    async with PlatformWorld(
        PLATFORM.replace('dial_to = ["front-desk"]', 'dial_to = ["front-desk"]\npass_headers = []')
    ) as world:
        _, agent = await world.talking(("X-Outcome", "asking"))
        agent.hang_up((("X-Outcome", "booked"),))
        inbound, outbound = await world.both()
        assert inbound.variables == outbound.variables == {}
