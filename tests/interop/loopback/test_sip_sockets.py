"""SIP over real sockets of this machine: framing, bounds, and readers that nothing stops."""

import asyncio
import contextlib
import socket
import sys
from dataclasses import replace
from typing import Any

import pytest
import uvloop
from tests.support.messages import SDP, request
from tests.support.served import served
from tests.support.stack import CALM, QUICK, Running, running

from offhook.errors import TransportError
from offhook.sip.events import (
    Acknowledged,
    Answered,
    ByeReceived,
    Failed,
    FailureCause,
    HungUp,
    InviteReceived,
    SessionFailed,
)
from offhook.sip.message import Request
from offhook.sip.parser import StreamParser
from offhook.sip.timers import TimerValues
from offhook.sip.uri import parse_uri
from offhook.sip.user_agent import UserAgentConfig
from offhook.transport.limits import TransportLimits

pytestmark = pytest.mark.interop


def options(number: int = 1, transport: str = "UDP") -> bytes:
    via = f"SIP/2.0/{transport} 127.0.0.1;rport"
    return bytes(request("OPTIONS", via=via, branch=f"z9hG4bK{number}", call_id=str(number)))


class Udp:
    """A plain UDP peer."""

    def __init__(self, family: int = socket.AF_INET, host: str = "127.0.0.1") -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.setblocking(False)

    async def ask(self, data: bytes, to: tuple[str, int], within: float = 20.0) -> tuple[bytes, Any]:
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self.sock, data, to)
        return await asyncio.wait_for(loop.sock_recvfrom(self.sock, 65535), within)

    def __enter__(self) -> "Udp":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


async def read_messages(reader: asyncio.StreamReader, count: int, within: float = 20.0) -> list[Any]:
    parser, found = StreamParser(), []
    async with asyncio.timeout(within):
        while len(found) < count:
            data = await reader.read(65536)
            assert data, f"closed after {len(found)} of {count}"
            found += parser.receive(data)
    return found


async def is_closed(reader: asyncio.StreamReader, within: float = 20.0) -> bool:
    try:
        async with asyncio.timeout(within):
            while await reader.read(65536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.rfc(3261, "18.2.1")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_udp_of_both_families(family: int, host: str) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    async with running(f"udp://{bracketed}:0") as node:
        with Udp(family, host) as peer:
            data, source = await peer.ask(options(), (host, node.port("udp")))
    assert data.startswith(b"SIP/2.0 200")
    assert source[:2] == (host, node.seen[0][2].local[1])
    assert [direction for direction, _, _ in node.seen] == ["in", "out"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_tcp_of_both_families(host: str) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    async with running(f"tcp://{bracketed}:0") as node:
        reader, writer = await asyncio.open_connection(host, node.port("tcp"))
        writer.write(options(transport="TCP"))
        (answer,) = await read_messages(reader, 1)
        assert answer.status == 200
        writer.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.9.9.9"])
async def test_a_wildcard_answers_from_the_address_that_was_asked(address: str) -> None:
    async with running("udp://0.0.0.0:0") as node:
        with Udp() as peer:
            _, source = await peer.ask(options(), (address, node.port("udp")))
    assert source[0] == address
    assert node.seen[0][2].local[0] == address


async def test_an_ipv4_and_an_ipv6_wildcard_share_a_port() -> None:
    async with running("udp://0.0.0.0:0") as node:
        port = node.port("udp")
    async with running(f"udp://0.0.0.0:{port}", f"udp://[::]:{port}", f"tcp://0.0.0.0:{port}", f"tcp://[::]:{port}"):
        with Udp(socket.AF_INET6, "::1") as peer:
            _, source = await peer.ask(options(), ("::1", port))
            assert source[0] == "::1"


async def test_a_burst_of_datagrams_is_answered_whole() -> None:
    async with running("udp://127.0.0.1:0") as node:
        with Udp() as peer:
            for number in range(200):
                peer.sock.sendto(options(number), ("127.0.0.1", node.port("udp")))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                answers = {await loop.sock_recv(peer.sock, 65535) for _ in range(200)}
    assert len(answers) == 200


@pytest.mark.rfc(3261, "18.3")
async def test_one_byte_at_a_time() -> None:
    async with running("tcp://127.0.0.1:0", limits=TransportLimits()) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in options(transport="TCP"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        (answer,) = await read_messages(reader, 1)
        assert answer.status == 200
        writer.close()


@pytest.mark.rfc(3261, "18.3")
@pytest.mark.rfc(5626, "4.4.1")
async def test_many_messages_in_one_segment_and_keep_alives_between() -> None:
    async with running("tcp://127.0.0.1:0") as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        writer.write(b"\r\n\r\n" + b"\r\n\r\n".join(options(number, "TCP") for number in range(5)))
        data = await asyncio.wait_for(reader.readexactly(2), 20)
        assert data == b"\r\n"
        answers = [item for item in await read_messages(reader, 5) if hasattr(item, "status")]
        assert {answer.call_id for answer in answers} <= {str(number) for number in range(5)}
        writer.close()


async def test_lost_framing_is_answered_and_closed() -> None:
    async with running("tcp://127.0.0.1:0") as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        writer.write(options(transport="TCP").replace(b"Content-Length: 0", b"Content-Length: -5") + options(2, "TCP"))
        (answer,) = await read_messages(reader, 1)
        assert answer.status == 400
        assert await is_closed(reader)
        assert node.stack.counters["streams_broken"] == 1
        writer.close()


@pytest.mark.parametrize(
    ("sent", "counter"),
    [
        (b"", "connections_silent"),
        (b"\r\n\r\n", "connections_silent"),
        (b"OPTIONS sip:x", "connections_half_message"),
        (options(transport="TCP"), "connections_idle"),
        (options(transport="TCP") + b"O", "connections_half_message"),
    ],
)
async def test_a_connection_that_says_too_little_is_closed(sent: bytes, counter: str) -> None:
    async with running(limits=QUICK) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        writer.write(sent)
        assert await is_closed(reader)
        assert node.stack.counters[counter] == 1
        assert node.stack.open_connections == 0
        writer.close()


async def test_a_message_that_drips_is_not_waited_for() -> None:
    async with running(limits=QUICK) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))

        async def drip() -> None:
            for byte in options(transport="TCP"):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(drip())
        assert await is_closed(reader)
        assert node.stack.counters["connections_half_message"] == 1
        task.cancel()
        writer.close()


async def test_a_connection_with_a_call_on_it_is_kept_however_silent() -> None:
    async with running(limits=replace(CALM, idle_timeout=0.8)) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        port = writer.get_extra_info("sockname")[1]
        invite = request(
            via="SIP/2.0/TCP 127.0.0.1;rport", contact=f"<sip:alice@127.0.0.1:{port};transport=tcp>", body=SDP
        )
        writer.write(bytes(invite))
        answers = await read_messages(reader, 2)
        session = node.events[0].session  # type: ignore[union-attr]
        writer.write(bytes(request("ACK", to=str(answers[1].to), branch="z9hG4bKa", via="SIP/2.0/TCP 127.0.0.1")))
        await asyncio.sleep(1.0)
        node.stack.perform(lambda now: session.hang_up(now=now))
        (bye,) = await read_messages(reader, 1)
        assert bye.method == "BYE"
        writer.close()


async def test_one_source_gets_so_many_connections() -> None:
    async with running(limits=TransportLimits(max_connections_per_source=4)) as node:
        pairs = [await asyncio.open_connection("127.0.0.1", node.port("tcp")) for _ in range(6)]
        await node.until(lambda: node.stack.counters["connections_refused"] == 2)
        assert node.stack.open_connections == 4
        pairs[0][1].close()
        await node.until(lambda: node.stack.open_connections == 3)
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        writer.write(options(transport="TCP"))
        assert (await read_messages(reader, 1))[0].status == 200
        for _, other in pairs:
            other.close()
        writer.close()


async def test_a_peer_that_never_reads_is_cut_off_and_nobody_waits_for_it() -> None:
    async with running(limits=TransportLimits(write_buffer=16 << 10)) as node:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", node.port("tcp")))
        flood = b"".join(options(number, "TCP") for number in range(20))
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(20):
                while not node.stack.counters["connections_not_read"]:
                    await loop.sock_sendall(sock, flood)
        assert node.stack.counters["connections_not_read"] == 1
        with Udp() as peer:
            data, _ = await peer.ask(options(), ("127.0.0.1", node.port("udp")))
        assert data.startswith(b"SIP/2.0 200")
        sock.close()


async def test_strangers_are_not_read_at_all() -> None:
    async with running(gate=lambda transport, remote: remote != "127.0.0.1") as node:
        with Udp() as peer, pytest.raises(TimeoutError):
            await peer.ask(options(), ("127.0.0.1", node.port("udp")), within=0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        assert await is_closed(reader)
        assert node.stack.counters["strangers"] == 2
        assert node.seen == []
        writer.close()


@pytest.mark.parametrize("where", ["on_event", "on_message", "gate", "screen", "dispatch"])
async def test_a_fault_of_ours_never_stops_a_reader(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = True

    def fault(*_: object, **__: object) -> Any:
        if failing:
            raise ZeroDivisionError
        return True

    async with running(gate=fault if where == "gate" else None) as node:
        if where == "on_event":
            node.on_event = fault
        elif where == "on_message":
            monkeypatch.setattr(node.stack, "_on_message", fault)
        elif where == "screen":
            monkeypatch.setattr(node.user_agent._door, "_screen", fault)
        elif where == "dispatch":
            monkeypatch.setattr(node.user_agent, "_receive_request", fault)
        to = ("127.0.0.1", node.port("udp"))
        with Udp() as peer:
            for number in range(5):
                invite = request(via="SIP/2.0/UDP 127.0.0.1;rport", branch=f"z9hG4bKx{number}", call_id=f"x{number}")
                peer.sock.sendto(bytes(invite), to)
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
            writer.write(options(7, "TCP"))
            await asyncio.sleep(0.1)
            failing = False
            monkeypatch.undo()
            while True:
                data, _ = await peer.ask(options(99), to)
                if b"OPTIONS" in data:
                    break
            assert data.startswith(b"SIP/2.0 200")
            if where == "gate":
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
            writer.write(options(8, "TCP"))
            assert (await read_messages(reader, 1))[0].status == 200
            writer.close()
        faults = {name: n for name, n in node.stack.counters.items() if name.startswith(("fault_", "reader_faults"))}
        assert faults
        if where == "on_event":
            assert len([event for event in node.events if isinstance(event, SessionFailed)]) == 5


async def test_a_whole_call_over_one_connection() -> None:
    async with running("tcp://127.0.0.1:0") as callee, running("tcp://127.0.0.1:0") as caller:
        uri = parse_uri(f"sip:bob@127.0.0.1:{callee.port('tcp')};transport=tcp")
        caller.stack.perform(
            lambda now: caller.user_agent.invite(uri, "<sip:a@127.0.0.1>", f"<{uri}>", SDP, now, peer=caller.peer)
        )
        await caller.told(Answered)
        theirs = callee.events[0].session  # type: ignore[union-attr]
        await callee.told(Acknowledged)
        callee.stack.perform(lambda now: theirs.hang_up(now=now))
        await caller.told(ByeReceived)
        await callee.told(HungUp)
        assert callee.stack.open_connections == caller.stack.open_connections == 1
        assert callee.stack.counters["connections_opened"] == 1


async def test_a_connection_that_breaks_fails_the_invite_at_once() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.transport.abort()

    async with served(hang_up, "127.0.0.1", 0) as port, running() as node:
        uri = parse_uri(f"sip:bob@127.0.0.1:{port};transport=tcp")
        node.stack.perform(lambda now: node.user_agent.invite(uri, "<sip:a@127.0.0.1>", f"<{uri}>", SDP, now))
        assert (await node.told(Failed)).cause is FailureCause.TRANSPORT


@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        ("sip:bob@127.0.0.1:1;transport=tcp", FailureCause.TRANSPORT),
        ("sip:bob@nowhere", FailureCause.UNRESOLVED),
        ("sip:bob@broken", FailureCause.UNRESOLVED),
        ("sip:bob@[::1]:5999", FailureCause.TRANSPORT),
    ],
)
async def test_a_call_that_can_not_leave_is_told(uri: str, cause: FailureCause) -> None:
    async with running() as node:
        to = parse_uri(uri)
        node.stack.perform(lambda now: node.user_agent.invite(to, "<sip:a@127.0.0.1>", f"<{to}>", SDP, now))
        assert (await node.told(Failed)).cause is cause


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ICMP is read on Linux")
@pytest.mark.parametrize("here", ["127.0.0.1", "0.0.0.0", "[::1]"])
def test_a_closed_port_of_udp_is_told_at_once_and_the_socket_serves_on(here: str) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET6 if "[" in here else socket.AF_INET, socket.SOCK_DGRAM) as closed:
            host = "::1" if "[" in here else "127.0.0.1"
            closed.bind((host, 0))
            port = closed.getsockname()[1]
        async with running(f"udp://{here}:0") as node:
            shown = f"[{host}]" if ":" in host else host
            uri = parse_uri(f"sip:bob@{shown}:{port}")
            for number in range(3):
                # Timer B is 32 s.
                node.stack.perform(lambda now: node.user_agent.invite(uri, "<sip:a@x>", f"<{uri}>", SDP, now))
                await node.until(lambda n=number: len([e for e in node.events if isinstance(e, Failed)]) == n + 1)  # type: ignore[misc]
            failed = [event for event in node.events if isinstance(event, Failed)]
            assert {event.cause for event in failed} == {FailureCause.TRANSPORT}
            assert "nothing listens there" in failed[0].detail
            with Udp(socket.AF_INET6 if ":" in host else socket.AF_INET, host) as peer:
                # uvloop has no sock_sendto.
                peer.sock.settimeout(2.0)
                peer.sock.sendto(options(), (host, node.port("udp")))
                data = await asyncio.to_thread(peer.sock.recv, 65_535)
            assert data.startswith(b"SIP/2.0 200")

    # The loop that the gateway runs on gives up on descriptors with errors; asyncio's own is that of the tests.
    for loop in (uvloop.new_event_loop, asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())


@pytest.mark.parametrize("hears_icmp", [True, False], ids=["with ICMP", "without"])
async def test_what_finds_no_room_in_the_send_buffer_leaves_in_turn(
    hears_icmp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hears_icmp:
        monkeypatch.setattr("offhook.transport.udp.hears_icmp", lambda sock: False)
    async with running("udp://127.0.0.1:0") as node:
        [endpoint] = node.stack._flows.udp.values()
        sends, full = endpoint._hand_over, [True] * 3

        def refuse(*datagram: Any) -> None:
            if full:
                full.pop()
                raise BlockingIOError
            sends(*datagram)

        monkeypatch.setattr(endpoint, "_hand_over", refuse)
        with Udp() as peer:
            loop, to = asyncio.get_running_loop(), peer.sock.getsockname()
            for number in range(3):
                endpoint.send(b"%d" % number, to)
            async with asyncio.timeout(5):
                assert [await loop.sock_recv(peer.sock, 100) for _ in range(3)] == [b"0", b"1", b"2"]
            data, _ = await peer.ask(options(), ("127.0.0.1", node.port("udp")))
        assert data.startswith(b"SIP/2.0 200")


async def test_the_next_target_is_tried() -> None:
    async with running() as node:
        uri = parse_uri("sip:bob@trunk")
        node.stack.perform(lambda now: node.user_agent.invite(uri, "<sip:a@127.0.0.1>", f"<{uri}>", SDP, now))
        await node.until(lambda: len([m for d, m, _ in node.seen if d == "out" and isinstance(m, Request)]) == 2)
        transports = [m.via.transport for d, m, _ in node.seen if d == "out"]
        assert transports[:2] == ["TCP", "UDP"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_taken_port_is_one_plain_line(transport: str) -> None:
    async with running(f"{transport}://127.0.0.1:0") as node:
        second = Running("udp://127.0.0.1:0", f"{transport}://127.0.0.1:{node.port(transport)}")
        with pytest.raises(TransportError) as raised:
            await second.stack.start()
        assert "\n" not in str(raised.value)
        assert f"{transport} port {node.port(transport)} of 127.0.0.1 is taken" in str(raised.value)
        assert "ss -l" in raised.value.hint
        assert second.stack.addresses == ()


async def test_an_address_that_is_not_ours_is_one_plain_line() -> None:
    with pytest.raises(TransportError, match=r"198\.51\.100\.1 is no address of this machine"):
        await Running("udp://198.51.100.1:0").stack.start()


async def test_nothing_is_left_open() -> None:
    async with running() as node:
        _, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
        await asyncio.sleep(0.05)
        assert node.stack.open_connections == 1
    writer.close()
    assert node.stack.open_connections == 0
    assert node.stack.addresses == ()


@pytest.mark.parametrize("answers", [True, False])
async def test_connections_closed_while_their_invite_is_in_work_leave_nothing(answers: bool) -> None:
    config = UserAgentConfig(timers=TimerValues(t1=0.02, t2=0.1, t4=0.1, d=0.5))
    limits = TransportLimits(max_connections_per_source=500, connect_timeout=0.3)
    async with running("tcp://127.0.0.1:0", limits=limits, config=config) as node:
        if not answers:
            node.on_event = lambda event, now: isinstance(event, InviteReceived) and event.session.reject(486, now=now)

        async def caller(number: int) -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", node.port("tcp"))
            via, contact = "SIP/2.0/TCP 127.0.0.1:9;rport", "<sip:a@127.0.0.1:9;transport=tcp>"
            invite = request(via=via, branch=f"z9hG4bK{number}", call_id=str(number), contact=contact, body=SDP)
            writer.write(bytes(invite))
            await asyncio.sleep((0, 0.001, 0.005, 0.05)[number % 4])
            writer.transport.abort()

        await asyncio.gather(*(caller(number) for number in range(200)))
        await node.until(lambda: node.user_agent.open_dialogs == 0 and len(node.user_agent.transactions) == 0, 15)
        assert node.user_agent.next_timeout() is None
        assert node.stack.open_connections == 0
        assert node.user_agent.counters["session_faults"] == 0
