"""Whom a trunk admits: the part of `[[trunk]]` that decides whose a request is."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from offhook.config.schema.base import Section, Text
from offhook.config.values import Domain, NetworkValue, SecretValue


class InboundConfig(Section):
    """A password that callers of a trunk must prove by digest."""

    username: Text = Field(description="User name.")
    password: SecretValue = Field(description="Password: a string or `{ env = NAME }`.")
    algorithms: Annotated[tuple[Literal["SHA-256", "SHA-512-256", "MD5"], ...], Field(min_length=1)] = Field(
        default=("SHA-256", "MD5"),
        description="Digest algorithms offered, best first (RFC 8760). Leave `MD5` out where the peer knows better.",
    )


class PhoneConfig(Section):
    """A phone, or a phone system, that registers with us."""

    username: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")] = Field(
        description="Its user name: what it registers as and is called by."
    )
    password: SecretValue = Field(description="Its password: a string or `{ env = NAME }`.")
    max_contacts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2,
        description="Places where it may be registered at one time. One more takes that of the one that has not "
        "registered for longest.",
    )


class Source(Section):
    """Whom a trunk admits, and where its media comes from."""

    allow: Annotated[tuple[NetworkValue, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Source addresses that this trunk admits, as addresses or networks. Empty only with `inbound`, "
        "`phones` or `tls_name`, which then admit callers from anywhere, and where there is a `host`: a trunk that is "
        "called, and sends calls only if we `register` with it.",
    )
    domain: Domain | None = Field(
        default=None,
        description="Request-URI host that this trunk's calls carry. Tells apart trunks of the same source; "
        "never enough by itself.",
    )
    inbound: InboundConfig | None = Field(
        default=None,
        description="User name and password that its callers must prove, on top of `allow` if that is set.",
    )
    phones: Annotated[tuple[PhoneConfig, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Phones, or phone systems, that register with us: a list of tables `{ username = …, password = … "
        "}`. Each proves its password, whenever it registers or calls; calls to it go to where it is. From anywhere, "
        "unless `allow` is set.",
    )
    phone_algorithms: Annotated[tuple[Literal["SHA-256", "SHA-512-256", "MD5"], ...], Field(min_length=1)] = Field(
        default=("MD5",),
        description="Digest algorithms offered to `phones`, best first (RFC 8760). Those that know `MD5` alone "
        "take it behind others, but baresip 1.0 gives up where another one is offered, too: docs/guides/phones.md.",
    )
    media_allow: Annotated[tuple[NetworkValue, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Networks from which its media may come besides the address in SDP and the signalling address.",
    )
    tls: Literal["optional", "required"] = Field(
        default="optional",
        description="`required`: its requests are taken over TLS alone, and ours leave by nothing else.",
    )
    tls_name: Domain | None = Field(
        default=None,
        description="SIP domain that its client certificate must prove (RFC 5922: `sip:` URI or DNS name in "
        'subjectAltName, no wildcards), on top of `allow` if that is set. Implies `tls = "required"`; asks for '
        "`sip.tls_client_certificate`.",
    )
    nat: bool = Field(
        default=False,
        description="The peer is behind NAT: answer to the port its requests come from, send media where its media "
        "comes from.",
    )
