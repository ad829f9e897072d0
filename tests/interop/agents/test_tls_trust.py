"""Whom an agent's `wss` server has to satisfy: its own CA, nobody, and each failure by its cause."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.agent import agent_on
from tests.support.certificates import DAY, NOW, Authority, Issued, authority, stranger
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.openssl import OLD, s_server
from tests.support.plain_phone import PlainPhone
from tests.support.tls import peer_context

pytestmark = pytest.mark.interop

PORT = ports(2)
ITS_CA, ANYBODY, SELF_SIGNED = "+14155550120", "+14155550121", "+14155550122"
SELF = Authority("localhost").self_signed("localhost")


def toml(directory: str) -> str:
    agents = {
        "its-ca": f'tls_ca = "{directory}/ca.pem"',
        "anybody": "tls_verify = false",
        "self-signed": 'tls_ca = "self.pem"',
    }
    numbers = dict(zip(agents, (ITS_CA, ANYBODY, SELF_SIGNED), strict=True))
    return '[[trunk]]\nname = "acme"\nallow = ["127.0.0.1"]\n' + "".join(
        f"""
[[route]]
name = "{name}"
to = "{numbers[name]}"
destination = "agent:{name}"

[[agent]]
name = "{name}"
kind = "twilio"
url = "wss://localhost:{PORT}/ws"
{setting}
"""
        for name, setting in agents.items()
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("trust")
    (directory / "ca.pem").write_bytes(authority().pem)
    (directory / "self.pem").write_bytes(SELF.pem)
    with running_gateway(directory, toml(str(directory))) as running:
        yield running


async def connects(gateway: Gateway, number: str, own: Issued) -> list[str]:
    """Place a call to an agent that shows that certificate; the notes of its timeline."""
    async with agent_on(PORT, "twilio", context=peer_context(own, server=True)) as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, number)
        bot = await agent.call()
        await bot.text("start")
        await call.answered()
        await bot.socket.close(1000)
        await call.hung_up()
    explained = gateway.explained(call.call_id)
    assert explained["call"]["end_reason"] == "agent_hung_up"
    return [str(entry.get("note", "")) for entry in explained["timeline"]["entries"]]


async def fails(gateway: Gateway, number: str, context: ssl.SSLContext | None) -> str:
    """Place a call that must fail before the agent is reached; the detail of its record."""
    async with agent_on(PORT, "twilio", context=context), PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, number)
        assert (await call.final()).status == 480
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_unreachable", "agent")
    return str(record["end_detail"])


async def test_its_own_ca_is_trusted(gateway: Gateway) -> None:
    notes = await connects(gateway, ITS_CA, authority().issue("localhost"))
    assert not any("tls_verify" in note for note in notes)


async def test_a_certificate_that_is_its_own_ca_is_trusted_where_it_is_named(gateway: Gateway) -> None:
    await connects(gateway, SELF_SIGNED, SELF)


async def test_without_verification_any_will_do_and_the_timeline_says_so(gateway: Gateway) -> None:
    notes = await connects(gateway, ANYBODY, stranger().issue("elsewhere.example", ends=NOW - DAY / 2))
    assert "the agent did not have to prove who it is (tls_verify = false)" in notes
    assert "agent.anybody.tls_verify" in gateway.said(), "and the start does"
    assert "agent.anybody.tls_verify" in gateway.run("check", str(gateway.config))


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            authority().issue("localhost", begins=NOW - 9 * DAY, ends=NOW - 3 * DAY),
            "expired 3 days ago (certificate_expired)",
        ),
        (
            authority().issue("localhost", begins=NOW + DAY),
            "not valid yet: compare the clocks (certificate_not_yet_valid)",
        ),
        (authority().issue("other.example"), "is for other.example, not for localhost (wrong_name)"),
        (stranger().issue("localhost"), "names its CA (unknown_issuer)"),
        (SELF, "(unknown_issuer)"),
    ],
    ids=["expired", "not yet", "name", "stranger", "self-signed"],
)
async def test_what_is_wrong_with_a_certificate_is_told(gateway: Gateway, own: Issued, said: str) -> None:
    detail = await fails(gateway, ITS_CA, peer_context(own, server=True))
    assert detail.endswith(said) or said in detail, detail


async def test_another_self_signed_one_is_not_the_named_one(gateway: Gateway) -> None:
    other = Authority("localhost").self_signed("localhost")
    assert "(unknown_issuer)" in await fails(gateway, SELF_SIGNED, peer_context(other, server=True))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("-tls1_1", *OLD), "(old_version)"),
        (("-tls1_2", "-cipher", "AES256-SHA:@SECLEVEL=0"), "(no_common_cipher)"),
        (("-Verify", "1", "-verify_return_error"), "(our_certificate_missing)"),
    ],
)
async def test_a_server_of_other_ways_is_told(
    gateway: Gateway, tmp_path: Path, options: tuple[str, ...], cause: str
) -> None:
    own = authority().issue("localhost", rsa_bits=2048)
    with s_server(tmp_path, PORT, own, *options):
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, ITS_CA)
            assert (await call.final()).status == 480
    assert cause in gateway.record(call.call_id)["end_detail"]


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "(plain_http)"), (b"SSH-2.0-x\r\n", "(not_tls)"), (b"", "(closed)")],
)
async def test_a_port_without_tls_is_told(gateway: Gateway, answer: bytes, cause: str) -> None:
    with socket.create_server(("127.0.0.1", PORT)) as listener:

        def serve() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(65536)
                taken.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, ITS_CA)
            assert (await call.final()).status == 480
        thread.join()
    assert cause in gateway.record(call.call_id)["end_detail"]
