"""One call's life: its handlers run as tasks of its own, and what goes wrong in them ends this call alone."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offhook.agent.asked import HandOver, Transfer
from offhook.agent.backchannel import is_backchannel
from offhook.agent.call import Call
from offhook.agent.digits import DigitCollector
from offhook.agent.ears import Ears
from offhook.agent.engines import Speech
from offhook.agent.errors import CallEnded
from offhook.agent.events import (
    AnsweredBy,
    CallEvent,
    Digits,
    DigitsMasked,
    GreetingOver,
    HandedOver,
    Heard,
    Held,
    Interrupted,
    Key,
    Recording,
    RecordingAction,
    RecordingState,
    Resumed,
    Said,
    SpeechEnded,
    SpeechStarted,
    Transferred,
    Turn,
    WantsFloor,
)
from offhook.agent.history import History
from offhook.agent.hold import Hold
from offhook.agent.line import Answered, CallOver, HoldRefused, Line, LineEvent, UtteranceOver
from offhook.agent.masks import Masks
from offhook.agent.reader import EventReader
from offhook.agent.tasks import STOPPING, CallTasks
from offhook.agent.voice import Floor, Unsaid, Voice
from offhook.agent.waiting import first_of

if TYPE_CHECKING:
    from offhook.agent.agent import Agent

_log = logging.getLogger("offhook.agent")

# Seconds that a call's own last acts may take.
_APOLOGY = 20.0
_GOODBYE = 150.0
# An announcement comes before a recording, of a minute at most.
_STARTING = 90.0
_UNDERSTANDING = 3.0
_KEYS_WAITING = 1_000
_TURNS = 100
_KEYS = 64
_LONGEST_GREETING = 60.0
# Seconds of silence after which what a noise cut off is said after all.
_HESITATION = 1.0
# Milliseconds by which the line and the ears may differ about when somebody spoke.
_APART_MS = 500


class Session:
    """What happens behind a `Call`. It is the listener of its line. `speech` stands in for the agent's own engines."""

    def __init__(self, agent: "Agent", line: Line, speech: Speech | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.agent = agent
        self.speech = speech or agent.speech
        self.line = line
        self.history = History(line.facts.history)
        self.floor = Floor()
        self.ears = Ears(line.rate, on_turn=self._turn_over, on_heard=self._heard, on_changed=self._settle_floor)
        self.voice = Voice(line, self.speech.tts, self.floor, self._said, self.ears.answered)
        self.over: asyncio.Future[CallOver] = loop.create_future()
        self.hold = Hold(line, self.floor, self.over)
        self.masks = Masks(line, self.over)
        self.transfer = Transfer(line, self.voice, self.over, self._tell)
        self.hand_over = HandOver(line, self.voice, self.over, self._tell)
        self.call = Call(self)
        self._loop = loop
        self._tasks = CallTasks(agent.name, line.facts.call_id)
        self._started = asyncio.Event()
        self.recording: RecordingState = "off"
        self._recorded = asyncio.Event()
        self._taken = False
        self._rejected = False
        self._caller_speaks = False
        # Places in the caller's sound: where the line heard the caller last, and where the agent had spoken last.
        self._caller_until_ms = self._agent_until_ms = 0.0
        self._patience: asyncio.TimerHandle | None = None
        self._turns: asyncio.Queue[Turn] = asyncio.Queue(_TURNS)
        self._keys: asyncio.Queue[Key] = asyncio.Queue(_KEYS_WAITING)
        self._pressed = ""
        self._cut: Said | None = None
        self._turns_heard = 0
        self.answered_by: AnsweredBy | None = None
        """Who has answered a call out, as far as that was told."""
        self.greeting_over = asyncio.Event()
        """The machine that has answered takes a message."""
        self._was_heard = False
        self._answering: asyncio.Task[Any] | None = None
        self._waiting: deque[asyncio.Future[Turn]] = deque()
        self._collectors: list[Callable[[Key | Heard | None], None]] = []
        self._voice_collectors: list[Callable[[Key | Heard | None], None]] = []
        self._readers: list[EventReader] = []
        self._turn_number = 1
        self._turn_words = ""

    # -- what the line tells

    def receive(self, event: LineEvent) -> None:
        """Something happened in the call."""
        match event:
            case Answered():
                self._started.set()
            case UtteranceOver():
                self._agent_until_ms = self.ears.heard_ms
                self.voice.utterance_over(event)
            case Key():
                self._press(event)
            case SpeechStarted():
                self._caller_speaks = True
                self._be_patient()
                self.floor.take()
                if not self.line.judges_barge_in and self.voice.may_be_interrupted and self.voice.barge_in != "agent":
                    self.voice.clear(for_caller=True)
                self._tell(event)
            case SpeechEnded():
                self._caller_speaks = False
                self._caller_until_ms = event.since_ms
                self._be_patient()
                self._settle_floor()
                # The ears may hear on what the line calls noise, but not keep the agent silent for it.
                self._patience = self._loop.call_later(_UNDERSTANDING, self.floor.release)
                self._tell(event)
            case WantsFloor():
                self._tell(event)
            case Recording():
                self.recording = event.state
                self._recorded.set()
                self._tell(event)
            case Transferred():
                self.transfer.receive(event)
            case HandedOver():
                self.hand_over.receive(event)
            case Held():
                self.hold.receive(event)
                self._tell(event)
            case Resumed():
                self.hold.receive(event)
                self._tell(event)
                self._say_the_rest(event)
            case HoldRefused():
                self.hold.receive(event)
            case AnsweredBy():
                self.answered_by = event
                self._tell(event)
                handler = self.agent.handlers.answered_by
                if handler is not None:
                    self.start(handler(self.call, event), "on_answered_by")
            case GreetingOver():
                self.greeting_over.set()
                self._tell(event)
            case DigitsMasked():
                self.masks.receive(event)
            case CallOver():
                self._end(event)

    def hear(self, pcm: bytes) -> None:
        """The caller's sound."""
        self.ears.hear(pcm)

    def _end(self, event: CallOver) -> None:
        if self.over.done():
            return
        self.over.set_result(event)
        self._be_patient()
        self._started.set()
        self._recorded.set()
        self.transfer.receive(Transferred("caller_gone", reason="the call is over"))
        self.hand_over.receive(HandedOver("caller_gone", "the call is over"))
        self.masks.call_over()
        self.voice.call_over(event.reason)
        self.ears.end_taps()
        self.floor.release()
        self.floor.keep(False)
        for collector in list(self._collectors):
            collector(None)
        for reader in self._readers:
            reader.close()

    # -- its life

    async def run(self) -> None:
        """From ringing to the end. Never raises what a handler raised: that is logged."""
        talk = self.start(self._talk(), "on_ringing")
        try:
            await first_of(talk, self.over, self._tasks.failed)
            if not self.over.done() and not self._tasks.failed.done() and not self._rejected:
                # on_call has returned, and what it said last has been played.
                self.line.hang_up("", now=False)
            elif self._tasks.failed.done() and not self.over.done():
                await self._tasks.stop()
                await self._make_good()
            if not self.over.done():
                await asyncio.wait({self.over}, timeout=_GOODBYE)
        finally:
            if not self.over.done():
                self.line.hang_up("", now=True)
                self._end(CallOver("agent_ended"))
            await self._tasks.stop()
        if self._started_talking and self.agent.handlers.hangup is not None:
            await self._tasks.afterwards(self.agent.handlers.hangup(self.call))

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> "asyncio.Task[Any]":
        """Run something of this call's; it is cancelled when the call ends, and ends the call when it fails."""
        return self._tasks.start(work, what)

    async def _talk(self) -> None:
        handlers = self.agent.handlers
        if handlers.ringing is not None:
            await handlers.ringing(self.call)
        if self._rejected:
            return
        self.answer()
        if handlers.turn is not None:
            self.listen()
            self.start(self._take_turns(), "turns")
        if handlers.dtmf is not None:
            self.start(self._take_keys(), "on_dtmf")
        self._tasks.call_it("greeting")
        greeting = self.agent.greeting
        if greeting is not None:
            # Not after the answer but now: it waits at the gateway and is the first thing to be heard, even by a caller
            # who has said "hello?" first.
            text = greeting(self.call) if callable(greeting) else greeting
            await self.voice.say(text, self.agent.barge_in, at_once=True)
        await self._started.wait()
        self._tasks.call_it("on_call")
        if handlers.call is not None:
            await handlers.call(self.call)
            await self.voice.drain("agent_hung_up")
        else:
            await asyncio.wait({self.over})

    async def _make_good(self) -> None:
        """After a failure: apologise and hang up, or leave the caller to the route's fallback."""
        apology = self.agent.apology
        if self.voice.is_closed:
            # It was about to hang up anyway.
            self.line.hang_up("the agent failed", now=False, failed=True)
            return
        if apology is not None and self._taken and self._started.is_set():
            try:
                async with asyncio.timeout(_APOLOGY):
                    await self.voice.say(apology, "off")
            except Exception as error:  # whatever it is, the caller must not hear silence for it
                _log.warning("the apology could not be said: %s", error)
            else:
                self.line.hang_up("the agent failed", now=False, failed=True)
                return
        self.line.give_up("the agent failed")

    @property
    def _started_talking(self) -> bool:
        return self._taken and not self._rejected

    # -- what the call's methods ask for

    def answer(self) -> None:
        """Take the call; once."""
        if not self._taken and not self._rejected and not self.over.done():
            self._taken = True
            self.line.answer()

    def reject(self, status: int | None, reason: str) -> None:
        """Don't take it."""
        if not self._taken and not self._rejected:
            self._rejected = True
            self.line.reject(status, reason)

    @property
    def is_taken(self) -> bool:
        """Whether it was answered."""
        return self._taken

    def listen(self) -> None:
        """Have an engine listen, from now on. Raises `AgentError` where there is none."""
        if not self.ears.is_listening:
            engine = self.speech.stt()
            self.start(self.ears.listen(engine, self.agent.turn_detector()), "speech recognition")

    async def hang_up(self, reason: str, *, now: bool) -> None:
        """End the call, and wait until it has."""
        if not now:
            await self.voice.drain("agent_hung_up")
        if not self.over.done():
            self.line.hang_up(reason, now=now)
            await asyncio.wait({self.over})

    async def record(self, action: RecordingAction) -> RecordingState:
        """Start, stop or pause the recording, or let it go on, and wait until that has happened."""
        if not self.over.done():
            self._recorded.clear()
            self.line.record(action)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STARTING if action == "start" else STOPPING):
                    await self._recorded.wait()
        return self.recording

    @contextmanager
    def next_turn(self) -> "Iterator[asyncio.Future[Turn]]":
        """The caller's next turn, which then is nobody else's."""
        future: asyncio.Future[Turn] = self._loop.create_future()
        self._waiting.append(future)
        try:
            yield future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    @contextmanager
    def reader(self) -> "Iterator[EventReader]":
        """What happens from now on."""
        reader = EventReader()
        self._readers.append(reader)
        if self.over.done():
            reader.close()
        try:
            yield reader
        finally:
            self._readers.remove(reader)

    async def collect(self, collector: DigitCollector, prompt: Coroutine[Any, Any, Said] | None) -> Digits:
        """Run a collector until it has its result. Its times count from the end of the prompt; a key ends that."""
        changed = asyncio.Event()
        asking = self._loop.create_task(prompt) if prompt is not None else None

        def receive(event: Key | Heard | None) -> None:
            now = self._loop.time()
            match event:
                case Key():
                    if asking is not None and not asking.done():
                        asking.cancel()
                    collector.receive(event.digit, now)
                case Heard():
                    collector.hear(event.text, now)
                case None:
                    collector.call_ended()
            changed.set()

        self._collectors.append(receive)
        if collector.takes_voice:
            self._voice_collectors.append(receive)
        try:
            if asking is not None:
                await asyncio.wait({asking})
                if not asking.cancelled() and (error := asking.exception()) is not None:
                    raise error
            if self.over.done():
                collector.call_ended()
            collector.begin(self._loop.time())
            while collector.result is None:
                at = collector.next_timeout()
                changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(at):
                        await changed.wait()
                if self.hold.is_by_caller or (self.floor.is_taken and collector.takes_voice):
                    # Somebody speaks, or is not there: how long that takes is no pause.
                    await self.floor.free()
                    collector.spoke(self._loop.time())
                collector.handle_timeout(self._loop.time())
            return collector.result
        finally:
            self._collectors.remove(receive)
            if collector.takes_voice:
                self._voice_collectors.remove(receive)
            if asking is not None and not asking.done():
                asking.cancel()
                await asyncio.wait({asking})

    # -- turns and keys

    def _heard(self, heard: Heard) -> None:
        """Words of the caller, as they are understood."""
        # A turn may be several stretches of speech, each with transcripts of its own.
        words = f"{self._turn_words} {heard.text}".strip()
        if heard.final:
            self._turn_words = words
        self.line.transcript("caller", f"c{self._turn_number}", words, final=False)
        self._tell(heard)

    def _is_echo(self, turn: Turn) -> bool:
        """Whether a turn is the agent's own voice come back: heard over that, where the gateway heard nobody but us."""
        began_ms = turn.started_at * 1000
        over_agent = self.voice.is_speaking or began_ms < self._agent_until_ms
        heard = self._caller_speaks or began_ms <= self._caller_until_ms + _APART_MS
        return self.line.judges_barge_in and over_agent and not heard

    def _turn_over(self, turn: Turn) -> None:
        is_echo = self._is_echo(turn)
        at_ms = round(turn.started_at * 1000), round(turn.ended_at * 1000)
        # What was told of it so far is taken back if it was nobody's.
        text = "" if is_echo else turn.text
        self.line.transcript("caller", f"c{self._turn_number}", text, final=True, at_ms=at_ms)
        self._turn_number, self._turn_words = self._turn_number + 1, ""
        if is_echo:
            return
        if self.transfer.is_open or self.hand_over.is_open:
            # Said to whom it is to be handed over to, or to nobody: not to the handler that waits.
            self.history.caller_said(turn.text)
            self._tell(replace(turn, dtmf=self._pressed))
            self._pressed = ""
            return
        self._turns_heard += 1
        if self.voice.is_speaking:
            # It was said over the agent, and did not interrupt it until now.
            if not self.voice.may_be_interrupted or is_backchannel(turn.text):
                return
            self.voice.clear(for_caller=True)
        turn = replace(turn, dtmf=self._pressed)
        self._pressed = ""
        if self._voice_collectors:
            for collector in list(self._voice_collectors):
                collector(Heard(turn.text, final=True))
        elif self._waiting:
            self.history.caller_said(turn.text)
            self._tell(turn)
            self._waiting.popleft().set_result(turn)
        elif self.agent.handlers.turn is not None:
            if self._answering is not None:
                # Before the floor is free again: it must not begin to speak now.
                self._answering.cancel()
            if self._turns.full():
                self._turns.get_nowait()
            self._turns.put_nowait(turn)
        else:
            self.history.caller_said(turn.text)
            self._tell(turn)

    async def _take_turns(self) -> None:
        """One task for each turn; the one before is cancelled."""
        handler = self.agent.handlers.turn
        assert handler is not None, "started only then"
        unanswered = unanswered_keys = ""
        while True:
            turn = await self._turns.get()
            new = turn.text
            if self._answering is not None:
                was_done = self._answering.done() and not self._answering.cancelled()
                self._answering.cancel()
                _, left = await asyncio.wait({self._answering}, timeout=STOPPING)
                if left:
                    _log.warning("on_turn of agent %s goes on although it was cancelled", self.agent.name)
                if not was_done and not self._was_heard:
                    # The caller had not finished: nothing of the answer was heard.
                    turn = replace(turn, text=f"{unanswered} {turn.text}".strip(), dtmf=unanswered_keys + turn.dtmf)
            turn = replace(turn, interrupted=self._cut)
            unanswered, unanswered_keys = turn.text, turn.dtmf
            self._cut, self._was_heard = None, False
            self.history.caller_said(new)
            self._tell(turn)
            self._answering = self.start(handler(self.call, turn), "on_turn")

    def _press(self, key: Key) -> None:
        self._pressed = (self._pressed + key.digit)[-_KEYS:]
        self._tell(key)
        if self._collectors:
            for collector in list(self._collectors):
                collector(key)
        elif self.agent.handlers.dtmf is not None and not self._keys.full():
            self._keys.put_nowait(key)

    async def wait_for_beep(self) -> None:
        """Return once the machine takes a message, or after a minute; raises `CallEnded` if the call is over first."""
        waits = asyncio.ensure_future(self.greeting_over.wait())
        try:
            await first_of(waits, self.over, timeout=_LONGEST_GREETING)
        finally:
            waits.cancel()
        if self.over.done():
            raise CallEnded(self.over.result().reason)

    async def _take_keys(self) -> None:
        handler = self.agent.handlers.dtmf
        assert handler is not None, "started only then"
        while True:
            key = await self._keys.get()
            await handler(self.call, key.digit)

    # -- what is told to others

    def _said(self, said: Said, is_speech: bool, by_caller: bool, unsaid: Unsaid | None) -> None:
        if is_speech:
            self.history.agent_said(said.heard, interrupted=said.interrupted)
        self._was_heard = self._was_heard or said.played_ms > 0
        if said.held:
            self.hold.unsaid = unsaid or self.hold.unsaid
        if by_caller:
            self._cut = said
            self._tell(Interrupted(said.heard, said.played_ms))
            if unsaid and self.agent.resumes and self.ears.is_listening and not self.over.done():
                self.start(self._go_on(unsaid), "what was cut off")
        self._tell(said)

    def _say_the_rest(self, event: Resumed) -> None:
        """The caller is back, and has not heard the end of what was said when it left."""
        unsaid, self.hold.unsaid = self.hold.unsaid, None
        if unsaid is not None and event.by == "caller" and self.agent.resumes and not self.over.done():
            self.start(self._go_on(unsaid), "what a hold cut off")

    async def _go_on(self, unsaid: Unsaid) -> None:
        """Say what the caller cut off, if it was by nothing: a cough, a door, a crowd, or by a hold."""
        turns = self._turns_heard
        await asyncio.sleep(_HESITATION)
        await self.floor.free()
        awaited = bool(self._waiting or self._collectors)
        is_answering = self._answering is not None and not self._answering.done() and not awaited
        if turns == self._turns_heard and not (self.ears.is_open or self.voice.is_busy or is_answering):
            self._cut = None
            await self.voice.say(unsaid.text, unsaid.barge_in)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _settle_floor(self) -> None:
        if self._caller_speaks or self.ears.is_open:
            self.floor.take()
        else:
            self.floor.release()

    def _tell(self, event: CallEvent) -> None:
        for reader in self._readers:
            reader.put(event)
