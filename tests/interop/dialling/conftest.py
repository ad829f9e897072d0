"""A gateway that calls out by three trunks, whose far ends the tests play on their ports."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import Player
from tests.support.dialled_agent import TOML, DialledAgent
from tests.support.gateway import Gateway, ports, running_gateway

_TOML = (
    TOML
    + """
[[trunk]]
name = "udp"
host = "127.0.0.1"
port = {udp}
username = "joe"
password = "schmo"
country = "US"
caller_id = ["+14155550100", "+14155550101"]
dial_to = "+1415*"
assert_identity = true

[[trunk]]
name = "tcp"
host = "localhost"
port = {tcp}
transport = "tcp"
caller_id = "+14155550100"
dial_to = ["+1415*", "+44*"]

[[trunk]]
name = "inbound"
allow = ["127.0.0.8"]

[[key]]
name = "crm"
sha256 = "{sha256}"
"""
)

KEY = "5f0c" * 16


@dataclass(frozen=True, slots=True)
class Carrier:
    """Where the trunks lead."""

    udp: int
    tcp: int


@pytest.fixture(scope="module")
def carrier() -> Carrier:
    """Ports that stay the same for all tests of a module."""
    return Carrier(ports(1), ports(1))


@pytest.fixture(scope="module")
def agent() -> Iterator[DialledAgent]:
    """The agent of all calls."""
    running = DialledAgent()
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, carrier: Carrier, agent: DialledAgent) -> Iterator[Gateway]:
    """A gateway that may call out."""

    toml = _TOML.format(
        udp=carrier.udp, tcp=carrier.tcp, agent=agent.port, sha256=hashlib.sha256(KEY.encode()).hexdigest()
    )
    with running_gateway(tmp_path_factory.mktemp("dialling"), toml) as running:
        yield running


@pytest.fixture
def sipp(gateway: Gateway, tmp_path: Path) -> Player:
    """sipp, to be started at the port of a trunk."""
    return Player(tmp_path, gateway.udp)
