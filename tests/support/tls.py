"""Two ends of a TLS connection in memory: our channel, and a peer that is any `ssl.SSLObject`."""

import ssl
import tempfile
from pathlib import Path

from offhook.transport.limits import TransportLimits
from offhook.transport.tls import AsksForTurn, Ended, Failed, Opened, Received, TlsChannel, TlsEffect, ToWire
from offhook.transport.tls_failure import Direction, TlsFailure
from offhook.transport.tls_files import ClientCertificate, MinVersion, TlsContexts, TlsSettings, load

from .certificates import Authority, Issued, authority

PEER = ("198.51.100.7", 40_000)


def contexts(
    own: Issued | None = None,
    *,
    trusts: Authority | None = None,
    client_certificate: ClientCertificate = "off",
    min_version: MinVersion = "1.2",
) -> TlsContexts:
    """Our contexts, made of files as a gateway makes them."""
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = (None, None) if own is None else own.write(Path(directory), "own")
        ca = Path(directory) / "ca.pem"
        ca.write_bytes((trusts or authority()).pem)
        return load(TlsSettings(certificate, key, ca, client_certificate, min_version))


def peer_context(own: Issued | None = None, *, server: bool = False, ciphers: str = "") -> ssl.SSLContext:
    """A peer's context that accepts whatever we show and speaks whatever OpenSSL can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    if not server:
        context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers:
        context.set_ciphers(ciphers)
    if own is not None:
        with tempfile.TemporaryDirectory() as directory:
            context.load_cert_chain(*own.write(Path(directory), "peer"))
    return context


class Peer:
    """The other end: OpenSSL, driven by hand."""

    def __init__(self, context: ssl.SSLContext, *, server: bool = False, name: str | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=name)
        self.is_open = False
        self.error: ssl.SSLError | None = None
        self.received = b""

    def take(self, data: bytes = b"") -> bytes:
        """Bytes of ours; returns its own."""
        if data:
            self.incoming.write(data)
        try:
            if not self.is_open:
                self.object.do_handshake()
                self.is_open = True
            while found := self.object.read(65536):
                self.received += found
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        return self.outgoing.read()

    def say(self, data: bytes) -> bytes:
        """What SIP of its own is on the wire."""
        self.object.write(data)
        return self.outgoing.read()


class Line:
    """A channel and what came of it. Turns are given at once unless `turns` is False."""

    def __init__(
        self,
        made: TlsContexts,
        direction: Direction = "in",
        *,
        names: tuple[str, ...] = ("sip.example.net",),
        limits: TransportLimits | None = None,
        turns: bool = True,
        now: float = 100.0,
    ) -> None:
        self.now = now
        self.turns = turns
        self.asked = 0
        self.told: list[TlsEffect] = []

        def wrap(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            if direction == "out":
                return made.client.wrap_bio(incoming, outgoing, server_hostname=names[0])
            assert made.server is not None
            return made.server.wrap_bio(incoming, outgoing, server_side=True)

        self.channel = TlsChannel(wrap, direction, PEER, limits or TransportLimits(), now, names=names)

    def settle(self) -> bytes:
        """Drain, give turns; returns what is for the wire."""
        out = b""
        while effects := self.channel.drain():
            for effect in effects:
                match effect:
                    case ToWire(data):
                        out += data
                    case AsksForTurn():
                        self.asked += 1
                        if self.turns:
                            self.channel.begin(self.now)
                    case _:
                        self.told.append(effect)
        return out

    def take(self, data: bytes) -> bytes:
        self.channel.receive(data, self.now)
        return self.settle()

    def shake(self, peer: Peer) -> None:
        """Carry bytes to and fro until both are silent."""
        if self.channel._direction == "out":
            self.channel.begin(self.now)
        data = self.settle()
        for _ in range(20):
            back = peer.take(data)
            data = self.take(back) if back else self.settle()
            if not back and not data:
                return
        raise AssertionError("they never fall silent")

    @property
    def opened(self) -> Opened | None:
        return next((effect for effect in self.told if isinstance(effect, Opened)), None)

    @property
    def failure(self) -> TlsFailure | None:
        return next((effect.failure for effect in self.told if isinstance(effect, Failed)), None)

    @property
    def received(self) -> bytes:
        return b"".join(effect.data for effect in self.told if isinstance(effect, Received))

    @property
    def ended(self) -> bool:
        return any(isinstance(effect, Ended) for effect in self.told)
