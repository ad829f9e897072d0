"""A hand-over as the plugin rehearses it, each agent for itself: the guide's two tests, with the examples' agents."""

import pytest
from tests.support.gateway import REPOSITORY

from offhook.agent.loading import load_agent
from offhook.testing import CallerFor

pytestmark = pytest.mark.scenario

EXAMPLES = REPOSITORY / "examples"


async def test_reception_hands_over_once_its_last_words_are_heard_and_goes_on_where_nobody_takes_it(
    caller_for: CallerFor,
) -> None:
    async with caller_for(load_agent(EXAMPLES / "reception.py"), line="mobile") as caller:
        await caller.hears("What is it about")
        await caller.says("I want a refund")
        await caller.hears("my colleague knows about that")
        assert await caller.is_handed_over("no_capacity") == ("worker:billing", "I want a refund")
        assert "leave a message" in await caller.hears("busy")
        assert "the hand-over to worker:billing: no capacity" in caller.timeline
    async with caller_for(load_agent(EXAMPLES / "reception.py")) as caller:
        await caller.hears()
        await caller.says("I want a refund")
        await caller.is_handed_over()
        assert caller.end_reason == "handed_over"
        await caller.is_hung_up_on()
        given = list(caller.call.history)
    assert caller.call.end_reason == "handed_over"
    billing = load_agent(EXAMPLES / "billing.py")
    note = "I want a refund"
    async with caller_for(billing, handed_over_by="worker:front-desk", note=note, history=given) as caller:
        heard = await caller.hears("refund")
        assert "Billing here" in heard
        await caller.says("Order forty seven")
        assert "I want a refund Order forty seven" in await caller.hears("noted")
        assert caller.call.handed_over_by == "worker:front-desk"
