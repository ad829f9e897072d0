"""The part of `[[trunk]]` about SIP: provisional responses, session timers, headers, limits."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Calls, CallsPerSecond, Seconds, Section
from offhook.config.values import HeaderNamePattern, SessionTimerValue


class Signalling(Section):
    """How SIP is spoken with a trunk, and how much of it."""

    prack: Literal["auto", "always", "required"] = Field(
        default="auto",
        description="Which provisional responses (180, 183) are sent until the caller's PRACK acknowledges them "
        "(RFC 3262), where the caller supports that: those with SDP (`auto`), or all (`always`). `required` leaves it "
        "to callers who insist, who always get it.",
    )
    session_timer: SessionTimerValue = Field(
        default="accept",
        description="Session timers (RFC 4028), which end a call whose other side is gone. `accept` keeps the timer "
        "that the peer asks for, and refreshes it where the peer can't. A number of seconds, 90 or more, asks for one "
        "by ourselves. `off` does without; a peer that insists on one is refused (420).",
    )
    max_calls: Calls | None = Field(default=None, description="Calls of this trunk at one time.")
    max_cps: CallsPerSecond | None = Field(default=None, description="New calls of this trunk a second.")
    max_duration: Seconds = Field(default=7200.0, description="Seconds after which a call is ended.")
    pass_headers: Annotated[tuple[HeaderNamePattern, ...], Field(max_length=64)] = Field(
        default=("X-*",),
        description="Headers of the INVITE that the agent gets, by name; `*` at the end stands for the rest of a name. "
        "They are the peer's claims, not facts. A route may have its own `pass_headers`. Those of later messages "
        "(answer, REFER, BYE) become the `variables` of the call's record.",
    )
    trust_identity: bool = Field(
        default=False,
        description="Whether its P-Asserted-Identity, or a Remote-Party-ID that was screened, is believed: it is the "
        "caller then, for routes, agents and records. Without it they are claims, and the caller is that of From. "
        "For carriers that check what they assert.",
    )
