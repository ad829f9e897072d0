"""What is known of who calls, and of the way that the call took: claims of carriers and callers, none proven."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Claim:
    """Who calls, as one SIP header (`From`, `P-Asserted-Identity`, …) has it."""

    header: str
    number: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What caller and networks say of who calls.

    `source` says what `from_number` is of: `from` (written by the caller's side), `asserted` (P-Asserted-Identity) or
    `remote_party` (Remote-Party-ID). `trusted` is whether a network stands for it that the trunk trusts. A caller who
    wants not to be known is `withheld`: then there are no claims. `privacy` is what was asked for, such as `id`.
    """

    source: str = "from"
    trusted: bool = False
    withheld: bool = False
    privacy: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Diversion:
    """Somebody who was called before, and did not take the call.

    `number` is empty where he wants not to be named. `reason` is `unconditional`, `user-busy`, `no-answer`,
    `deflection`, `unavailable` and others, or `unknown`; `counter` is how often he sent the call on; `header` is where
    it stood (`Diversion` or `History-Info`).
    """

    number: str
    name: str = ""
    reason: str = "unknown"
    counter: int = 1
    header: str = ""


@dataclass(frozen=True, slots=True)
class UserToUser:
    """Data that the caller's application sent along (RFC 7433). `text` is None where it is no text."""

    data: bytes
    text: str | None = None
    purpose: str = ""
    content: str = ""

    @classmethod
    def of_text(cls, text: str, purpose: str = "") -> "UserToUser":
        """A text, as a caller's application would send it."""
        return cls(text.encode(), text, purpose)


@dataclass(frozen=True, slots=True)
class EndCause:
    """Why the other side ended the call, by one `protocol` (`Q.850`, `SIP`): its cause, and its words."""

    protocol: str
    cause: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """All of that of one call. `agent_headers` are patterns of the header names that the agent may set."""

    identity: Identity = Identity()
    diversions: tuple[Diversion, ...] = ()
    user_to_user: tuple[UserToUser, ...] = ()
    session_id: str = ""
    agent_headers: tuple[str, ...] = ("X-*", "User-to-User")

    @classmethod
    def of(cls, ringing: Mapping[str, Any]) -> "CallerFacts":
        """What a `ringing` says; an older gateway says nothing of it."""
        patterns = ringing.get("agent_headers")
        session_id = ringing.get("session_id")
        return cls(
            identity=_identity(ringing.get("identity")),
            diversions=tuple(
                Diversion(_text(d, "number"), _text(d, "name"), _text(d, "reason"), _count(d), _text(d, "header"))
                for d in _objects(ringing.get("diversions"))
            ),
            user_to_user=tuple(map(_user_to_user, _objects(ringing.get("user_to_user")))),
            session_id=session_id if isinstance(session_id, str) else "",
            agent_headers=tuple(p for p in patterns if isinstance(p, str)) if isinstance(patterns, list) else (),
        )


def causes_of(end: Mapping[str, Any]) -> tuple[EndCause, ...]:
    """The causes that an `end` has."""
    return tuple(
        EndCause(
            _text(one, "protocol"), cause if isinstance(cause := one.get("cause"), int) else None, _text(one, "text")
        )
        for one in _objects(end.get("causes"))
    )


def _identity(value: object) -> Identity:
    if not isinstance(value, Mapping):
        return Identity()
    privacy = value.get("privacy")
    return Identity(
        source=_text(value, "source") or "from",
        trusted=value.get("trusted") is True,
        withheld=value.get("withheld") is True,
        privacy=tuple(p for p in privacy if isinstance(p, str)) if isinstance(privacy, list) else (),
        claims=tuple(
            Claim(_text(c, "header"), _text(c, "number"), _text(c, "name")) for c in _objects(value.get("claims"))
        ),
    )


def _user_to_user(value: Mapping[str, Any]) -> UserToUser:
    try:
        data = bytes.fromhex(_text(value, "hex"))
    except ValueError:
        data = b""
    text = value.get("text")
    return UserToUser(data, text if isinstance(text, str) else None, _text(value, "purpose"), _text(value, "content"))


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    said = value.get(name)
    return said if isinstance(said, str) else ""


def _count(value: Mapping[str, Any]) -> int:
    said = value.get("counter")
    return said if isinstance(said, int) and not isinstance(said, bool) else 1
