"""The transfer of a call to somebody else, as the agent sees it that asks for it."""

import asyncio
from collections.abc import Callable, Mapping

from offhook.agent.events import Transferred
from offhook.agent.line import CallOver, Line
from offhook.agent.voice import Voice

# The longest that a trunk may give a transfer.
_LONGEST = 600.0
_ANSWERING = 5.0


class Transfer:
    """The transfers of one call, one at a time. `tell` is given each outcome, for whoever follows the call."""

    def __init__(
        self, line: Line, voice: Voice, over: "asyncio.Future[CallOver]", tell: Callable[[Transferred], None]
    ) -> None:
        self._line, self._voice, self._over, self._tell = line, voice, over, tell
        self._answer: asyncio.Future[Transferred] | None = None

    @property
    def is_open(self) -> bool:
        """Whether one has no outcome yet."""
        return self._answer is not None

    async def ask(
        self,
        target: str,
        headers: Mapping[str, str],
        timeout: float | None,  # noqa: ASYNC109  it is the gateway that counts
    ) -> Transferred:
        """Have the caller transferred once all that was said has been played, and wait for what becomes of it."""
        if self._over.done():
            return Transferred("caller_gone", reason="the call is over")
        if self._answer is not None:
            raise ValueError("a transfer is being tried: one at a time")
        # From here on, so that what the caller says while the last words are played does not cancel who waits here.
        answer: asyncio.Future[Transferred] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            await self._voice.idle()
        except BaseException:
            self._answer = None
            raise
        if not answer.done():
            self._line.transfer(target, headers, timeout)
            await asyncio.wait({answer}, timeout=2 * (timeout or _LONGEST) + _ANSWERING)
        if not answer.done():
            self.receive(Transferred("timed_out", reason="the gateway does not answer: it may be too old for that"))
        return answer.result()

    def receive(self, result: Transferred) -> None:
        """It is decided, or with the call's end no matter any more. Nothing is told where none was asked for."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if not answer.done():
            answer.set_result(result)
        self._tell(result)
