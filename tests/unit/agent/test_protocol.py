"""Records of `offhook.worker.v1` as bytes."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.agent.protocol import Kind, close_code, number, pack, pack_close, pack_control, parse, unpack, words
from offhook.errors import RemoteProtocolError

pytestmark = pytest.mark.unit


def test_a_record_is_as_its_page_says() -> None:
    assert pack(Kind.CREDIT, 7, position=3400) == struct.pack(">III", 3 << 24, 7, 3400)
    assert pack_control(1, {"type": "clear"}) == struct.pack(">III", 2 << 24 | 16, 1, 0) + b'{"type":"clear"}'
    assert pack_close(2, 1000, "é" * 100)[14:] == ("é" * 61).encode(), "never more than 123 bytes, never half a letter"
    assert close_code(pack_close(2, 1011, "why")[12:]) == (1011, "why")
    assert close_code(b"") == (1005, "")


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 2**32 - 1), st.binary(max_size=50))))
def test_what_is_packed_is_unpacked(records: list[tuple[Kind, int, bytes]]) -> None:
    message = b"".join(pack(kind, call, payload, 5) for kind, call, payload in records)
    found = [(record.kind, record.call, record.payload, record.position) for record in unpack(message)]
    assert found == [(kind, call, payload, 5) for kind, call, payload in records]


@given(st.binary(max_size=100))
def test_any_bytes_are_records_or_one_error(message: bytes) -> None:
    with suppress(RemoteProtocolError):
        assert all(len(record.payload) < 2**24 for record in unpack(message))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"type": 1}', "{}", "[" * 100_000])
def test_what_is_no_message_is_one_error(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(text)


def test_fields_of_the_wrong_kind_are_missing() -> None:
    message = {"a": "x", "b": 1.5, "c": True, "d": None}
    assert [number(message, name) for name in "abcde"] == [0, 1, 0, 0, 0]
    assert [words(message, name) for name in "abcde"] == ["x", "", "", "", ""]
