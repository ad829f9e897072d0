"""RFC 3263 with a DNS that is written down."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from tests.support.clock import VirtualTimeLoop
from tests.support.name_server import NameServer

from offhook.sip.effects import Target
from offhook.sip.locating import MAX_SERVERS, Naptr, Question, Record, Srv
from offhook.sip.uri import parse_sip_uri
from offhook.transport.resolver import CACHE_SIZE, Answer, DnsResolver

pytestmark = pytest.mark.unit


@dataclass
class Zone:
    records: dict[tuple[str, str], list[Record]]
    seconds: float = 60.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    hosts: dict[str, list[str]] = field(default_factory=dict)
    is_dead: bool = False


def resolver(zone: Zone, seed: int = 1) -> DnsResolver:
    found = DnsResolver(rng=random.Random(seed))

    async def query(question: Question) -> Answer:
        zone.asked.append((question.name, question.kind))
        if zone.is_dead:
            return Answer(seconds=5.0, failed=True)
        records = zone.records.get((question.name, question.kind), [])
        return Answer(tuple(records), zone.seconds if records else 5.0)

    async def system(question: Question) -> Answer:
        return Answer(tuple(zone.hosts.get(question.name, [])))

    found._query = query  # type: ignore[method-assign]
    found._system = system  # type: ignore[method-assign]
    return found


def targets(zone: Zone, *uris: str, seed: int = 1, wait: float = 0.0) -> list[tuple[Target, ...]]:
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
        ("trunk.example", "A"): ["192.0.2.1"],
        ("_sip._udp.trunk.example", "SRV"): [Srv(1, 1, 5060, "a.example.")],
    })  # fmt: skip
    assert targets(zone, uri) == [(Target("tls", "192.0.2.1", 5061),)]


@pytest.mark.rfc(3263, "4.2")
def test_srv_of_tls() -> None:
    zone = Zone({
        ("_sips._tcp.trunk.example", "SRV"): [Srv(1, 1, 5071, "a.example.")],
        ("a.example", "A"): ["192.0.2.7"],
    })  # fmt: skip
    expected = (Target("tls", "192.0.2.7", 5071),)
    assert targets(zone, "sips:trunk.example", "sip:trunk.example;transport=tls") == [expected, expected]


@pytest.mark.rfc(3261, "26.2.2")
@pytest.mark.parametrize("uri", ["sips:192.0.2.1;transport=udp", "sip:192.0.2.1;transport=ws"])
def test_what_we_do_not_speak_has_no_target(uri: str) -> None:
    assert targets(Zone({}), uri) == [()]


@pytest.mark.rfc(3263, "4.2")
def test_a_port_means_addresses_only() -> None:
    zone = Zone({("trunk.example", "A"): ["192.0.2.1"], ("trunk.example", "AAAA"): ["2001:db8::1"]})
    assert targets(zone, "sip:trunk.example:5070") == [
        (Target("udp", "192.0.2.1", 5070), Target("udp", "2001:db8::1", 5070))
    ]
    assert {kind for _, kind in zone.asked} == {"A", "AAAA"}


@pytest.mark.rfc(3263, "4.1")
def test_naptr_chooses_the_transport() -> None:
    zone = Zone(
        {
            ("trunk.example", "NAPTR"): [
                Naptr(20, 1, "SIP+D2U", "_sip._udp.trunk.example."),
                Naptr(10, 1, "SIPS+D2T", "_sips._tcp.trunk.example."),
                Naptr(10, 2, "SIP+D2T", "_sip._tcp.trunk.example."),
            ],
            ("_sips._tcp.trunk.example", "SRV"): [Srv(1, 1, 5071, "a.example.")],
            ("_sip._tcp.trunk.example", "SRV"): [Srv(1, 1, 5062, "a.example.")],
            ("_sip._udp.trunk.example", "SRV"): [Srv(1, 1, 5061, "a.example.")],
            ("a.example", "A"): ["192.0.2.1"],
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
            ("light.example", "A"): ["192.0.2.1"],
            ("heavy.example", "A"): ["192.0.2.2"],
            ("last.example", "A"): ["192.0.2.3"],
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
    assert targets(Zone({("pbx.example", "A"): ["192.0.2.9"]}), "sip:pbx.example") == [
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
    zone = Zone({("pbx.example", "A"): ["192.0.2.9"], ("pbx.example", "AAAA"): ["2001:db8::9"]})
    targets(zone, "sip:pbx.example:5060", "sip:PBX.example:5060", wait=wait)
    assert zone.asked.count(("pbx.example", "A")) == times


def test_a_thousand_records_give_a_bounded_list() -> None:
    zone = Zone({("_sip._udp.big.example", "SRV"): [Srv(1, 1, 5060, f"192.0.2.{n % 250}") for n in range(64)]})
    (found,) = targets(zone, "sip:big.example;transport=udp")
    assert len(found) == MAX_SERVERS


def resolved_while(zone: Zone, steps: list[tuple[float, bool]]) -> list[tuple[Target, ...]]:
    """What a name comes to, asked at each step: (seconds to wait first, whether the name server is dead then)."""

    async def main() -> list[tuple[Target, ...]]:
        dns, found = resolver(zone), []
        for seconds, is_dead in steps:
            await asyncio.sleep(seconds)
            zone.is_dead = is_dead
            found.append(await dns.resolve(parse_sip_uri("sip:pbx.example:5060")))
        return found

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def test_what_was_known_serves_while_no_name_server_answers() -> None:
    zone = Zone({("pbx.example", "A"): ["192.0.2.9"]})
    known, stale, gone, back = resolved_while(zone, [(0, False), (100, True), (4_000, True), (10, False)])
    assert known == stale == back == (Target("udp", "192.0.2.9", 5060),)
    assert gone == ()


def test_a_dead_name_server_is_not_asked_at_each_call() -> None:
    zone = Zone({("pbx.example", "A"): ["192.0.2.9"]})
    resolved_while(zone, [(0, False), (61, True), (1, True), (1, True)])
    assert zone.asked.count(("pbx.example", "A")) == 2


def test_calls_at_the_same_time_ask_once() -> None:
    zone = Zone({("pbx.example", "A"): ["192.0.2.9"]})

    async def main() -> None:
        dns = resolver(zone)
        await asyncio.gather(*(dns.resolve(parse_sip_uri("sip:pbx.example:5060")) for _ in range(50)))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
    assert zone.asked.count(("pbx.example", "A")) == 1


def test_the_cache_is_bounded() -> None:
    zone = Zone({})

    async def main() -> int:
        dns = resolver(zone)
        for number in range(CACHE_SIZE):
            await dns.resolve(parse_sip_uri(f"sip:h{number}.example:5060"))
        return len(dns._cache)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == CACHE_SIZE


# -- the same with a name server on the wire


def asked_on_the_wire(zone: dict[str, list[str]], *uris: str) -> list[tuple[Target, ...]]:
    async def main() -> list[tuple[Target, ...]]:
        async with NameServer(zone) as server:
            dns = DnsResolver(name_servers=[server.address], timeout=0.5, rng=random.Random(1))
            return [await dns.resolve(parse_sip_uri(uri)) for uri in uris]

    return asyncio.run(main())


@pytest.mark.rfc(3263, "4.1")
def test_naptr_srv_and_addresses_of_a_name_server() -> None:
    (found,) = asked_on_the_wire(
        {
            "carrier.test NAPTR": [
                '20 0 "s" "SIP+D2U" "" _sip._udp.carrier.test.',
                '10 0 "s" "SIP+D2T" "" _sip._tcp.edge.test.',
                '5 0 "u" "E2U+sip" "!^.*$!sip:a@b!" .',
            ],
            "_sip._tcp.edge.test SRV": ["1 0 5070 one.edge.test."],
            "_sip._udp.carrier.test SRV": ["1 0 5080 two.edge.test."],
            "one.edge.test A": ["192.0.2.1"],
            "one.edge.test AAAA": ["2001:db8::1"],
            "two.edge.test CNAME": ["one.edge.test."],
        },
        "sip:carrier.test",
    )
    assert found == (
        Target("tcp", "192.0.2.1", 5070),
        Target("tcp", "2001:db8::1", 5070),
        Target("udp", "192.0.2.1", 5080),
        Target("udp", "2001:db8::1", 5080),
    )


def test_a_loop_of_cnames_is_no_target_and_ends() -> None:
    found = asked_on_the_wire({"a.test CNAME": ["b.test."], "b.test CNAME": ["a.test."]}, "sip:a.test:5060")
    assert found == [()]


def test_what_is_not_there_is_remembered_for_as_long_as_the_zone_says() -> None:
    async def main() -> tuple[Answer, Answer]:
        async with NameServer({"here.test A": ["192.0.2.1"]}, negative=7) as server:
            dns = DnsResolver(name_servers=[server.address], timeout=0.5)
            no_name, no_record = Question("gone.test", "A"), Question("here.test", "SRV")
            return await dns._query(no_name), await dns._query(no_record)

    no_name, no_record = asyncio.run(main())
    assert (no_name.seconds, no_record.seconds) == (7.0, 7.0)
    assert (no_name.failed, no_record.failed) == (False, False)
