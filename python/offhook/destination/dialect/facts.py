"""What an agent is told about a call, whatever the dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from offhook.ids import CallId

MAX_HEADERS = 32
"""SIP headers that an agent is told at most."""

MAX_VALUE = 1024
"""Characters of any one value that an agent is told; the rest is cut off."""

IdentitySource: TypeAlias = Literal["from", "asserted", "remote_party"]


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """Who calls, as one header has it. `number` is E.164 where it could be read so."""

    header: str
    number: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """What caller and networks say of who calls.

    `source` is the header that number and name of the call are of, `trusted` whether a network stands for them that the
    trunk trusts. Of a caller who is `withheld` nothing is told: no claims either. `privacy` is what was asked for.
    """

    source: IdentitySource = "from"
    trusted: bool = False
    withheld: bool = False
    privacy: tuple[str, ...] = ()
    claims: tuple[IdentityClaim, ...] = ()


@dataclass(frozen=True, slots=True)
class Diversion:
    """Somebody who was called before and did not take the call. `number` is empty if he wants not to be named.

    `reason` is `unconditional`, `user-busy`, `no-answer`, `deflection` … or `unknown`, `counter` how often he diverted.
    """

    number: str
    name: str
    reason: str
    counter: int
    header: str


@dataclass(frozen=True, slots=True)
class UserData:
    """Data that the caller's application sent along (RFC 7433): in hexadecimal, and as text where it is text."""

    hex: str
    text: str | None
    purpose: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class EndCause:
    """Why the other side ended the call, by one protocol (`SIP`, `Q.850`): its cause and its words (RFC 3326)."""

    protocol: str
    cause: int | None
    text: str = ""

    def __str__(self) -> str:
        """For a person: `Q.850 16 (Normal call clearing)`."""
        cause = "" if self.cause is None else f" {self.cause}"
        return f"{self.protocol}{cause}" + (f" ({self.text})" if self.text else "")


@dataclass(frozen=True, slots=True)
class SaidLine:
    """Something that was said in the call before: by the caller as it was understood, by an agent as far as heard.

    `interrupted` says that there was more.
    """

    who: Literal["caller", "agent"]
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The agent that gave the call away, by its URI without credentials, and what it wants its follower to know."""

    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One call as its agent sees it.

    `from_number` and `to_number` are E.164 where they could be read so, else as the trunk wrote them. `headers` are the
    SIP headers that the route hands on, by the name under which the agent gets them; `agent_headers` patterns of those
    that the agent may set. `diversions` are those that the call went through, the first number dialled first.
    `session_id` is the pair of RFC 7989 as our messages have it. `barge_in` is the route's, `auto` if it leaves that to
    the agent's utterances. `early_media` says whether the route lets the agent be heard before the answer.
    Of a call that we place (`outbound`) `to_number` is who is called, `from_number` the number that is shown, and
    `data` what its placer has for the agent.
    `history` is what was said so far, where another agent had the call before, and `handed_over` who gave it away.
    """

    call_id: CallId
    from_number: str
    to_number: str
    trunk: str = ""
    route: str = ""
    display_name: str = ""
    sip_call_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    barge_in: str = "auto"
    identity: CallerIdentity = CallerIdentity()
    diversions: tuple[Diversion, ...] = ()
    user_to_user: tuple[UserData, ...] = ()
    session_id: str = ""
    agent_headers: tuple[str, ...] = ()
    early_media: bool = False
    direction: Literal["inbound", "outbound"] = "inbound"
    data: Mapping[str, str] = field(default_factory=dict)
    history: tuple[SaidLine, ...] = ()
    handed_over: HandedOver | None = None

    def clean_headers(self) -> dict[str, str]:
        """The first headers, cut and made safe for JSON."""
        return {clean(name): clean(value) for name, value in list(self.headers.items())[:MAX_HEADERS]}


def clean(text: str, limit: int = MAX_VALUE) -> str:
    """Text from the wire as valid Unicode of bounded length; a lone surrogate or a byte that is no UTF-8 is U+FFFD."""
    return text[:limit].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def plain(value: Any) -> Any:
    """A fact as values for JSON, its texts made safe."""
    match value:
        case str():
            # Of user-to-user data the whole is meant; its own bound is that of its header.
            return clean(value, 4 * MAX_VALUE)
        case tuple():
            return [plain(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        case _:
            return value
