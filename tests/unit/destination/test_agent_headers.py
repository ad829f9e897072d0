"""What an agent has us send: bounded by message, whatever the place, and all of a message or none."""

import pytest

from offhook.destination.agent_headers import AgentHeaders
from offhook.errors import LocalProtocolError
from offhook.sip.outgoing import Outgoing

pytestmark = pytest.mark.unit


def test_what_is_for_one_message_goes_before_what_is_for_all() -> None:
    headers = AgentHeaders(("X-*",))
    headers.set({"X-A": "1", "X-B": "2"}, "all")
    headers.set({"x-a": "3", "X-C": "4"}, "bye")
    assert headers.outgoing == Outgoing(
        answer=(("X-A", "1"), ("X-B", "2")),
        bye=(("x-a", "3"), ("X-B", "2"), ("X-C", "4")),
        requests=(("X-A", "1"), ("X-B", "2")),
    )
    headers.set({"x-b": None, "X-Never": None}, "all")
    assert headers.outgoing.requests == (("X-A", "1"),)


def test_the_bounds_are_those_of_a_message() -> None:
    headers = AgentHeaders(("X-*",))
    headers.set({f"X-{number}": "1" for number in range(10)}, "all")
    headers.set({f"X-A-{number}": "1" for number in range(6)}, "answer")
    before = headers.outgoing
    for wrong in ({"X-More": "1"}, {"X-0": "x" * 2048, "X-1": "x" * 2048}):
        with pytest.raises(LocalProtocolError, match="more than"):
            headers.set(wrong, "all")
        assert headers.outgoing == before
    headers.set({"X-0": "2"}, "answer")
    assert len(headers.outgoing.answer) == 16


def test_a_name_has_the_spelling_that_is_known() -> None:
    assert AgentHeaders(("*",)).check("user-TO-user", "6869;encoding=hex")[0] == "User-to-User"
    assert AgentHeaders(("*",)).check("X-My-Name", " a ") == ("X-My-Name", "a")
    with pytest.raises(LocalProtocolError, match="not among the headers"):
        AgentHeaders(()).check("X-A", "1")
