"""What a dialect is: data that Rust compiles once, so that no Python runs per audio message.

A description says how audio lies in messages, what we send on a mark, a digit or a clear, and where those things stand
in what the agent sends. Every message that it doesn't name comes to Python as text.

Templates are plain JSON values. `{name}` inside a string is filled per message, `{"$": "name"}` is a number or a list
that stands alone, `{{` and `}}` are the brackets themselves. Any template may use `sequence` (the running number of
messages), `timestamp_ms` (of caller audio sent so far) and the dialect's own `values`; beside these `media` has `chunk`
and `payload` (base64), `mark` and `dropped_mark` have `name`, `dtmf` has `digit` and `duration_ms`, `speech_started`
and `speech_ended` have `since_ms` (as `timestamp_ms` counts), `cleared` has `played_ms`, `dropped_ms` and `marks`,
`interrupted` has `utterance`, `text` (heard), `played_ms`, `dropped_ms`, `by`, `since_ms` and `unheard` (a list),
`barge_in` and `backchannel` have `utterance` and `since_ms`, `error` has `code` and `message`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Json = Mapping[str, Any]
"""A JSON object."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A sign that the agent speaks another dialect: `field` has one of `values` in a message that ours doesn't know.

    With `beside`, that field must be there too.
    """

    dialect: str
    field: str
    values: tuple[str, ...]
    beside: str | None = None


@dataclass(frozen=True)
class Description:
    """One dialect. Paths are dotted: `media.payload`.

    `formats` are `encoding/rate`, the default first: `pcm16` at 8000, 16000, 24000 or 48000, `pcmu` and `pcma` at 8000;
    `receive_formats` are those of the agent's audio where they differ. `frame_ms` is the length of a message of caller
    audio, 10 to 200. `values` are the names of fixed values that each wire is opened with.

    `messages` says by the value at `type_path` what a message of the agent does: `{"do": "audio", "payload": path}`,
    `{"do": "mark", "name": path}`, `{"do": "clear"}`, `{"do": "dtmf", "digits": path}`, `{"do": "tell"}`,
    `{"do": "utterance", "id": path, "text": path, "barge_in": path, "word_ends_ms": path}`, `{"do": "utterance_end"}`,
    `{"do": "hang_up", "now": path or bool}`, `{"do": "format", "encoding": path, "rate": path}`. With `"tell": True`
    Python is given the message as well.

    A clear answers with one `dropped_mark` for each mark that it dropped, then with `cleared`, where they are given.
    """

    name: str
    framing: Literal["binary", "base64"]
    formats: tuple[str, ...]
    type_path: str
    messages: Mapping[str, Json]
    send: Mapping[
        Literal[
            "media",
            "mark",
            "dropped_mark",
            "dtmf",
            "speech_started",
            "speech_ended",
            "cleared",
            "interrupted",
            "barge_in",
            "backchannel",
            "error",
        ],
        Json,
    ]
    subprotocol: str | None = None
    receive_formats: tuple[str, ...] = ()
    frame_ms: int = 20
    send_byte_order: Literal["little", "big"] = "little"
    receive_byte_order: Literal["little", "big"] = "little"
    values: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = field(default=())

    def to_json(self) -> str:
        """The description as `WireConfig.dialect` takes it; errors in it are found there, with their path."""
        return self._json

    @cached_property
    def _json(self) -> str:
        # Written once: every call to an agent hands it on while the phone rings.
        audio: dict[str, Any] = {"framing": self.framing, "formats": self.formats, "frame_ms": self.frame_ms}
        if self.receive_formats:
            audio["receive_formats"] = self.receive_formats
        audio |= {"send_byte_order": self.send_byte_order, "receive_byte_order": self.receive_byte_order}
        tree = {
            "name": self.name,
            "subprotocol": self.subprotocol,
            "audio": audio,
            "values": self.values,
            "send": self.send,
            "receive": {"type": self.type_path, "messages": self.messages},
            "foreign": [
                {"dialect": sign.dialect, "field": sign.field, "values": sign.values}
                | ({"beside": sign.beside} if sign.beside else {})
                for sign in self.foreign
            ],
        }
        return json.dumps(tree, ensure_ascii=False, indent=1)
