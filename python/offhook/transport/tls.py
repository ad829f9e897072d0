"""TLS on one connection, without the connection: bytes of the wire in, bytes for the wire and SIP out.

OpenSSL works on two buffers in memory, so that each step of a handshake is ours: what came before it, how long it
takes, whose turn it is, and why it failed.
"""

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from offhook.sip.effects import Address, TlsSession
from offhook.sip.identity import CertificateNames
from offhook.transport.limits import TransportLimits
from offhook.transport.tls_failure import (
    CAUSE_OF_FIRST_BYTES,
    Direction,
    Speaks,
    TlsCause,
    TlsFailure,
    cause_of,
    first_bytes,
)

Wrap: TypeAlias = Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]
"""Makes OpenSSL's side of a connection of its two buffers (what comes, what goes) by the certificates of the moment."""

_READ_AT_ONCE: Final = 16 << 10
_POOR_RECORD: Final = 16
_HANDSHAKE_RECORD: Final = 22


class State(Enum):
    """Where a connection is."""

    SILENT = "nothing has come yet"
    WAITING = "the ClientHello, or its beginning, waits for its turn"
    SHAKING = "the handshake is under way"
    OPEN = "SIP may be sent"
    ENDED = "failed, or closed by either side"


@dataclass(frozen=True, slots=True)
class AsksForTurn:
    """The peer has begun its handshake; `begin` lets it go on."""


@dataclass(frozen=True, slots=True)
class ToWire:
    """Bytes for the peer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is done, and whoever is dialled has proven its name."""

    session: TlsSession


@dataclass(frozen=True, slots=True)
class Received:
    """What the peer sent, in the clear."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """It came to nothing. What is to be sent has been told before; the connection is to be closed."""

    failure: TlsFailure


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer has closed the TLS connection in good order."""


TlsEffect: TypeAlias = AsksForTurn | ToWire | Opened | Received | Failed | Ended


class TlsChannel:
    """One TLS connection: `receive` what comes, `send` what shall go, `drain` what is to be done.

    `names` are those of which a server that we dial has to prove one (RFC 5922 7.3); a client of ours proves what its
    certificate says, if it shows one that the context takes. Nothing that a peer sends makes these methods raise.
    """

    def __init__(
        self,
        wrap: Wrap,
        direction: Direction,
        remote: Address,
        limits: TransportLimits,
        now: float,
        *,
        names: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> None:
        self.state = State.SILENT
        self.session: TlsSession | None = None
        self._wrap = wrap
        self._direction = direction
        self._remote = remote
        self._limits = limits
        self._names = names
        self._deadline: float | None = now + (limits.handshake_timeout if timeout is None else timeout)
        self._object: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._held = b""
        self._received = 0
        self._records = _Records()
        self._poor = 0.0
        self._poor_at = now
        self._effects: list[TlsEffect] = []

    # ------------------------------------------------------------------ the five ends

    def begin(self, now: float) -> None:
        """Take the handshake's next step: a client's first one, or a server's once it is its turn."""
        if self.state not in (State.SILENT, State.WAITING):
            return
        self.state = State.SHAKING
        try:
            self._object = self._wrap(self._incoming, self._outgoing)
        except (ssl.SSLError, ValueError) as error:
            # A name that SNI can't carry, or a context that OpenSSL refuses: nothing that the peer did.
            self._fail(TlsCause.PROTOCOL_ERROR, f"{type(error).__name__}: {error}"[:200])
            return
        held, self._held = self._held, b""
        if held:
            self._incoming.write(held)
        self._shake(now)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the wire, any number of them."""
        if self.state is State.ENDED or not data:
            return
        if not self._received and not self._is_tls(data):
            return
        self._received += len(data)
        if self.state is not State.OPEN and self._received > self._limits.handshake_bytes:
            self._fail(TlsCause.TOO_LARGE, f"more than {self._limits.handshake_bytes} bytes before its end")
            return
        of_handshake = self._records.count(data)
        if self._object is None:
            self._held += data
            if self.state is State.SILENT:
                self.state = State.WAITING
                self._effects.append(AsksForTurn())
            return
        if of_handshake and self.state is State.OPEN and not self._hides_kind:
            self._fail(TlsCause.RENEGOTIATION)
            return
        self._incoming.write(data)
        if self.state is State.SHAKING:
            self._shake(now)
        else:
            self._read(now)

    def send(self, data: bytes) -> bool:
        """SIP for the peer; False if there is no open connection to send it on."""
        if self.state is not State.OPEN or self._object is None:
            return False
        view = memoryview(data)
        try:
            while view:
                view = view[self._object.write(view) :]
        except ssl.SSLError as error:
            self._fail(*cause_of(error))
            return False
        self._flush()
        return True

    def lost(self) -> None:
        """The connection under it is gone."""
        if self.state in (State.SILENT, State.WAITING, State.SHAKING):
            silent = self._direction == "in" and not self._received
            self._fail(
                TlsCause.NOTHING_SENT if silent else TlsCause.CLOSED, "it was closed by the peer" if silent else ""
            )
        self._end()

    def close(self) -> None:
        """Say goodbye (close_notify) if there is somebody to say it to."""
        if self.state is State.OPEN and self._object is not None:
            # The peer's own goodbye is not waited for.
            with contextlib.suppress(ssl.SSLError):
                self._object.unwrap()
            self._flush()
        self._end()

    def refuse(self, cause: TlsCause, detail: str = "") -> None:
        """End it for a reason of ours."""
        self._fail(cause, detail)

    def handle_timeout(self, now: float) -> None:
        """The time for the handshake is over."""
        if self._deadline is None or now < self._deadline:
            return
        match self.state:
            case State.SILENT:
                self._fail(TlsCause.NOTHING_SENT)
            case State.WAITING:
                self._fail(TlsCause.OVERLOADED)
            case State.SHAKING:
                self._fail(TlsCause.TIMEOUT)
            case _:
                self._deadline = None

    def next_timeout(self) -> float | None:
        """When the handshake has to be done; None once it is."""
        return self._deadline

    def drain(self) -> list[TlsEffect]:
        """What is to be done now, in this order."""
        effects, self._effects = self._effects, []
        return effects

    # ------------------------------------------------------------------ inside

    def _is_tls(self, data: bytes) -> bool:
        speaks = first_bytes(data)
        if speaks is Speaks.TLS or (self._direction == "out" and data[0] == 0x15):
            # A server may begin with an alert.
            return True
        cause = CAUSE_OF_FIRST_BYTES[speaks]
        self._fail(cause, "" if cause is TlsCause.OLD_VERSION else f"it begins with {_printable(data)}")
        return False

    def _shake(self, now: float) -> None:
        assert self._object is not None, "made at the beginning"
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            # The alert tells the peer what we did not like.
            self._flush()
            self._fail(*cause_of(error))
            return
        names = self._peer_names()
        if names is None:
            return
        if self._direction == "out" and not any(names.proves(name) for name in self._names):
            # Our last words of the handshake stay unsaid: nobody has the right to read what would follow.
            self._outgoing.read()
            self._fail(TlsCause.WRONG_NAME, f"it is for {names}, not for {' or '.join(self._names)}")
            return
        self._flush()
        cipher = self._object.cipher()
        self.session = TlsSession(self._object.version() or "", cipher[0] if cipher else "", names.identities)
        self.state = State.OPEN
        self._deadline = None
        self._poor_at = now
        self._effects.append(Opened(self.session))
        # Behind the handshake's end there may be SIP already.
        self._records.take()
        self._read(now)

    def _peer_names(self) -> CertificateNames | None:
        """The names in the peer's certificate, none of them if it showed none; None if it can't be read."""
        assert self._object is not None, "made at the beginning"
        der = self._object.getpeercert(binary_form=True)
        if not der:
            return CertificateNames()
        # Its library takes a tenth of a second to load: whoever has TLS has loaded it at the start, nobody else pays.
        from offhook.transport.certificate import names_in

        try:
            return names_in(der)
        except ValueError as error:
            self._outgoing.read()
            self._fail(TlsCause.BAD_CERTIFICATE, f"it can't be read: {error}"[:200])
            return None

    def _read(self, now: float) -> None:
        assert self._object is not None, "made at the beginning"
        found: list[bytes] = []
        size, ended = 0, False
        try:
            while data := self._object.read(_READ_AT_ONCE):
                found.append(data)
                size += len(data)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._flush()
            self._told(found)
            self._fail(*cause_of(error))
            return
        self._flush()
        if self._is_flood(size, now):
            self._fail(TlsCause.RECORD_FLOOD)
            return
        self._told(found)
        if ended:
            self._end()
            self._effects.append(Ended())

    def _told(self, found: list[bytes]) -> None:
        if found:
            self._effects.append(Received(b"".join(found)))

    @property
    def _hides_kind(self) -> bool:
        """Whether records don't tell outside what is in them, as from TLS 1.3 on, which knows no renegotiation."""
        return self.session is not None and self.session.version == "TLSv1.3"

    def _is_flood(self, size: int, now: float) -> bool:
        poor = max(0, self._records.take() - size // _POOR_RECORD)
        passed = (now - self._poor_at) * self._limits.poor_records_per_second
        self._poor = max(0.0, self._poor - passed) + poor
        self._poor_at = now
        return self._poor > self._limits.poor_records

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._effects.append(ToWire(self._outgoing.read()))

    def _fail(self, cause: TlsCause, detail: str = "") -> None:
        if self.state is State.ENDED:
            return
        self._end()
        self._effects.append(Failed(TlsFailure(self._direction, self._remote, cause, detail)))

    def _end(self) -> None:
        self.state = State.ENDED
        self._deadline = None
        self._held = b""
        # What OpenSSL holds of it is let go at once, not with the last reference.
        self._object = None


class _Records:
    """Follows the records of a byte stream by their headers: kind, version, length (RFC 8446 5.1)."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._seen = 0

    def count(self, data: bytes) -> bool:
        """Take more bytes; whether a record of the handshake begins among them, as far as that is to be seen."""
        at, of_handshake = 0, False
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                at += step
                self._left -= step
                self._seen += self._left == 0
                continue
            piece = data[at : at + 5 - len(self._header)]
            at += len(piece)
            self._header += piece
            if len(self._header) == 5:
                of_handshake = of_handshake or self._header[0] == _HANDSHAKE_RECORD
                self._left = int.from_bytes(self._header[3:])
                self._header = b""
                self._seen += self._left == 0
        return of_handshake

    def take(self) -> int:
        """The records that were completed since it was asked last."""
        seen, self._seen = self._seen, 0
        return seen


def _printable(data: bytes) -> str:
    return repr(data[:16].partition(b"\r")[0].decode("ascii", "backslashreplace"))
