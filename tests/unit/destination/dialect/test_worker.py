"""offhook.worker.v1: what both sides say of a worker fits the published schema, and is read strictly."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from offhook.destination.dialect import worker
from offhook.destination.dialect.worker import Drain, Hello, Invalid, Status, Unknown

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[4] / "docs" / "reference"
SCHEMA = json.loads((DOCS / "worker-protocol.schema.json").read_text())
GATEWAY = Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": "#/$defs/gateway"}]})
WORKER = Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": "#/$defs/worker"}]})

HELLO: dict[str, Any] = {
    "type": "hello",
    "name": "desk",
    "max_calls": 8,
    "ready": 2,
    "credit_ms": 500,
    "instance": "box-7:4711",
    "software": "offhook-sdk 1.0",
    "labels": {"zone": "b"},
}


def test_what_the_gateway_says_fits_the_schema() -> None:
    for text in (
        worker.welcome(gateway="edge", version="1", session="s", connection=0, connections=2),
        worker.drain("the gateway is stopping"),
        worker.error("bad_field", "x" * 1000),
    ):
        GATEWAY.validate(json.loads(text))


def test_what_a_worker_says_is_read() -> None:
    for message in (HELLO, {"type": "hello", "name": "desk", "max_calls": 1}, {"type": "status"}, {"type": "drain"}):
        WORKER.validate(message)
    assert worker.parse(json.dumps(HELLO)) == Hello("desk", 8, 2, 500, "box-7:4711", "offhook-sdk 1.0", {"zone": "b"})
    assert worker.parse('{"type": "hello", "name": "desk", "max_calls": 1}') == Hello("desk", 1, None, None, "", "", {})
    assert worker.parse('{"type": "status", "ready": 0, "new": []}') == Status(None, 0)
    assert worker.parse('{"type": "drain"}') == Drain()
    assert worker.parse('{"type": "later"}') == Unknown("later")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": 7},
        {"max_calls": 0},
        {"max_calls": 10_001},
        {"max_calls": True},
        {"max_calls": 1.0},
        {"ready": -1},
        {"credit_ms": 60_001},
        {"labels": []},
        {"labels": {"a": 1}},
        {"labels": {str(n): "x" for n in range(17)}},
        {"instance": 1},
    ],
)
def test_a_wrong_field_is_named_and_the_schema_agrees(change: dict[str, Any]) -> None:
    message = HELLO | change
    assert not WORKER.is_valid(message) or change == {"max_calls": 1.0}
    found = worker.parse(json.dumps(message))
    assert isinstance(found, Invalid)
    assert (found.code, next(iter(change)) in found.message) == ("bad_field", True)


def test_what_is_no_message_is_told() -> None:
    codes = [worker.parse(text) for text in ("x", "[]", "{}", '{"type": 1}', "[" * 100_000)]
    assert [found.code for found in codes if isinstance(found, Invalid)] == [
        "not_json", "no_type", "no_type", "no_type", "not_json",
    ]  # fmt: skip


def test_decline_is_the_one_message_more() -> None:
    assert worker.decline('{"type": "decline", "reason": "not\\nnow"}') == "not now"
    assert worker.decline('{"type": "decline"}') == ""
    assert worker.decline('{"type": "reject"}') is None
    assert worker.decline("x") is None


@given(st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    worker.parse(text)
    worker.decline(text)
