from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.ids import TrunkName
from offhook.route.pattern import names_fit
from offhook.route.trunk import InboundDigest, Known, NeedsDigest, Phone, Stranger, Trunk, TrunkTable, conflicts

pytestmark = pytest.mark.unit


def trunk(name: str, *allow: str, domain: str | None = None, user: str | None = None) -> Trunk:
    networks = tuple(ip_network(network) for network in allow)
    return Trunk(TrunkName(name), networks, domain, InboundDigest(user) if user else None)


def who(table: TrunkTable, source: str, host: str = "203.0.113.9", user: str | None = None) -> str:
    match table.identify(source, "udp", host, user):
        case Known(found):
            return found.name
        case NeedsDigest(trunks):
            return "digest:" + ",".join(found.name for found in trunks)
        case Stranger(rule, nearest, _):
            return f"stranger:{rule}:{nearest}"


def test_an_empty_table_knows_nobody() -> None:
    table = TrunkTable([])
    assert who(table, "127.0.0.1") == "stranger:source:None"
    assert not table.admits_source("127.0.0.1")


def test_the_source_makes_the_trunk() -> None:
    table = TrunkTable([trunk("acme", "198.51.100.0/24"), trunk("beta", "203.0.113.7", "2001:db8::/32")])
    assert who(table, "198.51.100.255") == "acme"
    assert who(table, "203.0.113.7") == "beta"
    assert who(table, "2001:db8:1::1") == "beta"
    assert who(table, "::ffff:203.0.113.7") == "beta"
    assert who(table, "2001:db8::5%eth0") == "beta"
    assert who(table, "198.51.101.0") == "stranger:source:acme"
    assert who(table, "not an address") == "stranger:source:None"


def test_a_stranger_is_told_the_nearest_trunk() -> None:
    table = TrunkTable([trunk("far", "10.0.0.0/8"), trunk("acme", "198.51.100.0/29", "192.0.2.1")])
    identity = table.identify("198.51.100.9", "tcp", "x")
    assert identity == Stranger(
        "source",
        TrunkName("acme"),
        "source 198.51.100.9 (tcp) is not in trunk 'acme' allow 198.51.100.0/29 and 1 more",
    )


def test_the_longest_network_wins() -> None:
    table = TrunkTable([trunk("office", "10.0.0.0/8"), trunk("pbx", "10.1.2.3"), trunk("floor", "10.1.0.0/16")])
    assert who(table, "10.1.2.3") == "pbx"
    assert who(table, "10.1.2.4") == "floor"
    assert who(table, "10.2.0.0") == "office"


def test_the_domain_tells_trunks_of_one_source_apart() -> None:
    table = TrunkTable([
        trunk("blue", "198.51.100.0/24", domain="blue.example.net"),
        trunk("red", "198.51.100.0/24", domain="red.example.net"),
    ])  # fmt: skip
    assert who(table, "198.51.100.1", "blue.example.net") == "blue"
    assert who(table, "198.51.100.1", "RED.example.net.") == "red"
    assert who(table, "198.51.100.1", "green.example.org") == "stranger:domain:blue"
    identity = table.identify("198.51.100.1", "udp", "rot.example.net")
    assert isinstance(identity, Stranger)
    assert "Request-URI host 'rot.example.net'" in identity.why


def test_a_named_domain_goes_before_a_longer_network_without_one() -> None:
    table = TrunkTable([trunk("named", "10.0.0.0/8", domain="a.example"), trunk("host", "10.1.2.3")])
    assert who(table, "10.1.2.3", "a.example") == "named"
    assert who(table, "10.1.2.3", "b.example") == "host"
    assert who(table, "10.1.2.4", "b.example") == "stranger:domain:named"


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("user", [None, "acme", "beta", ""])
@pytest.mark.parametrize("host", ["acme.example.net", "203.0.113.9", "", "acme"])
def test_what_anybody_can_write_admits_nobody(transport: str, user: str | None, host: str) -> None:
    # security F3: the right domain, transport or user name from elsewhere is still a stranger.
    table = TrunkTable([trunk("acme", "198.51.100.0/24", domain="acme.example.net"),
                        trunk("beta", "198.51.100.0/24", user="beta")])  # fmt: skip
    assert isinstance(table.identify("203.0.113.66", transport, host, user), Stranger)


def test_a_trunk_that_asks_for_a_password_challenges() -> None:
    table = TrunkTable([trunk("acme", "198.51.100.0/24", user="alice")])
    assert who(table, "198.51.100.1") == "digest:acme"
    assert who(table, "198.51.100.1", user="alice") == "acme"
    assert who(table, "198.51.100.1", user="bob") == "stranger:user:acme"
    assert who(table, "203.0.113.1", user="alice") == "stranger:source:acme"


def test_users_tell_trunks_of_one_source_apart() -> None:
    table = TrunkTable([trunk("road", user="alice"), trunk("home", user="bob"), trunk("acme", "198.51.100.0/24")])
    assert who(table, "203.0.113.1") == "digest:road,home"
    assert who(table, "203.0.113.1", user="bob") == "home"
    assert who(table, "2001:db8::1", user="alice") == "road"
    # A source that is a trunk's own is never asked for a password of those from anywhere.
    assert who(table, "198.51.100.7") == "acme"
    assert table.admits_source("203.0.113.1")


def test_inside_a_dialog_only_the_source_counts() -> None:
    # The Request-URI of a BYE is our Contact, not the trunk's domain.
    table = TrunkTable([trunk("blue", "198.51.100.0/24", domain="blue.example.net"), trunk("red", "198.51.100.9")])
    assert [found.name for found in table.from_source("198.51.100.9")] == ["red", "blue"]
    assert [found.name for found in table.from_source("198.51.100.200")] == ["blue"]
    assert list(table.from_source("203.0.113.1")) == []


def test_what_a_stranger_wrote_can_not_steer_a_terminal() -> None:
    table = TrunkTable([trunk("a", "10.0.0.1", domain="x.example"), trunk("b", "10.0.0.2", user="u")])
    nasty = "\x1b[2J\n" + "x" * 1000
    for identity in (table.identify("10.0.0.1", "udp", nasty), table.identify("10.0.0.2", "udp", "x", nasty)):
        assert isinstance(identity, Stranger)
        assert identity.why.isprintable()
        assert len(identity.why) < 300


def test_headers_for_the_agent() -> None:
    acme = Trunk(TrunkName("acme"), pass_headers=("X-*", "Diversion"))
    assert all(names_fit(acme.pass_headers, name) for name in ("X-Queue", "x-queue", "X-", "DIVERSION"))
    assert not any(names_fit(acme.pass_headers, name) for name in ("From", "Authorization", "Diversion-2", "NX-Queue"))


def test_a_network_named_twice_is_one() -> None:
    table = TrunkTable([trunk("acme", "198.51.100.0/24", "198.51.100.0/24", user="alice")])
    assert who(table, "198.51.100.1") == "digest:acme"
    assert len(table) == 1
    assert conflicts(list(table)) == []


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (trunk("a", "10.0.0.0/8"), trunk("b", "10.0.0.0/8"), "neither asks for a password"),
        (trunk("a", "10.0.0.1"), trunk("b", "192.0.2.0/24", "10.0.0.1"), "both allow 10.0.0.1/32"),
        (trunk("a", "10.0.0.1", domain="x"), trunk("b", "10.0.0.1", domain="x"), "the same domain 'x'"),
        (trunk("a", "10.0.0.1", user="u"), trunk("b", "10.0.0.1", user="u"), "the inbound user 'u'"),
        (trunk("a", user="u"), trunk("b", user="u"), "from anywhere"),
        (trunk("a", "10.0.0.1", user="u"), trunk("b", "10.0.0.1"), "'b' asks for no password, so 'a' would never"),
        (trunk("a", "10.0.0.1"), trunk("b", "10.0.0.1", user="u"), "'a' asks for no password, so 'b' would never"),
    ],
)
def test_trunks_that_nothing_tells_apart(first: Trunk, second: Trunk, reason: str) -> None:
    (conflict,) = conflicts([first, second])
    assert (conflict.first, conflict.second) == ("a", "b")
    assert reason in conflict.why


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (trunk("a", "10.0.0.0/8"), trunk("b", "10.1.0.0/16")),
        (trunk("a", "10.0.0.0/8"), trunk("b", "192.0.2.0/24")),
        (trunk("a", "10.0.0.1", domain="x"), trunk("b", "10.0.0.1", domain="y")),
        (trunk("a", "10.0.0.1", domain="x"), trunk("b", "10.0.0.1")),
        (trunk("a", "10.0.0.1", user="u"), trunk("b", "10.0.0.1", user="v")),
        (trunk("a", user="u"), trunk("b", "10.0.0.1", user="u")),
    ],
)
def test_trunks_that_something_tells_apart(first: Trunk, second: Trunk) -> None:
    assert conflicts([first, second]) == []


networks = st.builds(
    lambda address, length: f"{IPv4Address(address >> (32 - length) << (32 - length))}/{length}",
    st.integers(0xC6336400, 0xC63364FF) | st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(8, 32),
)


@given(st.lists(networks, max_size=12), st.integers(0xC6336300, 0xC63365FF) | st.integers(0x09FFFF00, 0x0B0000FF))
def test_any_source_gets_its_longest_network_or_hears_of_the_nearest(allow: list[str], value: int) -> None:
    table = TrunkTable([trunk(f"t{index}", network) for index, network in enumerate(allow)])
    source = IPv4Address(value)
    holding = [ip_network(network) for network in allow if source in ip_network(network)]
    match table.identify(str(source), "udp", "x"):
        case Known(found):
            assert found.allow[0].prefixlen == max(network.prefixlen for network in holding)
        case Stranger("source", nearest, _):
            assert not holding
            bits = [(int(ip_network(network).network_address) ^ value).bit_length() for network in allow]
            assert (nearest is None) == (not allow)
            if nearest is not None:
                assert bits[int(nearest[1:])] == min(bits)
        case other:
            raise AssertionError(other)
    assert table.admits_source(str(source)) == bool(holding)


def named(
    name: str, *allow: str, tls_name: str | None = None, tls_only: bool = False, domain: str | None = None
) -> Trunk:
    networks = tuple(ip_network(network) for network in allow)
    return Trunk(TrunkName(name), networks, domain, tls_name=tls_name, tls_only=tls_only)


def over_tls(table: TrunkTable, source: str, *proven: str, host: str = "x", transport: str = "tls") -> str:
    match table.identify(source, transport, host, None, proven):
        case Known(found):
            return found.name
        case Stranger(rule, nearest, why):
            return f"{rule}:{nearest}:{why}"
        case _:
            raise AssertionError("nobody asks for a password")


def test_a_certificate_alone_makes_a_trunk_wherever_it_comes_from() -> None:
    table = TrunkTable([named("bank", tls_name="pbx.bank.example")])
    assert over_tls(table, "203.0.113.1", "pbx.bank.example") == "bank"
    assert over_tls(table, "203.0.113.1", "other.example", "pbx.bank.example") == "bank"
    assert over_tls(table, "203.0.113.1", "other.example").startswith("tls:bank:")
    assert over_tls(table, "203.0.113.1").endswith("but it showed no certificate")
    assert "came by UDP" in over_tls(table, "203.0.113.1", "pbx.bank.example", transport="udp")


def test_with_allow_both_are_needed() -> None:
    table = TrunkTable([named("bank", "192.0.2.0/24", tls_name="pbx.bank.example")])
    assert over_tls(table, "192.0.2.1", "pbx.bank.example") == "bank"
    assert over_tls(table, "192.0.2.1").startswith("tls:bank:")
    assert over_tls(table, "203.0.113.1", "pbx.bank.example").startswith("source:bank:")


def test_certificates_tell_trunks_of_one_source_apart() -> None:
    trunks = [
        named("red", "192.0.2.0/24", tls_name="red.example"),
        named("blue", "192.0.2.0/24", tls_name="blue.example"),
        named("rest", "192.0.2.0/24"),
    ]
    assert conflicts(trunks) == []
    table = TrunkTable(trunks)
    assert over_tls(table, "192.0.2.1", "red.example") == "red"
    assert over_tls(table, "192.0.2.1", "blue.example") == "blue"
    assert over_tls(table, "192.0.2.1", "green.example") == "rest"
    assert over_tls(table, "192.0.2.1", transport="udp") == "rest"


def test_two_of_one_certificate_collide() -> None:
    (conflict,) = conflicts(
        [named("red", "192.0.2.1", tls_name="a.example"), named("blue", "192.0.2.1", tls_name="a.example")]
    )
    assert (conflict.first, conflict.second) == ("red", "blue")


def test_what_is_proven_goes_before_what_is_only_written() -> None:
    table = TrunkTable(
        [named("written", "192.0.2.1", domain="sip.example"), named("proven", "192.0.2.0/24", tls_name="a.example")]
    )
    assert over_tls(table, "192.0.2.1", "a.example", host="sip.example") == "proven"
    assert over_tls(table, "192.0.2.1", host="sip.example") == "written"


def test_one_of_tls_alone_takes_nothing_else() -> None:
    table = TrunkTable([named("strict", "192.0.2.1", tls_only=True)])
    assert over_tls(table, "192.0.2.1") == "strict"
    assert over_tls(table, "192.0.2.1", transport="tcp") == (
        "tls:strict:source 192.0.2.1 fits trunk 'strict', which takes TLS alone, but came by TCP"
    )
    assert table.from_source("192.0.2.1", "udp") == ()
    assert len(table.from_source("192.0.2.1", "tls")) == 1


def test_the_gate_opens_for_a_certificate_on_tls_alone() -> None:
    table = TrunkTable([named("bank", tls_name="pbx.bank.example"), named("listed", "192.0.2.1", tls_only=True)])
    assert table.admits_source("203.0.113.1", "tls")
    assert not table.admits_source("203.0.113.1", "udp")
    assert table.admits_source("192.0.2.1", "udp"), "it is told what is wrong"


def test_who_is_listed_goes_first_in_a_crowd() -> None:
    anywhere = Trunk(TrunkName("phones"), (ip_network("0.0.0.0/0"),), inbound=InboundDigest("u"))
    table = TrunkTable([named("bank", tls_name="pbx.bank.example"), named("carrier", "192.0.2.0/24"), anywhere])
    assert table.lists_source("192.0.2.9")
    assert not table.lists_source("203.0.113.1")
    assert not table.lists_source("not an address")


PHONES = (Phone("alice"),)


@pytest.mark.parametrize(
    ("called", "options", "costs"),
    [
        ("+442079460018", {}, 0.5),
        ("+4930123456", {}, None),
        ("201", {}, 0.0),
        ("alice", {}, 0.0),
        ("agent_8f1c90a2", {}, 0.0),
        # Digits that could be a number of any country are no extension, and those that are one of the own neither.
        ("2079460018", {}, None),
        ("4155550142", {"country": "US"}, None),
        ("911", {"rates": (("9", 0.05),)}, 0.05),
        ("201", {"rates": (("9", 0.05),)}, 0.0),
        ("alice", {"phones": PHONES}, 0.0),
        ("20794600180", {"phones": PHONES}, 0.0),
    ],
)
def test_calls_inside_cost_nothing_unless_a_rate_says_so(
    called: str, options: dict[str, Any], costs: float | None
) -> None:
    assert replace(trunk("pbx"), **({"rates": (("+44", 0.5),)} | options)).rate(called) == costs
