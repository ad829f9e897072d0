"""offhook.v1, our own wire: JSON for control, binary messages for audio (docs/reference/offhook-protocol.md).

Audio, `mark`, `clear`, `dtmf` and the hang-up are done by Rust in stream order; `ready`, `reject` and what else an
agent says are read here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from offhook.destination.agent_headers import PLACES, Place
from offhook.destination.base import AnsweredBy, GreetingOver, HandOverResult, TransferResult
from offhook.destination.dialect.description import Description, Foreign
from offhook.destination.dialect.facts import MAX_HEADERS, MAX_VALUE, AgentFacts, EndCause, clean, plain

SUBPROTOCOL: Final = "offhook.v1"
"""What the agent must choose in the upgrade."""

FRAME_MS: Final = 20
"""Length of each binary message to the agent."""

FORMATS: Final = ("pcm16/16000", "pcm16/8000", "pcm16/24000", "pcm16/48000", "pcmu/8000")
"""The audio that an agent may choose, the default first; both directions are the same."""

MAX_REASON: Final = 123
"""Characters of a reason that is kept."""

MAX_TARGET: Final = 256
"""Characters of what a call is transferred to."""

MAX_TRANSFER_MS: Final = 600_000

MAX_NOTE: Final = 4096
"""Characters of a note to the agent that a call is handed over to."""

MAX_HAND_OVER_MS: Final = 180_000

MAX_TRANSCRIPT: Final = 4096
"""Characters of one line of a transcript that are kept."""

_MAX_ID: Final = 64

REJECT_STATUSES: Final = frozenset({403, 404, 410, 480, 484, 486, 488, 500, 503, 600, 603, 604, 606, 607, 608})
"""The SIP statuses that an agent may refuse a call with: those that make a carrier do something sensible."""

DEFAULT_REJECT_STATUS: Final = 603


def _spoken_over(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "utterance": "{utterance}",
        "since_ms": {"$": "since_ms"},
        "at_ms": {"$": "timestamp_ms"},
    }


OFFHOOK = Description(
    name="offhook",
    subprotocol=SUBPROTOCOL,
    framing="binary",
    formats=FORMATS,
    frame_ms=FRAME_MS,
    send={
        "mark": {"type": "mark", "name": "{name}"},
        "dtmf": {
            "type": "dtmf",
            "digit": "{digit}",
            "duration_ms": {"$": "duration_ms"},
            "at_ms": {"$": "timestamp_ms"},
        },
        "speech_started": {"type": "speech_started", "since_ms": {"$": "since_ms"}, "at_ms": {"$": "timestamp_ms"}},
        "speech_ended": {"type": "speech_ended", "since_ms": {"$": "since_ms"}, "at_ms": {"$": "timestamp_ms"}},
        "cleared": {
            "type": "cleared",
            "played_ms": {"$": "played_ms"},
            "dropped_ms": {"$": "dropped_ms"},
            "marks": {"$": "marks"},
        },
        "interrupted": {
            "type": "interrupted",
            "utterance": "{utterance}",
            "played_ms": {"$": "played_ms"},
            "dropped_ms": {"$": "dropped_ms"},
            "text_heard": "{text}",
            "by": "{by}",
            "since_ms": {"$": "since_ms"},
            "at_ms": {"$": "timestamp_ms"},
            "unheard": {"$": "unheard"},
        },
        "barge_in": _spoken_over("barge_in"),
        "backchannel": _spoken_over("backchannel"),
        "error": {"type": "error", "code": "{code}", "message": "{message}"},
    },
    type_path="type",
    messages={
        "ready": {"do": "format", "encoding": "audio.encoding", "rate": "audio.rate", "tell": True},
        "mark": {"do": "mark", "name": "name"},
        "clear": {"do": "clear"},
        "utterance": {
            "do": "utterance",
            "id": "id",
            "text": "text",
            "barge_in": "barge_in",
            "word_ends_ms": "word_ends_ms",
        },
        "utterance_end": {"do": "utterance_end"},
        "dtmf": {"do": "dtmf", "digits": "digits", "duration_ms": "duration_ms", "gap_ms": "gap_ms"},
        "hangup": {"do": "hang_up", "now": "now", "tell": True},
    },
    foreign=(
        Foreign("twilio", "event", ("media", "mark", "clear"), beside="streamSid"),
        Foreign("plivo", "event", ("playAudio", "checkpoint", "clearAudio")),
    ),
)
"""The description for Rust."""


# What we say


def ringing(facts: AgentFacts, audio: str, *, ready_within_ms: int) -> str:
    """The call rings: its facts, the audio that is spoken unless `ready` says otherwise, and the time there is.

    `audio` is the wire's format, `encoding/rate`.
    """
    return _message(
        "ringing",
        call_id=facts.call_id,
        from_number=clean(facts.from_number),
        to_number=clean(facts.to_number),
        display_name=clean(facts.display_name),
        trunk=facts.trunk,
        route=facts.route,
        sip_call_id=clean(facts.sip_call_id),
        headers=facts.clean_headers(),
        audio=_audio(audio),
        formats=[_format(name) for name in FORMATS],
        ready_within_ms=ready_within_ms,
        barge_in=facts.barge_in,
        identity=plain(facts.identity),
        diversions=plain(facts.diversions),
        user_to_user=plain(facts.user_to_user),
        session_id=facts.session_id,
        agent_headers=list(facts.agent_headers),
        early_media=facts.early_media,
        direction=facts.direction,
        data={clean(name): clean(value) for name, value in facts.data.items()},
        **_past(facts),
    )


def _past(facts: AgentFacts) -> dict[str, Any]:
    """What there was before this agent, of a call that is in progress."""
    past: dict[str, Any] = {}
    if facts.handed_over is not None:
        past["handed_over"] = {"by": facts.handed_over.by, "note": clean(facts.handed_over.note, MAX_NOTE)}
    if facts.history:
        past["history"] = [
            {"who": line.who, "text": line.text} | ({"interrupted": True} if line.interrupted else {})
            for line in facts.history
        ]
    return past


def start(audio: str, changed: Mapping[str, str] | None = None) -> str:
    """The call has been answered: from here on the caller's audio comes, in `audio`, `encoding/rate`.

    `changed` are the facts that `ringing` had otherwise (`since_ringing`).
    """
    return _message("start", audio=_audio(audio), **(changed or {}))


def since_ringing(told: AgentFacts, now: AgentFacts) -> dict[str, str]:
    """The facts that a change of trunk has changed since `told`."""
    fields = ("trunk", "from_number", "to_number", "sip_call_id")
    return {name: clean(new) for name in fields if (new := getattr(now, name)) != getattr(told, name)}


def digits_masked(state: str) -> str:
    """Who may know which keys are pressed: `shown` to all, `masked`, or `withheld` from the agent, too."""
    return _message("digits_masked", state=state)


def recording(state: str, at_ms: int) -> str:
    """How the recording of the call stands: `on`, `paused` or `off`, and since which millisecond of it."""
    return _message("recording", state=state, at_ms=at_ms)


def transferred(result: TransferResult) -> str:
    """What became of the transfer that the agent asked for."""
    return _message(
        "transferred",
        outcome=result.outcome,
        status=result.status,
        reason=clean(result.reason),
        hint=result.hint,
        confirmed=result.confirmed,
        way=result.way,
    )


def handed_over(result: HandOverResult) -> str:
    """What became of the hand-over that the agent asked for."""
    return _message("handed_over", outcome=result.outcome, reason=clean(result.reason), hint=result.hint)


def answered_by(told: AnsweredBy) -> str:
    """Who has answered a call out: `after_ms` is since the answer, `confidence` 0 to 1."""
    return _message(
        "answered_by",
        who=told.who,
        confidence=told.confidence,
        after_ms=told.after_ms,
        evidence=told.evidence,
    )


def greeting_over(told: GreetingOver) -> str:
    """A machine takes a message from now on, after its `beep` or as it has fallen silent."""
    return _message("greeting_over", beep=told.beep, after_ms=told.after_ms)


def held(by: str) -> str:
    """The call is on hold, by the `caller` or the `agent`."""
    return _message("held", by=by)


def resumed(by: str, held_ms: int) -> str:
    """Who held the call does so no longer; it was for `held_ms`."""
    return _message("resumed", by=by, held_ms=held_ms)


def hold_failed(action: str, code: str, status: int | None, message: str) -> str:
    """What the agent asked for, `hold` or `resume`, could not be done; `status` is what the caller's side said."""
    return _message("hold_failed", action=action, code=code, status=status, message=clean(message))


def end(reason: str, text: str = "", causes: Sequence[EndCause] = ()) -> str:
    """The call is over; `reason` is a slug of docs/reference/end-reasons.md. The close with code 1000 follows.

    `causes` are those that the other side gave, if any.
    """
    said = {"causes": plain(tuple(causes))} if causes else {}
    return _message("end", reason=reason, text=clean(text), **said)


def error(code: str, message: str) -> str:
    """Something that the agent said was not taken."""
    return _message("error", code=code, message=message[:300])


# What the agent says


@dataclass(frozen=True, slots=True)
class Ready:
    """The agent takes the call. `audio` is the format that it chose, `encoding/rate`, or None for the one offered."""

    audio: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """The agent doesn't take the call; `status` is the SIP status for the caller's side."""

    status: int = DEFAULT_REJECT_STATUS
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The agent ended the call; Rust is doing it, `now` or after what is queued has been played."""

    now: bool = False
    reason: str = ""
    failed: bool = False
    """It ends the call because something in it went wrong."""


RecordingAction = Literal["start", "stop", "pause", "resume"]


@dataclass(frozen=True, slots=True)
class Record:
    """The agent wants the recording of the call to start, stop, pause or go on."""

    action: RecordingAction


HoldAction = Literal["hold", "resume"]


@dataclass(frozen=True, slots=True)
class Hold:
    """The agent wants to hold the caller, or to have it back."""

    action: HoldAction


@dataclass(frozen=True, slots=True)
class Transfer:
    """The agent wants the caller transferred: the trunk's rules are not looked at here. `timeout` is in seconds."""

    target: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """The agent wants another one to take the call: the route's rules are not looked at here. `timeout` in seconds."""

    to: str
    note: str = ""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Headers:
    """The agent wants headers in our SIP messages, or no longer (None): in all, in the `answer` or in the `bye`."""

    headers: Mapping[str, str | None]
    place: Place = "all"


@dataclass(frozen=True, slots=True)
class MaskDigits:
    """The agent wants keys to be masked from now on (and withheld from itself, too), or no longer."""

    on: bool
    withhold: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """What somebody says, in words: a whole line each time, which replaces what was told before under the same `id`.

    `final` lines don't change any more. Of the agent, a final line is what was heard of it; `interrupted` if there was
    more. `start_ms` and `end_ms` are where a caller's line lies in the caller audio that the agent was sent.
    """

    who: Literal["caller", "agent"]
    id: str
    text: str
    final: bool = True
    interrupted: bool = False
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a type that this version doesn't know: to be ignored, counted, and told once."""

    type: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A message that can't be taken; `code` and `message` are for `error()`. `type` is "" if it has none."""

    type: str
    code: str
    message: str


AgentMessage = (
    Ready
    | Reject
    | HangUp
    | Record
    | MaskDigits
    | Headers
    | Transfer
    | HandOver
    | Transcript
    | Unknown
    | Invalid
    | Hold
)
"""What an agent may say to Python, to be matched whole."""


def parse(text: str, *, offered: str = FORMATS[0]) -> AgentMessage:
    """Read a message of the agent. Fields that this version doesn't know are ignored.

    `offered` is the audio of `ringing`: an agent that names only a rate or only an encoding keeps the other.
    """
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Invalid("", "not_json", "a text message is not JSON")
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return Invalid("", "no_type", "a message is a JSON object with a string `type`")
    kind = clean(message["type"])
    try:
        match kind:
            case "ready":
                return Ready(_chosen_audio(message.get("audio"), offered))
            case "reject":
                return Reject(_status(message.get("status")), _reason(message.get("reason")))
            case "hangup":
                return HangUp(
                    _flag(message.get("now"), "now"),
                    _reason(message.get("reason")),
                    _flag(message.get("failed"), "failed"),
                )
            case "record":
                return Record(_action(message.get("action")))
            case "transfer":
                return _transfer(message)
            case "hand_over":
                return _hand_over(message)
            case "headers":
                return _headers(message)
            case "hold" | "resume":
                return Hold(kind)
            case "mask_digits":
                return MaskDigits(
                    _flag(message.get("on"), "on", default=True), _flag(message.get("withhold"), "withhold")
                )
            case "transcript":
                return _transcript(message)
            case _:
                return Unknown(kind[:64])
    except _BadField as problem:
        return Invalid(kind, problem.code, f"{kind}: {problem}")


class _BadField(Exception):
    def __init__(self, message: str, code: str = "bad_field") -> None:
        super().__init__(message)
        self.code = code


def _chosen_audio(audio: Any, offered: str) -> str | None:
    if audio is None:
        return None
    if not isinstance(audio, dict):
        raise _BadField("`audio` is an object with `encoding` and `rate`")
    encoding, rate = audio.get("encoding"), audio.get("rate")
    if encoding is not None and not isinstance(encoding, str):
        raise _BadField("`audio.encoding` is a string")
    if rate is not None and type(rate) is not int:
        raise _BadField("`audio.rate` is a whole number")
    if encoding is None and rate is None:
        return None
    default_encoding, default_rate = offered.split("/")
    encoding = encoding or default_encoding
    if rate is None:
        rate = 8000 if encoding == "pcmu" else int(default_rate)
    if (chosen := f"{encoding}/{rate}") not in FORMATS:
        raise _BadField(f"`{clean(chosen)[:40]}` is none of {', '.join(FORMATS)}", "bad_format")
    return chosen


def _status(status: Any) -> int:
    if status is None:
        return DEFAULT_REJECT_STATUS
    if type(status) is not int or status not in REJECT_STATUSES:
        known = ", ".join(str(status) for status in sorted(REJECT_STATUSES))
        raise _BadField(f"`status` is one of {known}", "bad_status")
    return status


def _reason(reason: Any) -> str:
    if reason is None:
        return ""
    if not isinstance(reason, str):
        raise _BadField("`reason` is a string")
    # It becomes a reason phrase or a log line, so it stays on one line.
    return " ".join(clean(reason).split())[:MAX_REASON]


def _flag(value: Any, name: str, default: bool = False) -> bool:
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise _BadField(f"`{name}` is true or false")


def _transfer(message: dict[str, Any]) -> Transfer:
    target, headers = message.get("target"), message.get("headers")
    if not isinstance(target, str) or not 1 <= len(target) <= MAX_TARGET:
        raise _BadField(f"`target` is a string of 1 to {MAX_TARGET} characters")
    if headers is None:
        headers = {}
    if not isinstance(headers, dict) or len(headers) > MAX_HEADERS:
        raise _BadField(f"`headers` is an object of at most {MAX_HEADERS} strings")
    if not all(isinstance(value, str) and len(value) <= MAX_VALUE for value in headers.values()):
        raise _BadField(f"`headers` has strings of at most {MAX_VALUE} characters")
    timeout_ms = _milliseconds(message, "timeout_ms")
    if timeout_ms is not None and not 1 <= timeout_ms <= MAX_TRANSFER_MS:
        raise _BadField(f"`timeout_ms` is from 1 to {MAX_TRANSFER_MS}")
    return Transfer(clean(target), tuple(headers.items()), None if timeout_ms is None else timeout_ms / 1000)


def _hand_over(message: dict[str, Any]) -> HandOver:
    to, note = message.get("to"), message.get("note")
    if not isinstance(to, str) or not 1 <= len(to) <= MAX_TARGET:
        raise _BadField(f"`to` is a string of 1 to {MAX_TARGET} characters")
    if note is not None and (not isinstance(note, str) or len(note) > MAX_NOTE):
        raise _BadField(f"`note` is a string of at most {MAX_NOTE} characters")
    timeout_ms = _milliseconds(message, "timeout_ms")
    if timeout_ms is not None and not 1 <= timeout_ms <= MAX_HAND_OVER_MS:
        raise _BadField(f"`timeout_ms` is from 1 to {MAX_HAND_OVER_MS}")
    return HandOver(clean(to), note or "", None if timeout_ms is None else timeout_ms / 1000)


def _transcript(message: dict[str, Any]) -> Transcript:
    who, line, text = message.get("who"), message.get("id"), message.get("text")
    if who not in ("caller", "agent"):
        raise _BadField("`who` is `caller` or `agent`")
    if not isinstance(line, str) or not 1 <= len(line) <= _MAX_ID:
        raise _BadField(f"`id` is a string of 1 to {_MAX_ID} characters")
    if not isinstance(text, str):
        raise _BadField("`text` is a string")
    start_ms, end_ms = _milliseconds(message, "start_ms"), _milliseconds(message, "end_ms")
    if (start_ms is None) is not (end_ms is None):
        raise _BadField("`start_ms` and `end_ms` go together")
    return Transcript(
        who,
        clean(line),
        clean(text, MAX_TRANSCRIPT),
        _flag(message.get("final"), "final", default=True),
        _flag(message.get("interrupted"), "interrupted"),
        start_ms,
        end_ms,
    )


def _headers(message: dict[str, Any]) -> Headers:
    headers, place = message.get("headers"), message.get("on", "all")
    if not isinstance(headers, dict) or not all(value is None or isinstance(value, str) for value in headers.values()):
        raise _BadField("`headers` is an object of strings, or null for what is taken back")
    for known in PLACES:
        if place == known:
            return Headers({clean(name): value for name, value in headers.items()}, known)
    raise _BadField("`on` is `all`, `answer` or `bye`")


def _milliseconds(message: dict[str, Any], name: str) -> int | None:
    value = message.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 1 << 32):
        raise _BadField(f"`{name}` is a whole number of milliseconds")
    return value


def _action(action: Any) -> RecordingAction:
    for known in get_args(RecordingAction):
        if action == known:
            return cast(RecordingAction, known)
    raise _BadField("`action` is `start`, `stop`, `pause` or `resume`")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _format(name: str) -> dict[str, Any]:
    encoding, rate = name.split("/")
    return {"encoding": encoding, "rate": int(rate)}


def _audio(name: str) -> dict[str, Any]:
    return _format(name) | {"frame_ms": FRAME_MS}


def _message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields, ensure_ascii=False)
