"""An agent: what it is called, how it speaks and listens, and what it does in a call."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from offhook.agent.call import Call
from offhook.agent.engines import Speech
from offhook.agent.errors import AgentError
from offhook.agent.events import AnsweredBy, BargeIn, Turn
from offhook.agent.sound import RATES
from offhook.speech.protocol import SpeechToText, TextToSpeech, TurnDetector
from offhook.speech.turns import AdaptiveSilence

CallHandler = Callable[[Call], Coroutine[Any, Any, None]]
TurnHandler = Callable[[Call, Turn], Coroutine[Any, Any, None]]
KeyHandler = Callable[[Call, str], Coroutine[Any, Any, None]]

AnswererHandler = Callable[[Call, AnsweredBy], Coroutine[Any, Any, None]]

_B = TypeVar("_B", bound=AnswererHandler)
_C = TypeVar("_C", bound=CallHandler)
_T = TypeVar("_T", bound=TurnHandler)
_K = TypeVar("_K", bound=KeyHandler)
_P = TypeVar("_P", bound=Callable[[], Awaitable[None]])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_PARAMETERS: dict[type, str] = {Call: "call", Turn: "turn", AnsweredBy: "answered_by", str: "key"}

APOLOGY = "I'm sorry, something went wrong here. Please call again later."


@dataclass(slots=True)
class Handlers:
    """What an agent does, by occasion."""

    ringing: CallHandler | None = None
    call: CallHandler | None = None
    turn: TurnHandler | None = None
    dtmf: KeyHandler | None = None
    hangup: CallHandler | None = None
    answered_by: AnswererHandler | None = None


class Agent:
    """A voice agent. Its handlers are coroutine functions, given by decorators; it serves calls while `run` runs.

    `name` is that of the gateway's `[[agent]]` of kind `worker`, or of a destination `worker:NAME`. `greeting` is said
    as soon as the call is answered. `apology` is said when a handler fails, before the call is hung up; with None the
    gateway takes the route's fallback instead. `stt` and `tts` are engines or their names (`moonshine`, `hibari`,
    `openai:MODEL`); by default those that are installed. `turn_detector` makes what judges when a caller has finished,
    one for each call. `rate` is the sound's, 8000, 16000, 24000 or 48000 Hz. `barge_in` is what happens when the caller
    speaks over the agent; by default it is the route's business. With `resumes` the agent goes on with what the caller
    cut off once it turns out that this was no words but a noise. It serves `max_calls` at most at one time.
    """

    def __init__(
        self,
        name: str,
        *,
        greeting: str | Callable[[Call], str] | None = None,
        apology: str | None = APOLOGY,
        stt: SpeechToText | str | None = None,
        tts: TextToSpeech | str | None = None,
        turn_detector: Callable[[], TurnDetector] = AdaptiveSilence,
        rate: int = 16_000,
        barge_in: BargeIn | None = None,
        resumes: bool = True,
        max_calls: int = 50,
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise AgentError(
                f"{name!r} can't be an agent's name",
                hint="letters, digits, '_' and '-', at most 63, a letter or digit first: routes say worker:NAME",
            )
        if rate not in RATES:
            raise ValueError(f"a rate of {rate} Hz: choose one of {', '.join(map(str, RATES))}")
        if not 1 <= max_calls <= 10_000:
            raise ValueError(f"max_calls = {max_calls}: 1 to 10000")
        if barge_in is not None and barge_in not in get_args(BargeIn):
            raise ValueError(f"barge_in = {barge_in!r}: choose one of {', '.join(get_args(BargeIn))}")
        if inspect.iscoroutinefunction(greeting):
            raise AgentError(
                "a greeting is said at once, so it is no coroutine function",
                hint="look up in `on_ringing`, keep it in `call.data`, and let `greeting` make a text of that",
            )
        self.name = name
        self.greeting = greeting
        self.apology = apology
        self.speech = Speech(stt, tts)
        self.turn_detector = turn_detector
        self.rate = rate
        self.barge_in = barge_in
        self.resumes = resumes
        self.max_calls = max_calls
        self.handlers = Handlers()
        self._prewarm: list[Callable[[], Awaitable[None]]] = []

    # -- what it does

    def on_ringing(self, handler: _C) -> _C:
        """While the phone rings: look up, reject, choose. When it returns, the call is answered."""
        self.handlers.ringing = _checked(handler, Call)
        return handler

    def on_call(self, handler: _C) -> _C:
        """The call itself, from its answer and the greeting on. When it returns, the call is hung up."""
        self.handlers.call = _checked(handler, Call)
        return handler

    def on_turn(self, handler: _T) -> _T:
        """The caller has said something. One task at a time: it is cancelled when the next turn begins."""
        self.handlers.turn = _checked(handler, Call, Turn)
        return handler

    def on_dtmf(self, handler: _K) -> _K:
        """The caller has pressed a key: one of `0-9 * # A-D`. One key after the other."""
        self.handlers.dtmf = _checked(handler, Call, str)
        return handler

    def on_answered_by(self, handler: _B) -> _B:
        """It is known who has answered a call out: a person, a machine … Once more if that changes, as by a beep."""
        self.handlers.answered_by = _checked(handler, Call, AnsweredBy)
        return handler

    def on_hangup(self, handler: _C) -> _C:
        """A call that was answered is over: `call.end_reason` says why, `call.history` what was said. It has 30 s."""
        self.handlers.hangup = _checked(handler, Call)
        return handler

    def prewarm(self, handler: _P) -> _P:
        """Before the first call of this process: open connections, load models. Speech engines are warmed up anyway."""
        self._prewarm.append(_checked(handler))
        return handler

    # -- its process

    async def warm_up(self, *, speech: bool = True) -> None:
        """Do all that the first call should not wait for. Raises `AgentError` where a needed engine is missing.

        Without `speech` its engines are left alone.
        """
        if not speech:
            await asyncio.gather(*(handler() for handler in self._prewarm))
            return
        if self.handlers.turn is not None:
            self.speech.stt()
        if self.greeting is not None or self.handlers.turn is not None:
            self.speech.tts()
        await asyncio.gather(self.speech.warm_up(), *(handler() for handler in self._prewarm))

    def run(self, url: str | None = None, token: str | None = None) -> None:
        """Serve calls until SIGTERM or Ctrl-C: a first one lets calls end, a second one ends them.

        `url` is the gateway's HTTP address (`ws://127.0.0.1:8080`), by default that of `OFFHOOK_URL`; `token` one of
        its tokens for workers, by default that of `OFFHOOK_TOKEN`. While the gateway can't be reached, it tries again.
        Raises `AgentError` when the agent can't be run as it is, or the gateway does not want it.
        """
        from offhook.agent.loading import is_loading
        from offhook.agent.process import run_agent

        if is_loading():
            # It would never come back, and whoever loads the file runs the agent themselves.
            raise AgentError(
                f"agent {self.name} runs while its file is being loaded",
                hint='write `if __name__ == "__main__":` above `agent.run()`',
            )
        run_agent(self, url, token)

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"


_H = TypeVar("_H", bound=Callable[..., Any])


def _checked(handler: _H, *given: type) -> _H:
    """A handler that can be called with what it is given. Raises `AgentError` now, not in the first call."""
    name = getattr(handler, "__name__", str(handler))
    if not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        raise AgentError(f"{name} is no coroutine function", hint="write `async def`")
    wanted = ", ".join(f"{_PARAMETERS[kind]}: {kind.__name__}" for kind in given)
    try:
        # Not that of what it wraps: a decorator may give that one more, or less.
        signature = inspect.signature(handler, follow_wrapped=False)
        parameters = signature.bind(*given).arguments
    except TypeError as error:
        raise AgentError(
            f"{name} takes other parameters than it is given ({error})", hint=f"write `async def {name}({wanted})`"
        ) from None
    except ValueError:  # of a few callables nobody knows what they take
        return handler
    for parameter, kind in parameters.items():
        annotation = signature.parameters[parameter].annotation
        said = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        if kind in _PARAMETERS and said != kind.__name__ and said in {other.__name__ for other in _PARAMETERS}:
            raise AgentError(
                f"{name} gets {kind.__name__} where it has `{parameter}: {said}`",
                hint=f"write `async def {name}({wanted})`",
            )
    return handler
