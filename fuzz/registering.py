"""Any REGISTER against a gateway that has a phone, and what must hold of the registrar.

Nothing is raised; who has proven nothing binds nothing; who is proven has so many contacts at most, all of them at the
address that the request came from, none beyond the longest time; and once that has passed nothing is left.
"""

import random
from dataclasses import dataclass

from tests.support.messages import TCP, UDP
from tests.support.solo import Solo

from offhook.sip.digest import Challenger
from offhook.sip.effects import Source
from offhook.sip.message import Request
from offhook.sip.registrar import LONGEST, Answer, Owner, Registrar
from offhook.sip.screening import Admit, Challenge, Verdict

ALICE = Owner("desk", "alice")
MOST = 3
KNOWN = b"<sip:alice@192.0.2.77>;expires=3600"

SEEDS = [
    b"Contact: <sip:alice@10.0.0.5:5060;ob>;q=0.5;expires=600\r\nExpires: 60\r\nSupported: path, gruu\r\n",
    b"Contact: *\r\nExpires: 0\r\nUser-Agent: Phone/1\r\n",
    b"m: <sip:a@b>;expires=0, <sip:c@[2001:db8::1]>;q=1, <tel:+14155550100>\r\nPath: <sip:edge.example;lr>\r\n",
    b'Contact: <sip:a@b>;+sip.instance="<urn:uuid:0>";reg-id=1\r\nContact: "A" <sips:a@b;transport=tcp>;expires=x\r\n',
    b'Authorization: Digest username="alice", realm="desk", nonce="n", uri="sip:192.0.2.2", response="00", '
    b'algorithm=MD5, cnonce="c", qop=auth, nc=00000001\r\nContact: <sip:thief@203.0.113.9>\r\n',
    b"Contact: <sip:a@b>;expires=30\r\nRequire: path\r\nExpires: 99999999999\r\n",
    b"Route: <sip:192.0.2.2;lr>\r\nContact: <sip:a@b?Replaces=x>;expires=-1\r\nMax-Forwards: 0\r\n",
]
"""The part of a REGISTER that follows its Via, From, To, Call-ID and CSeq; the target adds those."""


@dataclass(frozen=True)
class Desk:
    """A peer with phones."""

    name: str = "desk"
    nat: bool = False
    phones: tuple[str, ...] = ("alice",)


class Gateway:
    """A user agent whose registrar knows one phone, which is registered. It is challenged unless it `is_proven`."""

    def __init__(self, *, is_proven: bool) -> None:
        self.solo = Solo()
        self.registrar = Registrar()
        self.solo.user_agent.registrar = self.take
        self.challenger = Challenger("desk", ("SHA-256", "MD5"), secret=b"s" * 16, rng=random.Random(1))
        self.solo.screen = lambda request, source, user: Admit(Desk(), "alice")
        self.solo.receive_bytes(_register(b"Contact: " + KNOWN + b"\r\n", 1), UDP)
        assert len(self.bound) == 1, "the phone is registered"
        if not is_proven:
            self.solo.screen = self.challenges

    def challenges(self, request: Request, source: Source, user: str | None) -> Verdict:
        if user is not None:
            return Admit(Desk(), user)
        return Challenge(self.challenger, {"alice": "alices-secret"}.get)

    def take(self, request: Request, source: Source, peer: object, user: str, now: float) -> Answer:
        return self.registrar.register(Owner("desk", user), MOST, request, source, now)

    @property
    def bound(self) -> tuple[object, ...]:
        return self.registrar.bindings(ALICE, self.solo.now)


def _register(rest: bytes, number: int) -> bytes:
    head = (
        "REGISTER sip:192.0.2.2 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number}\r\n"
        "From: <sip:alice@192.0.2.2>;tag=1\r\n"
        "To: <sip:alice@192.0.2.2>\r\n"
        f"Call-ID: fuzz\r\nCSeq: {number} REGISTER\r\n"
    )
    return head.encode() + rest + b"\r\n"


def any_register(rest: bytes) -> None:
    """Take it as the rest of a REGISTER, from somebody who has proven nothing and from the phone itself, twice."""
    stranger = Gateway(is_proven=False)
    before = stranger.bound
    for number in (2, 3):
        stranger.solo.receive_bytes(_register(rest, number), UDP)
    assert stranger.bound == before, "who has proven nothing has changed what is registered"
    phone = Gateway(is_proven=True)
    for number, source in ((2, UDP), (3, TCP)):
        phone.solo.receive_bytes(_register(rest, number), source)
        _keeps_its_limits(phone)
    end = phone.solo.now + LONGEST + 1
    phone.registrar.expire(end)
    assert phone.registrar.owners() == (), "something is kept for ever"


def _keeps_its_limits(phone: Gateway) -> None:
    assert set(phone.registrar.owners()) <= {ALICE}, "somebody else is registered"
    bindings = phone.registrar.bindings(ALICE, phone.solo.now)
    assert len(bindings) <= MOST, "more contacts than there may be"
    for binding in bindings:
        assert binding.remote in (UDP.remote, TCP.remote), "calls would go elsewhere"
        assert phone.solo.now < binding.until <= phone.solo.now + LONGEST, "for longer than anything is granted"
        _ = binding.uri, binding.target
