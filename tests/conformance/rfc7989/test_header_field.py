"""RFC 7989 section 5: the header field, what is tolerated in it, and what becomes of the two halves."""

import uuid

import pytest
from tests.support.messages import request

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers.session_id import NIL, SessionId, SessionUuids, random_uuid

pytestmark = pytest.mark.conformance

A, B, C = "ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2", "f81d4fae7dec11d0a76500a0c91e6bf6"


@pytest.mark.rfc(7989, "5")
def test_both_halves() -> None:
    value = SessionId.parse(f"{A};remote={B}")
    assert (value.local, value.remote) == (A, B)
    assert str(value) == f"{A};remote={B}"
    assert value.reversed == SessionId(B, A)


@pytest.mark.rfc(7989, "5")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"{A} ; remote={NIL}", SessionId(A, NIL)),
        (f"{A.upper()};REMOTE={B.upper()}", SessionId(A, B)),
        (f'{A};remote={B};logme;x="y"', SessionId(A, B)),
        (NIL, SessionId(NIL, None)),
    ],
)
def test_what_is_tolerated(text: str, value: SessionId) -> None:
    assert SessionId.parse(text) == value
    assert SessionId.parse(str(value)) == value


@pytest.mark.rfc(7989, "11")
def test_the_form_of_rfc_7329_has_one_id() -> None:
    value = SessionId.parse(C)
    assert (value.local, value.remote) == (C, None)
    assert str(value) == C


@pytest.mark.parametrize(
    "text",
    ["", A[:-1], A + "0", f"{A[:-1]}g", f"{A};remote=", f"{A};remote=x", f"{A};remote={B};remote={C}", f"{A} {B}",
     "ab30317f-1a78-4dc4-8ff8-24d0d3715d86"],
)  # fmt: skip
def test_a_broken_one_is_as_none(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        SessionId.parse(text)
    assert request("INVITE", f"Session-ID: {text}").session_id is None


def test_ours_are_lower_case_hexadecimal() -> None:
    for halves in ((A.upper(), NIL), ("x", NIL), (A, "x\r\n")):
        with pytest.raises(LocalProtocolError):
            SessionId(*halves)


@pytest.mark.rfc(7989, "6")
def test_the_other_half_is_learned_and_nil_teaches_nothing() -> None:
    ours = SessionId(A)
    assert str(ours) == f"{A};remote={NIL}"
    ours = ours.hearing(SessionId(B, NIL))
    assert ours == SessionId(A, B)
    assert ours.hearing(SessionId(NIL, A)) == ours


@pytest.mark.rfc(7989, "8")
def test_the_other_half_may_change_in_mid_session() -> None:
    assert SessionId(A, B).hearing(SessionId(C, B)) == SessionId(A, C)


@pytest.mark.rfc(7989, "11")
def test_an_old_peer_that_returns_our_own_id_has_none() -> None:
    assert SessionId(A).hearing(SessionId(A, None)) == SessionId(A)
    assert SessionId(A).hearing(SessionId(C, None)) == SessionId(A, C)


@pytest.mark.rfc(7989, "4.1")
def test_ids_are_uuids_of_version_4_and_5() -> None:
    made = uuid.UUID(random_uuid(2**128 - 1))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    ids = SessionUuids(bytes(range(16)))
    named = uuid.UUID(ids.of("call@h", "tag"))
    assert named == uuid.uuid5(uuid.UUID(bytes=bytes(range(16))), "call@h\0tag")
    assert ids.of("call@h", "other") != named.hex
    assert SessionUuids(bytes(16)).of("call@h", "tag") != named.hex
