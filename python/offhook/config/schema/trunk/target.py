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
    transport: Literal["udp", "tcp", "tls"] | None = Field(
        default=None, description='Transport of our calls to it: `udp` without it, `tls` with `tls = "required"`.'
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
