"""Who writes another's address into a datagram has our answer sent there: it is never much longer than the question."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.solo import Solo

from offhook.sip.digest import Challenger
from offhook.sip.doorkeeper import MOST_FOR_NOTHING
from offhook.sip.effects import Source
from offhook.sip.message import METHODS, Request
from offhook.sip.screening import Challenge, Refuse, Verdict
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.unit

ALL = ("SHA-256", "SHA-512-256", "MD5")
PHONE = (
    "REGISTER sip:pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK-1f3a;rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:ada@pbx.example.com>;tag=8f2c\r\nTo: <sip:ada@pbx.example.com>\r\n"
    "Call-ID: 7d1e-2@192.168.1.20\r\nCSeq: 1 REGISTER\r\nContact: <sip:ada@192.168.1.20:5060>\r\nExpires: 300\r\n"
    "Content-Length: 0\r\n\r\n"
)


def source(transport: str = "udp") -> Source:
    return Source(transport, ("198.51.100.200", 65_535), ("192.0.2.2", 5060), 1)


def challenging(realm: str = "offhook.example") -> Callable[[Request, Source, str | None], Verdict]:
    challenger = Challenger(realm, ALL, secret=b"s" * 32, rng=random.Random(5))
    return lambda request, source, user: Challenge(challenger, lambda user: None)


def refusing(request: Request, source: Source, user: str | None) -> Verdict:
    return Refuse(403)


def tiny(method: str, more: str = "") -> bytes:
    """As short as a request can be that is one still."""
    return (
        f"{method} sip:a SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK1;rport\r\n"
        f"f:<sip:a>;tag=1\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 {method}\r\n{more}\r\n"
    ).encode()


def told(data: bytes, screen: Callable[..., Verdict], transport: str = "udp") -> list[bytes]:
    """All that is sent within 64 seconds to a source that has proven nothing."""
    solo = Solo(UserAgentConfig(user_agent="offhook/0.1.0"))
    solo.screen = screen
    solo.receive_bytes(data, source(transport))
    solo.run(64)
    return [effect.wire for _, effect in solo.sent]


@pytest.mark.rfc(3261, "26.3.2.4")
@pytest.mark.parametrize("method", sorted(METHODS | {"FROB"}))
@pytest.mark.parametrize(
    "more", ["", "x\r\n", "l:1\r\n", "Require: a,b,c\r\n", "Max-Forwards: 0\r\n", "v:" + "a," * 60]
)
def test_no_datagram_of_a_stranger_makes_more_than_three_times_as_many_bytes(method: str, more: str) -> None:
    data = tiny(method, more if more.endswith("\r\n") or not more else more + "\r\n")
    for screen in (challenging(), challenging("r" * 120), refusing):
        assert sum(map(len, told(data, screen))) <= MOST_FOR_NOTHING * len(data)


@given(
    st.sampled_from(sorted(METHODS)),
    st.lists(
        st.sampled_from(["v:SIP/2.0/UDP a", "o:a", "s:b", "k:timer", "m:<sip:a>", "Route:<sip:b>", "x", "i:2"]),
        max_size=20,
    ),
)
def test_whatever_short_fields_it_is_made_of(method: str, fields: list[str]) -> None:
    data = tiny(method, "".join(f"{field}\r\n" for field in fields))
    assert sum(map(len, told(data, challenging()))) <= MOST_FOR_NOTHING * len(data)


def test_a_phone_is_offered_all_there_is_and_a_small_one_as_much_as_fits() -> None:
    [answer] = told(PHONE.encode(), challenging())
    assert answer.count(b"WWW-Authenticate:") == 3
    [answer] = told(tiny("OPTIONS", "x:" + "y" * 60 + "\r\n"), challenging())
    assert answer.count(b"algorithm=SHA-256,") == 1
    assert b"algorithm=MD5" not in answer


def test_on_a_connection_nobody_else_is_hit() -> None:
    [answer] = told(tiny("INVITE", "l:0\r\n"), challenging(), "tcp")
    assert answer.count(b"WWW-Authenticate:") == 3
