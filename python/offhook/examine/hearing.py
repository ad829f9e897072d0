"""What the agent says, read as the gateway reads it: taken, written down, and answered where the gateway would."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

from offhook.destination.base import HandOverResult, TransferResult
from offhook.destination.conversation import (
    Conversation,
    HandOverWanted,
    Ignored,
    Invalid,
    Ready,
    RecordAsked,
    Rejected,
    Say,
    TransferWanted,
)
from offhook.destination.dialect.description import Json
from offhook.destination.dialect.facts import clean
from offhook.examine.audio import AUDIBLE, Format
from offhook.examine.call_log import AgentEnd, Arrival, CallLog, Garbage, Mark
from offhook.examine.limits import Flood
from offhook.examine.utterances import Utterances

_GARBAGE_LIMIT = 20
_MARK_BYTES = 256
_DIGITS = re.compile("[0-9*#A-Da-d]{1,64}")


class Gateway(Protocol):
    """What is asked of the side that talks to the agent."""

    @property
    def now(self) -> float: ...
    def say(self, messages: Sequence[Say]) -> None: ...
    def send(self, kind: str, **values: Any) -> None: ...
    def clear_for_the_agent(self) -> None: ...
    def cut(self, why: str) -> None: ...


class Hearing:
    """Reads the messages of one call. `take` gets each in its turn."""

    def __init__(
        self, gateway: Gateway, log: CallLog, conversation: Conversation, utterances: Utterances, flood: Flood
    ) -> None:
        self.log = log
        self._gateway = gateway
        self._conversation = conversation
        self._description = conversation.description
        self._utterances = utterances
        self._flood = flood
        self._garbage = 0
        self._audio_marked = 0

    def take(self, data: str | bytes, at: float) -> None:
        """One message, and when it came."""
        if isinstance(data, bytes):
            if self._description.framing == "binary":
                self._audio(at, data)
            else:
                self.nonsense("unexpected_binary", "a binary message, but audio is base64 in JSON here")
            return
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            self.nonsense("not_json", f"a text message that is not JSON: {data[:60]!r}")
            return
        if not isinstance(body, dict):
            self.nonsense("not_json", f"JSON that is no object: {data[:60]!r}")
            return
        kind = body.get(self._description.type_path)
        rule = self._description.messages.get(kind) if isinstance(kind, str) else None
        if rule is None:
            self._other(body, kind, data)
            return
        if self._conversation.values.get("stream_sid") and self.log.answered_at is not None:
            self._check_stream(body)
        if (self.log.ready_at is None and rule["do"] not in ("format", "tell")) or (
            self.log.answered_at is None and self._conversation.is_ready_when_connected
        ):
            self._early(str(kind))
        self._do(rule, body, data, at)

    def _do(self, rule: Json, body: Json, text: str, at: float) -> None:
        match rule["do"]:
            case "audio":
                self._base64(at, _at(body, rule["payload"]))
            case "mark":
                self._mark(_at(body, rule["name"]))
            case "clear":
                self.log.clears.append(self._gateway.now)
                self._gateway.clear_for_the_agent()
                self._utterances.cleared()
            case "utterance":
                if wrong := self._utterances.begin(body, rule):
                    self.nonsense("bad_field", wrong)
            case "utterance_end":
                self._utterances.end()
            case "dtmf":
                digits = _at(body, rule["digits"])
                if not isinstance(digits, str) or _DIGITS.fullmatch(digits) is None:
                    self.nonsense("bad_digits", f"`digits` that no telephone has: {str(digits)[:40]!r}")
            case "hang_up" if not isinstance(body.get("now"), bool | None):
                self.nonsense("bad_field", "a hang-up whose `now` is neither true nor false")
            case "hang_up":
                reason = clean(str(body.get("reason") or ""))[:123]
                self.log.agent_end = AgentEnd(self._gateway.now, 1000, reason, by_message=True)
        if rule["do"] == "format" or rule.get("tell"):
            self._hear(text)

    def _hear(self, text: str) -> None:
        match self._conversation.hear(text):
            case Ready():
                if self.log.ready_at is None:
                    self.log.ready_at = self._gateway.now
                    self.log.format = self.log.playout.format = Format.parse(self._conversation.format)
            case Rejected(status, reason):
                self.log.rejected = f"{status}{f' ({reason})' if reason else ''}"
            case Invalid(what):
                self.nonsense("bad_ready", what)
            case Ignored(what, answer):
                self.nonsense("bad_field", what)
                if answer is not None:
                    self._gateway.say([answer])
            case _:
                pass

    def _other(self, body: Json, kind: Any, text: str) -> None:
        for sign in self._description.foreign:
            if body.get(sign.field) in sign.values and (sign.beside is None or sign.beside in body):
                self.log.foreign = sign.dialect
                return
        if not isinstance(kind, str):
            # Bots of other platforms send JSON of their own making past the protocol, and nobody there minds.
            if "error" in self._description.send:
                self.nonsense("no_type", f"a message without `{self._description.type_path}`: {text[:60]!r}")
            return
        match self._conversation.hear(text):
            case Rejected(status, reason):
                self.log.rejected = f"{status}{f' ({reason})' if reason else ''}"
            case RecordAsked():
                # A call that is not recorded says so.
                self._gateway.say(self._conversation.recording("off", 0))
            case TransferWanted():
                # Whoever examines an agent has nobody to hand a caller over to.
                nobody = TransferResult("refused", reason="this call is an examination")
                self._gateway.say(self._conversation.transferred(nobody))
            case HandOverWanted():
                alone = HandOverResult("refused", reason="this call is an examination")
                self._gateway.say(self._conversation.handed_over(alone))
            case Ignored(what, answer) if answer is not None:
                self.nonsense("bad_field", what)
                self._gateway.say([answer])
            case Ignored():
                self.log.count(self.log.unknown, kind)
            case _:
                pass

    def _check_stream(self, body: Json) -> None:
        stream = body.get("streamSid")
        if stream is None:
            self.log.without_stream += 1
        elif stream != self.log.stream_sid:
            self.log.count(self.log.other_streams, str(stream))

    def _early(self, kind: str) -> None:
        if len(self.log.early) < 1_000:
            self.log.early.append(kind)

    def _base64(self, at: float, payload: Any) -> None:
        if not isinstance(payload, str):
            self.nonsense("bad_field", "a `media` message without the text `media.payload`")
            return
        # As the gateway reads it: some encoders leave the padding out.
        bare = payload.rstrip("=")
        try:
            audio = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except (binascii.Error, ValueError):
            self.nonsense("not_base64", f"audio that is not base64: {payload[:40]!r}")
            return
        self._audio(at, audio)

    def _audio(self, at: float, audio: bytes) -> None:
        log = self.log
        if log.ready_at is None and self._description.framing == "binary":
            self._early("audio")
        log.audio_messages += 1
        log.audio_seconds += len(audio) / log.format.bytes_per_second
        log.wav_headers += audio[:4] == b"RIFF" and audio[8:12] == b"WAVE"
        if self._utterances.is_stale:
            log.stale_seconds += len(audio) / log.format.bytes_per_second
            return
        taken = log.playout.take(at, audio, self._utterances.current)
        levels = log.playout.pieces[-1].levels if taken and log.playout.pieces else []
        loud = max(levels, default=0.0) > 3 * AUDIBLE
        log.arrivals.append(Arrival(at, len(audio) / log.format.bytes_per_second, hash(audio) if loud else None))
        if not taken and log.answered_at is not None and self._flood.dropped():
            self._gateway.cut("flood")

    def _mark(self, name: Any) -> None:
        # Half a surrogate pair is valid JSON and no text.
        name = clean(name) if isinstance(name, str) else None
        if name is None or len(name.encode()) > _MARK_BYTES:
            path = self._description.messages["mark"]["name"]
            self.nonsense("bad_mark", f"a mark without the text `{path}` of at most {_MARK_BYTES} bytes")
            return
        self.log.marks.append(
            Mark(name, self._gateway.now, nothing_before=self.log.audio_messages == self._audio_marked)
        )
        self._audio_marked = self.log.audio_messages
        if self._utterances.is_stale:
            # In what is dropped they come back at once.
            self._gateway.send("mark", name=name)
        else:
            self.log.playout.mark(self._gateway.now, name)

    def nonsense(self, code: str, what: str) -> None:
        """Something that makes no sense came; too much of it ends the call."""
        found = self.log.garbage.setdefault(code, Garbage(0, what))
        found.count += 1
        self._garbage += 1
        if self._garbage > _GARBAGE_LIMIT:
            self._gateway.cut("garbage")


def _at(body: Json, path: str) -> Any:
    found: Any = body
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found
