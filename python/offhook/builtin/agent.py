"""The agent in the box: it answers, listens and speaks without any account. Read it as the longest example of the SDK.

Each thing that it can do is a method of `Conversation`. A wish comes by voice (`intents`) or by a key of the menu.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from offhook.agent import Agent, Call, SpeechEnded, SpeechStarted, Turn
from offhook.builtin.intents import Intent, understand
from offhook.builtin.line_meter import LineMeter
from offhook.builtin.recording import Recording, beep
from offhook.speech.engines import default_speech_to_text, default_text_to_speech
from offhook.speech.errors import SpeechError

GREETING = "Hello, this is offhook, and your call works. What would you like? Say help to hear what I can do."
GREETING_BY_KEYS = "Hello, this is offhook, and your call works."
HELP = (
    "Ask me who is calling, what time it is, or how the line is. I take a number, I take a message and play it back, "
    "and I do an echo test. Say goodbye when you are done."
)
KEYS_HELP = (
    "Press 1 for the time, 2 to hear who is calling, 3 to enter a number, 4 to leave a message, 5 to hear it, "
    "6 for an echo test, 7 for the line, and the pound key to end."
)
KEYS = {
    "0": Intent.HELP,
    "1": Intent.TIME,
    "2": Intent.WHO,
    "3": Intent.NUMBER,
    "4": Intent.MESSAGE,
    "5": Intent.PLAY,
    "6": Intent.ECHO,
    "7": Intent.QUALITY,
    "*": Intent.REPEAT,
    "#": Intent.GOODBYE,
}
PATIENCE = 10.0
"""Seconds of silence after which it asks whether anybody is there, and says goodbye after as many more."""

LONGEST_MESSAGE = 60.0
LONGEST_ECHO = 30.0
SETTLING = 1.0
"""Seconds after a message or the echo in which what was said last is still being recognised: that is no wish."""


class Conversation:
    """One call: the wishes that wait, what was said last, and the message. `now` is the clock on the wall."""

    def __init__(self, call: Call, now: Callable[[], datetime], *, listens: bool) -> None:
        self.call = call
        self.wishes: asyncio.Queue[Intent | str] = asyncio.Queue(maxsize=16)
        self.meter = LineMeter()
        self.message = b""
        self._now = now
        self._listens = listens
        self._speaks = False
        self._is_occupied = False
        self._key: asyncio.Future[None] | None = None
        self._last = ""

    async def run(self) -> None:
        """Answer wish after wish until the caller says goodbye or nothing."""
        self.call.create_task(self._measure())
        self.call.create_task(self._notice())
        await self._say(GREETING if self._listens else f"{GREETING_BY_KEYS} {KEYS_HELP}")
        was_silent = False
        while True:
            wish = await self._wish()
            if wish is None and was_silent:
                await self.call.say("I hear nothing, so I will hang up. Goodbye.")
                return
            was_silent = wish is None
            if wish is None:
                await self._say("Are you still there?")
            elif wish is Intent.GOODBYE:
                await self.call.say("Goodbye, and thank you for calling.")
                return
            elif isinstance(wish, Intent):
                await ANSWERS[wish](self)
            else:
                await self._say(f"I heard: {wish}. That is nothing I can do. Say help to hear what is.")

    def hear(self, text: str) -> None:
        """The caller has said something."""
        if text and not self._is_occupied:
            self._wants(understand(text) or text[:100].rstrip(" .,;:!?"))

    async def press(self, key: str) -> None:
        """The caller has pressed a key: it ends a message or the echo, and means a wish of the menu otherwise."""
        if self._key is not None:
            if not self._key.done():
                self._key.set_result(None)
            return
        await self.call.clear()
        self._wants(KEYS.get(key, Intent.HELP))

    # -- what it can do

    async def help(self) -> None:
        """What it can do."""
        await self._say(HELP if self._listens else KEYS_HELP)

    async def hello(self) -> None:
        """Politeness."""
        await self._say("Hello! What would you like?")

    async def thanks(self) -> None:
        """More of it."""
        await self._say("You are welcome. Anything else?")

    async def stop(self) -> None:
        """It has stopped by being spoken to."""
        await self._say("All right. What would you like?")

    async def repeat(self) -> None:
        """What was said last, once more."""
        await self._say(self._last)

    async def who(self) -> None:
        """Who calls, whom, and by which trunk."""
        call = self.call
        caller = f"You are calling from {call.from_number}." if call.from_number else "Your number is withheld."
        await self._say(f"{caller} You dialled {call.to_number}. The call came by the trunk {call.trunk}.")

    async def time(self) -> None:
        """The time of the machine that it runs on."""
        now = self._now()
        await self._say(f"It is {now:%H:%M} on {now:%A}.")

    async def number(self) -> None:
        """Take digits by voice or keys, and read them back."""
        digits = await self.call.collect_digits(
            16,
            "Say or key in a number." if self._listens else "Key in a number, and press the pound key after it.",
            next_timeout=3.0,
            by_voice=self._listens,
        )
        if digits:
            await self._say(f"I have the number {digits}.")
        else:
            await self._say("I got no digits.")

    async def record(self) -> None:
        """Take a message: from the beep until three seconds of silence, a key, or a minute."""
        await self.call.say("Speak after the beep. Press any key when you are done.", barge_in="off")
        await self.call.play(beep(self.call.rate), barge_in="off")
        recording = Recording(self.call.rate)
        await self._until_key(self._take(recording), LONGEST_MESSAGE)
        self.message = recording.spoken()
        if not self.message:
            await self._say("I heard nothing, so there is no message.")
            return
        seconds = max(1, round(len(self.message) / 2 / self.call.rate))
        await self._say(
            f"I have your message of {seconds} second{'s' * (seconds > 1)}. {self._how('play it', '5')} to hear it."
        )

    async def play(self) -> None:
        """The message of this call. It is kept nowhere else."""
        if not self.message:
            await self._say(f"There is no message yet. {self._how('take a message', '4')} to leave one.")
            return
        said = await self.call.play(self.message)
        if not said.interrupted:
            await self._say("That was your message.")

    async def echo(self) -> None:
        """The caller's own voice, until a key or half a minute."""
        await self.call.say("You hear yourself from now on. Press any key to stop.", barge_in="off")
        await self._until_key(self.call.play(self.call.audio(), barge_in="off"), LONGEST_ECHO)
        await self._say("That was the echo test.")

    async def quality(self) -> None:
        """What was measured of the caller's sound."""
        await self._say(self.meter.report())

    # -- how it does it

    async def _say(self, text: str) -> None:
        self._last = text
        try:
            await self.call.say(text)
        except SpeechError as error:
            # A voice of prompts has no sound for a trunk's name; what came before it was said.
            if error.code != "speech_refused":
                raise

    def _how(self, words: str, key: str) -> str:
        return f"Say {words}" if self._listens else f"Press {key}"

    def _wants(self, wish: Intent | str) -> None:
        if self.wishes.full():
            self.wishes.get_nowait()
        self.wishes.put_nowait(wish)

    async def _wish(self) -> Intent | str | None:
        """The next one, None after a silence."""
        while True:
            try:
                return await asyncio.wait_for(self.wishes.get(), PATIENCE)
            except TimeoutError:
                if not self._speaks:
                    return None

    async def _until_key(self, work: Awaitable[object], seconds: float) -> None:
        """Do something until it is done, any key is pressed, or the time is over. What is said meanwhile is no wish."""
        doing = asyncio.ensure_future(work)
        self._key = asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[Any]] = {doing, self._key}
        self._is_occupied = True
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._key = None
            doing.cancel()
            await asyncio.wait({doing})
        if not doing.cancelled():
            doing.result()
        await asyncio.sleep(SETTLING)
        self._is_occupied = False

    async def _take(self, recording: Recording) -> None:
        async for piece in self.call.audio():
            if not recording.feed(piece):
                return

    async def _measure(self) -> None:
        async for piece in self.call.audio():
            self.meter.feed(piece)

    async def _notice(self) -> None:
        async for event in self.call.events():
            if isinstance(event, SpeechStarted | SpeechEnded):
                self._speaks = isinstance(event, SpeechStarted)


ANSWERS: dict[Intent, Callable[[Conversation], Awaitable[None]]] = {
    Intent.WHO: Conversation.who,
    Intent.TIME: Conversation.time,
    Intent.NUMBER: Conversation.number,
    Intent.MESSAGE: Conversation.record,
    Intent.PLAY: Conversation.play,
    Intent.ECHO: Conversation.echo,
    Intent.QUALITY: Conversation.quality,
    Intent.HELP: Conversation.help,
    Intent.REPEAT: Conversation.repeat,
    Intent.HELLO: Conversation.hello,
    Intent.THANKS: Conversation.thanks,
    Intent.STOP: Conversation.stop,
}


def make_agent(
    name: str = "builtin",
    *,
    listens: bool | None = None,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> Agent:
    """The agent, under this name. `listens` is whether it understands speech: by default if an engine is installed."""
    agent = Agent(name, tts=_voice())
    by_voice = _can_listen() if listens is None else listens

    @agent.on_call
    async def converse(call: Call) -> None:
        conversation = call.data["conversation"] = Conversation(call, now, listens=by_voice)
        await conversation.run()

    @agent.on_dtmf
    async def key(call: Call, digit: str) -> None:
        if "conversation" in call.data:
            await call.data["conversation"].press(digit)

    @agent.prewarm
    async def load() -> None:
        # Nothing is said by `greeting`, after which the voice would be loaded by itself.
        await agent.speech.tts().warm_up()

    if by_voice:

        @agent.on_turn
        async def heard(call: Call, turn: Turn) -> None:
            if "conversation" in call.data:
                call.data["conversation"].hear(turn.text)

    return agent


def _voice() -> str:
    """hibari, or the phrases in the package where it is not installed."""
    try:
        default_text_to_speech()
    except SpeechError:
        return "prompts"
    return "hibari"


def _can_listen() -> bool:
    try:
        default_speech_to_text()
    except SpeechError:
        return False
    return True


agent = make_agent()

if __name__ == "__main__":
    agent.run()
