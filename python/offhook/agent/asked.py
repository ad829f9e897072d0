"""What an agent asks of the gateway behind its last words, one at a time, and waits for: a transfer, a hand-over."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from offhook.agent.events import HandedOver, Transferred
from offhook.agent.line import CallOver, Line
from offhook.agent.voice import Voice

R = TypeVar("R")

_TOO_OLD = "the gateway does not answer: it may be too old for that"
_OVER = "the call is over"

# The longest that a trunk may give a transfer, and that the gateway may take to say what came of it.
_LONGEST_TRANSFER = 600.0
_ANSWERING = 5.0
# The longest that another agent may have to get ready, and that what was said last may have to be played.
_LONGEST_HAND_OVER = 180.0
_PLAYING = 40.0


class Asked(Generic[R]):
    """What is asked for, one of a kind at a time. `tell` is given each outcome, for whoever follows the call."""

    what = ""
    """What it is called where a second one is refused."""

    def __init__(self, line: Line, voice: Voice, over: "asyncio.Future[CallOver]", tell: Callable[[R], None]) -> None:
        self._line, self._voice, self._over, self._tell = line, voice, over, tell
        self._answer: asyncio.Future[R] | None = None

    @property
    def is_open(self) -> bool:
        """Whether one has no outcome yet."""
        return self._answer is not None

    def receive(self, result: R) -> None:
        """It is decided, or with the call's end no matter any more. Nothing is told where none was asked for."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if not answer.done():
            answer.set_result(result)
        self._tell(result)

    async def _ask(self, say: Callable[[], None], *, patience: float, gone: R, silent: R) -> R:
        """`say` it once all that was said has been played, and wait `patience` seconds for what becomes of it.

        It is `gone` when the call is over already, `silent` when nothing comes. Raises `ValueError` while another one
        is open, and what the voice raises.
        """
        if self._over.done():
            return gone
        if self._answer is not None:
            raise ValueError(f"a {self.what} is being tried: one at a time")
        # From here on, so that what the caller says while the last words are played does not cancel who waits here.
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            await self._voice.idle()
        except BaseException:
            self._answer = None
            raise
        if not answer.done():
            say()
            await asyncio.wait({answer}, timeout=patience)
        if not answer.done():
            self.receive(silent)
        return answer.result()


class Transfer(Asked[Transferred]):
    """The transfers of one call to somebody else."""

    what = "transfer"

    async def ask(
        self,
        target: str,
        headers: Mapping[str, str],
        timeout: float | None,  # noqa: ASYNC109  it is the gateway that counts
    ) -> Transferred:
        """Have the caller transferred once all that was said has been played, and wait for what becomes of it."""
        return await self._ask(
            lambda: self._line.transfer(target, headers, timeout),
            patience=2 * (timeout or _LONGEST_TRANSFER) + _ANSWERING,
            gone=Transferred("caller_gone", reason=_OVER),
            silent=Transferred("timed_out", reason=_TOO_OLD),
        )


class HandOver(Asked[HandedOver]):
    """The hand-overs of one call to another agent."""

    what = "hand-over"

    async def ask(self, to: str, note: str, timeout: float | None) -> HandedOver:  # noqa: ASYNC109  the gateway counts
        """Have another agent take the call once all that was said has been played, and wait for what becomes of it."""
        return await self._ask(
            lambda: self._line.hand_over(to, note, timeout),
            patience=(timeout or _LONGEST_HAND_OVER) + _PLAYING,
            gone=HandedOver("caller_gone", _OVER),
            silent=HandedOver("timed_out", _TOO_OLD),
        )
