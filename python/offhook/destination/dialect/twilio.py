"""Twilio Media Streams, bidirectional: an unmodified Twilio or Pipecat bot takes us for Twilio.

`connected` and `start` go out together, since Pipecat looks at the first two messages to know who is calling. Numbers
are strings, as Twilio writes them. A mark that a clear dropped is echoed as if it had been played, which is what
Twilio does.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from offhook.destination.dialect.description import Description, Foreign
from offhook.destination.dialect.facts import AgentFacts, clean
from offhook.ids import CallId

TWILIO = Description(
    name="twilio",
    framing="base64",
    formats=("pcmu/8000",),
    values=("stream_sid",),
    send={
        "media": {
            "event": "media",
            "sequenceNumber": "{sequence}",
            "media": {
                "track": "inbound",
                "chunk": "{chunk}",
                "timestamp": "{timestamp_ms}",
                "payload": "{payload}",
            },
            "streamSid": "{stream_sid}",
        },
        "mark": {
            "event": "mark",
            "sequenceNumber": "{sequence}",
            "streamSid": "{stream_sid}",
            "mark": {"name": "{name}"},
        },
        "dropped_mark": {
            "event": "mark",
            "sequenceNumber": "{sequence}",
            "streamSid": "{stream_sid}",
            "mark": {"name": "{name}"},
        },
        "dtmf": {
            "event": "dtmf",
            "streamSid": "{stream_sid}",
            "sequenceNumber": "{sequence}",
            "dtmf": {"track": "inbound_track", "digit": "{digit}"},
        },
    },
    type_path="event",
    messages={
        "media": {"do": "audio", "payload": "media.payload"},
        "mark": {"do": "mark", "name": "mark.name"},
        "clear": {"do": "clear"},
    },
    foreign=(
        Foreign("offhook", "type", ("ready", "reject", "hangup", "mark", "clear", "dtmf")),
        Foreign("plivo", "event", ("playAudio", "checkpoint", "clearAudio")),
    ),
)
"""The description for Rust. The wire's value `stream_sid` is `StreamIds.stream_sid`."""


@dataclass(frozen=True, slots=True)
class StreamIds:
    """The three ids of a stream, each two letters and 32 hexadecimal digits as Twilio's are."""

    stream_sid: str
    call_sid: str
    account_sid: str

    @classmethod
    def of(cls, call_id: CallId, *, node: str, attempt: int = 1) -> "StreamIds":
        """The ids of a call's stream: always the same for one call, so that a log can be searched by either.

        `node` makes the account; `attempt` tells streams apart when a call is offered to several agents.
        """
        return cls(
            stream_sid=_sid("MZ", f"{call_id}/{attempt}"), call_sid=_sid("CA", call_id), account_sid=_sid("AC", node)
        )

    def values(self) -> dict[str, str]:
        """The fixed values for `WireConfig.values`."""
        return {"stream_sid": self.stream_sid}


def connected() -> str:
    """The first message, which has no number."""
    return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


def start(ids: StreamIds, facts: AgentFacts) -> str:
    """The second message, to be sent with `numbered=True`: who calls whom, and in what audio.

    `customParameters` has `from_number`, `to_number`, `call_id`, `trunk` and the SIP headers that the route hands on,
    which can't take the place of the first four. Of a call that we place it has `direction` and that call's data, too.
    """
    custom = facts.clean_headers()
    if facts.direction == "outbound":
        custom |= {clean(name): clean(value) for name, value in facts.data.items()} | {"direction": "outbound"}
    custom |= {
        "from_number": clean(facts.from_number),
        "to_number": clean(facts.to_number),
        "call_id": facts.call_id,
        "trunk": facts.trunk,
    }
    return _numbered(
        "start",
        {
            "start": {
                "streamSid": ids.stream_sid,
                "accountSid": ids.account_sid,
                "callSid": ids.call_sid,
                "tracks": ["inbound"],
                "customParameters": custom,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
            "streamSid": ids.stream_sid,
        },
    )


def stop(ids: StreamIds) -> str:
    """The last message before we close, to be sent with `numbered=True`."""
    fields = {"streamSid": ids.stream_sid, "stop": {"accountSid": ids.account_sid, "callSid": ids.call_sid}}
    return _numbered("stop", fields)


def _numbered(event: str, fields: dict[str, Any]) -> str:
    # The number's place comes before anything that the caller could have written, because the first one is filled.
    return json.dumps({"event": event, "sequenceNumber": "{sequence}"} | fields, ensure_ascii=False)


def _sid(prefix: str, seed: str) -> str:
    return prefix + hashlib.sha256(f"{prefix}:{seed}".encode()).hexdigest()[:32]
