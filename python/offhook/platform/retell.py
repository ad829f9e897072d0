"""Retell by SIP: a call is registered by its HTTP API, and dialled by the id that this gives, once. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from offhook.errors import OffhookError
from offhook.platform.variables import MAX_TOTAL, MAX_VARIABLES, Told, variables_of

API = "https://api.retellai.com"
REGISTER = "/v2/register-phone-call"

DIALLED_WITHIN = 300.0
"""Seconds that a registered call waits to be dialled."""

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class RetellError(OffhookError):
    """What Retell answered is not as it documents it."""

    code = "retell_answer_invalid"


def registration(agent_id: str, told: Told, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The body that registers a call. What is too much of its variables is left away."""
    variables: dict[str, str] = {}
    total = 0
    for name, value in variables_of(told, wanted).items():
        total += len(name.encode()) + len(value.encode("utf-8", "replace"))
        if len(variables) == MAX_VARIABLES or total > MAX_TOTAL:
            break
        variables[name] = value.encode("utf-8", "replace").decode()
    body: dict[str, Any] = {
        "agent_id": agent_id,
        "direction": told.direction,
        "from_number": told.from_number,
        "to_number": told.to_number,
        # For storage alone: by it a call there is found here.
        "metadata": {"offhook_call_id": told.call_id},
        "retell_llm_dynamic_variables": variables,
    }
    return {name: value for name, value in body.items() if value}


def registered(answer: bytes) -> str:
    """The id that the call is dialled by; `RetellError` if there is none, or none that could be a SIP user."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        raise RetellError("Retell's answer is no JSON") from None
    call_id = body.get("call_id") if isinstance(body, dict) else None
    if not isinstance(call_id, str) or _CALL_ID.fullmatch(call_id) is None:
        raise RetellError("Retell's answer has no call_id")
    return call_id
