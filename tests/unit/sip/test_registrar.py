"""The registrar: what phones may bind to their address, in order, bounded, and nobody else's (RFC 3261 10.3)."""

import pytest

from offhook.errors import RemoteProtocolError
from offhook.sip.effects import Source
from offhook.sip.message import Request
from offhook.sip.parser import parse_datagram
from offhook.sip.registrar import LONGEST, SHORTEST, Answer, Owner, Registrar

pytestmark = pytest.mark.unit

ALICE = Owner("desk", "alice")
HOME = Source("udp", ("203.0.113.7", 40123), ("192.0.2.2", 5060), 1)


def register(
    *contacts: str, number: int = 1, call_id: str = "a@b", to: str = "sip:alice@192.0.2.2", **headers: str
) -> Request:
    lines = [
        "REGISTER sip:192.0.2.2 SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa",
        f"From: <{to}>;tag=1",
        f"To: <{to}>",
        f"Call-ID: {call_id}",
        f"CSeq: {number} REGISTER",
        *(f"Contact: {contact}" for contact in contacts),
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        "Content-Length: 0",
    ]
    request = parse_datagram(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(request, Request)
    return request


class Desk:
    """A registrar, and its clock."""

    def __init__(self, most: int = 2) -> None:
        self.registrar = Registrar()
        self.most = most
        self.now = 1000.0

    def take(self, *contacts: str, source: Source = HOME, **fields: object) -> Answer:
        request = register(*contacts, **fields)  # type: ignore[arg-type]
        return self.registrar.register(ALICE, self.most, request, source, self.now)

    @property
    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.registrar.bindings(ALICE, self.now)]


def told(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name == "Contact"]


@pytest.mark.rfc(3261, "10.3")
def test_a_contact_is_bound_to_where_it_came_from() -> None:
    desk = Desk()
    answer = desk.take("<sip:alice@10.0.0.5:5060;ob>", Expires="600", User_Agent="Phone/1")
    assert (answer.status, told(answer)) == (200, ["<sip:alice@10.0.0.5:5060;ob>;expires=600"])
    [binding] = desk.registrar.bindings(ALICE, desk.now)
    assert (binding.target.remote, binding.target.transport, binding.target.flow) == (HOME.remote, "udp", 1)
    assert str(binding.uri) == "sip:alice@10.0.0.5:5060;ob"
    assert binding.user_agent == "Phone/1"
    assert desk.registrar.bindings(Owner("other", "alice"), desk.now) == ()


@pytest.mark.rfc(3261, "19.1.5")
def test_headers_and_method_of_a_contact_are_in_no_call_to_it() -> None:
    desk = Desk()
    for number, contact in enumerate(
        ("<sip:alice@10.0.0.5?Replaces=a%3Bto-tag%3Db&Subject=x%0D%0AEvil:y>", "<sip:alice@10.0.0.5;method=BYE>")
    ):
        answer = desk.take(contact, number=number + 1)
        assert [value.partition(";expires")[0] for value in told(answer)] == [contact], "the phone knows it again"
        [binding] = desk.registrar.bindings(ALICE, desk.now)
        assert str(binding.uri) == "sip:alice@10.0.0.5"


@pytest.mark.rfc(3261, "10.3")
@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [("<sip:a@b.example>;expires=120", "600", 120), ("<sip:a@b.example>", "600", 600),
     ("<sip:a@b.example>", "", LONGEST),
     ("<sip:a@b.example>", "99999", LONGEST), ("<sip:a@b.example>;expires=99999999999999", "", LONGEST),
     ("<sip:a@b.example>;expires=soon", "", LONGEST), ("<sip:a@b.example>", str(SHORTEST), SHORTEST)],
)  # fmt: skip
def test_what_is_granted(contact: str, expires: str, granted: int) -> None:
    desk = Desk()
    answer = desk.take(contact, **({"Expires": expires} if expires else {}))
    assert told(answer) == [f"<sip:a@b.example>;expires={granted}"]
    desk.now += granted + 1
    assert desk.contacts == []
    assert desk.registrar.expire(desk.now) == (ALICE,)
    assert desk.registrar.owners() == ()


@pytest.mark.rfc(3261, "21.4.17")
def test_an_interval_that_is_too_brief_changes_nothing() -> None:
    desk = Desk()
    answer = desk.take("<sip:a@b.example>;expires=600", "<sip:c@b.example>;expires=30")
    assert (answer.status, answer.headers) == (423, (("Min-Expires", "60"),))
    assert desk.contacts == []


def test_nobody_registers_for_others() -> None:
    """Nor learns whether there is such a user."""
    desk = Desk()
    for to in ("sip:bob@192.0.2.2", "sip:nobody@192.0.2.2", "sip:Alice@192.0.2.2", "tel:+14155550100", "sip:192.0.2.2"):
        answer = desk.take("<sip:a@b.example>", to=to)
        assert (answer.status, answer.headers, answer.changed) == (403, (), False)
    assert desk.registrar.owners() == ()


@pytest.mark.rfc(3261, "10.3")
def test_what_comes_out_of_order_changes_nothing() -> None:
    desk = Desk()
    desk.take("<sip:a@b.example>", number=5)
    for number in (5, 4):
        assert desk.take("<sip:a@b.example>;expires=0", number=number).status == 500
        assert desk.take("*", number=number, Expires="0").status == 500
    assert desk.contacts == ["sip:a@b.example"]
    # Another Call-ID is a phone that was switched on again.
    assert desk.take("<sip:a@b.example>;expires=0", number=1, call_id="new").status == 200
    assert desk.contacts == []


@pytest.mark.rfc(3261, "10.3")
def test_all_of_a_request_is_done_or_nothing() -> None:
    desk = Desk()
    desk.take("<sip:a@b.example>", number=5)
    assert desk.take("<sip:c@b.example>", "<sip:a@b.example>", number=5).status == 500
    assert desk.contacts == ["sip:a@b.example"]


@pytest.mark.rfc(3261, "10.2.2")
def test_a_phone_takes_out_one_contact_or_all() -> None:
    desk = Desk()
    desk.take("<sip:a@b.example>", "<sip:c@b.example>")
    assert told(desk.take("<sip:a@b.example>;expires=0", number=2)) == ["<sip:c@b.example>;expires=3600"]
    answer = desk.take("*", number=3, Expires="0")
    assert (answer.status, answer.changed, desk.contacts) == (200, True, [])
    assert desk.take("*", number=4).status == 400
    assert desk.take("*", number=4, Expires="60").status == 400


def test_a_contact_beside_a_star_is_no_request() -> None:
    with pytest.raises(RemoteProtocolError):
        Desk().take("*", "<sip:a@b.example>", Expires="0")


def test_who_asks_is_told_what_is_bound() -> None:
    desk = Desk()
    desk.take("<sip:a@b.example>;q=0.5", "<sip:c@b.example>")
    desk.now += 10
    answer = desk.take(number=2)
    assert told(answer) == ["<sip:c@b.example>;expires=3590", "<sip:a@b.example>;expires=3590;q=0.5"]
    assert not answer.changed


def test_contacts_are_limited_and_the_oldest_goes() -> None:
    """A phone that comes back from another port is not locked out by what it was before."""
    desk = Desk()
    for i in range(5):
        desk.now += 1
        assert desk.take(f"<sip:a@10.0.0.{i}>", call_id=f"c{i}").status == 200
    assert desk.contacts == ["sip:a@10.0.0.4", "sip:a@10.0.0.3"]
    assert desk.take(*(f"<sip:b@10.0.0.{i}>" for i in range(3)), number=9).status == 403
    assert len(desk.contacts) == 2


@pytest.mark.rfc(5626, "6")
def test_a_device_that_moves_keeps_one_contact() -> None:
    desk = Desk()
    device = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";reg-id=1'
    desk.take(f"<sip:a@10.0.0.1>{device}")
    moved = Source("udp", ("203.0.113.8", 50000), ("192.0.2.2", 5060), 1)
    desk.take(f"<sip:a@10.9.9.9>{device}", source=moved, number=2)
    [binding] = desk.registrar.bindings(ALICE, desk.now)
    assert (binding.contact, binding.remote) == ("sip:a@10.9.9.9", moved.remote)


@pytest.mark.rfc(3327, "5.3")
def test_a_path_is_kept_and_said_to_who_knows_it() -> None:
    desk = Desk()
    answer = desk.take("<sip:a@10.0.0.1>", Path="<sip:edge.example;lr>, <sip:inner.example;lr>", Supported="path")
    assert [value for name, value in answer.headers if name == "Path"] == [
        "<sip:edge.example;lr>",
        "<sip:inner.example;lr>",
    ]
    [binding] = desk.registrar.bindings(ALICE, desk.now)
    assert binding.path == ("<sip:edge.example;lr>", "<sip:inner.example;lr>")
    # Calls go by whoever passed it on, not to what it wrote.
    assert binding.target.remote == HOME.remote
    unsaid = desk.take("<sip:a@10.0.0.1>", number=2, Path="<sip:edge.example;lr>")
    assert not [value for name, value in unsaid.headers if name == "Path"]


@pytest.mark.parametrize(
    "contact", ["<tel:+14155550100>", "<http://a.example>", f"<sip:{'a' * 600}@b.example>", "<mailto:a@b.example>"]
)
def test_what_is_no_place_to_call_is_not_bound(contact: str) -> None:
    desk = Desk()
    assert desk.take(contact).status == 400
    assert desk.contacts == []


def test_a_long_path_or_call_id_is_not_kept() -> None:
    desk = Desk()
    assert desk.take("<sip:a@b.example>", Path=f"<sip:{'a' * 600}.example;lr>").status == 400
    assert desk.take("<sip:a@b.example>", call_id="x" * 400).status == 400
    assert desk.contacts == []


def test_connections_of_before_a_restart_are_no_more() -> None:
    desk = Desk()
    desk.take("<sip:a@b.example>", "<sip:c@b.example>")
    later = Registrar()
    later.restore(ALICE, desk.registrar.bindings(ALICE, desk.now), most=1)
    assert len(later.bindings(ALICE, desk.now)) == 1
    assert later.next_timeout() == desk.now + LONGEST
