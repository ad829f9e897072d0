"""Who speaks in a call, over whom, and in which words: told to its timeline, its transcript and those who follow it."""

from collections.abc import Callable

from offhook._media import MediaEvent
from offhook.call.news import CallerSpeech, CallNews
from offhook.call.tape import Tape
from offhook.destination.base import AgentTranscript
from offhook.report.timeline import Timeline

# Of each kind of note, a tenth of what a timeline keeps; the record's counters have them all.
_MOST_NOTES = 40
# What positions in the caller's sound count, in Hz.
_CLOCK = 8000


class Floor:
    """The floor of one call. It decides nothing. `tell` passes on to who follows the call, and must not raise."""

    __slots__ = ("_heard_since", "_noted", "_tape", "_tell", "_timeline")

    def __init__(self, timeline: Timeline, tape: Tape, tell: Callable[[CallNews], None]) -> None:
        self._timeline, self._tape, self._tell = timeline, tape, tell
        self._heard_since: float | None = None
        self._noted = {"speech": 0, "words": 0, "overlap": 0}

    def heard(self, at: float) -> None:
        """The caller's first packet came: positions in the caller's sound are counted from it."""
        self._heard_since = at

    def speech(self, event: MediaEvent) -> None:
        """The caller has begun to speak, or has stopped."""
        started = event.kind == "speech_started"
        if self._heard_since is not None:
            self._tell(CallerSpeech(started, self._heard_since + (event.position or 0) / _CLOCK))
        if not self._may_note("speech"):
            return
        if started:
            self._timeline.add("media", event.at, note="the caller speaks")
        else:
            self._timeline.add("media", event.at, note="the caller has spoken", duration_ms=event.duration_ms)

    def words(self, line: AgentTranscript, now: float) -> None:
        """The timeline says that and how much was understood; the words go to who follows the call alone."""
        self._tell(line)
        self._tape.told(line)
        if line.final and self._may_note("words"):
            note = f"the agent has told what the {line.who} said"
            self._timeline.add("agent", now, note=note, words=len(line.text.split()))

    def overlap(self, event: MediaEvent) -> None:
        """Both spoke at once."""
        if not self._may_note("overlap"):
            return
        fields: dict[str, object] = {"utterance": event.utterance} if event.utterance else {}
        match event.kind:
            case "interrupted":
                who = {
                    "caller": "the caller has interrupted the agent",
                    "agent": "the agent has stopped speaking",
                    "hold": "the call is on hold: nobody hears what the agent says",
                }
                note = who.get(event.by or "", "what the agent was saying was cut off")
                fields |= {"played_ms": event.played_ms, "dropped_ms": event.dropped_ms}
            case "barge_in":
                note = "the caller speaks over the agent, which is told"
            case _:
                note = "the caller said a word while the agent spoke, which goes on"
        self._timeline.add("media", event.at, note=note, **fields)

    def _may_note(self, kind: str) -> bool:
        self._noted[kind] += 1
        return self._noted[kind] <= _MOST_NOTES
