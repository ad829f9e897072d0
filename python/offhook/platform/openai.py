"""OpenAI by SIP: the webhook that asks for a call, and what is answered by HTTP. Pure.

A call comes to `sip:PROJECT@sip.api.openai.com;transport=tls`; OpenAI asks the project's webhook, and the call is then
accepted with the session's configuration, or rejected, by the id in that event. It has two APIs for that, and one call
may be asked about as an event of both: the first accept decides which it is. Models named `gpt-live…` are of the Live
API, all others of the Realtime API. What an event lists of the SIP message is not to be trusted: a call is ours only by
a token that we put into its INVITE.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from offhook.errors import OffhookError

API = "https://api.openai.com/v1"
CALL_HEADER = "X-Offhook-Token"
"""By this header of our INVITE the webhook is known to be of our call."""

MAX_SIP_HEADERS = 128

Surface: TypeAlias = Literal["realtime", "live"]
"""Which of OpenAI's APIs has a call."""

EVENTS: Final[Mapping[Surface, str]] = {"realtime": "realtime.call.incoming", "live": "live.transport.incoming"}
"""The event by which each API asks about a call."""

_ASKING: Final[Mapping[str, tuple[Surface, str]]] = {
    "realtime.call.incoming": ("realtime", "call_id"),
    "live.transport.incoming": ("live", "session_id"),
    # What the one above was called before; old subscriptions still get it.
    "live.call.incoming": ("live", "session_id"),
}
_LONGEST_TYPE = 64
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PROJECT = re.compile(r"proj_[A-Za-z0-9_-]{1,64}")


class OpenAIError(OffhookError):
    """What OpenAI sent is not as it documents it."""

    code = "openai_event_invalid"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that waits at OpenAI. `sip_headers` are those of the INVITE, unproven; `media` is rtp, srtp or empty.

    `call_id` is the one by which `surface` knows it, `event` the type of the event that asked.
    """

    call_id: str
    sip_headers: tuple[tuple[str, str], ...]
    media: str = ""
    surface: Surface = "realtime"
    event: str = EVENTS["realtime"]

    def header(self, name: str) -> str:
        """The first header of that name, empty if there is none."""
        return next((value for key, value in self.sip_headers if key.lower() == name.lower()), "")


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event that asks about no call. `type` is as it came, cut."""

    type: str


def surface_of(model: str) -> Surface:
    """Which API a model belongs to."""
    return "live" if model.startswith("gpt-live") else "realtime"


def is_project(text: str) -> bool:
    """Whether this is a project's id, which is what its calls are dialled by."""
    return _PROJECT.fullmatch(text) is not None


def read_event(body: bytes) -> IncomingCall | OtherEvent:
    """What a webhook is about. Raises `OpenAIError`."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise OpenAIError("the webhook is no JSON") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise OpenAIError("the webhook has no type")
    kind, data = event["type"], event.get("data")
    if kind not in _ASKING or (isinstance(data, dict) and data.get("type", "sip") != "sip"):
        return OtherEvent(kind[:_LONGEST_TYPE])
    surface, name = _ASKING[kind]
    call_id = data.get(name) if isinstance(data, dict) else None
    # It becomes part of a URL.
    if not isinstance(data, dict) or not isinstance(call_id, str) or _CALL_ID.fullmatch(call_id) is None:
        raise OpenAIError(f"the webhook {kind} has no data.{name}")
    listed = data.get("sip_headers")
    headers = [
        (item["name"], item["value"])
        for item in (listed if isinstance(listed, list) else [])[:MAX_SIP_HEADERS]
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value"), str)
    ]
    media = data.get("sip_media_security")
    return IncomingCall(call_id, tuple(headers), media if media in ("rtp", "srtp") else "", surface, kind)


def path(surface: Surface, call_id: str, action: str) -> str:
    """Where a call is accepted, rejected, referred or hung up, below the API's address."""
    return f"/live/sessions/{call_id}/{action}" if surface == "live" else f"/realtime/calls/{call_id}/{action}"


def accepted(model: str, instructions: str, voice: str | None) -> dict[str, Any]:
    """The body of `accept`: the session. Its audio format is left to SIP."""
    surface = surface_of(model)
    session: dict[str, Any] = {"type": surface, "model": model}
    if instructions:
        session["instructions"] = instructions
    if voice is not None:
        session["audio"] = {"output": {"voice": voice}}
    return {"session": session} if surface == "live" else session


def rejected(status: int = 603) -> Mapping[str, int]:
    """The body of `reject`: the SIP status that the call gets."""
    return {"status_code": status}
