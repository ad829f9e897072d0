"""OpenAI Realtime by SIP: the webhook that asks for a call, and what is answered by HTTP. Pure.

A call comes to `sip:PROJECT@sip.api.openai.com;transport=tls`; OpenAI asks the project's webhook, whose `data.call_id`
is then accepted with the session's configuration, or rejected. What it lists of the SIP message is not to be trusted:
a call is ours only by a token that we put into its INVITE.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offhook.errors import OffhookError

API = "https://api.openai.com/v1"
CALL_HEADER = "X-Offhook-Token"
"""By this header of our INVITE the webhook is known to be of our call."""

MAX_SIP_HEADERS = 128
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PROJECT = re.compile(r"proj_[A-Za-z0-9_-]{1,64}")


class OpenAIError(OffhookError):
    """What OpenAI sent is not as it documents it."""

    code = "openai_event_invalid"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that waits at OpenAI. `sip_headers` are those of the INVITE, unproven; `media` is rtp, srtp or empty."""

    call_id: str
    sip_headers: tuple[tuple[str, str], ...]
    media: str = ""

    def header(self, name: str) -> str:
        """The first header of that name, empty if there is none."""
        return next((value for key, value in self.sip_headers if key.lower() == name.lower()), "")


def is_project(text: str) -> bool:
    """Whether this is a project's id, which is what its calls are dialled by."""
    return _PROJECT.fullmatch(text) is not None


def read_event(body: bytes) -> IncomingCall | None:
    """The call that a webhook is about; None for an event of another type. Raises `OpenAIError`."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise OpenAIError("the webhook is no JSON") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise OpenAIError("the webhook has no type")
    if event["type"] != "realtime.call.incoming":
        return None
    data = event.get("data")
    call_id = data.get("call_id") if isinstance(data, dict) else None
    # It becomes part of a URL.
    if not isinstance(data, dict) or not isinstance(call_id, str) or _CALL_ID.fullmatch(call_id) is None:
        raise OpenAIError("the webhook has no data.call_id")
    listed = data.get("sip_headers")
    headers = [
        (item["name"], item["value"])
        for item in (listed if isinstance(listed, list) else [])[:MAX_SIP_HEADERS]
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value"), str)
    ]
    media = data.get("sip_media_security")
    return IncomingCall(call_id, tuple(headers), media if media in ("rtp", "srtp") else "")


def path(call_id: str, action: str) -> str:
    """Where a call is accepted, rejected, referred or hung up, below the API's address."""
    return f"/realtime/calls/{call_id}/{action}"


def accepted(model: str, instructions: str, voice: str | None) -> dict[str, Any]:
    """The body of `accept`: the session. Its audio format is left to SIP."""
    session: dict[str, Any] = {"type": "realtime", "model": model}
    if instructions:
        session["instructions"] = instructions
    if voice is not None:
        session["audio"] = {"output": {"voice": voice}}
    return session


def rejected(status: int = 603) -> Mapping[str, int]:
    """The body of `reject`: the SIP status that the call gets."""
    return {"status_code": status}
