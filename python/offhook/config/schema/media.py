"""`[media]`."""

from typing import Annotated

from pydantic import Field

from offhook.config.schema.base import Section
from offhook.config.schema.sip import SipConfig
from offhook.config.values import MediaAdvertise, MediaListen, PortRange, Ports, ip_version


class MediaConfig(Section):
    """RTP sockets and the threads that serve them."""

    listen: MediaListen | None = Field(
        default=None,
        description="Address of the media sockets, or a list with one of IPv4 and one of IPv6 such as "
        '`["0.0.0.0", "::"]`. Without it, all addresses of the IP versions in `sip.listen`. A caller whose SDP names '
        "an address of another version is refused (`no_family`).",
    )
    ports: Ports = Field(
        default=PortRange(40000, 41999),
        description="UDP ports for media, both ends included: an even one for RTP and the odd one above it for RTCP "
        "make a pair. Sixteen carry hundreds of calls, which share a pair where their media comes from different "
        "addresses; of callers behind one NAT address each needs a pair until it is heard. Up to 64 pairs are bound at "
        "the start and kept.",
    )
    advertise: MediaAdvertise | None = Field(
        default=None,
        description="IP address in SDP for peers outside of `sip.local_networks`, or a list with one of IPv4 and one "
        "of IPv6. Without it, `sip.advertise` if that is an IP address, else the address of the interface used.",
    )
    threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Media threads; each call lives on one. Without it, the gateway chooses by the cores."
    )


def media_listen(sip: SipConfig, media: MediaConfig) -> tuple[str, ...]:
    """The addresses of the media sockets, one of an IP version: as set, else all of those that SIP is heard on."""
    if media.listen is not None:
        return media.listen
    versions = {ip_version(listen.host) for listen in sip.listen}
    every = {4: "0.0.0.0", 6: "::"}  # noqa: S104  see sip.listen
    return tuple(address for version, address in every.items() if version in versions)
