"""A caller over TLS that is nothing but text and Python's `ssl`."""

import socket
import ssl
from typing import Self

from tests.support.tls import peer_context

_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


class Caller:
    """One TLS connection to a gateway. `contact` is where our requests are told to come."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext | None = None, *, source: str = "127.0.0.1"
    ) -> None:
        plain = socket.create_connection(address, timeout=30, source_address=(source, 0))
        self.socket = (context or peer_context()).wrap_socket(plain)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, call_id: str, *, to_tag: str = "", contact: str = "", uri: str = "") -> None:
        """A request of one call; INVITE carries an offer."""
        host, port = self.socket.getsockname()[:2]
        body = _SDP.format(port=9) if method == "INVITE" else ""
        uri = uri or "sip:echo@127.0.0.1"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/TLS {host}:{port};rport;branch=z9hG4bK{call_id}{method}",
            "Max-Forwards: 70",
            "From: <sip:caller@127.0.0.1>;tag=us",
            f"To: <sip:echo@127.0.0.1>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {call_id}",
            f"CSeq: {1 if method in ('INVITE', 'ACK') else 2} {method}",
            f"Contact: {contact or f'<sip:caller@{host}:{port};transport=tls>'}",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        self.socket.sendall("\r\n".join(lines).encode())

    def receive(self) -> tuple[str, dict[str, str]]:
        """The first line and the headers of the next message, its body passed over."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(headers.get("Content-Length", "0"))
        while len(self._buffer) < length:
            self._more()
        self._buffer = self._buffer[length:]
        return first, headers

    def call(self, call_id: str, *, contact: str = "", uri: str = "") -> dict[str, str]:
        """INVITE, and ACK when it is answered; the headers of the 200."""
        self.send("INVITE", call_id, contact=contact, uri=uri)
        while True:
            first, headers = self.receive()
            if first.startswith("SIP/2.0 200"):
                self.send("ACK", call_id, to_tag=headers["To"].partition("tag=")[2], contact=contact)
                return headers
            assert first.startswith("SIP/2.0 1"), first

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"the gateway has closed the connection: {self._buffer!r}"
        self._buffer += data
