"""offhook.worker.v1: what workers and the gateway tell each other beside the calls (docs/reference/worker-protocol.md).

The calls themselves are spoken as `offhook.v1` has it, with one message more, `decline`; what carries them is Rust's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from offhook.destination.dialect.facts import clean

SUBPROTOCOL: Final = "offhook.worker.v1"
"""What a worker must offer in the upgrade."""

MAX_CALLS: Final = 10_000
MAX_CREDIT_MS: Final = 60_000
MAX_TEXT: Final = 64
MAX_LABELS: Final = 16


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker introduces itself. `ready` None: it needs no warming up; `credit_ms` None: it takes all caller audio."""

    name: str
    max_calls: int
    ready: int | None
    credit_ms: int | None
    instance: str
    software: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Status:
    """What has changed; None is as before."""

    max_calls: int | None
    ready: int | None


@dataclass(frozen=True, slots=True)
class Drain:
    """No new calls, please."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a type that this version doesn't know: to be ignored."""

    type: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message that can't be taken; `code` and `message` are for `error()`."""

    type: str
    code: str
    message: str


WorkerMessage = Hello | Status | Drain | Unknown | Invalid
"""What a worker may say about itself, to be matched whole."""


class _BadField(Exception):
    pass


def parse(text: str) -> WorkerMessage:
    """Read a message of a worker. Fields that this version doesn't know are ignored."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return Invalid("", "not_json", "a text message is not JSON")
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return Invalid("", "no_type", "a message is a JSON object with a string `type`")
    kind = clean(message["type"])[:MAX_TEXT]
    try:
        match kind:
            case "hello":
                return Hello(
                    name=_text(message, "name", required=True),
                    max_calls=_number(message, "max_calls", 1, MAX_CALLS, required=True) or 1,
                    ready=_number(message, "ready", 0, MAX_CALLS),
                    credit_ms=_number(message, "credit_ms", 0, MAX_CREDIT_MS),
                    instance=_text(message, "instance"),
                    software=_text(message, "software"),
                    labels=_labels(message.get("labels")),
                )
            case "status":
                return Status(_number(message, "max_calls", 1, MAX_CALLS), _number(message, "ready", 0, MAX_CALLS))
            case "drain":
                return Drain()
            case _:
                return Unknown(kind)
    except _BadField as problem:
        return Invalid(kind, "bad_field", f"{kind}: {problem}")


def decline(text: str) -> str | None:
    """The reason of a `decline`, the one message that calls have here and not in `offhook.v1`; None for any other."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("type") != "decline":
        return None
    reason = message.get("reason")
    return " ".join(clean(reason).split())[:123] if isinstance(reason, str) else ""


def welcome(*, gateway: str, version: str, session: str, connection: int, connections: int) -> str:
    """The worker is known; `connection` is this one's number of `connections`."""
    return _message(
        "welcome",
        gateway=gateway,
        version=version,
        session=session,
        connection=connection,
        connections=connections,
    )


def drain(reason: str) -> str:
    """No new calls will come; `reason` says it in words."""
    return _message("drain", reason=reason)


def error(code: str, message: str) -> str:
    """Something that the worker said was not taken."""
    return _message("error", code=code, message=message[:300])


def _text(message: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    value = message.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise _BadField(f"`{name}` is a text")
    return " ".join(clean(value).split())[:MAX_TEXT]


def _number(message: Mapping[str, Any], name: str, least: int, most: int, *, required: bool = False) -> int | None:
    value = message.get(name)
    if value is None and not required:
        return None
    if type(value) is not int or not least <= value <= most:
        raise _BadField(f"`{name}` is a whole number from {least} to {most}")
    return value


def _labels(labels: Any) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        raise _BadField(f"`labels` is an object of at most {MAX_LABELS} texts")
    if not all(isinstance(value, str) for value in labels.values()):
        raise _BadField("`labels` has texts only")
    return {clean(name)[:MAX_TEXT]: clean(value)[:MAX_TEXT] for name, value in labels.items()}


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields, ensure_ascii=False)
