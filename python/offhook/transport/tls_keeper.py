"""Keeps the certificates that handshakes are made with current: new files are taken while connections go on."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from offhook.transport.certificate import Certificate, now_utc
from offhook.transport.tls import Wrap
from offhook.transport.tls_files import TlsContexts, TlsFileError, TlsProblem, TlsSettings, load, warnings

CHECK_INTERVAL = 5.0
"""Seconds between two looks at the files; they are taken once they have stayed the same from one look to the next."""

_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Reload:
    """What became of new files: the certificate from now on, or why the old one stays, and `warnings` about it."""

    certificate: Certificate | None
    problem: TlsProblem | None = None
    warnings: tuple[TlsProblem, ...] = ()


class TlsKeeper:
    """The TLS of one node. Made of settings; raises `TlsFileError` where their files can't be used.

    `wall` is the time by which certificates are judged. Connections that stand keep what they were made with.
    """

    def __init__(self, settings: TlsSettings, wall: Callable[[], datetime] = now_utc) -> None:
        self.settings = settings
        self._wall = wall
        self._contexts = load(settings)
        self._taken = self._seen = self._signature()
        self._next_look: float | None = None

    @property
    def certificate(self) -> Certificate | None:
        """Our own certificate, as handshakes that begin now show it."""
        return self._contexts.own

    @property
    def can_listen(self) -> bool:
        """Whether there is a certificate to be shown to those who connect."""
        return self._contexts.server is not None

    def warnings(self) -> tuple[TlsProblem, ...]:
        """What will go wrong with these files."""
        return tuple(warnings(self.settings, self._contexts, self._wall()))

    def days_left(self) -> int | None:
        """Days until our certificate expires; None without one."""
        own = self.certificate
        return None if own is None else own.days_left(self._wall())

    def summary(self) -> str:
        """Our certificate and what TLS is spoken, in a line."""
        versions = "TLS 1.3" if self.settings.min_version == "1.3" else "TLS 1.2 and 1.3"
        own, days = self.certificate, self.days_left()
        if own is None:
            return f"{versions}, to connect to peers alone (no sip.tls_certificate)"
        expiry = f"expires in {days} days ({own.not_after:%Y-%m-%d})"
        return f"{own.names}, {expiry}; {versions}; client certificates {self.settings.client_certificate}"

    def as_server(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Our side of a connection that came to us."""
        server = self._contexts.server
        assert server is not None, "a TLS listener has its certificate"
        return server.wrap_bio(incoming, outgoing, server_side=True)

    def as_client(self, name: str, identity: str | None = None) -> Wrap:
        """Our side of a connection to a server that is asked for by that name (SNI; none where it is an address).

        `identity` is the trunk whose own certificate is shown.
        """
        contexts = self._contexts
        client = contexts.client if identity is None else contexts.identities[identity].client
        return lambda incoming, outgoing: client.wrap_bio(incoming, outgoing, server_hostname=name)

    def poll(self, now: float) -> Reload | None:
        """Look at the files if it is time for it; what became of them if they have changed.

        A file that is still being written, or whose key follows a moment later, is waited for.
        """
        if self._next_look is not None and now < self._next_look:
            return None
        self._next_look = now + CHECK_INTERVAL
        seen, before = self._signature(), self._seen
        self._seen = seen
        if seen == self._taken or seen != before:
            return None
        return self.reload()

    def reload(self) -> Reload:
        """Read the files now. Broken ones, or a certificate that has expired while ours has not, change nothing."""
        self._taken = self._seen = self._signature()
        try:
            contexts = load(self.settings)
            found = tuple(warnings(self.settings, contexts, self._wall()))
        except TlsFileError as error:
            return Reload(self.certificate, error.problem)
        if (problem := self._worse(contexts)) is not None:
            return Reload(self.certificate, problem)
        self._contexts = contexts
        return Reload(contexts.own, None, found)

    def _worse(self, contexts: TlsContexts) -> TlsProblem | None:
        new, old, at = contexts.own, self.certificate, self._wall()
        if new is not None and old is not None and new.not_after <= at < old.not_after:
            return TlsProblem("tls_certificate", f"the new certificate of {new.names} has expired already")
        return None

    def _signature(self) -> _Signature:
        """What tells one state of the files from another: a link that points elsewhere has another number."""
        found: list[tuple[int, int, int] | None] = []
        for path in self.settings.files:
            try:
                status = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)
