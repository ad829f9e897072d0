"""RFC 3263 section 4: what is asked about a URI, and where it leads."""

import pytest

from offhook.sip.effects import Target
from offhook.sip.locating import Naptr, Question, Record, Srv, by_preference, locate
from offhook.sip.uri import parse_sip_uri

pytestmark = pytest.mark.conformance

Dns = dict[str, list[Record]]

ADDRESSES = ["h.test A", "h.test AAAA", "h.test system"]


def ask(uri: str, dns: Dns, **having: object) -> tuple[tuple[Target, ...], list[str]]:
    """The targets, and the questions that were asked for them."""
    steps = locate(parse_sip_uri(uri), chance=lambda: 0.0, **having)  # type: ignore[arg-type]
    asked: list[str] = []

    def said(question: Question) -> tuple[Record, ...]:
        asked.append(f"{question.name} {question.kind}")
        return tuple(dns.get(asked[-1], ()))

    try:
        questions = next(steps)
        while True:
            questions = steps.send(tuple(said(question) for question in questions))
    except StopIteration as found:
        return found.value, asked


EDGE: Dns = {
    "carrier.test NAPTR": [
        Naptr(10, 20, "SIP+D2T", "_sip._tcp.edge.test."),
        Naptr(10, 10, "SIPS+D2T", "_sips._tcp.edge.test."),
        Naptr(20, 10, "SIP+D2U", "_sip._udp.carrier.test."),
        Naptr(1, 1, "SIP+D2S", "_sip._sctp.edge.test."),
        Naptr(2, 1, "SIP+D2T", "10.0.0.1", flags="a"),
    ],
    "_sip._tcp.edge.test SRV": [Srv(1, 0, 5070, "one.edge.test.")],
    "_sips._tcp.edge.test SRV": [Srv(1, 0, 5071, "one.edge.test.")],
    "_sip._udp.carrier.test SRV": [Srv(1, 0, 5080, "two.edge.test.")],
    "one.edge.test A": ["192.0.2.1"],
    "two.edge.test A": ["192.0.2.2"],
    "two.edge.test AAAA": ["2001:db8::2"],
}


@pytest.mark.rfc(3263, "4.1")
def test_naptr_leads_to_the_srv_names_that_it_gives_by_order_and_preference() -> None:
    found, asked = ask("sip:carrier.test", EDGE)
    assert found == (
        Target("tls", "192.0.2.1", 5071),
        Target("tcp", "192.0.2.1", 5070),
        Target("udp", "192.0.2.2", 5080),
        Target("udp", "2001:db8::2", 5080),
    )
    # SCTP is not spoken, and a record that leads to an address is none of RFC 3263's.
    assert not any("sctp" in question for question in asked)


@pytest.mark.rfc(3263, "4.1")
def test_what_we_do_not_speak_is_passed_over() -> None:
    found, asked = ask("sip:carrier.test", EDGE, speaks=("udp", "tcp"), families=(4,))
    assert [target.transport for target in found] == ["tcp", "udp"]
    assert not any(question.endswith("AAAA") for question in asked)


@pytest.mark.rfc(3263, "4.1")
def test_sips_takes_tls_alone() -> None:
    records = [record for record in EDGE["carrier.test NAPTR"] if isinstance(record, Naptr)]
    assert by_preference(records, ("udp", "tcp", "tls"), secure=True) == [("tls", "_sips._tcp.edge.test")]
    dns = {**EDGE, "_sips._tcp.carrier.test SRV": [Srv(1, 0, 5071, "one.edge.test")]}
    found, _ = ask("sips:carrier.test", dns)
    assert found == (Target("tls", "192.0.2.1", 5071),)
    assert ask("sips:carrier.test", dns, speaks=("udp", "tcp"))[0] == ()


@pytest.mark.rfc(3263, "4.1")
@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("sip:192.0.2.7", []),
        ("sip:[2001:db8::7]:5070", []),
        ("sip:h.test:5060", ADDRESSES),
        ("sip:h.test;transport=tcp", ["_sip._tcp.h.test SRV", *ADDRESSES]),
        ("sip:h.test", ["h.test NAPTR", "_sip._udp.h.test SRV", "_sip._tcp.h.test SRV", *ADDRESSES]),
        ("sip:h.test;transport=ws", []),
    ],
)
def test_only_what_the_uri_leaves_open_is_asked(uri: str, asked: list[str]) -> None:
    assert ask(uri, {})[1] == asked


@pytest.mark.rfc(3263, "4.2")
def test_an_explicit_port_is_used_with_addresses_alone() -> None:
    found, _ = ask("sip:two.edge.test:5099", EDGE, families=(6, 4))
    assert found == (Target("udp", "2001:db8::2", 5099), Target("udp", "192.0.2.2", 5099))


def test_an_address_that_is_none_is_no_target() -> None:
    assert ask("sip:h.test:5060", {"h.test system": ["not-an-address", "10.0.0.9"]})[0] == (
        Target("udp", "10.0.0.9", 5060),
    )


def test_who_publishes_without_end_is_asked_for_with_an_end() -> None:
    dns: Dns = {"_sip._udp.big.test SRV": [Srv(1, 1, 5060, f"h{n}.big.test") for n in range(1_000)]}
    dns |= {f"h{n}.big.test A": [f"192.0.{n % 250}.{m}" for m in range(200)] for n in range(1_000)}
    found, asked = ask("sip:big.test;transport=udp", dns)
    assert len(found) == 32
    assert len(asked) < 100
