"""Where a peer was last seen, and where requests of its dialog go: RFC 3261 sections 12.2.1.1 and 26.2, RFC 5923."""

import ipaddress
from dataclasses import replace

from offhook.sip.effects import Source, Target
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.locating import literal_target
from offhook.sip.message import Request
from offhook.sip.uri import SipUri


class PeerPath:
    """The way to the peer of one session.

    `target` is where it was last seen (None while a call of ours has not left), `source` whence its last INVITE came.
    """

    __slots__ = ("identity", "names", "nat", "source", "target", "tls_only")

    def __init__(self, peer: object) -> None:
        self.target: Target | None = None
        self.source: Source | None = None
        self.nat = bool(getattr(peer, "nat", False))
        """Whether it is behind NAT by what is configured: it is reached where it was seen."""
        self.tls_only = bool(getattr(peer, "tls_only", False))
        """Whether nothing but TLS will do with it."""
        name = getattr(peer, "tls_name", None)
        self.names: tuple[str, ...] = (name,) if isinstance(name, str) else ()
        """What it may prove besides the name in its Contact: the one that it is known by."""
        shown = getattr(peer, "tls_identity", None)
        self.identity: str | None = shown if isinstance(shown, str) else None
        """Whose certificate it is shown where we connect to it; None for our own."""

    @property
    def over_tls(self) -> bool:
        """Whether it was last seen on a TLS connection."""
        return self.target is not None and self.target.transport == "tls"

    def see(self, source: Source) -> None:
        """An INVITE of its came from there."""
        self.source = source
        self.target = Target(source.transport, source.remote[0], source.remote[1], source.flow)

    def hop(self, next_hop: SipUri) -> SipUri:
        """The next hop as it is gone to: a peer that came by TLS and names no transport gets no lesser one."""
        if self.over_tls and next_hop.transport is None:
            return replace(next_hop, params=next_hop.params.replacing("transport", "tls"))
        return next_hop

    def fixed(self, next_hop: SipUri, *, secure: bool, speaks_tls: bool) -> Target | None:
        """Where the peer was last seen, if the next hop is behind it or can't be reached otherwise; else None.

        `secure`: every hop has to be TLS. `speaks_tls`: whether we have TLS at all.
        """
        path = self.target
        if path is None:
            return None
        literal = literal_target(next_hop)
        if next_hop.is_secure and path.transport != "tls" and speaks_tls:
            # RFC 3261 26.2.2: what is for a sips URI leaves by TLS.
            return None
        if secure and not next_hop.is_secure and next_hop.transport != "tls":
            # Where it says that it is, we must not go: what is left is its connection.
            return path
        if path.transport == "tls" and self._has_proven(next_hop.host):
            # RFC 5923: by its certificate the peer is the one that is meant.
            return path
        if literal is None:
            return path if self.nat else None
        if literal.transport == "tls" and not speaks_tls:
            # A sips Contact of somebody who speaks plainly to us: he is where he speaks from.
            return path
        if path.transport != "udp" and literal.host == path.host and next_hop.transport in (None, path.transport):
            # The connection that the peer opened, or that we opened to it, serves both ways.
            return path
        return path if self.nat or _unreachable(literal.host, path.host) else None

    def _has_proven(self, host: str) -> bool:
        tls = self.source.tls if self.source is not None else None
        return tls is not None and host.lower() in tls.identities


def wants_sips(request: Request) -> bool:
    """RFC 3261 12.1.1: our Contact is a sips URI if the Request-URI, the top route or else the Contact is one."""
    uri = request.request_uri
    if isinstance(uri, SipUri) and uri.is_secure:
        return True
    routes = request.headers.values("Record-Route")
    first = NameAddr.parse(routes[0]).uri if routes else request.contacts[0].uri if request.contacts else None
    return isinstance(first, SipUri) and first.is_secure


def _unreachable(host: str, seen_from: str) -> bool:
    """Whether `host` is an inside address of somebody whom we see under a public one."""
    there, here = ipaddress.ip_address(host), ipaddress.ip_address(seen_from)
    return (there.is_private or there.is_unspecified) and not here.is_private
