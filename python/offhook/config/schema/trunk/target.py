"""Where our calls to a trunk go: the part of `[[trunk]]` that has its address and our login."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Section, Text
from offhook.config.values import Domain, SecretValue


class Target(Section):
    """Where our calls to a trunk go, and what we prove there."""

    host: Domain | None = Field(
        default=None,
        description="Where our calls to it go: a name or an address. Without it, the trunk only sends us calls.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None,
        description="Port of `host`. Without it, the one that DNS names (SRV), else 5060, or 5061 for `tls`.",
    )
    transport: Literal["udp", "tcp", "tls", "auto"] | None = Field(
        default=None,
        description='Transport of our calls to it: `udp` without it, `tls` with `tls = "required"`. `auto` leaves it '
        "to the DNS of `host` (NAPTR, else SRV of UDP before TCP).",
    )
    tls_client_certificate: Text | None = Field(
        default=None,
        description="File with the certificate (PEM, its chain behind it) that this trunk alone is shown when it asks "
        "for one: mutual TLS. Without it, `sip.tls_certificate` where that is made for clients. New files are taken "
        "while calls go on.",
    )
    tls_client_key: Text | None = Field(
        default=None,
        description="File with its key, not encrypted. Without it, the key stands in the file of the certificate.",
    )
    priority: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0,
        description="Which trunk goes first where several may call a number: the one with the lowest. The next one is "
        "asked where it can't be reached, says 503 or is at a limit, never where the called party is busy or says no. "
        "How exact a pattern of `dial_to` is says nothing.",
    )
    weight: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0,
        description="How often it goes first among trunks of its `priority`: its share of their weights. Those of "
        "weight 0 come after the others, in the order of the file.",
    )
    target_timeout: Annotated[float, Field(gt=0, le=32, allow_inf_nan=False)] = Field(
        default=4.0,
        description="Seconds that one of its addresses may say nothing to an INVITE before the next address, or the "
        "next trunk, is asked; to a REGISTER, before the next address is. The last one has the 32 s that SIP gives it.",
    )
    options_interval: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Seconds between two OPTIONS to each of its addresses, which ask whether it is there. Any answer "
        "but 503 counts. Without it, only what comes of calls says so: some carriers leave OPTIONS unanswered.",
    )
    username: Text | None = Field(
        default=None,
        description="User name that we prove to it when it challenges our calls to it, or what we send within a call: "
        "REFER, BYE, re-INVITE. What its callers prove to us is `inbound`.",
    )
    password: SecretValue | None = Field(
        default=None,
        description="Password that goes with it. Only its digest is sent, and only to `host` or to where the call came "
        "from.",
    )
    register_: bool = Field(
        default=False,
        alias="register",
        description="Register with it as `username`, so that its calls find us. Its calls are taken from the addresses "
        "of its registrar then, besides those in `allow`.",
    )
    register_expires: Annotated[int, Field(ge=30, le=86400)] = Field(
        default=600,
        description="Seconds for which we ask to be registered; it is refreshed well before. The registrar may grant "
        "less, or ask for more.",
    )
    registrar: Domain | None = Field(
        default=None, description="Where we register, a name or an address, if that is not `host`."
    )
