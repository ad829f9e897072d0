"""Where the far end is, how this machine gets there, and what the system says when it does not."""

import asyncio
import os
import socket

from offhook.sip.effects import Target
from offhook.sip.uri import SipUri
from offhook.transport.resolver import DnsResolver

_CRLF_KEEP_ALIVE = b"\r\n\r\n"
_ICMP_SECONDS = 0.3
_CONNECT_SECONDS = 2.0


class FoundTargets:
    """The targets of the called URI, looked up once; every other name (a Contact) is asked for as usual."""

    def __init__(self, uri: SipUri, targets: tuple[Target, ...], resolver: DnsResolver) -> None:
        self._uri = uri
        self._targets = targets
        self._resolver = resolver

    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        """The targets of `uri`, best first."""
        return self._targets if uri == self._uri else await self._resolver.resolve(uri)


def way_to(target: Target) -> str:
    """The address of ours by which the system would reach a target. What it refuses raises OSError."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((target.host, target.port))
        return str(probe.getsockname()[0])


async def is_closed(target: Target, local: str) -> bool:
    """Whether the far host says (by ICMP) that nothing listens on this UDP port; a silent one says nothing."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.bind((local, 0))
            probe.connect((target.host, target.port))
            probe.send(_CRLF_KEEP_ALIVE)
            await asyncio.sleep(_ICMP_SECONDS)
            probe.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


async def why_unreachable(target: Target) -> str:
    """What the system says to a connection there, in its words."""
    if target.transport != "tcp":
        try:
            way_to(target)
        except OSError as error:
            return _words(error)
        return "the system could not send to it"
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port)
        writer.transport.abort()
    except TimeoutError:
        return "no answer to the connection"
    except OSError as error:
        return _words(error)
    return "it closed the connection"


def _words(error: OSError) -> str:
    # asyncio puts the address before the system's words; the number gives them alone.
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)).lower()
