"""RFC 3264 section 4: one offer at a time. The crossings with requests are in rfc3311/test_update.py."""

import pytest

from offhook.sip.offer_answer import TRANSITIONS, Input, OfferAnswer, State

pytestmark = pytest.mark.conformance


def in_state(state: State) -> OfferAnswer:
    """One that has agreed on something, and then come into this state."""
    offers = OfferAnswer()
    offers.offer(b"first")
    offers.answered()
    if state is State.OURS:
        offers.offer(b"second")
    elif state is State.THEIRS:
        offers.offered()
    return offers


VERBS = {
    Input.OFFER_SENT: lambda offers: offers.offer(b"new"),
    Input.OFFER_RECEIVED: lambda offers: offers.offered(),
    Input.ANSWER_SENT: lambda offers: offers.answer(b"new"),
    Input.ANSWER_RECEIVED: lambda offers: offers.answered(),
    Input.WITHDRAWN: lambda offers: offers.withdraw(),
}


@pytest.mark.rfc(3264, "4")
@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", list(VERBS))
def test_every_pair_is_in_the_table_or_changes_nothing(state: State, verb: Input) -> None:
    offers = in_state(state)
    after = TRANSITIONS.get((state, verb))
    assert VERBS[verb](offers) is (after is not None)
    assert offers.state is (after or state)


@pytest.mark.rfc(3264, "4")
def test_there_is_nothing_to_change_before_the_first_answer() -> None:
    offers = OfferAnswer()
    assert not offers.may_offer
    offers.offered()
    assert not offers.may_offer
    offers.answer(b"ours")
    assert offers.may_offer


@pytest.mark.rfc(3264, "8")
def test_a_refused_offer_leaves_what_was_in_force() -> None:
    offers = in_state(State.OURS)
    offers.withdraw()
    assert (offers.local, offers.may_offer) == (b"first", True)
    offers.offer(b"third")
    offers.answered()
    assert offers.local == b"third"
