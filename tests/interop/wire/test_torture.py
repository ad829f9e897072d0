"""The 49 cases of RFC 4475 on the wire: sent to a running gateway, each with its verdict, each survived.

That a parser rejects a message does not show that its 400 reaches the peer, nor that the next request is answered.
`OFFHOOK_TORTURE_DIR` and `OFFHOOK_SAMPLES_DIR` name folders of raw files, which are sent too where they are set.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conformance.rfc4475.messages import BY_NAME, CASES, TortureCase
from tests.conformance.rfc4475.test_user_agent import cases as verdicts
from tests.support.gateway import Gateway, ports, running_gateway

pytestmark = [pytest.mark.interop, pytest.mark.rfc(4475, "3")]

# A source of its own; `nat = true`, since the Vias of these messages lead to documentation addresses.
SOURCE = "127.0.0.45"
ANSWER_LIMIT = 20.0

_TOML = f"""
[limits]
max_cps = 1000

[[trunk]]
name = "torture"
allow = ["{SOURCE}"]
nat = true

[[route]]
name = "all"
destination = "echo:"
"""

_OPTIONS = """\
OPTIONS sip:probe@{host}:{port} SIP/2.0
Via: SIP/2.0/{transport} {source}:{source_port};branch=z9hG4bK-probe-{number};rport
Max-Forwards: 70
From: <sip:probe@{source}>;tag=probe
To: <sip:probe@{host}>
Call-ID: probe-{number}
CSeq: {number} OPTIONS
Content-Length: 0

"""


@dataclass
class Peer:
    """A peer on one UDP port that sends bytes and asks after each whether the gateway still answers."""

    gateway: tuple[str, int]
    socket: socket.socket
    number: int = field(default=0)

    def ask(self, data: bytes) -> list[bytes]:
        """Send a message and then OPTIONS: what came before the 200 to that OPTIONS."""
        first = data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0]
        call_id = _header(first, b"call-id") or _header(first, b"i")
        self.socket.sendto(data, self.gateway)
        self.number += 1
        probe = f"probe-{self.number}".encode()
        self.socket.sendto(self._options(), self.gateway)
        began, found = time.monotonic(), []
        self.socket.settimeout(ANSWER_LIMIT)
        while True:
            try:
                answer = self.socket.recv(65535)
            except TimeoutError:
                raise AssertionError(f"OPTIONS after it was not answered; before it came {found}") from None
            if (_header(answer, b"call-id") or b"") == probe:
                assert answer.startswith(b"SIP/2.0 200 "), answer
                assert time.monotonic() - began < 2.0 * (1 + _load()), "OPTIONS waited"
                return found
            # A call that an earlier case began may still repeat its 200.
            if _header(answer, b"call-id") in (call_id, None):
                found.append(answer)

    def _options(self) -> bytes:
        source, source_port = self.socket.getsockname()
        host, port = self.gateway
        fields = {"transport": "UDP", "source": source, "source_port": source_port, "host": host, "port": port}
        return _OPTIONS.format(number=self.number, **fields).replace("\n", "\r\n").encode()


@contextmanager
def unharmed(directory: Path) -> Iterator[Gateway]:
    """A gateway that has no fault to tell of at the end."""
    first = ports(200)
    with running_gateway(directory, _TOML, media=f'ports = "{first}-{first + 199}"') as gateway:
        yield gateway
        said = gateway.said()
        assert "sip.fault" not in said, said
        assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For the datagrams."""
    with unharmed(tmp_path_factory.mktemp("datagrams")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def stream_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For the streams: a message with the branch of one that came by UDP would be its repetition."""
    with unharmed(tmp_path_factory.mktemp("streams")) as gateway:
        yield gateway


@pytest.fixture
def peer(gateway: Gateway) -> Iterator[Peer]:
    """A peer of the datagrams' gateway."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((SOURCE, 0))
        yield Peer(gateway.udp, own)


def statuses(answers: list[bytes]) -> list[int]:
    found = [re.match(rb"SIP/2\.0 (\d{3}) ", answer) for answer in answers]
    return [int(match[1]) for match in found if match]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_over_udp(peer: Peer, case: TortureCase) -> None:
    got = statuses(peer.ask(case.data))
    judge(case, got)


def judge(case: TortureCase, got: list[int]) -> None:
    if not case.answers:
        assert not got, f"{case.section} must not be answered: {got}"
        return
    if not got:
        assert case.silence, f"{case.section} was not answered; {sorted(case.answers)} were allowed"
        return
    assert set(got) <= case.answers | {100, 180}, f"{case.section}: {got}, allowed are {sorted(case.answers)}"
    assert got[0] in case.answers, f"{case.section}: {got}, allowed are {sorted(case.answers)}"


@pytest.mark.skipif(not os.environ.get("OFFHOOK_TORTURE_DIR"), reason="OFFHOOK_TORTURE_DIR is not set")
def test_raw_torture_files_over_udp(peer: Peer) -> None:
    wrong = []
    for name, data, allowed, silent in verdicts():
        got = statuses(peer.ask(data))
        if not got and not silent:
            wrong.append(f"{name}: no answer, allowed are {sorted(allowed)}")
        if got and got[0] not in allowed | {100}:
            wrong.append(f"{name}: {got}, allowed are {sorted(allowed)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not os.environ.get("OFFHOOK_SAMPLES_DIR"), reason="OFFHOOK_SAMPLES_DIR is not set")
def test_raw_samples_over_udp(peer: Peer) -> None:
    for path in sorted(Path(os.environ["OFFHOOK_SAMPLES_DIR"]).glob("*.sip")):
        peer.ask(path.read_bytes())


class Stream:
    """A TCP connection to the gateway."""

    def __init__(self, gateway: tuple[str, int]) -> None:
        self._gateway = gateway
        self.socket = socket.create_connection(gateway, source_address=(SOURCE, 0), timeout=ANSWER_LIMIT)
        self._buffer = b""
        self.number = 0

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def options(self, number: int) -> bytes:
        source, source_port = self.socket.getsockname()
        host, port = self._gateway
        fields = {"transport": "TCP", "source": source, "source_port": source_port, "host": host, "port": port}
        return _OPTIONS.format(number=number, **fields).replace("\n", "\r\n").encode()

    def until(self, call_id: bytes) -> list[bytes]:
        """Every response up to the one of this Call-ID."""
        found = []
        while True:
            while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
                head = self._buffer[:end]
                length = int(_header(head + b"\r\n", b"content-length") or b"0")
                if len(self._buffer) < end + 4 + length:
                    break
                self._buffer = self._buffer[end + 4 + length :]
                found.append(head)
                if _header(head + b"\r\n", b"call-id") == call_id:
                    return found
            data = self.socket.recv(65536)
            assert data, f"the gateway closed the connection after {found}"
            self._buffer += data

    def is_closed(self) -> bool:
        """Whether the gateway ends the connection."""
        while data := self.socket.recv(65536):
            self._buffer += data
        return True


def test_two_requests_in_one_segment(stream_gateway: Gateway) -> None:
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.sendall(stream.options(1) + stream.options(2))
        assert len(stream.until(b"probe-2")) == 2


def test_a_request_byte_by_byte(stream_gateway: Gateway) -> None:
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in stream.options(1):
            stream.socket.sendall(bytes([byte]))
        assert len(stream.until(b"probe-1")) == 1


def test_line_ends_between_requests_and_a_keep_alive(stream_gateway: Gateway) -> None:
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.sendall(b"\r\n\r\n")
        assert stream.socket.recv(16) == b"\r\n", "RFC 5626 4.4.1: a ping is answered by a pong"
        stream.socket.sendall(b"\r\n" + stream.options(1))
        stream.until(b"probe-1")


def test_a_second_request_hidden_in_a_body_stays_a_body(stream_gateway: Gateway) -> None:
    with Stream(stream_gateway.tcp) as stream:
        hidden = stream.options(7)
        outer = stream.options(1).replace(b"Content-Length: 0", b"Content-Length: %d" % len(hidden))
        stream.socket.sendall(outer + hidden + stream.options(2))
        answers = stream.until(b"probe-2")
        assert [_header(answer + b"\r\n", b"call-id") for answer in answers] == [b"probe-1", b"probe-2"]


def test_two_messages_of_the_torture_case_are_two_on_a_stream(stream_gateway: Gateway) -> None:
    with Stream(stream_gateway.tcp) as stream:
        # The same case is sent below: a branch of its own keeps it from being that one's repetition.
        data = BY_NAME["dblreq"].data.replace(b"z9hG4bK", b"z9hG4bK-two-").replace(b"Call-ID: ", b"Call-ID: two-")
        stream.socket.sendall(data + stream.options(1))
        answers = statuses(stream.until(b"probe-1"))
        assert 405 in answers, "the REGISTER"
        assert 100 in answers, "the INVITE behind it"


@pytest.mark.parametrize(
    "length", [b"-1", b"+5", b"0x10", b"5 5", b"4294967328", b"18446744073709551616", b"9" * 400, b""]
)
def test_a_length_that_is_none_ends_the_connection(stream_gateway: Gateway, length: bytes) -> None:
    with Stream(stream_gateway.tcp) as stream:
        broken = stream.options(1).replace(b"Content-Length: 0", b"Content-Length: " + length)
        stream.socket.sendall(broken + stream.options(2))
        assert stream.is_closed()
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.sendall(stream.options(3))
        stream.until(b"probe-3")


@pytest.mark.parametrize("case", [case for case in CASES if case.data[:4] != b"SIP/"], ids=str)
def test_a_case_over_tcp_leaves_the_gateway_alive(stream_gateway: Gateway, case: TortureCase) -> None:
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.sendall(case.data)
        # What a message without a length leaves on a stream is anybody's guess, so this connection may end.
        stream.socket.shutdown(socket.SHUT_WR)
        stream.is_closed()
    with Stream(stream_gateway.tcp) as stream:
        stream.socket.sendall(stream.options(1))
        stream.until(b"probe-1")


def _header(message: bytes, name: bytes) -> bytes | None:
    match = re.search(rb"^" + re.escape(name) + rb"[ \t]*:[ \t]*([^\r\n]*)", message, re.M | re.I)
    return match[1].strip() if match else None


def _load() -> float:
    """How much more than it can do the machine has to do."""
    return max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1))
