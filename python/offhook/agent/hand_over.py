"""The hand-over of a call to another agent, as the one sees it that asks for it."""

import asyncio

from offhook.agent.events import HandedOver
from offhook.agent.line import CallOver, Line
from offhook.agent.voice import Voice

# The longest that another agent may have to get ready, and that what was said last may have to be played.
_PATIENCE = 180.0 + 40.0
_ANSWERING = 40.0


class HandOver:
    """The hand-overs of one call, one at a time."""

    def __init__(self, line: Line, voice: Voice, over: "asyncio.Future[CallOver]") -> None:
        self._line, self._voice, self._over = line, voice, over
        self._answer: asyncio.Future[HandedOver] | None = None

    @property
    def is_open(self) -> bool:
        """Whether one has no outcome yet."""
        return self._answer is not None

    async def ask(self, to: str, note: str, timeout: float | None) -> HandedOver:  # noqa: ASYNC109  the gateway counts
        """Have another agent take the call once all that was said has been played, and wait for what becomes of it."""
        if self._over.done():
            return HandedOver("caller_gone", "the call is over")
        if self._answer is not None:
            raise ValueError("a hand-over is being tried: one at a time")
        # From here on, so that what the caller says while the last words are played does not cancel who waits here.
        answer: asyncio.Future[HandedOver] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            await self._voice.idle()
        except BaseException:
            self._answer = None
            raise
        if not answer.done():
            self._line.hand_over(to, note, timeout)
            await asyncio.wait({answer}, timeout=timeout + _ANSWERING if timeout is not None else _PATIENCE)
        if not answer.done():
            self.receive(HandedOver("timed_out", "the gateway does not answer: it may be too old for that"))
        return answer.result()

    def receive(self, result: HandedOver) -> bool:
        """It is decided, or with the call's end no matter any more. False where none was asked for."""
        answer, self._answer = self._answer, None
        if answer is None:
            return False
        if not answer.done():
            answer.set_result(result)
        return True
