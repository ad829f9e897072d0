"""A line over a worker's connection: one call's records, both ways."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from offhook.agent.caller import CallerFacts, EndCause, causes_of
from offhook.agent.events import (
    BargeIn,
    DigitsMasked,
    DigitsState,
    GreetingOver,
    HandedOver,
    HandOverEnd,
    Held,
    Key,
    Recording,
    RecordingAction,
    RecordingState,
    Resumed,
    SpeechEnded,
    SpeechStarted,
    TransferEnd,
    Transferred,
    TransferWay,
    WantsFloor,
    answered_by,
)
from offhook.agent.headers import Place
from offhook.agent.history import Line as Said
from offhook.agent.line import Answered, CallFacts, CallOver, HoldRefused, Listener, UtteranceOver
from offhook.agent.protocol import Kind, Record, close_code, number, pack, pack_close, pack_control, parse, words
from offhook.speech.protocol import Spoken

_log = logging.getLogger("offhook.agent")

CREDIT_MS = 1_000
"""Milliseconds of caller audio that may be on their way to us."""

_GRANT_EVERY_MS = 200
# How far ahead of what is played sound is sent, in seconds: more would be wasted by an interruption.
_AHEAD = 10.0
# Longer gaps than this are not filled with silence: nobody was listening.
_GAP_MS = 10_000
_TEXT = 4_096
_MAY_CHANGE = frozenset({"trunk", "from_number", "to_number", "sip_call_id"})
"""Facts of `ringing` that `start` may have anew."""
_OUTCOMES: Mapping[str, TransferEnd] = {
    "completed": "completed",
    "refused": "refused",
    "busy": "busy",
    "no_answer": "no_answer",
    "caller_gone": "caller_gone",
    "timed_out": "timed_out",
}
_HAND_OVERS: Mapping[str, HandOverEnd] = {
    "handed_over": "handed_over",
    "not_allowed": "not_allowed",
    "unreachable": "unreachable",
    "no_capacity": "no_capacity",
    "refused": "refused",
    "timed_out": "timed_out",
    "caller_gone": "caller_gone",
}
# How long keys are pressed, and the gap behind each, where nothing else is said (milliseconds).
_USUAL_KEYS = (160, 80)
_DIGITS: Mapping[str, DigitsState] = {"shown": "shown", "masked": "masked", "withheld": "withheld"}
_STATES: Mapping[str, RecordingState] = {"on": "on", "paused": "paused", "off": "off"}


class WireLine:
    """One call on one connection, from its `ringing` to its CLOSE. `send` queues bytes on the connection."""

    def __init__(self, call: int, ringing: dict[str, Any], rate: int, write: Callable[[bytes], None]) -> None:
        self.facts = facts_of(ringing)
        # What is heard before `ready` is in the audio that was offered: there is no other yet.
        self.rate = (self.facts.early_media and _offered_rate(ringing)) or rate
        self.judges_barge_in = bool(self.facts.barge_in)
        self.listener: Listener | None = None
        self.dropped_ms = 0
        self._call = call
        self._write = write
        self._open = True
        self._over = False
        self._heard_ms = 0
        self._next_ms = 0
        self._granted_ms = CREDIT_MS
        # The utterance that is open, what was sent of it, and what was played since the last `cleared` before it.
        self._utterance: str | None = None
        self._sent_ms = 0.0
        self._base_ms = 0.0
        # Whether it was cleared: what is sent after a clear is played, so nothing more of it may be.
        self._cut = False
        self._ended: str | None = None
        # When all that was sent will have been played.
        self._played_at = 0.0
        # What each of our own clears was to cut off, oldest first, until it is answered.
        self._clearing: deque[str | None] = deque()
        # A `cleared` whose `interrupted`, if there is one, comes next.
        self._cleared: dict[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether records of this call still come."""
        return self._open

    # -- from the gateway

    def receive(self, record: Record) -> None:
        """A record of this call. Raises `RemoteProtocolError` for garbage."""
        if record.kind == Kind.AUDIO:
            self._settle()
            self._hear(record)
        elif record.kind == Kind.CONTROL:
            self._control(parse(record.payload))
        elif record.kind == Kind.CLOSE:
            self._settle()
            code, reason = close_code(record.payload)
            if self._open:
                self._open = False
                self._write(pack_close(self._call, 1000))
            self._end("lost" if code not in (1000, 1005) else "ended", f"closed with {code} {reason}".strip())

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._open = False
        self._end("connection_lost", why)

    def _hear(self, record: Record) -> None:
        frame_ms = len(record.payload) * 1000 // (2 * self.rate)
        gap = (record.position - self._next_ms) & 0xFFFFFFFF
        if self._heard_ms and 0 < gap < 1 << 31:
            self.dropped_ms += gap
            if gap <= _GAP_MS:
                self._tell_sound(bytes(2 * (gap * self.rate // 1000)))
        self._next_ms = record.position + frame_ms & 0xFFFFFFFF
        self._heard_ms += frame_ms
        self._tell_sound(record.payload)
        if self._heard_ms + CREDIT_MS - self._granted_ms >= _GRANT_EVERY_MS and self._open:
            self._granted_ms = self._heard_ms + CREDIT_MS
            self._write(pack(Kind.CREDIT, self._call, position=self._granted_ms & 0xFFFFFFFF))

    def _control(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "interrupted":
            self._interrupted(message)
            return
        self._settle()
        match kind:
            case "start":
                # A call out may have gone by another trunk than the one that `ringing` told of.
                anew: dict[str, Any] = {name: words(message, name) for name in _MAY_CHANGE & message.keys()}
                self.facts = replace(self.facts, **anew)
                self._tell(Answered())
            case "dtmf":
                digit = words(message, "digit")
                self._tell(Key(digit, number(message, "duration_ms"), number(message, "at_ms")))
            case "speech_started":
                self._tell(SpeechStarted(number(message, "since_ms"), number(message, "at_ms")))
            case "speech_ended":
                self._tell(SpeechEnded(number(message, "since_ms"), number(message, "at_ms")))
            case "barge_in":
                self._tell(WantsFloor(number(message, "since_ms"), number(message, "at_ms")))
            case "recording":
                state = _STATES.get(words(message, "state"))
                if state is not None:
                    self._tell(Recording(state))
            case "transferred":
                self._tell(_transferred(message))
            case "handed_over":
                how = _HAND_OVERS.get(words(message, "outcome"), "refused")
                self._tell(HandedOver(how, words(message, "reason"), words(message, "hint")))
            case "held" | "resumed" | "hold_failed":
                self._hold(kind, message)
            case "answered_by":
                self._tell(answered_by(message))
            case "greeting_over":
                self._tell(GreetingOver(message.get("beep") is True, number(message, "after_ms")))
            case "digits_masked":
                masked = _DIGITS.get(words(message, "state"))
                if masked is not None:
                    self._tell(DigitsMasked(masked))
            case "mark":
                self._played(words(message, "name"))
            case "cleared":
                self._cleared = message
                if not self.judges_barge_in:
                    self._settle()
            case "error":
                # Such as a header that is the gateway's own: whoever wrote the agent has to see it.
                said, code = words(message, "message")[:_TEXT], words(message, "code")
                _log.warning("the gateway did not take what the agent said (%s): %s", code, said)
            case "end":
                self._end(words(message, "reason"), words(message, "text"), causes_of(message))

    def _hold(self, kind: str, message: dict[str, Any]) -> None:
        by, action = words(message, "by"), words(message, "action")
        who: Literal["caller", "agent"] = "agent" if by == "agent" else "caller"
        if kind == "held":
            self._tell(Held(who))
        elif kind == "resumed":
            self._tell(Resumed(who, number(message, "held_ms")))
        elif action in ("hold", "resume"):
            code, status = words(message, "code"), number(message, "status") or None
            wish: Literal["hold", "resume"] = "hold" if action == "hold" else "resume"
            self._tell(HoldRefused(wish, code, status, words(message, "message")))

    def _played(self, utterance: str) -> None:
        if utterance == self._utterance:
            self._base_ms += self._sent_ms
            self._over_with(self._sent_ms, interrupted=False)

    def _interrupted(self, message: dict[str, Any]) -> None:
        self._cleared = None
        self._base_ms = 0.0
        self._played_at = 0.0
        utterance, by = words(message, "utterance"), words(message, "by")
        of_its_own = by in ("caller", "hold")
        if not of_its_own and self._clearing:
            self._clearing.popleft()
        if self._utterance is None:
            return
        played = number(message, "played_ms") if utterance == self._utterance else 0
        if of_its_own:
            # What is still on its way is dropped there until this.
            self._say({"type": "utterance_end"})
        self._over_with(min(float(played), self._sent_ms), interrupted=True, held=by == "hold")

    def _settle(self) -> None:
        """A `cleared` that no `interrupted` followed: it answers a clear with nothing to cut, or is all there is."""
        if self._cleared is None:
            return
        cleared, self._cleared = self._cleared, None
        played = max(0.0, number(cleared, "played_ms") - self._base_ms)
        self._base_ms = 0.0
        meant = self._clearing.popleft() if self._clearing else self._utterance
        if self._utterance is not None and self._utterance == meant:
            self._played_at = 0.0
            self._over_with(min(played, self._sent_ms), interrupted=True)

    def _over_with(self, played_ms: float, *, interrupted: bool, held: bool = False) -> None:
        assert self._utterance is not None, "there is one"
        name, self._utterance = self._utterance, None
        self._ended = name
        self._sent_ms = 0.0
        self._tell(UtteranceOver(name, played_ms, interrupted, held))

    def _end(self, reason: str, text: str, causes: tuple[EndCause, ...] = ()) -> None:
        if not self._over:
            self._over = True
            self._tell(CallOver(reason, text, causes))

    def _tell(self, event: Any) -> None:
        if self.listener is not None:
            self.listener.receive(event)

    def _tell_sound(self, pcm: bytes) -> None:
        if self.listener is not None:
            self.listener.hear(pcm)

    # -- from the call

    def answer(self) -> None:
        """Take the call."""
        self._say({"type": "ready", "audio": {"encoding": "pcm16", "rate": self.rate}})

    def reject(self, status: int | None, reason: str) -> None:
        """Don't take it."""
        self._say({"type": "reject", "reason": reason[:123]} | ({} if status is None else {"status": status}))

    def decline(self, reason: str) -> None:
        """Not here; perhaps on another worker."""
        self._say({"type": "decline", "reason": reason[:123]})

    def begin(self, utterance: str, piece: Spoken, barge_in: BargeIn | None) -> None:
        """The sound sent from here on is this piece of this utterance."""
        if utterance == self._ended or (utterance == self._utterance and self._cut):
            # Who speaks has not noticed yet.
            return
        if self._utterance != utterance:
            self._utterance, self._sent_ms, self._cut = utterance, 0.0, False
        elif not piece.text:
            return
        message: dict[str, Any] = {"type": "utterance", "id": utterance}
        text = _cut(piece.text)
        if text:
            message["text"] = text
        if piece.words and len(piece.words) == len(text.split()):
            message["word_ends_ms"] = [word.end_ms for word in piece.words]
        if barge_in is not None:
            message["barge_in"] = barge_in
        if self.judges_barge_in:
            self._say(message)

    async def send(self, pcm: bytes) -> None:
        """Queue sound to be played; waits while there is plenty."""
        loop = asyncio.get_running_loop()
        size = self.rate // 5 * 2
        for at in range(0, len(pcm), size):
            ahead = self._played_at - loop.time()
            if ahead > _AHEAD:
                await asyncio.sleep(ahead - _AHEAD)
            if self._over or self._utterance is None or self._cut:
                return
            piece = pcm[at : at + size]
            seconds = len(piece) / 2 / self.rate
            self._played_at = max(self._played_at, loop.time()) + seconds
            self._sent_ms += seconds * 1000
            self._record(pack(Kind.AUDIO, self._call, piece))

    def finish(self, utterance: str) -> None:
        """All of it has been sent."""
        if self.judges_barge_in:
            self._say({"type": "utterance_end"})
        self._say({"type": "mark", "name": utterance})

    def transcript(
        self,
        who: Literal["caller", "agent"],
        line: str,
        text: str,
        *,
        final: bool,
        interrupted: bool = False,
        at_ms: tuple[int, int] | None = None,
    ) -> None:
        """Tell what was said."""
        message: dict[str, Any] = {"type": "transcript", "who": who, "id": line, "text": _cut(text), "final": final}
        if interrupted:
            message["interrupted"] = True
        if at_ms is not None:
            message["start_ms"], message["end_ms"] = at_ms
        self._say(message)

    def clear(self) -> None:
        """Drop what has not been played."""
        self._clearing.append(self._utterance)
        self._cut = True
        self._say({"type": "clear"})

    def send_dtmf(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Press keys."""
        timing = {"duration_ms": duration_ms, "gap_ms": gap_ms} if (duration_ms, gap_ms) != _USUAL_KEYS else {}
        self._say({"type": "dtmf", "digits": digits} | timing)

    def mask_digits(self, on: bool, *, withhold: bool) -> None:
        """Mask keys, or no longer."""
        self._say({"type": "mask_digits", "on": on, "withhold": withhold})

    def record(self, action: RecordingAction) -> None:
        """Pause the recording, or let it go on."""
        self._say({"type": "record", "action": action})

    def transfer(self, target: str, headers: Mapping[str, str], timeout: float | None) -> None:
        """Have the caller transferred."""
        message: dict[str, Any] = {"type": "transfer", "target": target}
        if headers:
            message["headers"] = dict(headers)
        if timeout is not None:
            message["timeout_ms"] = round(timeout * 1000)
        self._say(message)

    def hand_over(self, to: str, note: str, timeout: float | None) -> None:
        """Have another agent take the call."""
        message: dict[str, Any] = {"type": "hand_over", "to": to}
        if note:
            message["note"] = note
        if timeout is not None:
            message["timeout_ms"] = round(timeout * 1000)
        self._say(message)

    def set_headers(self, headers: Mapping[str, str | None], place: Place) -> None:
        """Have headers in the gateway's SIP messages, or no longer (None)."""
        self._say({"type": "headers", "headers": dict(headers)} | ({} if place == "all" else {"on": place}))

    def hold(self, action: Literal["hold", "resume"]) -> None:
        """Hold the caller, or have it back."""
        self._say({"type": action})

    def hang_up(self, reason: str, *, now: bool, failed: bool = False) -> None:
        """End the call."""
        why = ({"reason": reason[:123]} if reason else {}) | ({"failed": True} if failed else {})
        self._say({"type": "hangup", "now": now} | why)

    def give_up(self, reason: str) -> None:
        """The agent failed."""
        if self._open:
            self._open = False
            self._write(pack_close(self._call, 1011, reason))
        self._end("agent_lost", reason)

    def _say(self, message: dict[str, Any]) -> None:
        self._record(pack_control(self._call, message))

    def _record(self, record: bytes) -> None:
        if self._open and not self._over:
            self._write(record)


def _cut(text: str) -> str:
    return text.encode()[:_TEXT].decode(errors="ignore")


def _transferred(message: dict[str, Any]) -> Transferred:
    """What a `transferred` says; an outcome that this version doesn't know is a refusal."""
    outcome = _OUTCOMES.get(words(message, "outcome"), "refused")
    status = number(message, "status") or None
    confirmed = message.get("confirmed") is not False
    way: TransferWay = "bridge" if words(message, "way") == "bridge" else "refer"
    return Transferred(outcome, status, words(message, "reason"), words(message, "hint"), confirmed, way)


def _offered_rate(ringing: dict[str, Any]) -> int:
    """Samples a second of what a `ringing` offers, 0 if that is not linear."""
    audio = ringing.get("audio")
    return int(number(audio, "rate")) if isinstance(audio, dict) and audio.get("encoding") == "pcm16" else 0


def facts_of(ringing: dict[str, Any]) -> CallFacts:
    """What a `ringing` says."""
    headers, data = ringing.get("headers"), ringing.get("data")
    return CallFacts(
        call_id=words(ringing, "call_id"),
        from_number=words(ringing, "from_number"),
        to_number=words(ringing, "to_number"),
        display_name=words(ringing, "display_name"),
        trunk=words(ringing, "trunk"),
        route=words(ringing, "route"),
        sip_call_id=words(ringing, "sip_call_id"),
        headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
        answer_within=number(ringing, "ready_within_ms") / 1000 or 20.0,
        barge_in=words(ringing, "barge_in"),
        caller=CallerFacts.of(ringing),
        early_media=ringing.get("early_media") is True,
        direction="outbound" if ringing.get("direction") == "outbound" else "inbound",
        data={str(name): str(value) for name, value in data.items()} if isinstance(data, dict) else {},
        history=_history_of(ringing),
        **_handed_over(ringing),
    )


def _history_of(ringing: dict[str, Any]) -> tuple[Said, ...]:
    lines = ringing.get("history")
    return tuple(
        Said("caller" if line.get("who") == "caller" else "agent", words(line, "text"), line.get("interrupted") is True)
        for line in (lines if isinstance(lines, list) else ())
        if isinstance(line, dict)
    )


def _handed_over(ringing: dict[str, Any]) -> dict[str, Any]:
    said = ringing.get("handed_over")
    return {"handed_over_by": words(said, "by"), "note": words(said, "note")} if isinstance(said, dict) else {}
