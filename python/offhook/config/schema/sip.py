"""`[sip]`."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Section, Text
from offhook.config.values import Listen, ListenValue, NameServer, NetworkValue, SipAdvertise


class SipConfig(Section):
    """SIP listeners and the addresses that peers are told."""

    listen: Annotated[tuple[ListenValue, ...], Field(min_length=1, max_length=32)] = Field(
        default=(Listen("udp", "0.0.0.0", 5060), Listen("tcp", "0.0.0.0", 5060)),  # noqa: S104  trunks decide who is heard
        description="Where SIP is heard: `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT`, `tls://ADDRESS:PORT`, or a table "
        "`{ uri = …, advertise = … }` with an address of its own for peers. Port 0 lets the system choose.",
    )
    advertise: SipAdvertise | None = Field(
        default=None,
        description="Address (and port, if it differs) that peers outside of `local_networks` are told in Via and "
        'Contact, for listeners of its IP version without their own. `"auto"` asks a STUN server. Without it, '
        "the address of the interface used. Listeners of TLS keep their own port.",
    )
    local_networks: Annotated[tuple[NetworkValue, ...], Field(max_length=256)] = Field(
        default=(), description="Peers in these networks are told our own address, never `advertise`; for media, too."
    )
    name_servers: Annotated[tuple[NameServer, ...], Field(max_length=8)] = Field(
        default=(),
        description="Name servers that are asked where trunks are: addresses, with `:PORT` where it isn't 53. Without "
        "it, the system's.",
    )
    tls_certificate: Text | None = Field(
        default=None,
        description="File with our certificate and the ones between it and its CA, PEM, our own first. Needed by "
        "`tls://` listeners; shown to peers that we connect to, if they ask. A relative path starts at this file's "
        "directory. Changed files are taken while calls go on, within ten seconds or at once on SIGHUP.",
    )
    tls_key: Text | None = Field(
        default=None,
        description="File with the private key of `tls_certificate`, PEM, not encrypted. Without it, the key stands in "
        "the file of `tls_certificate`.",
    )
    tls_ca: Text | None = Field(
        default=None,
        description="File with the certificates that we trust, PEM: CAs, or a peer's own. Peers prove by them who they "
        "are, whichever side connects. Without it, the system's.",
    )
    tls_client_certificate: Literal["off", "optional", "required"] = Field(
        default="off",
        description="Whether peers that connect are asked for a certificate (mutual TLS). `optional` takes those "
        "without, `required` ends their handshake. One that is shown must be valid in either case.",
    )
    tls_min_version: Literal["1.2", "1.3"] = Field(
        default="1.2",
        description="The oldest TLS version that is spoken. Cipher suites are ECDHE with AES-GCM or ChaCha20 alone.",
    )
