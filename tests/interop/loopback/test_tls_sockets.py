"""SIP over TLS on real sockets of this machine: whole calls, both sides of the handshake, and who is in the way."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.loopback.test_sip_sockets import is_closed, options, read_messages
from tests.support.certificates import DAY, NOW, Issued, authority, stranger
from tests.support.messages import SDP, request
from tests.support.served import served
from tests.support.stack import CALM, Running, running
from tests.support.tls import peer_context

from offhook.errors import TransportError
from offhook.sip.effects import Target
from offhook.sip.events import Answered, ByeReceived, Failed, FailureCause, HungUp, InviteReceived
from offhook.sip.uri import parse_uri
from offhook.transport.limits import TransportLimits
from offhook.transport.tls_failure import TlsCause
from offhook.transport.tls_files import TlsSettings
from offhook.transport.tls_keeper import TlsKeeper

pytestmark = pytest.mark.interop

IMPATIENT = TransportLimits(handshake_timeout=0.3, sweep_interval=0.05)


def keeper(
    directory: Path, own: Issued | None = None, name: str = "own", client_certificate: Any = "optional"
) -> TlsKeeper:
    certificate, key = (own or authority().issue("sip.example.net")).write(directory, name)
    ca = directory / "ca.pem"
    ca.write_bytes(authority().pem)
    return TlsKeeper(TlsSettings(certificate, key, ca, client_certificate))


def trusting(own: Issued | None = None, **options: Any) -> ssl.SSLContext:
    context = peer_context(own, **options)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority().pem.decode())
    return context


@contextlib.asynccontextmanager
async def node(tmp_path: Path, limits: TransportLimits = CALM, **given: Any) -> AsyncIterator[Running]:
    tls = given.pop("tls", None) or keeper(tmp_path)
    async with running("tls://127.0.0.1:0", "tcp://127.0.0.1:0", limits=limits, tls=tls, **given) as running_node:
        yield running_node


async def connect(
    to: Running, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        "127.0.0.1", to.port("tls"), ssl=context or trusting(), server_hostname="sip.example.net"
    )


async def caused(there: Running, cause: TlsCause, count: int = 1) -> None:
    await there.until(lambda: len(there.tls_failures) >= count)
    assert [failure.cause for failure in there.tls_failures] == [cause] * count
    assert {failure.remote[0] for failure in there.tls_failures} == {"127.0.0.1"}


@pytest.mark.rfc(3261, "26.2.1")
async def test_options_over_tls(tmp_path: Path) -> None:
    async with node(tmp_path) as there:
        reader, writer = await connect(there)
        writer.write(b"\r\n\r\n" + options(transport="TLS"))
        assert await reader.readexactly(2) == b"\r\n", "keep-alives go over TLS, too"
        (answer,) = await read_messages(reader, 1)
        assert answer.status == 200
        source = there.seen[0][2]
        assert source.transport == "tls"
        assert source.tls is not None
        assert source.tls.version == "TLSv1.3"
        writer.close()
        await there.until(lambda: there.stack.open_connections == 0)
        assert (there.tls_failures, there.stack.open_handshakes) == ([], 0)


async def test_a_whole_call_between_two_of_us(tmp_path: Path) -> None:
    names = {"sip.example.net": ()}
    async with node(tmp_path) as callee:
        names["sip.example.net"] = (Target("tls", "127.0.0.1", callee.port("tls")),)
        ours = keeper(tmp_path, authority().issue("caller.example.net"), "caller")
        async with node(tmp_path, tls=ours, names=names) as caller:
            uri = parse_uri("sips:bob@sip.example.net")
            caller.stack.perform(
                lambda now: caller.user_agent.invite(uri, "<sips:a@caller.example.net>", f"<{uri}>", SDP, now)
            )
            await caller.told(Answered)
            received = await callee.told(InviteReceived)
            assert received.source.tls.identities == ("caller.example.net",)
            assert received.request.via.transport == "TLS"
            assert "alias" in received.request.via.params
            assert str(received.request.contacts[0].uri).startswith("sips:"), "RFC 3261 8.1.1.8"
            (answered,) = [event for event in caller.events if isinstance(event, Answered)]
            assert str(answered.response.contacts[0].uri) == f"sips:offhook@127.0.0.1:{callee.port('tls')}"
            await asyncio.sleep(0.05)
            callee.stack.perform(lambda now: received.session.hang_up(now=now))
            await caller.told(ByeReceived)
            await callee.told(HungUp)
            assert callee.stack.open_connections == caller.stack.open_connections == 1, "one serves both ways"


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (options(transport="TCP"), TlsCause.PLAIN_SIP),
        (b"GET / HTTP/1.1\r\n\r\n", TlsCause.PLAIN_HTTP),
        (b"\x16\x03\x01\x02\x00\x01", TlsCause.TIMEOUT),
        (b"", TlsCause.NOTHING_SENT),
    ],
)
async def test_what_is_no_handshake_is_one_event(tmp_path: Path, sent: bytes, cause: TlsCause) -> None:
    async with node(tmp_path, limits=IMPATIENT) as there:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.port("tls"))
        writer.write(sent)
        assert await is_closed(reader)
        await caused(there, cause)
        await there.until(lambda: there.stack.open_connections == there.stack.open_handshakes == 0)
        writer.close()


async def test_tls_on_a_plain_port_is_told(tmp_path: Path) -> None:
    async with node(tmp_path) as there:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", there.port("tcp"), ssl=trusting(), server_hostname="x")
        await caused(there, TlsCause.TLS_ON_PLAIN_PORT)


async def test_a_bad_certificate_gets_no_answer_to_its_sip(tmp_path: Path) -> None:
    expired = authority().issue("pbx.example.com", begins=NOW - 9 * DAY, ends=NOW - DAY)
    async with node(tmp_path) as there:
        # In TLS 1.3 a client believes itself connected before we have seen its certificate.
        reader, writer = await connect(there, trusting(expired))
        with contextlib.suppress(ConnectionError):
            writer.write(options(transport="TLS"))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await reader.read(10)
        await caused(there, TlsCause.CERTIFICATE_EXPIRED)
        assert there.seen == []
        writer.close()


async def test_a_thousand_connections_that_send_nothing_keep_nobody_out(tmp_path: Path) -> None:
    def known(remote: str) -> bool:
        return remote == "127.0.0.1"

    limits = TransportLimits(handshake_timeout=2.5, sweep_interval=0.05)
    loop = asyncio.get_running_loop()
    idle: list[socket.socket] = []
    async with node(tmp_path, limits=limits, knows=known) as there:
        to = ("127.0.0.1", there.port("tls"))
        for number in range(1000):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((f"127.0.{1 + number // 200}.{1 + number % 200}", 0))
            idle.append(sock)
            with contextlib.suppress(BlockingIOError):
                sock.connect(to)
            if number % 50 == 49:
                await asyncio.sleep(0)
        await there.until(lambda: len(there.tls_failures) >= 1000 - limits.max_handshakes // 2)
        assert there.stack.open_handshakes == limits.max_handshakes // 2
        reader, writer = await connect(there)
        writer.write(options(transport="TLS"))
        assert (await read_messages(reader, 1))[0].status == 200
        writer.close()
        await there.until(lambda: there.stack.open_connections == 0)
        causes = [failure.cause for failure in there.tls_failures]
        assert len(causes) == 1000, "each is one event"
        assert causes.count(TlsCause.TOO_MANY) == 1000 - limits.max_handshakes // 2
        assert causes.count(TlsCause.NOTHING_SENT) == limits.max_handshakes // 2
        for sock in idle:
            sock.close()
        assert loop.is_running()


async def test_more_handshakes_than_may_be_begun_wait_and_all_are_made(tmp_path: Path) -> None:
    limits = TransportLimits(handshakes_per_second=200, handshake_burst=2, max_handshakes_per_source=64)
    async with node(tmp_path, limits=limits) as there:
        pairs = await asyncio.gather(*(connect(there) for _ in range(40)))
        for _, writer in pairs:
            writer.write(options(transport="TLS"))
        answers = await asyncio.gather(*(read_messages(reader, 1) for reader, _ in pairs))
        assert [answer.status for (answer,) in answers] == [200] * 40
        for _, writer in pairs:
            writer.close()
        assert there.tls_failures == []


async def test_one_source_has_so_many_handshakes(tmp_path: Path) -> None:
    async with node(tmp_path, limits=TransportLimits(max_handshakes_per_source=4)) as there:
        pairs = [await asyncio.open_connection("127.0.0.1", there.port("tls")) for _ in range(6)]
        await caused(there, TlsCause.TOO_MANY, 2)
        for _, writer in pairs:
            writer.close()


async def test_strangers_cost_no_handshake(tmp_path: Path) -> None:
    async with node(tmp_path, gate=lambda transport, remote: False) as there:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(there)
        assert there.stack.counters["strangers"] == 1
        assert there.tls_failures == []


async def test_a_peer_that_never_reads_is_cut_off(tmp_path: Path) -> None:
    limits = TransportLimits(write_buffer=16 << 10)
    async with node(tmp_path, limits=limits) as there:
        context = trusting()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", there.port("tls")))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = context.wrap_bio(incoming, outgoing, server_hostname="sip.example.net")
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(sock, outgoing.read())
                incoming.write(await loop.sock_recv(sock, 65536))
        flood = b"".join(options(number, "TLS") for number in range(20))
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(20):
                while not there.stack.counters["connections_not_read"]:
                    peer.write(flood)
                    await loop.sock_sendall(sock, outgoing.read())
        assert there.stack.counters["connections_not_read"] == 1
        sock.close()


# ---------------------------------------------------------------------- where we connect


@contextlib.asynccontextmanager
async def far_end(own: Issued, **options: Any) -> AsyncIterator[tuple[int, list[asyncio.StreamReader]]]:
    """A TLS server that takes what comes; its port, and the connections it got."""
    taken: list[asyncio.StreamReader] = []
    context = peer_context(own, server=True)
    for name, value in options.items():
        setattr(context, name, value)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(reader)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await reader.read(100)
        writer.close()

    async with served(take, "127.0.0.1", 0, context) as port:
        yield port, taken


@pytest.mark.parametrize(
    ("own", "slug"),
    [
        (authority().issue("other.example"), "wrong_name"),
        (authority().issue("sip.example.net", ends=NOW - DAY / 2), "certificate_expired"),
        (stranger().issue("sip.example.net"), "unknown_issuer"),
    ],
)
async def test_a_call_to_a_far_end_that_proves_nothing_fails_with_the_cause(
    tmp_path: Path, own: Issued, slug: str
) -> None:
    async with far_end(own) as (port, taken):
        names = {"sip.example.net": (Target("tls", "127.0.0.1", port),)}
        async with node(tmp_path, names=names) as us:
            uri = parse_uri("sip:bob@sip.example.net;transport=tls")
            us.stack.perform(lambda now: us.user_agent.invite(uri, "<sip:a@x>", f"<{uri}>", SDP, now))
            failed = await us.told(Failed)
            assert failed.cause is FailureCause.TRANSPORT
            assert failed.detail.startswith(f"127.0.0.1 port {port} by TLS: ")
            assert failed.detail.endswith(f"({slug})")
            (failure,) = us.tls_failures
            assert (failure.direction, failure.cause.slug, failure.remote) == ("out", slug, ("127.0.0.1", port))
            assert us.stack.open_connections == 0
        assert all(reader.at_eof() for reader in taken)


async def test_nobody_there_is_told_as_such(tmp_path: Path) -> None:
    async with node(tmp_path) as us:
        uri = parse_uri("sips:bob@127.0.0.1:1")
        us.stack.perform(lambda now: us.user_agent.invite(uri, "<sip:a@x>", f"<{uri}>", SDP, now))
        failed = await us.told(Failed)
        assert failed.detail == "127.0.0.1 port 1 by TLS: connection refused"
        assert us.tls_failures == []


async def test_without_tls_a_sips_uri_leads_nowhere() -> None:
    async with running() as us:
        uri = parse_uri("sips:bob@127.0.0.1:1")
        us.stack.perform(lambda now: us.user_agent.invite(uri, "<sip:a@x>", f"<{uri}>", SDP, now))
        failed = await us.told(Failed)
        assert (failed.cause, failed.detail) == (
            FailureCause.UNRESOLVED,
            "it has to go by TLS, which is not set up",
        )


async def test_a_bye_finds_the_peer_again_when_its_connection_is_gone(tmp_path: Path) -> None:
    """By TLS, with the name in the Contact proven, to the port in the Contact."""
    own = authority().issue("pbx.example.com", addresses=["127.0.0.1"])
    async with node(tmp_path) as us, node(tmp_path, tls=keeper(tmp_path, own, "pbx")) as pbx:
        reader, writer = await connect(us)
        contact = f"<sip:alice@127.0.0.1:{pbx.port('tls')};transport=tls>"
        invite = request(via="SIP/2.0/TLS 127.0.0.1;rport", contact=contact, body=SDP)
        writer.write(bytes(invite))
        answers = await read_messages(reader, 2)
        writer.write(bytes(request("ACK", to=str(answers[1].to), branch="z9hG4bKa", via="SIP/2.0/TLS 127.0.0.1")))
        await asyncio.sleep(0.05)
        writer.close()
        await us.until(lambda: us.stack.open_connections == 0)
        session = us.events[0].session  # type: ignore[union-attr]
        us.stack.perform(lambda now: session.hang_up(now=now))
        await us.told(HungUp)
        ((_, bye, source), *_) = pbx.seen
        assert (bye.method, source.transport) == ("BYE", "tls")


async def test_a_bye_that_reaches_nobody_says_why(tmp_path: Path) -> None:
    own = authority().issue("elsewhere.example")
    async with node(tmp_path) as us, node(tmp_path, tls=keeper(tmp_path, own, "pbx")) as pbx:
        reader, writer = await connect(us)
        contact = f"<sip:alice@127.0.0.1:{pbx.port('tls')}>"
        writer.write(bytes(request(via="SIP/2.0/TLS 127.0.0.1;rport", contact=contact, body=SDP)))
        answers = await read_messages(reader, 2)
        writer.write(bytes(request("ACK", to=str(answers[1].to), branch="z9hG4bKa", via="SIP/2.0/TLS 127.0.0.1")))
        await asyncio.sleep(0.05)
        writer.close()
        await us.until(lambda: us.stack.open_connections == 0)
        session = us.events[0].session  # type: ignore[union-attr]
        us.stack.perform(lambda now: session.hang_up(now=now))
        hung_up = await us.told(HungUp)
        assert hung_up.response is None
        assert "it is for elsewhere.example, not for 127.0.0.1" in hung_up.detail
        assert pbx.seen == [], "no transport named stays TLS, and nothing is said to the wrong one"


# ---------------------------------------------------------------------- RFC 5923


@pytest.mark.rfc(5923, "8")
@pytest.mark.parametrize("case", ["proven", "no certificate", "no alias", "another name"])
async def test_requests_go_back_on_an_aliased_connection_of_who_is_proven(tmp_path: Path, case: str) -> None:
    own = None if case == "no certificate" else authority().issue("pbx.example.com")
    target = Target("tls", "127.0.0.1", 5099)
    host = "other.example.com" if case == "another name" else "pbx.example.com"
    async with node(tmp_path, names={host: (target,)}) as us:
        reader, writer = await connect(us, trusting(own))
        alias = "" if case == "no alias" else ";alias"
        first = request(
            "OPTIONS", via=f"SIP/2.0/TLS pbx.example.com:5099;rport{alias}", branch="z9hG4bK1", call_id="one"
        )
        writer.write(bytes(first))
        await read_messages(reader, 1)
        uri = parse_uri(f"sip:bob@{host};transport=tls")
        us.stack.perform(lambda now: us.user_agent.invite(uri, "<sip:a@x>", f"<{uri}>", SDP, now))
        if case == "proven":
            (invite,) = await read_messages(reader, 1)
            assert invite.method == "INVITE"
        else:
            failed = await us.told(Failed)
            assert "connection refused" in failed.detail
        writer.close()


async def test_nothing_is_left_open(tmp_path: Path) -> None:
    async with node(tmp_path) as there:
        _, writer = await connect(there)
        _, half = await asyncio.open_connection("127.0.0.1", there.port("tls"))
        half.write(b"\x16\x03")
        await there.until(lambda: there.stack.open_connections == 2)
    assert there.stack.open_connections == there.stack.open_handshakes == 0
    writer.transport.abort()
    half.close()


async def test_a_listener_without_a_certificate_is_one_plain_line(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"tls://127\.0\.0\.1:0 needs a certificate"):
        await Running("tls://127.0.0.1:0", limits=CALM).stack.start()
