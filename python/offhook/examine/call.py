"""One call to the agent: everything that the gateway says and does in it, and a log of all that the agent does."""

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from offhook.destination.conversation import (
    Conversation,
    OffhookConversation,
    Say,
    TwilioConversation,
)
from offhook.destination.dialect.description import Json
from offhook.destination.dialect.facts import AgentFacts, CallerIdentity, IdentityClaim
from offhook.examine.audio import Format
from offhook.examine.call_log import AgentEnd, CallLog, SceneName
from offhook.examine.hearing import Hearing
from offhook.examine.limits import Flood
from offhook.examine.plan import Plan
from offhook.examine.playout import Cleared, Playout
from offhook.examine.socket import AgentSocket, Unreached
from offhook.examine.speech import Speech
from offhook.examine.template import fill, is_numbered
from offhook.examine.utterances import SURE_MS, Utterances
from offhook.ids import new_call_id
from offhook.route.table import AGENT_HEADERS
from offhook.sip.headers.session_id import SessionId

FRAME_MS = 20
CALLER = "+14155550100"
CALLED = "+14155550199"

_FRAME = FRAME_MS / 1000
_SURE_OF_SPEECH_MS = 120
_SURE_OF_SILENCE_MS = 300
_MOMENT = 0.5
_UNREAD_FRAMES = 500
_KEY_MS = 160


class CallOver(Exception):
    """The call ended before the caller wanted it to; the log says how."""


class ExaminedCall:
    """A call, to be used as `async with`. `dial`, `ring`, `answer`, then what the caller does, then an end."""

    def __init__(self, plan: Plan, speech: Speech, scene: SceneName, label: str) -> None:
        self._plan = plan
        self._speech = speech
        facts = AgentFacts(
            new_call_id(),
            CALLER,
            CALLED,
            trunk="examination",
            route="examination",
            agent_headers=AGENT_HEADERS,
            identity=CallerIdentity(claims=(IdentityClaim("From", CALLER),)),
            session_id=str(SessionId(uuid4().hex)),
        )
        self._conversation: Conversation = (
            TwilioConversation(facts, "examination")
            if plan.uri.dialect == "twilio"
            else OffhookConversation(facts, f"{plan.encoding}/{plan.sample_rate}", round(plan.pace.ready * 1000))
        )
        self._description = self._conversation.description
        format = Format.parse(self._conversation.format)
        self.log = CallLog(
            scene,
            label,
            self._description.name,
            format,
            Playout(format),
            stream_sid=self._conversation.values.get("stream_sid", ""),
        )
        self._loop = asyncio.get_running_loop()
        self._socket: AgentSocket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._flood = Flood()
        self._sequence = 0
        self._chunk = 0
        self._spoken: deque[bytes] = deque()
        self._due: deque[tuple[int, str, int]] = deque()
        self._utterances = Utterances()
        self._hearing = Hearing(self, self.log, self._conversation, self._utterances, self._flood)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self.log.frames_unread = self._socket.unread_dropped
            self.log.close_came_at = self._socket.close_came_at
            if self._socket.agent_close is not None:
                self.log.close_code = self._socket.agent_close.code
            self._socket.abort()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and error is None:
                raise result

    # -- the way of a call

    async def dial(self) -> None:
        """Reach the agent, or raise `Unreached`."""
        log = self.log
        log.dialled_at = self.now
        try:
            self._socket = await AgentSocket.dial(self._plan, self._description.subprotocol)
        except Unreached as failure:
            log.unreached = str(failure)
            raise
        log.reached, log.connected_at = self._socket.reached, self.now
        self._tasks.append(asyncio.create_task(self._listen(self._socket)))
        self.say(self._conversation.connected())

    async def ring(self) -> None:
        """Wait until the agent takes the call, or let it ring for a moment where the dialect has no word for that."""
        if self._conversation.is_ready_when_connected:
            await self.stay(self._plan.pace.ringing)
            self.log.ready_at = self.now
        elif not await self.until(lambda: self.log.ready_at is not None, self._plan.pace.ready):
            raise CallOver

    def answer(self) -> None:
        """The caller's phone is answered: sound flows from here on."""
        self.log.answered_at = self.now
        self.say(self._conversation.begin())
        self.log.playout.begin(self.now)
        self._tasks.append(asyncio.create_task(self._talk()))

    async def speak(self) -> None:
        """The caller speaks; returns when the last word has left."""
        self.begin_to_speak()
        await self.until(lambda: not self._spoken, 120.0)

    def begin_to_speak(self) -> None:
        """The caller begins to speak."""
        frames = self._speech.frames(self.log.format)
        self._spoken.extend(frames)
        begin = self.log.frames_sent * FRAME_MS
        end = begin + len(frames) * FRAME_MS
        self.log.speeches.append((self.now, self.now + len(frames) * _FRAME))
        due = []
        if "speech_started" in self._description.send:
            due.append((begin + _SURE_OF_SPEECH_MS, "speech_started", begin))
            due.append((end + _SURE_OF_SILENCE_MS, "speech_ended", end))
        if "interrupted" in self._description.send:
            due += [(begin + sure, policy, begin) for policy, sure in SURE_MS.items()]
        self._due = deque(sorted([*self._due, *due]))

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self.log.keys.append(self.now)
        self.send("dtmf", digit=digit, duration_ms=_KEY_MS)

    def cut_off(self, since_ms: int = 0) -> None:
        """The gateway itself drops the agent's audio because the caller spoke over it, and says so."""
        self.log.gateway_cleared_at = self.now
        self._drop(by="caller", since_ms=since_ms)

    async def hang_up(self, *, reason: str = "caller_hung_up") -> None:
        """The caller hangs up: the gateway's last words and its close, then the agent's close is waited for."""
        socket = self._socket
        assert socket is not None, "dialled"
        if self.log.hung_up_at is None and socket.is_open:
            self.say(self._conversation.end(reason))
            socket.close(1000, reason)
            self.log.hung_up_at = self.now
        limit = self.now + self._plan.pace.closing + _MOMENT
        await asyncio.wait(self._tasks[:1], timeout=limit - self.now)

    def vanish(self) -> None:
        """The gateway is gone without a word."""
        assert self._socket is not None, "dialled"
        self.log.vanished_at = self.now
        self._socket.abort()

    # -- waiting

    @property
    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    @property
    def sends(self) -> frozenset[str]:
        """The kinds of messages that the gateway has in this dialect."""
        return frozenset(self._description.send)

    @property
    def names_what_it_says(self) -> bool:
        """Whether what is being played is an utterance with a name, which says itself how it may be interrupted."""
        return self.log.gateway_cleared_at is not None or self.log.playout.utterance_at(self.now) is not None

    @property
    def is_over(self) -> bool:
        """Whether the agent ended it, or the gateway would have."""
        log = self.log
        return log.agent_end is not None or bool(log.cut) or bool(log.rejected) or log.ended_at is not None

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait for a condition; False if it did not come in time. Raises `CallOver` if the call ended first."""
        limit = self.now + within
        while not condition():
            if self.is_over:
                raise CallOver
            if self.now >= limit:
                return False
            await asyncio.sleep(_FRAME)
        return True

    async def stay(self, seconds: float) -> None:
        """Let time pass in the call."""
        await self.until(lambda: False, seconds)

    async def sound(self, within: float, since: float = 0.0) -> bool:
        """Wait until the caller hears something that begins to be played after `since`."""
        return await self.until(lambda: self.log.playout.sounds_since(since, self.now), within)

    async def quiet(self, within: float) -> bool:
        """Wait until the agent has finished."""
        playout, pause = self.log.playout, self._plan.pace.pause
        return await self.until(lambda: self.now >= playout.last_sound + pause, within)

    # -- what is said

    def say(self, messages: Sequence[Say]) -> None:
        """Send messages of the dialect."""
        assert self._socket is not None, "there is somebody to talk to"
        for message in messages:
            text = message.text
            if message.numbered:
                self._sequence += 1
                text = text.replace("{sequence}", str(self._sequence), 1)
            self._socket.send(text)

    def send(self, kind: Any, **values: Any) -> None:
        """Send a message that Rust writes in the gateway, if the dialect has it."""
        template = self._description.send.get(kind)
        if template is not None and self._socket is not None:
            self._socket.send(self._filled(template, **values))

    def _filled(self, template: Json, **values: Any) -> str:
        self._sequence += is_numbered(template)
        own = {"sequence": self._sequence, "timestamp_ms": self.log.frames_sent * FRAME_MS}
        return fill(template, {**self._conversation.values, **own, **values})

    def clear_for_the_agent(self) -> None:
        """The agent's `clear`."""
        self._drop(by="agent", since_ms=self.log.frames_sent * FRAME_MS)

    def _drop(self, *, by: str, since_ms: int) -> None:
        """Drop what has not been played, and say what that was."""
        playout = self.log.playout
        cut = self._utterances.cut(playout.pieces, self.now, by_caller=by == "caller")
        cleared = playout.clear(self.now)
        self._report(cleared)
        if cut is not None:
            self.send(
                "interrupted",
                utterance=cut.id,
                played_ms=cut.played_ms,
                dropped_ms=cleared.dropped_ms,
                text=cut.text_heard,
                by=by,
                since_ms=since_ms,
                unheard=list(cut.unheard),
            )

    def _spoken_over(self, policy: str, since_ms: int) -> None:
        """The caller has spoken for so long as this policy waits: do it, if what is being played has it."""
        playing = self.log.playout.utterance_at(self.now)
        if playing is None or playing.policy != policy:
            return
        if policy == "agent":
            self.send("barge_in", utterance=playing.id, since_ms=since_ms)
        else:
            self.log.named_utterances = True
            self.cut_off(since_ms)

    def _report(self, cleared: Cleared) -> None:
        for mark in self.log.marks:
            if mark.back_at is None and mark.name in cleared.marks:
                mark.back_at, mark.dropped = self.now, True
        for name in cleared.marks:
            self.send("dropped_mark", name=name)
        self.send("cleared", played_ms=cleared.played_ms, dropped_ms=cleared.dropped_ms, marks=list(cleared.marks))

    async def _talk(self) -> None:
        """The caller's line: a frame every 20 ms, speech or silence, with what falls due between them."""
        assert self._socket is not None, "dialled"
        log, format = self.log, self.log.format
        silence = format.silence * (format.rate * FRAME_MS // 1000)
        template, began = self._description.send.get("media"), self.now
        while self._socket.is_open:
            frame = self._spoken.popleft() if self._spoken else silence
            data: str | bytes = frame
            if template is not None:
                self._chunk += 1
                data = self._filled(template, chunk=self._chunk, payload=base64.b64encode(frame).decode())
            log.frames_sent += 1
            if not self._socket.send(data, audio=True) and self._socket.unread_dropped > _UNREAD_FRAMES:
                self.cut("too_slow")
            self._fall_due()
            wait = began + log.frames_sent * _FRAME - self.now
            log.lateness = max(log.lateness, -wait)
            await asyncio.sleep(max(0.0, wait))

    def _fall_due(self) -> None:
        while self._due and self._due[0][0] <= self.log.frames_sent * FRAME_MS:
            _, kind, since_ms = self._due.popleft()
            if kind in SURE_MS:
                self._spoken_over(kind, since_ms)
            else:
                self.send(kind, since_ms=since_ms)
        for name in self.log.playout.due(self.now):
            mark = next((mark for mark in self.log.marks if mark.name == name and mark.back_at is None), None)
            if mark is not None:
                mark.back_at = self.now
            self.send("mark", name=name)

    # -- what is heard

    async def _listen(self, socket: AgentSocket) -> None:
        log = self.log
        async for message in socket.messages():
            if message.data is None:
                self._lost(socket)
            elif log.hung_up_at is not None or self.is_over:
                log.late_messages += self.now > (log.hung_up_at or self.now) + _MOMENT
                if self._flood.take(message.at, len(message.data)):
                    socket.abort()
            else:
                self._hearing.take(message.data, message.at)
                if self._flood.take(message.at, len(message.data)):
                    self.cut("flood")
        log.ended_at = socket.ended_at or self.now
        self._lost(socket)

    def _lost(self, socket: AgentSocket) -> None:
        """The agent's end of the connection is closed; if that is not our doing, it ended the call."""
        log, frame = self.log, socket.agent_close
        if log.hung_up_at is not None or log.vanished_at is not None or log.agent_end is not None or log.cut:
            return
        if socket.broken_by and frame is None:
            self._hearing.nonsense("bad_frame", f"a WebSocket frame that is none: {socket.broken_by}")
        log.agent_end = AgentEnd(self.now, frame.code if frame else 1006, frame.reason if frame else "")

    def cut(self, why: str) -> None:
        """What the gateway does to an agent that goes on like this: the call is over at once."""
        if self.log.cut:
            return
        self.log.cut = why
        assert self._socket is not None, "dialled"
        self._socket.close(1008, why)
        self._loop.call_soon(self._socket.abort)
