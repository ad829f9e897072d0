"""One gateway with a carrier and a line to each platform, whose edges and APIs are in the tests' hand."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.certificates import authority
from tests.support.gateway import Gateway, ports, running_gateway

SECRET = b"0123456789abcdef0123456789abcdef"
PROJECT = "proj_abc123"
LINE = "+14155550100"

_TOML = """
[[trunk]]
name = "carrier"
allow = ["127.0.0.1"]
domain = "127.0.0.1"

[[trunk]]
name = "livekit"
preset = "livekit"
host = "localhost"
port = {livekit}
username = "gateway"
password = "s3cret"
caller_id = "{line}"

[[trunk]]
name = "vapi"
preset = "vapi"
host = "localhost"
port = {vapi}
allow = ["127.0.0.9"]
caller_id = "{line}"

[[trunk]]
name = "retell"
preset = "retell"
host = "localhost"
port = {retell}
allow = ["127.0.0.10"]
caller_id = "{line}"

[[trunk]]
name = "elevenlabs"
preset = "elevenlabs"
host = "localhost"
port = {elevenlabs}
caller_id = "{line}"

[[trunk]]
name = "openai"
preset = "openai"
host = "localhost"
port = {openai}
caller_id = "{line}"

[[trunk]]
name = "way-out"
host = "localhost"
port = {carrier}
transport = "tcp"
caller_id = "{line}"
dial_to = "+14155550300"

[[route]]
name = "out"
trunk = "vapi"
to = "+14155550300"
destination = "tel:+14155550300?trunk=way-out"

[[route]]
name = "unlisted"
trunk = "vapi"
to = "+14155550301"
destination = "tel:+14155550301?trunk=way-out"

[[agent]]
name = "livekit"
kind = "livekit"
trunk = "livekit"
variables = {{ line = "{{trunk}}" }}

[[agent]]
name = "vapi"
kind = "vapi"
trunk = "vapi"
dial = "front-desk"
variables = {{ first_name = "{{header.X-Name}}" }}

[[agent]]
name = "retell"
kind = "retell"
trunk = "retell"
agent_id = "agent_1"
api_key = "key-of-retell"
api_url = "http://127.0.0.1:{retell_api}"

[[agent]]
name = "elevenlabs"
kind = "elevenlabs"
trunk = "elevenlabs"

[[agent]]
name = "openai"
kind = "openai-sip"
trunk = "openai"
dial = "{project}"
api_key = "key-of-openai"
api_url = "http://127.0.0.1:{openai_api}/v1"
webhook_secret = "{secret}"
model = "gpt-realtime"
instructions = "You answer the phone of a bakery."
voice = "marin"
"""

_ROUTE = """
[[route]]
name = "{name}"
trunk = "carrier"
to = "+1415555020{number}"
destination = "agent:{name}"
ring_timeout = 12
fallback = [{{ on = ["refused", "late"], to = "{fallback}" }}]
"""

AGENTS = ("livekit", "vapi", "retell", "elevenlabs", "openai")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the edges and the APIs have to listen."""

    livekit: int
    vapi: int
    retell: int
    elevenlabs: int
    openai: int
    retell_api: int
    openai_api: int
    carrier: int


def number_of(agent: str) -> str:
    """The number that leads to an agent."""
    return f"+1415555020{AGENTS.index(agent)}"


@pytest.fixture(scope="module")
def places() -> Ports:
    return Ports(*(ports(1) for _ in range(8)))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("platforms")


@pytest.fixture(scope="module")
def gateway(directory: Path, places: Ports) -> Iterator[Gateway]:
    (directory / "ca.pem").write_bytes(authority().pem)
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    fields = {name: getattr(places, name) for name in places.__slots__}
    toml = _TOML.format(line=LINE, project=PROJECT, secret=secret, **fields)
    for number, name in enumerate(AGENTS):
        toml += _ROUTE.format(name=name, number=number, fallback="echo:" if name == "livekit" else "agent:livekit")
    sip = f'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]\ntls_ca = "{directory}/ca.pem"'
    with running_gateway(directory, toml, sip=sip) as running:
        yield running
