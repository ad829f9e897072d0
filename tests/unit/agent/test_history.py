"""The history of a call, and its form for language models."""

import pytest

from offhook.agent.history import KEPT, History

pytestmark = pytest.mark.unit


def test_lines_of_one_side_are_one_message_and_the_system_goes_first() -> None:
    history = History()
    history.agent_said("Hello.")
    history.caller_said("I want a table.")
    history.caller_said("For two.")
    history.agent_said("Certainly, for", interrupted=True)
    history.agent_said("")
    assert history.messages(system="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "I want a table. For two."},
        {"role": "assistant", "content": "Certainly, for"},
    ]
    assert [line.interrupted for line in history] == [False, False, False, True]
    assert len(history) == 4, "what nobody heard is no line"
    assert str(history[-1].text) == "Certainly, for"


def test_messages_of_tools_stay_where_they_are() -> None:
    history = History()
    history.caller_said("Weather?")
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    history.add(call)
    history.add({"role": "tool", "tool_call_id": "1", "content": "sunny"})
    history.agent_said("Sunny.")
    messages = history.messages()
    assert messages[1] == call
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]


def test_what_is_changed_in_the_messages_does_not_change_the_history() -> None:
    history = History()
    history.add({"role": "tool", "content": "a"})
    history.messages()[0]["content"] = "b"
    assert history.messages()[0]["content"] == "a"


def test_a_history_is_bounded() -> None:
    history = History()
    for number in range(KEPT + 5):
        history.caller_said(str(number))
    assert len(history) == KEPT
    assert history.forgotten == 5
    assert history[0].text == "5"
