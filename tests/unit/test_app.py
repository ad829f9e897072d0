"""The composition root: what it makes of a configuration, and that it closes what it opened."""

import asyncio
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.support.gateway import ports
from tests.support.media import FakeEngine

from offhook._media import EngineConfig
from offhook.app import Gateway
from offhook.config.load import examine_text
from offhook.config.schema import Config
from offhook.destination.agents import agent_spec
from offhook.destination.wire import AgentSpec
from offhook.errors import TransportError
from offhook.media.plane import MediaPlane
from offhook.observe.metrics import Metrics
from offhook.route.limits import MAX_LOOP_LAG
from offhook.signalling import Signalling
from offhook.sip.effects import Source

pytestmark = pytest.mark.unit


def configured(text: str, base: Path = Path("/"), **environ: str) -> Config:
    examined = examine_text(text, environ, file="test", base=base, host_name="edge")
    assert examined.config is not None, [str(error) for error in examined.errors]
    return examined.config


def local(tmp_path: Path, sip: int | None = None, http: int | None = None) -> Config:
    """A gateway on loopback with ports of its own."""
    first = ports(8)
    return configured(
        f"""
        [sip]
        listen = ["udp://127.0.0.1:{sip or 0}"]
        [http]
        listen = "127.0.0.1:{http or 0}"
        [media]
        listen = "127.0.0.1"
        ports = "{first}-{first + 7}"
        """,
        tmp_path,
    )


async def ask(address: tuple[str, int], path: str) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


# -- a whole gateway on loopback


async def test_it_opens_says_that_it_is_ready_drains_and_closes(tmp_path: Path) -> None:
    config = local(tmp_path)
    async with Gateway(config) as gateway:
        assert gateway.listening == (f"udp://127.0.0.1:{gateway.sip_port}",)
        assert gateway.call_capacity == config.limits.max_calls, "they share the four port pairs"
        assert gateway.unheard_capacity == 4, "but those behind one NAT address only once they are heard"
        serving = asyncio.create_task(gateway.serve())
        assert (await ask(gateway.http_address, "/health/live")).startswith(b"HTTP/1.1 200")
        assert b'"ready":true' in await ask(gateway.http_address, "/health/ready")
        metrics = await ask(gateway.http_address, "/metrics")
        assert b"offhook_" in metrics
        port = gateway.sip_port
        gateway.stop()
        answer = await ask(gateway.http_address, "/health/ready")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"draining" in answer
        await asyncio.wait_for(serving, 5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", port))
    sqlite3.connect(tmp_path / "data" / "offhook.db").close()


async def test_it_is_not_ready_while_calls_are_refused_because_the_loop_is_late(tmp_path: Path) -> None:
    async with Gateway(local(tmp_path)) as gateway:
        gateway._lag.worst = 10 * MAX_LOOP_LAG
        answer = await ask(gateway.http_address, "/health/ready")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"late"' in answer


async def test_a_taken_sip_port_is_one_plain_line_and_nothing_stays_open(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        config = local(tmp_path, sip=other.getsockname()[1])
        with pytest.raises(TransportError) as found:
            await Gateway(config).__aenter__()
        assert "\n" not in str(found.value)
        assert str(other.getsockname()[1]) in str(found.value)
    async with Gateway(config):
        """The same configuration opens once the port is free."""


async def test_a_taken_http_port_closes_sip_again(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = local(tmp_path, http=other.getsockname()[1])
        with pytest.raises(TransportError, match="HTTP can't listen"):
            await Gateway(config).__aenter__()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", config.sip.listen[0].port))


# -- what it makes of a configuration


AGENTS = """
[[trunk]]
name = "acme"
allow = ["192.0.2.1"]

[[route]]
name = "all"
destination = "agent:desk"

[[agent]]
name = "desk"
kind = "twilio"
url = "wss://bot.example/media"
token = { env = "BOT" }
origin = "https://bot.example"
connect_timeout = 3
"""


def test_an_agent_is_dialled_as_its_entry_says() -> None:
    config = configured(AGENTS, BOT="s3cret")
    spec = agent_spec(config.agents[0], config)
    assert isinstance(spec, AgentSpec)
    assert (spec.name, spec.dialect, spec.url) == ("desk", "twilio", "wss://bot.example/media")
    assert spec.headers == (("Authorization", "Bearer s3cret"),)
    assert (spec.origin, spec.connect_timeout) == ("https://bot.example", 3)


def signalling(config: Config) -> Signalling:
    engine = FakeEngine()
    made = Signalling(
        config,
        MediaPlane(EngineConfig(), engine=engine),
        _Nowhere(),
        Metrics(),
        now=lambda: 1.0,
        wall=lambda at: 0,
        loop_lag=lambda: 0.0,
        version="1",
        route=lambda towards: "2001:db8::2" if towards[0] == "203.0.113.5" else "192.0.2.9",
    )
    engine.dispose()
    return made


class _Nowhere:
    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: None


BOTH = '[media]\nlisten = ["0.0.0.0", "::"]\n'


@pytest.mark.parametrize(
    ("media", "remote", "family", "told"),
    [
        ("", "203.0.113.5", 4, "192.0.2.2"),
        ('[media]\nadvertise = "198.51.100.9"\n', "203.0.113.5", 4, "198.51.100.9"),
        ('[media]\nadvertise = "198.51.100.9"\n', "10.1.2.3", 4, "192.0.2.2"),
        ('[media]\nadvertise = "198.51.100.9"\n', "127.0.0.1", 4, "192.0.2.2"),
        ('[media]\nlisten = "192.0.2.77"\n', "203.0.113.5", 4, "192.0.2.77"),
        ("", "203.0.113.5", 6, None),
        (BOTH, "203.0.113.5", 4, "192.0.2.2"),
        (BOTH, "203.0.113.5", 6, "2001:db8::2"),
        (BOTH + 'advertise = ["198.51.100.9", "2001:db8::9"]\n', "203.0.113.5", 6, "2001:db8::9"),
        (BOTH + 'advertise = ["198.51.100.9", "2001:db8::9"]\n', "203.0.113.5", 4, "198.51.100.9"),
        (BOTH + 'advertise = "198.51.100.9"\n', "203.0.113.5", 6, "2001:db8::2"),
    ],
)
async def test_the_address_for_rtp_is_the_one_that_this_peer_can_reach(
    media: str, remote: str, family: Literal[4, 6], told: str | None
) -> None:
    config = configured(f'[sip]\nlocal_networks = ["10.0.0.0/8"]\n{media}')
    source = Source("udp", (remote, 5060), ("192.0.2.2", 5060), 1)
    ours = signalling(config)._media_address(source, family, None)
    assert ours == told


async def test_where_the_system_does_not_say_to_which_address_a_request_came_the_way_back_decides() -> None:
    source = Source("udp", ("203.0.113.5", 5060), ("0.0.0.0", 5060), 1)
    ours = signalling(configured(""))._media_address(source, 4, ("203.0.113.6", 4000))
    assert ours is not None
    assert ours == "192.0.2.9"
