"""The recording of a call as the call sees it: announced, begun, paused for the agent, ended with the leg."""

from collections.abc import Callable

import structlog

from offhook._media import MediaError, MediaEvent
from offhook.call.event import CallEvent, FromRecording
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.destination.base import AgentTranscript, Destination, RecordingAction
from offhook.ids import CallId
from offhook.recording.recorder import CallRecording, State
from offhook.recording.transcript import Told, Transcript
from offhook.report.timeline import Timeline
from offhook.route.table import RecordPolicy

_log = structlog.get_logger("offhook.call")

ANNOUNCEMENT = "offhook:announcement"
"""The mark behind the announcement that a call is recorded."""

# How long the record of a call waits for the last of its recording: its facts, not the disk's word that it keeps them.
_OVER_LIMIT = 2.0


class Tape:
    """What a call does about its recording; nothing, if its route does not permit one.

    A call has one recording at most. The announcement comes first, and until it has been heard no agent is joined. A
    recording that fails is noted and changes nothing else.
    """

    def __init__(
        self, call_id: CallId, services: CallServices, timeline: Timeline, leg: CallerLeg, policy: RecordPolicy
    ) -> None:
        self.is_announcing = False
        """Whether the announcement is still to be heard."""
        self._call_id = call_id
        self._services = services
        self._timeline = timeline
        self._leg = leg
        self._recorder = services.recorder if policy is not RecordPolicy.NEVER else None
        self._policy = policy
        # Whether there is to be a recording once there can be one.
        self._wanted = policy is RecordPolicy.ALWAYS
        self._answered = False
        self._recording: CallRecording | None = None
        self._state: State = "off"
        self._since_ms = 0
        self._transcript: Transcript | None = None
        if self._recorder is not None and (format := self._recorder.settings.transcript) is not None:
            self._transcript = Transcript(format, mask_digits=self._recorder.settings.mask_digits)

    def chosen(self, agent: str) -> None:
        """The call goes on to this agent, by its URI."""
        if self._transcript is not None:
            self._transcript.agent(agent)

    def told(self, line: AgentTranscript) -> None:
        """The agent says in words what is said in the call."""
        if self._transcript is None:
            return
        now = self._services.now()
        self._transcript.told(
            Told(line.who, line.id, line.text, line.final, line.interrupted, line.start_ms, line.end_ms), now
        )
        if self._recording is not None:
            self._recording.told(now)

    def answered(self, post: Callable[[CallEvent], None], on_error: Callable[[Exception], None]) -> None:
        """The call is answered: tell the caller, if the caller is to be told, else record."""
        self._answered = True
        self._begin(post, on_error)

    def _begin(self, post: Callable[[CallEvent], None], on_error: Callable[[Exception], None]) -> None:
        if self._recorder is None or not self._wanted:
            return
        if self._recorder.settings.announcement is not None:
            self.is_announcing = True
            self._announce()
        elif self._leg.audio is not None:
            self._record(post, on_error)

    def acknowledged(self, post: Callable[[CallEvent], None], on_error: Callable[[Exception], None]) -> None:
        """Where our offer went first, what is spoken is known only now."""
        waits = self._recorder is not None and self._wanted and self._recording is None and not self.is_announcing
        if waits and self._leg.audio is not None:
            self._record(post, on_error)

    def announced(self, played: bool, post: Callable[[CallEvent], None], on_error: Callable[[Exception], None]) -> None:
        """The announcement has left; or it was cleared away with an agent that was lost, and is said again."""
        if not self.is_announcing:
            return
        if played:
            self.is_announcing = False
            self._record(post, on_error)
        else:
            self._announce()

    def joined(self, destination: Destination) -> None:
        """An agent has joined the call: it hears whether it is recorded."""
        if self._transcript is not None:
            self._transcript.joined(self._services.now())
        if self._recording is not None and self._state != "off":
            destination.recording(self._state, self._since_ms)

    def asked(
        self,
        action: RecordingAction,
        destination: Destination,
        post: Callable[[CallEvent], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """The agent wants something of the recording. It hears how that stands then, whatever came of it."""
        recording, state, asks = self._recording, self._state, self._policy is RecordPolicy.WHEN_ASKED
        match action:
            case "start" if asks and recording is None:
                if not self._wanted:
                    self._wanted = True
                    self._note("the agent starts the recording")
                    if self._answered:
                        self._begin(post, on_error)
            case "stop" if asks and recording is not None and state != "off":
                self._note("the agent stops the recording")
                recording.stop()
            case "pause" if recording is not None and state == "on":
                recording.pause()
            case "resume" if recording is not None and state == "paused":
                recording.resume()
            case _:
                if action in ("start", "stop") and not asks:
                    self._note(f"the agent asks to {action} the recording, which its route does not leave to it")
                elif action == "start" and recording is not None and recording.state == "off":
                    self._note("the agent asks for a second recording; a call has one")
                if recording is None or recording.state == state:
                    # One that is just beginning tells so itself.
                    destination.recording(state, self._since_ms)

    def take(self, event: MediaEvent, destination: Destination | None) -> None:
        """Take an event of the recording, and tell the agent that is joined, if one is."""
        notes: dict[str, tuple[State, str]] = {
            "recording_started": ("on", "the recording begins"),
            "recording_paused": ("paused", "the recording pauses"),
            "recording_resumed": ("on", "the recording goes on"),
            "recorded": ("off", "the recording ends"),
        }
        self._state, note = notes[event.kind]
        if event.position_ms is not None:
            self._since_ms = event.position_ms
        self._timeline.add("media", event.at, note=note, position_ms=self._since_ms)
        if event.kind == "recorded" and event.text:
            self._failed(event.text)
        if destination is not None:
            destination.recording(self._state, self._since_ms)

    async def over(self) -> None:
        """Let the recording end, so that the record says how long it is and what it lacks."""
        recording = self._recording
        if recording is None:
            return
        if not await recording.over(_OVER_LIMIT):
            self._note("the recording has not been written to its end so far")
        elif recording.dropped_frames:
            self._note(f"the disk was too slow: {recording.dropped_frames} frames of the recording are silence")
        if self._transcript is not None:
            self._say_whose_words_are_missing(self._transcript)

    def _say_whose_words_are_missing(self, transcript: Transcript) -> None:
        for agent in transcript.silent_agents:
            self._note(f"the transcript has no words of {agent}: it told none")
        if transcript.forgotten:
            self._note(f"the transcript lacks {transcript.forgotten} lines: it was full")

    def summary(self) -> dict[str, int | float | str | None]:
        """What the record of the call says of it."""
        return self._recording.summary() if self._recording is not None else {}

    def _announce(self) -> None:
        assert self._recorder is not None, "asked for"
        announcement = self._recorder.settings.announcement
        assert announcement is not None, "asked for"
        self._note("announcing that the call is recorded")
        self._leg.rtp.play(*announcement, mark=ANNOUNCEMENT)

    def _record(self, post: Callable[[CallEvent], None], on_error: Callable[[Exception], None]) -> None:
        assert self._recorder is not None, "asked for"
        assert self._leg.audio is not None, "negotiated"
        try:
            self._recording = self._recorder.begin(
                self._call_id,
                self._services.media,
                self._leg.rtp,
                self._leg.audio.codec,
                transcript=self._transcript,
                on_event=lambda event: post(FromRecording(event)),
                on_error=on_error,
            )
        except MediaError as error:
            self._failed(str(error))

    def _failed(self, why: str) -> None:
        _log.error("call.recording_failed", call_id=self._call_id, why=why)
        self._note(f"the recording has failed: {why}")

    def _note(self, what: str) -> None:
        self._timeline.add("media", self._services.now(), note=what)
