"""Whatever a peer says, in whatever order, a user agent stands, and forgets it all in the end."""

import pytest
from fuzz.any_order import any_order
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.scenario

STEPS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**32)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(STEPS)
@example([(0, 4_294_967_296), (0, 4830439), (7, 0)])
def test_no_order_of_messages_verbs_and_timers_breaks_it(steps: list[tuple[int, int]]) -> None:
    any_order(steps)
