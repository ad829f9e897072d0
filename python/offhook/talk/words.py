"""What the gateway tells the page of a call, as JSON. Beside it the page hears `offhook.v1`, as an agent would."""

import json
from typing import Any

from offhook.call.end_reason import EndReason, whose
from offhook.destination.base import AgentTranscript

SUBPROTOCOL = "offhook.talk.v1"
"""What the page must offer in the upgrade; records as in `offhook.worker.v1`, with one call."""

TICKET = "ticket."
"""What its other subprotocol begins with."""


def calling(destination: str) -> str:
    """The call is placed. It is the first record of the connection, so the page learns the call's number by it."""
    return _message("calling", destination=destination)


def ringing() -> str:
    """It rings."""
    return _message("ringing")


def answered(codec: str) -> str:
    """It was answered: from here on the page's sound is heard."""
    return _message("answered", codec=codec)


def chosen(uri: str) -> str:
    """Who has the call now."""
    return _message("agent", uri=uri)


def transcript(line: AgentTranscript) -> str:
    """What somebody says."""
    return _message(
        "transcript", who=line.who, id=line.id, text=line.text, final=line.final, interrupted=line.interrupted
    )


def speaks(who: str, started: bool) -> str:
    """Somebody began to speak, or has stopped."""
    return _message("speaks", who=who, started=started)


def turn(latency_ms: int) -> str:
    """The agent has begun to answer, so long after the caller had finished."""
    return _message("turn", latency_ms=latency_ms)


def ended(call_id: str, slug: str, text: str, hint: str, detail: str, fault: str) -> str:
    """The call is over: why in words, what to change, and whose fault it was. The close follows."""
    return _message("ended", call_id=call_id, reason=slug, text=text, hint=hint, detail=detail[:500], fault=fault)


def ended_for(call_id: str, reason: EndReason, detail: str) -> str:
    """The same for an end reason of the call's record."""
    return ended(call_id, reason.slug, reason.text, reason.hint, detail, whose(reason.fault))


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields, ensure_ascii=False)
