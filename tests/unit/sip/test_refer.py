"""The machines of a REFER: their tables, and what their states say of each other."""

import pytest

from offhook.sip.headers.event import Event
from offhook.sip.headers.subscription_state import SubscriptionState
from offhook.sip.refer import TRANSITIONS, Ending, OutboundRefer, State
from offhook.sip.sipfrag import Fragment
from offhook.sip.subscription import TRANSITIONS as OF_SUBSCRIPTIONS
from offhook.sip.subscription import State as SubscriptionStates
from offhook.sip.subscription import Subscription

pytestmark = pytest.mark.unit


def test_every_state_can_be_reached_and_left() -> None:
    for table, states, last in (
        (TRANSITIONS, State, State.OVER),
        (OF_SUBSCRIPTIONS, SubscriptionStates, SubscriptionStates.TERMINATED),
    ):
        reached = set(table.values())
        left = {before for before, _ in table}
        assert reached | {next(iter(states))} == set(states)
        assert left == set(states) - {last}


def test_an_end_is_an_end() -> None:
    refer = OutboundRefer(7, 60, 0.0)
    refer.notified(SubscriptionState("active"), Fragment(486), 1.0)
    first = refer.outcome
    refer.notified(SubscriptionState("active"), Fragment(200), 2.0)
    refer.session_ended(3.0)
    refer.abandon()
    refer.handle_timeout(100.0)
    assert refer.outcome is first
    assert first is not None
    assert first.ending is Ending.FAILED


def test_a_subscription_is_meant_by_each_number_of_its_request() -> None:
    subscription = Subscription("refer", 7)
    subscription.renumbered(8)
    assert subscription.is_meant(Event("refer"))
    assert subscription.is_meant(Event("refer", "7"))
    assert subscription.is_meant(Event("refer", "8"))
    assert not subscription.is_meant(Event("refer", "9"))
    assert not subscription.is_meant(Event("presence"))


def test_a_subscription_that_lasts_longer_than_an_hour_is_looked_at_for_an_hour() -> None:
    subscription = Subscription("refer", 7)
    subscription.receive(SubscriptionState("active", expires=2**32 - 1), 10.0)
    assert subscription.next_timeout() == 3610.0
    assert subscription.handle_timeout(3610.0)
    assert subscription.is_over


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("active;expires=60", SubscriptionState("active", expires=60)),
        ("Terminated ; Reason=NoResource;retry-after=7", SubscriptionState("terminated", "noresource", None, 7)),
        ('pending;reason="two words";expires=-1', SubscriptionState("pending")),
    ],
)
def test_subscription_states(text: str, state: SubscriptionState) -> None:
    assert SubscriptionState.parse(text) == state
    assert SubscriptionState.parse(str(state)) == state
