"""One gateway for all call flows of sipp: trunks by source address, routes by dialled user."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import Player
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.telling import TellingAgent
from tests.support.transferring import TransferringAgent

_MEDIA_PORTS = 300

_TOML = """
[limits]
max_cps = 1000

[[trunk]]
name = "plain"
allow = ["127.0.0.1", "::1"]
transfer_to = "*"
username = "us"
password = "open-sesame"

[[trunk]]
name = "behind-nat"
allow = ["127.0.0.2"]
nat = true
max_duration = 1

[[trunk]]
name = "password"
allow = ["127.0.0.3"]
inbound = {{ username = "acme", password = "open-sesame" }}

[[trunk]]
name = "short"
allow = ["127.0.0.4"]
max_duration = 0.5

[[trunk]]
name = "old-password"
allow = ["127.0.0.5"]
inbound = {{ username = "acme", password = "open-sesame", algorithms = ["MD5"] }}

[[trunk]]
name = "optionally-encrypted"
allow = ["127.0.0.6"]
srtp = "optional"

[[trunk]]
name = "encrypted"
allow = ["127.0.0.7"]
srtp = "required"

[[trunk]]
name = "carrier"
allow = ["127.0.0.8"]
country = "US"
trust_identity = true

[[trunk]]
name = "unreported"
allow = ["127.0.0.9"]
transfer_reports = false
transfer_to = "*"

[[route]]
name = "echo"
to = "echo"
destination = "echo:"
digits = "show"

[[route]]
name = "slow"
to = "slow"
destination = "ws://127.0.0.1:{silent}/"

[[route]]
name = "unreachable"
to = "unreachable"
destination = "agent:unreachable"

[[route]]
name = "transfer"
to = "transfer"
destination = "ws://127.0.0.1:{transferring}/"

[[route]]
name = "ringing"
to = "ringing"
early_media = "ringback:GB"
ring_timeout = 1
destination = "ws://127.0.0.1:{silent}/"
fallback = [{{ on = ["late"], to = "echo:" }}]

[[route]]
name = "headers"
to = "headers"
destination = "ws://127.0.0.1:{telling}/"

[[route]]
name = "refused"
to = "refused"
destination = "ws://127.0.0.1:{refusing}/"

[[agent]]
name = "unreachable"
kind = "offhook"
url = "ws://127.0.0.1:{silent}/"
connect_timeout = 1
"""


class RefusingAgent:
    """An agent that says 403 to every WebSocket upgrade, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(4096):
                    self.asked += 1
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="session")
def refusing_agent() -> Iterator[RefusingAgent]:
    """An agent that takes no call."""
    agent = RefusingAgent()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def transferring_agent() -> Iterator[TransferringAgent]:
    """An agent that hands every caller over."""
    agent = TransferringAgent()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def telling_agent() -> Iterator[TellingAgent]:
    """An agent that has headers sent."""
    agent = TellingAgent()
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    refusing_agent: RefusingAgent,
    transferring_agent: TransferringAgent,
    telling_agent: TellingAgent,
) -> Iterator[Gateway]:
    """A gateway with the trunks and routes above, heard on IPv4 and IPv6, UDP and TCP."""
    # Connections to it are taken by the kernel and never by us: an agent that does not get ready.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listen = '["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0", "tcp://[::1]:0"]'
        toml = _TOML.format(
            silent=silent.getsockname()[1],
            refusing=refusing_agent.port,
            transferring=transferring_agent.port,
            telling=telling_agent.port,
        )
        first = ports(_MEDIA_PORTS)
        with running_gateway(
            tmp_path_factory.mktemp("sipp-gateway"),
            toml,
            sip=f"listen = {listen}",
            media=f'ports = "{first}-{first + _MEDIA_PORTS - 1}"',
        ) as gateway:
            yield gateway


@pytest.fixture
def sipp(gateway: Gateway, tmp_path: Path) -> Player:
    """sipp at 127.0.0.1, which belongs to the trunk `plain`."""
    return Player(tmp_path, gateway.udp)
