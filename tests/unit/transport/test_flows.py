"""What we call ourselves towards a peer."""

import ipaddress
from collections import Counter

import pytest
from tests.support.clock import run_virtual

from offhook.errors import ConfigError
from offhook.sip.effects import LocalAddress, Source, Target
from offhook.transport.flows import Flows
from offhook.transport.limits import TransportLimits
from offhook.transport.listener import Listener

pytestmark = pytest.mark.unit


class Endpoint:
    """A UDP endpoint without its socket."""

    def __init__(self, listener: Listener, flow: int) -> None:
        self.listener, self.flow, self.address = listener, flow, (listener.host, listener.port)

    def close(self) -> None:
        pass


def told(
    peer: Source | Target, *listeners: Listener, inside: tuple[str, ...] = (), route: str = "192.0.2.2"
) -> LocalAddress:
    async def main() -> LocalAddress:
        flows = Flows(
            TransportLimits(),
            Counter(),
            [ipaddress.ip_network(network) for network in inside],
            on_datagram=lambda data, source: None,
            on_message=lambda message, source: None,
            on_error=lambda error, source: None,
            on_failure=lambda transaction: None,
            admits=lambda transport, remote: True,
            in_use=set,
        )
        await flows.open([])
        for number, listener in enumerate(listeners, 1):
            flows.udp[number] = Endpoint(listener, number)  # type: ignore[assignment]
        flows._route = lambda host: route  # type: ignore[method-assign]
        try:
            return flows.local_address(peer)
        finally:
            await flows.close()

    found: LocalAddress = run_virtual(main())
    return found


WILD = Listener("udp://0.0.0.0:5060")
PUBLIC = Listener("udp://0.0.0.0:5060", ("203.0.113.7", None))
NAMED = Listener("udp://10.0.0.2:5060", ("sip.example.net", 5080))
CARRIER = Source("udp", ("198.51.100.9", 5060), ("10.0.0.2", 5060), 1)
OFFICE = Source("udp", ("10.0.0.77", 5060), ("10.0.0.2", 5060), 1)
SELF = Source("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5060), 1)


@pytest.mark.parametrize(
    ("peer", "listener", "expected"),
    [
        (CARRIER, PUBLIC, "203.0.113.7:5060"),
        (OFFICE, PUBLIC, "10.0.0.2:5060"),
        (SELF, PUBLIC, "127.0.0.1:5060"),
        (CARRIER, NAMED, "sip.example.net:5080"),
        (OFFICE, NAMED, "10.0.0.2:5060"),
        (CARRIER, WILD, "10.0.0.2:5060"),
        (Target("udp", "198.51.100.9", 5060), WILD, "192.0.2.2:5060"),
        (Target("udp", "198.51.100.9", 5060), PUBLIC, "203.0.113.7:5060"),
        (Target("udp", "10.0.0.77", 5060), NAMED, "10.0.0.2:5060"),
    ],
)
def test_outside_peers_are_told_the_advertised_address(
    peer: Source | Target, listener: Listener, expected: str
) -> None:
    assert told(peer, listener, inside=("10.0.0.0/8",)).sent_by == expected


def test_each_listener_has_its_own() -> None:
    inside = Listener("udp://10.0.0.2:5060")
    outside = Listener("udp://192.0.2.2:5062", ("203.0.113.7", 5060))
    assert (
        told(Source("udp", ("198.51.100.9", 1), ("192.0.2.2", 5062), 2), inside, outside).sent_by == "203.0.113.7:5060"
    )
    assert told(Source("udp", ("198.51.100.9", 1), ("10.0.0.2", 5060), 1), inside, outside).sent_by == "10.0.0.2:5060"


def test_a_target_leaves_by_the_listener_on_its_route() -> None:
    inside, outside = Listener("udp://10.0.0.2:5060"), Listener("udp://192.0.2.2:5062")
    assert told(Target("udp", "198.51.100.9", 5060), inside, outside, route="192.0.2.2").sent_by == "192.0.2.2:5062"
    assert told(Target("udp", "10.0.0.9", 5060), inside, outside, route="10.0.0.2").sent_by == "10.0.0.2:5060"


def test_ipv6_is_written_with_brackets() -> None:
    six = Listener("udp://[2001:db8::2]:5060")
    peer = Source("udp", ("2001:db8::9", 5060), ("2001:db8::2", 5060), 2)
    assert told(peer, WILD, six).sent_by == "[2001:db8::2]:5060"


@pytest.mark.parametrize(
    "uri",
    [
        "udp://example.com:5060",
        "ws://0.0.0.0:80",
        "udp://:5060",
        "0.0.0.0:5060",
        "udp://1.2.3:5060",
        "udp://0.0.0.0:99999",
    ],
)
def test_what_is_no_listener(uri: str) -> None:
    with pytest.raises(ConfigError):
        Listener(uri).check()


def test_a_listener_without_a_port_takes_that_of_its_transport() -> None:
    assert Listener("udp://[::]").port == 5060
    assert Listener("tls://[::]").port == 5061
    assert Listener("udp://[::]").is_wildcard
