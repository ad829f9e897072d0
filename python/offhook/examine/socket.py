"""The connection to the agent, dialled as the gateway dials it, with every message and the time when it came.

The upgrade asks for what the gateway asks for: no extension, no redirect followed, no proxy.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from offhook.destination.http_hints import HTTP_HINTS
from offhook.errors import OffhookError
from offhook.examine.plan import Plan
from offhook.route.destination_uri import WireUri

MAX_MESSAGE = 1 << 20
"""Bytes of one message, as in the gateway."""

UNREAD_LIMIT = 65_536
"""Bytes of caller audio that wait for an agent which doesn't read; beyond it audio is dropped and counted."""

_READ = 65_536


class Unreached(OffhookError):
    """The agent's server could not be reached, or does not speak the dialect. `code` is a slug, `hint` what to do."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the agent is, and how long each step there took, in milliseconds."""

    address: str
    dns_ms: float
    tcp_ms: float
    tls_ms: float
    upgrade_ms: float

    @property
    def total_ms(self) -> float:
        """All steps together."""
        return self.dns_ms + self.tcp_ms + self.tls_ms + self.upgrade_ms


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the agent, fragments together; `data` None is its close frame."""

    at: float
    data: str | bytes | None


class AgentSocket:
    """One open connection. Sending never waits; `messages` reads until the agent's end of the connection is closed."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: ClientProtocol, reached: Reached
    ) -> None:
        self.reached = reached
        self.close_came_at: float | None = None
        self.ended_at: float | None = None
        self.unread_dropped = 0
        self.broken_by = ""
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._early = [event for event in protocol.events_received() if isinstance(event, Frame)]

    @classmethod
    async def dial(cls, plan: Plan, subprotocol: str | None) -> "AgentSocket":
        """Reach the agent within the plan's time, or raise `Unreached`."""
        uri, progress = plan.uri, _Progress(plan.uri)
        try:
            async with asyncio.timeout(plan.pace.connect):
                return await cls._dial(plan, subprotocol, progress)
        except TimeoutError:
            raise progress.late(plan.pace.connect) from None
        except ssl.SSLCertVerificationError as error:
            hint = "give the CA that signed it with --tls-ca FILE; in the gateway that is tls_ca of the [[agent]]"
            message = f"{uri.redacted}: its certificate is not trusted: {error.verify_message}"
            raise Unreached(message, code="tls", hint=hint) from error
        except ssl.SSLError as error:
            hint = "is it a ws:// server? Then write ws:// in place of wss://"
            raise Unreached(f"{uri.redacted}: no TLS there: {error.reason}", code="tls", hint=hint) from error
        except ConnectionRefusedError as error:
            hint = "start the agent, and compare host and port with what it says it listens on"
            message = f"{uri.redacted}: nothing listens on port {uri.port} of {uri.host}"
            raise Unreached(message, code="refused", hint=hint) from error
        except OSError as error:
            raise progress.failed(error) from error

    @classmethod
    async def _dial(cls, plan: Plan, subprotocol: str | None, progress: "_Progress") -> "AgentSocket":
        uri, loop = plan.uri, asyncio.get_running_loop()
        took: list[float] = []
        began = loop.time()

        def step() -> None:
            nonlocal began
            took.append((loop.time() - began) * 1000)
            began = loop.time()

        addresses = await _addresses(uri)
        step()
        progress.step = "the TCP connection"
        reader, writer = await _connect(addresses, uri.port)
        try:
            step()
            if uri.secure:
                progress.step = "the TLS handshake"
                await writer.start_tls(_trust(plan), server_hostname=uri.host)
            step()
            progress.step = "the WebSocket upgrade"
            protocol = await _upgrade(plan, subprotocol, reader, writer)
            step()
        except BaseException:
            writer.transport.abort()
            raise
        address = writer.get_extra_info("peername")
        reached = Reached(f"{address[0]} port {address[1]}", *took)
        return cls(reader, writer, protocol, reached)

    # -- sending

    @property
    def is_open(self) -> bool:
        """Whether messages may still be sent."""
        return self._protocol.state is State.OPEN

    def send(self, data: str | bytes, *, audio: bool = False) -> bool:
        """Send a message; audio is dropped (False) if too much waits already, and nothing is sent after a close."""
        if not self.is_open or self._writer.transport.is_closing():
            return False
        if audio and self._writer.transport.get_write_buffer_size() > UNREAD_LIMIT:
            self.unread_dropped += 1
            return False
        if isinstance(data, str):
            self._protocol.send_text(data.encode("utf-8", "replace"))
        else:
            self._protocol.send_binary(data)
        self._flush()
        return True

    def close(self, code: int, reason: str) -> None:
        """Send the close frame; the agent's answer is waited for by whoever reads."""
        if self.is_open:
            self._protocol.send_close(code, reason)
            self._flush()

    def abort(self) -> None:
        """Be gone without a word, as when the gateway's machine loses its power: the agent sees a reset."""
        own = self._writer.get_extra_info("socket")
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    @property
    def agent_close(self) -> Close | None:
        """The agent's close frame: its own, or its answer to ours."""
        return self._protocol.close_rcvd

    @property
    def agent_closed_first(self) -> bool:
        """Whether the agent's close frame came before ours."""
        return self._protocol.close_rcvd is not None and self._protocol.close_rcvd_then_sent is not False

    # -- receiving

    async def messages(self) -> AsyncIterator[Message]:
        """All messages until the connection ends; what came after our close frame is among them."""
        frames, self._early = self._early, []
        parts: list[bytes] = []
        text = False
        # What came with the answer to the upgrade may have asked for an answer itself.
        self._flush()
        while True:
            for frame in frames:
                if frame.opcode is Opcode.CLOSE:
                    self.close_came_at = self._loop.time()
                    yield Message(self._loop.time(), None)
                elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    if frame.opcode is not Opcode.CONT:
                        parts, text = [], frame.opcode is Opcode.TEXT
                    parts.append(bytes(frame.data))
                    if frame.fin:
                        whole = b"".join(parts)
                        yield Message(self._loop.time(), whole.decode("utf-8", "replace") if text else whole)
            try:
                data = await self._reader.read(_READ)
            except (OSError, ssl.SSLError) as error:
                self.broken_by = str(error)
                data = b""
            if data:
                self._protocol.receive_data(data)
            else:
                self.ended_at = self._loop.time()
                self._protocol.receive_eof()
            frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            if self._protocol.parser_exc is not None and not isinstance(self._protocol.parser_exc, EOFError):
                self.broken_by = str(self._protocol.parser_exc)
            self._flush()
            if not data:
                self._writer.transport.abort()
                return

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.transport.is_closing():
                self._writer.write(data)


@dataclass(slots=True)
class _Progress:
    """Which step a dial is at, so that its failure names it."""

    uri: WireUri
    step: str = "the name look-up"

    def late(self, seconds: float) -> Unreached:
        """The step took too long."""
        hint = "is there a firewall between, or is the agent's event loop blocked?"
        if self.step == "the WebSocket upgrade":
            hint = "something accepts connections there and does not answer: is it a WebSocket server, and not blocked?"
        return Unreached(f"{self.uri.redacted}: {self.step} took longer than {seconds:g} s", code="timeout", hint=hint)

    def failed(self, error: OSError) -> Unreached:
        """The step failed."""
        if isinstance(error, socket.gaierror):
            message = f"{self.uri.redacted}: there is no host {self.uri.host}"
            return Unreached(message, code="dns", hint="check the spelling, or write its IP address")
        said = error.strerror or str(error) or type(error).__name__
        if self.step == "the TLS handshake":
            hint = "is it a ws:// server? Then write ws:// in place of wss://"
            return Unreached(f"{self.uri.redacted}: no TLS there: {said}", code="tls", hint=hint)
        return Unreached(f"{self.uri.redacted}: {self.step} failed: {said}", code="unreachable", hint="")


async def _addresses(uri: WireUri) -> list[str]:
    """The addresses of the host; of an address itself, which needs no look-up and no thread for it."""
    try:
        return [str(ipaddress.ip_address(uri.host))]
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(info[4][0]) for info in found))


async def _connect(addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The first address that takes the connection."""
    failure: OSError = OSError("it has no address")
    for address in addresses[:8]:
        try:
            return await asyncio.open_connection(address, port, limit=2 * _READ)
        except OSError as error:
            failure = error
    raise failure


def _trust(plan: Plan) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=plan.tls_ca)
    except OSError as error:
        raise Unreached(f"{plan.tls_ca}: can't be read as certificates: {error}", code="tls", hint="") from error
    if not plan.tls_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _upgrade(
    plan: Plan, subprotocol: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ClientProtocol:
    protocol = ClientProtocol(
        parse_uri(plan.uri.url),
        origin=None if plan.origin is None else Origin(plan.origin),
        subprotocols=[Subprotocol(subprotocol)] if subprotocol else None,
        max_size=MAX_MESSAGE,
    )
    request = protocol.connect()
    if not any(name.lower() == "user-agent" for name, _ in plan.headers):
        request.headers["User-Agent"] = plan.user_agent
    for name, value in plan.headers:
        request.headers[name] = value
    protocol.send_request(request)
    writer.write(b"".join(protocol.data_to_send()))
    events: list[Any] = []
    while not events:
        data = await reader.read(_READ)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        if protocol.handshake_exc is not None:
            raise _refused(plan.uri, protocol.handshake_exc)
        events = protocol.events_received()
    if subprotocol and protocol.subprotocol is None:
        raise Unreached(
            f"{plan.uri.redacted} did not choose the subprotocol {subprotocol}: it speaks another dialect",
            code="wrong_dialect",
            hint=f"if it is made for Twilio Media Streams, write twilio+{plan.uri.redacted}; if it is meant to speak "
            f"offhook's own protocol, its server must accept the subprotocol {subprotocol}",
        )
    # Frames that came in the same packet are kept for the reader.
    protocol.events = [event for event in events if isinstance(event, Frame)]
    return protocol


def _refused(uri: WireUri, error: Exception) -> Unreached:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        body = bytes(error.response.body or b"").decode("utf-8", "replace").strip()[:200]
        said = f"{uri.redacted} answered the upgrade with HTTP {status}{f': {body}' if body else ''}"
        hint = HTTP_HINTS.get(status, "look into the agent's log")
        if status in (401, 403):
            hint += "; here that is --token, --header and --origin"
        return Unreached(said, code="refused_upgrade", hint=hint)
    said = str(error) if isinstance(error, WebSocketException) else type(error).__name__
    hint = "is this the agent's WebSocket port, and is it ws:// rather than wss://?"
    return Unreached(f"{uri.redacted}: the upgrade failed: {said}", code="upgrade", hint=hint)
