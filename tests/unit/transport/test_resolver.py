"""RFC 3263 with a DNS that is written down."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.clock import VirtualTimeLoop

from offhook.sip.effects import Target
from offhook.sip.uri import parse_sip_uri
from offhook.transport.resolver import DnsResolver

pytestmark = pytest.mark.unit


@dataclass
class A:
    address: str


@dataclass
class Srv:
    priority: int
    weight: int
    port: int
    target: str


@dataclass
class Naptr:
    order: int
    preference: int
    service: bytes


@dataclass
class Zone:
    records: dict[tuple[str, str], list[Any]]
    seconds: float = 60.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    hosts: dict[str, list[str]] = field(default_factory=dict)


def resolver(zone: Zone, seed: int = 1) -> DnsResolver:
    found = DnsResolver(rng=random.Random(seed))

    async def query(name: str, kind: str) -> tuple[tuple[Any, ...], float]:
        zone.asked.append((name, kind))
        records = zone.records.get((name, kind), [])
        return tuple(records), zone.seconds if records else 5.0

    async def hosts_file(host: str) -> list[str]:
        return zone.hosts.get(host, [])

    found._query = query  # type: ignore[method-assign]
    found._hosts_file = hosts_file  # type: ignore[method-assign]
    return found


def targets(zone: Zone, *uris: str, seed: int = 1, wait: float = 0.0) -> list[tuple[Target, ...]]:
    import asyncio

    async def main() -> list[tuple[Target, ...]]:
        dns = resolver(zone, seed)
        found = []
        for uri in uris:
            found.append(await dns.resolve(parse_sip_uri(uri)))
            await asyncio.sleep(wait)
        return found

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


@pytest.mark.rfc(3263, "4.2")
@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:192.0.2.1", Target("udp", "192.0.2.1", 5060)),
        ("sip:192.0.2.1:5070;transport=TCP", Target("tcp", "192.0.2.1", 5070)),
        ("sip:[2001:db8::1]", Target("udp", "2001:db8::1", 5060)),
        ("sip:192.0.2.1;transport=tls", Target("tls", "192.0.2.1", 5061)),
        ("sips:192.0.2.1", Target("tls", "192.0.2.1", 5061)),
        ("sips:192.0.2.1:5070;transport=tcp", Target("tls", "192.0.2.1", 5070)),
    ],
)
def test_a_literal_address_needs_no_dns(uri: str, target: Target) -> None:
    zone = Zone({})
    assert targets(zone, uri) == [(target,)]
    assert zone.asked == []


@pytest.mark.rfc(3261, "26.2.2")
@pytest.mark.parametrize("uri", ["sips:trunk.example", "sip:trunk.example;transport=tls"])
def test_what_must_be_secure_has_no_plain_target(uri: str) -> None:
    zone = Zone({
        ("trunk.example", "A"): [A("192.0.2.1")],
        ("_sip._udp.trunk.example", "SRV"): [Srv(1, 1, 5060, "a.example.")],
    })  # fmt: skip
    assert targets(zone, uri) == [(Target("tls", "192.0.2.1", 5061),)]


@pytest.mark.rfc(3263, "4.2")
def test_srv_of_tls() -> None:
    zone = Zone({
        ("_sips._tcp.trunk.example", "SRV"): [Srv(1, 1, 5071, "a.example.")],
        ("a.example", "A"): [A("192.0.2.7")],
    })  # fmt: skip
    expected = (Target("tls", "192.0.2.7", 5071),)
    assert targets(zone, "sips:trunk.example", "sip:trunk.example;transport=tls") == [expected, expected]


@pytest.mark.rfc(3261, "26.2.2")
@pytest.mark.parametrize("uri", ["sips:192.0.2.1;transport=udp", "sip:192.0.2.1;transport=ws"])
def test_what_we_do_not_speak_has_no_target(uri: str) -> None:
    assert targets(Zone({}), uri) == [()]


@pytest.mark.rfc(3263, "4.2")
def test_a_port_means_addresses_only() -> None:
    zone = Zone({("trunk.example", "A"): [A("192.0.2.1")], ("trunk.example", "AAAA"): [A("2001:db8::1")]})
    assert targets(zone, "sip:trunk.example:5070") == [
        (Target("udp", "192.0.2.1", 5070), Target("udp", "2001:db8::1", 5070))
    ]
    assert {kind for _, kind in zone.asked} == {"A", "AAAA"}


@pytest.mark.rfc(3263, "4.1")
def test_naptr_chooses_the_transport() -> None:
    zone = Zone(
        {
            ("trunk.example", "NAPTR"): [
                Naptr(20, 1, b"SIP+D2U"),
                Naptr(10, 1, b"SIPS+D2T"),
                Naptr(10, 2, b"SIP+D2T"),
            ],
            ("_sips._tcp.trunk.example", "SRV"): [Srv(1, 1, 5071, "a.example.")],
            ("_sip._tcp.trunk.example", "SRV"): [Srv(1, 1, 5062, "a.example.")],
            ("_sip._udp.trunk.example", "SRV"): [Srv(1, 1, 5061, "a.example.")],
            ("a.example", "A"): [A("192.0.2.1")],
        }
    )
    assert targets(zone, "sip:trunk.example") == [
        (Target("tls", "192.0.2.1", 5071), Target("tcp", "192.0.2.1", 5062), Target("udp", "192.0.2.1", 5061))
    ]


@pytest.mark.rfc(3263, "4.2")
def test_srv_by_priority_then_by_weight() -> None:
    zone = Zone(
        {
            ("_sip._udp.trunk.example", "SRV"): [
                Srv(20, 0, 5060, "last.example."),
                Srv(10, 10, 5060, "light.example."),
                Srv(10, 90, 5060, "heavy.example."),
                Srv(30, 0, 5060, "."),
            ],
            ("light.example", "A"): [A("192.0.2.1")],
            ("heavy.example", "A"): [A("192.0.2.2")],
            ("last.example", "A"): [A("192.0.2.3")],
        }
    )
    first = []
    for seed in range(200):
        (found,) = targets(zone, "sip:trunk.example;transport=udp", seed=seed)
        assert {target.host for target in found[:2]} == {"192.0.2.1", "192.0.2.2"}
        assert found[2].host == "192.0.2.3"
        first.append(found[0].host)
    assert 150 < first.count("192.0.2.2") < 199


@pytest.mark.rfc(3263, "4.2")
def test_without_srv_the_name_itself_serves() -> None:
    assert targets(Zone({("pbx.example", "A"): [A("192.0.2.9")]}), "sip:pbx.example") == [
        (Target("udp", "192.0.2.9", 5060),)
    ]


def test_what_dns_does_not_know_the_system_may() -> None:
    assert targets(Zone({}, hosts={"pbx": ["10.0.0.5"]}), "sip:pbx", "sip:nobody") == [
        (Target("udp", "10.0.0.5", 5060),),
        (),
    ]


@pytest.mark.rfc(3263, "4.3")
@pytest.mark.parametrize(("wait", "times"), [(10, 1), (61, 2)])
def test_answers_are_kept_for_their_time_to_live(wait: float, times: int) -> None:
    zone = Zone({("pbx.example", "A"): [A("192.0.2.9")], ("pbx.example", "AAAA"): [A("2001:db8::9")]})
    targets(zone, "sip:pbx.example:5060", "sip:PBX.example:5060", wait=wait)
    assert zone.asked.count(("pbx.example", "A")) == times


def test_a_thousand_records_give_a_bounded_list() -> None:
    zone = Zone({("_sip._udp.big.example", "SRV"): [Srv(1, 1, 5060, f"192.0.2.{n % 250}") for n in range(64)]})
    (found,) = targets(zone, "sip:big.example;transport=udp")
    assert len(found) == 32
