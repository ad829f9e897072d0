"""What Rust writes in the gateway, written from the same description."""

import json

import pytest

from offhook.destination.dialect.offhook import OFFHOOK
from offhook.destination.dialect.twilio import TWILIO
from offhook.examine.template import fill, is_numbered

pytestmark = pytest.mark.unit


def test_gaps_in_strings_and_values_that_stand_alone() -> None:
    values = {"sequence": 7, "chunk": 3, "timestamp_ms": 40, "payload": "//8=", "stream_sid": "MZ1"}
    assert json.loads(fill(TWILIO.send["media"], values)) == {
        "event": "media",
        "sequenceNumber": "7",
        "media": {"track": "inbound", "chunk": "3", "timestamp": "40", "payload": "//8="},
        "streamSid": "MZ1",
    }
    cleared = {"played_ms": 20, "dropped_ms": 0, "marks": ['a"b', "c"]}
    assert json.loads(fill(OFFHOOK.send["cleared"], cleared)) == {"type": "cleared", **cleared}


def test_brackets_that_are_meant_and_names_that_are_missing() -> None:
    assert fill({"a": "{{x}} {name}"}, {"name": "{}"}) == '{"a":"{x} {}"}'
    with pytest.raises(KeyError, match="digit"):
        fill(TWILIO.send["dtmf"], {"sequence": 1, "stream_sid": "MZ1"})


def test_which_messages_have_a_number() -> None:
    assert all(is_numbered(template) for template in TWILIO.send.values())
    assert not any(is_numbered(template) for template in OFFHOOK.send.values())
