"""Agents behind `wss`: a private CA named by SSL_CERT_FILE, and certificates that must not pass."""

import ssl
from collections.abc import Iterator

import pytest
import trustme
from tests.support.agent import Dialect, agent_on
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PlainPhone
from tests.support.tone import has_tone, tone

pytestmark = pytest.mark.interop

PORT = ports(2)
TWILIO, OURS, ADDRESS = "+14155550120", "+14155550121", "+14155550122"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "twilio"
to = "{TWILIO}"
destination = "twilio+wss://localhost:{PORT}/ws"

[[route]]
name = "ours"
to = "{OURS}"
destination = "wss://localhost:{PORT}/"

[[route]]
name = "by-address"
to = "{ADDRESS}"
destination = "wss://127.0.0.1:{PORT}/"
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("tls")
    roots = directory / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    with running_gateway(directory, TOML, environ={"SSL_CERT_FILE": str(roots)}) as running:
        yield running


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of that authority for that name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


@pytest.mark.parametrize("dialect", ["twilio", "offhook"])
async def test_a_call_over_wss(gateway: Gateway, authority: trustme.CA, dialect: Dialect) -> None:
    secure = context(authority, "localhost")
    async with agent_on(PORT, dialect, context=secure) as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, TWILIO if dialect == "twilio" else OURS)
        bot = await agent.call()
        if dialect == "twilio":
            await bot.text("start")
        else:
            await bot.text("ringing")
            await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.answered()
        call.say(tone(600, 2.0))
        await bot.until(
            lambda: sum(has_tone(bytes(bot.audio[at : at + 160]), 600) for at in range(0, len(bot.audio), 160)) >= 20,
            what="600 Hz",
        )
        await bot.play(tone(900, 0.5))
        await call.hears(900, frames=24)
        await bot.socket.close(1000)
        await call.hung_up()
    explained = gateway.explained(call.call_id)
    assert explained["call"]["end_reason"] == "agent_hung_up"
    connected = next(e for e in explained["timeline"]["entries"] if str(e.get("note", "")).startswith("connected to"))
    assert connected["tls_ms"] > 0, "the handshake is measured"


@pytest.mark.parametrize("wrong", ["stranger", "name"])
async def test_a_certificate_that_does_not_fit_is_refused_and_told(
    gateway: Gateway, authority: trustme.CA, wrong: str
) -> None:
    secure = context(
        trustme.CA() if wrong == "stranger" else authority, "elsewhere.test" if wrong == "name" else "localhost"
    )
    async with agent_on(PORT, "offhook", context=secure), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, OURS)
        assert (await call.final()).status == 480
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_unreachable", "agent")
    assert "certificate" in record["end_detail"].lower()


async def test_plain_text_where_tls_is_expected_is_told(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook"), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, OURS)
        assert (await call.final()).status == 480
    record = gateway.record(call.call_id)
    assert record["end_reason"] == "agent_unreachable"
    assert "TLS" in record["end_detail"]
