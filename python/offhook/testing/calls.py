"""One call at an agent, in memory and virtual time."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import structlog

from offhook.agent.agent import Agent
from offhook.agent.caller import Diversion, Identity, UserToUser
from offhook.agent.engines import Speech
from offhook.agent.history import Line
from offhook.destination.dialect.facts import HandedOver, SaidLine
from offhook.testing.caller import Caller
from offhook.testing.exchange import CallPlan, Codec, Exchange, KeyWay, RouteBargeIn
from offhook.testing.hearing import Lexicon
from offhook.testing.lines import LineProfile, line_of
from offhook.testing.real_speech import real_ears, real_voice
from offhook.testing.stand_in_ears import StandInEars
from offhook.testing.stand_in_voice import StandInVoice

SpeechMode = Literal["stand-in", "real"]


@asynccontextmanager
async def call(
    agent: Agent,
    *,
    line: str | LineProfile = "clean",
    speech: SpeechMode = "stand-in",
    codec: Codec = "PCMU",
    seed: int = 1,
    from_number: str = "+14155550100",
    to_number: str = "+14155550123",
    headers: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    diversions: Sequence[Diversion] = (),
    user_to_user: Sequence[UserToUser] = (),
    barge_in: RouteBargeIn = "auto",
    early_media: bool = False,
    keys: KeyWay = "rfc4733",
    handed_over_by: str | None = None,
    note: str = "",
    history: Sequence[Line] = (),
    patience: float = 10.0,
    made: Callable[[Caller], None] = lambda _: None,
) -> AsyncIterator[Caller]:
    """Call the agent; the block begins when the call is answered, or rejected (see `Caller.status`).

    `line` is a name of `LINES`, `N%-loss`, or a `LineProfile`; `seed` is for its chances. `speech` "stand-in" replaces
    the engines of agent and caller by a voice of recorded words and ears that know it: fast, and what was said is known
    to the word if its sound comes through. "real" uses the agent's own engines, and the offline ones of this machine
    for the caller. `headers`, `identity`, `diversions` and `user_to_user` are as the gateway would have read them of an
    INVITE. `barge_in` is as that of a route; with `early_media` the route lets the agent be heard before it
    takes the call, and what it says then is the first that the block hears. `keys` is how keys come and go: as
    telephone events, as INFO would tell them, or as tones. With `handed_over_by` (`worker:front-desk`) the call comes
    from another agent, with its `note`; `history` is what was said there. `patience` is in seconds of the call's time.
    At the end the caller hangs up, if nobody has, and `on_hangup` has run. Raises `RuntimeError` outside of the
    plugin's event loop.
    """
    await _next_second()
    plan = CallPlan(
        line_of(line),
        codec,
        seed,
        from_number,
        to_number,
        headers or {},
        barge_in,
        identity or Identity(),
        tuple(diversions),
        tuple(user_to_user),
        early_media,
        keys,
        _said(history),
        HandedOver(handed_over_by, note) if handed_over_by is not None else None,
    )
    caller, engines = _speaking(speech, patience)
    exchange = Exchange(agent, plan, caller, engines)
    caller.calls(exchange)
    made(caller)
    with _noting(caller):
        try:
            await agent.warm_up(speech=speech == "real")
            await exchange.open()
            yield caller
        finally:
            await exchange.close()
            caller.called()


async def _next_second() -> None:
    """Let a call begin on the second, so that it is the same whatever came before it."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(math.ceil(loop.time()) - loop.time())


def _said(history: Sequence[Line]) -> tuple[SaidLine, ...]:
    """What was said with an agent before this one, as the gateway hands it on."""
    return tuple(
        SaidLine("caller" if line.role == "caller" else "agent", line.text, line.interrupted) for line in history
    )


def _speaking(speech: SpeechMode, patience: float) -> tuple[Caller, Speech | None]:
    """The caller with voice and ears, and the engines that replace the agent's own, if any do."""
    spoken, said = Lexicon(), Lexicon()
    if speech == "real":
        return Caller(patience=patience, spoken=spoken, said=said, voice=real_voice, ears=real_ears), None
    caller = Caller(patience=patience, spoken=spoken, said=said, voice=None, ears=None)
    unclear = "the agent's ears got sound that is none of what the caller said"
    return caller, Speech(StandInEars(spoken, lambda: caller.note(unclear)), StandInVoice(said.add))


class _Noting(logging.Handler):
    """What SDK and gateway warn of belongs into the picture, and the rest of what the gateway tells nowhere."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(logging.WARNING)
        self._caller = caller

    def emit(self, record: logging.LogRecord) -> None:
        """From the SDK."""
        self._caller.note(record.getMessage().splitlines()[0])

    def gateway(self, _: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """From the gateway, which logs by structlog."""
        if method in ("warning", "error", "exception", "critical"):
            name = event.pop("event", "")
            said = ", ".join(f"{key}={value}" for key, value in event.items())
            self._caller.note(f"{name} {said}".strip())
        raise structlog.DropEvent


@contextmanager
def _noting(caller: Caller) -> Iterator[None]:
    noting, sdk = _Noting(caller), logging.getLogger("offhook.agent")
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[noting.gateway])
    sdk.addHandler(noting)
    try:
        yield
    finally:
        sdk.removeHandler(noting)
        structlog.configure(processors=before)
