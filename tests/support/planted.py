"""Agents with one bug each, on `websockets`, and one without: what the examination must tell apart.

They speak both dialects and have voices: pieces of the gateway's recorded prompts, human enough to be measured.
"""

import asyncio
import base64
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from .gateway import REPOSITORY
from .tone import encode, level

_WELCOME = REPOSITORY / "python/offhook/destination/prompts/welcome.wav"
_FRAME = 0.02


@cache
def voice(rate: int) -> tuple[int, ...]:
    """Six seconds of speech, at 16 kHz or half of it."""
    with wave.open(str(_WELCOME)) as reader:
        data = reader.readframes(6 * 16_000)
    samples = memoryview(data).cast("h").tolist()
    return (
        tuple(samples)
        if rate == 16_000
        else tuple((a + b) // 2 for a, b in zip(samples[::2], samples[1::2], strict=False))
    )


@cache
def speech(dialect: str, *, made_at: int | None = None) -> bytes:
    """The same as the dialect has it; `made_at` is a rate that it is not declared as."""
    samples = voice(made_at or (8_000 if dialect == "twilio" else 16_000))
    if dialect == "twilio":
        return encode(samples)
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


class PlantedAgent:
    """A good agent: greets at once, falls silent when the caller speaks, answers, marks what it says, and lets go.

    Bugs are made by subclasses. `paced`: it sends 20 ms each 20 ms, else a whole sentence at once.
    """

    paced = True
    greeting = (0.0, 5.0)
    answer = (0.0, 2.5)
    before_answer = 0.5

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.open: set[PlantedCall] = set()

    async def serve(self, socket: ServerConnection) -> None:
        """One connection."""
        call = PlantedCall(self, socket)
        self.open.add(call)
        try:
            await self.run(call)
        except ConnectionClosed:
            pass
        finally:
            await call.stop()
            self.open.discard(call)

    async def run(self, call: "PlantedCall") -> None:
        """Read what comes until the end."""
        async for message in call.socket:
            await self.take(call, message)

    async def take(self, call: "PlantedCall", message: str | bytes) -> None:
        """One message of the gateway."""
        if isinstance(message, bytes):
            await self.hear(call, message)
            return
        body = json.loads(message)
        match body.get("event") or body.get("type"):
            case "ringing":
                await self.ring(call)
            case "start":
                call.stream_sid = body.get("streamSid", "")
                await self.started(call)
            case "media":
                await self.hear(call, base64.b64decode(body["media"]["payload"]))
            case "speech_started" | "cleared":
                if body["type"] == "cleared":
                    call.dropped(body["marks"])
                else:
                    await self.interrupted(call)
            case "speech_ended":
                await self.caller_stopped(call)
            case "mark":
                call.marked((body.get("mark") or body)["name"])
            case "dtmf":
                await self.key(call)
            case "stop" | "end":
                await self.ended(call)

    async def ring(self, call: "PlantedCall") -> None:
        await call.send(type="ready")

    async def started(self, call: "PlantedCall") -> None:
        call.say(*self.greeting)

    async def hear(self, call: "PlantedCall", audio: bytes) -> None:
        """Twilio has no word for speech, so its bots listen themselves: by loudness here."""
        if self.dialect != "twilio":
            return
        loud = level(audio) > 300
        call.loud = call.loud + 1 if loud else 0
        call.still = 0 if loud else call.still + 1
        if call.loud == 4 and not call.spoken_to:
            call.spoken_to = True
            await self.interrupted(call)
        elif call.still == 30 and call.spoken_to:
            call.spoken_to = False
            await self.caller_stopped(call)

    async def interrupted(self, call: "PlantedCall") -> None:
        await call.stop()
        await call.clear()

    async def caller_stopped(self, call: "PlantedCall") -> None:
        call.say(*self.answer, after=self.before_answer)

    async def key(self, call: "PlantedCall") -> None:
        """Nothing comes of it."""

    async def ended(self, call: "PlantedCall") -> None:
        await call.stop()

    # -- what bugs are planted in

    def sound(self, begin: float, seconds: float) -> bytes:
        """What it says."""
        rate = 8_000 if self.dialect == "twilio" else 32_000
        return speech(self.dialect)[int(begin * rate) : int((begin + seconds) * rate)]

    async def send_audio(self, call: "PlantedCall", audio: bytes) -> None:
        """Some of it."""
        if self.dialect == "twilio":
            payload = base64.b64encode(audio).decode()
            await call.send(event="media", media={"payload": payload})
        else:
            await call.socket.send(audio)

    async def send_mark(self, call: "PlantedCall", name: str) -> None:
        if self.dialect == "twilio":
            await call.send(event="mark", mark={"name": name})
        else:
            await call.send(type="mark", name=name)

    async def speak(self, call: "PlantedCall", begin: float, seconds: float, after: float) -> None:
        """Say a piece of the speech, then a mark."""
        await asyncio.sleep(after)
        audio = self.sound(begin, seconds)
        step = self.frame
        if self.paced:
            loop = asyncio.get_running_loop()
            started = loop.time() - 0.1
            for number, at in enumerate(range(0, len(audio), step)):
                await self.send_audio(call, audio[at : at + step])
                await asyncio.sleep(started + number * _FRAME - loop.time())
        else:
            await self.send_audio(call, audio)
        call.said += 1
        await self.send_mark(call, f"said {call.said}")

    @property
    def frame(self) -> int:
        return 160 if self.dialect == "twilio" else 640


class PlantedCall:
    """One call of such an agent."""

    def __init__(self, agent: PlantedAgent, socket: ServerConnection) -> None:
        self.agent = agent
        self.socket = socket
        self.stream_sid = ""
        self.loud = self.still = self.said = self.named = 0
        self.spoken_to = False
        self.speaking: asyncio.Task[None] | None = None
        self.waiting: dict[str, asyncio.Event] = {}

    def say(self, begin: float, seconds: float, after: float = 0.0) -> None:
        self.speaking = asyncio.create_task(self._speak(begin, seconds, after))

    async def _speak(self, begin: float, seconds: float, after: float) -> None:
        with suppress(ConnectionClosed):
            await self.agent.speak(self, begin, seconds, after)

    async def stop(self) -> None:
        if self.speaking is not None:
            self.speaking.cancel()
            await asyncio.gather(self.speaking, return_exceptions=True)
            self.speaking = None

    async def clear(self) -> None:
        await self.send(**({"event": "clear"} if self.agent.dialect == "twilio" else {"type": "clear"}))

    async def send(self, **message: Any) -> None:
        if self.agent.dialect == "twilio":
            message |= {"streamSid": self.stream_sid}
        await self.socket.send(json.dumps(message))

    def marked(self, name: str) -> None:
        if name in self.waiting:
            self.waiting[name].set()

    def dropped(self, names: list[str]) -> None:
        for name in names:
            self.marked(name)


@asynccontextmanager
async def listening(agent: PlantedAgent, port: int = 0) -> AsyncIterator[str]:
    """The agent's server on that port, or one of its own; gives its URL as a destination."""
    async with serve(
        agent.serve,
        "127.0.0.1",
        port,
        subprotocols=[Subprotocol("offhook.v1")] if agent.dialect == "offhook" else None,
        compression=None,
        ping_interval=None,
        close_timeout=1,
    ) as server:
        there = next(iter(server.sockets)).getsockname()[1]
        yield f"{'twilio+' if agent.dialect == 'twilio' else ''}ws://127.0.0.1:{there}/"


# One bug each.


class Bursting(PlantedAgent):
    """No bug: it sends a sentence in one message, as fast as it is made."""

    paced = False


class Shy(PlantedAgent):
    """No bug: it waits for the caller to speak first."""

    async def started(self, call: PlantedCall) -> None:
        """Nothing is said."""


class IgnoresClear(PlantedAgent):
    """It does not stop when the caller speaks, nor when the gateway has dropped its sound."""

    greeting = (0.0, 6.0)

    async def interrupted(self, call: PlantedCall) -> None:
        """Nothing is stopped."""

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        await super().speak(call, begin, seconds, after)
        if begin == 0.0 and seconds == 6.0:
            await super().speak(call, 0.1, 5.9, 0.0)


class ClearsAndGoesOn(IgnoresClear):
    """It sends `clear`, and the task that speaks goes on."""

    async def interrupted(self, call: PlantedCall) -> None:
        await call.clear()


class NeverClears(Bursting):
    """It has sent a long sentence at once, and forgets to have it dropped."""

    greeting = (0.0, 6.0)

    async def interrupted(self, call: PlantedCall) -> None:
        await call.stop()


class WrongRate(PlantedAgent):
    """Its speech is made at another rate than it is sent as, and it counts the bytes of that other rate as 20 ms."""

    def sound(self, begin: float, seconds: float) -> bytes:
        made_at = 16_000 if self.dialect == "twilio" else 8_000
        size = made_at if self.dialect == "twilio" else 2 * made_at
        return speech(self.dialect, made_at=made_at)[int(begin * size) : int((begin + seconds) * size)]

    @property
    def frame(self) -> int:
        return 320


class WrongRateAtOnce(WrongRate):
    """The same, sent as fast as it is made."""

    paced = False


class WrongEncoding(Bursting):
    """It sends 16-bit samples where µ-law is spoken."""

    def sound(self, begin: float, seconds: float) -> bytes:
        return speech("offhook", made_at=8_000)[int(begin * 16_000) : int((begin + seconds) * 16_000)]


class BurstsWithoutEnd(PlantedAgent):
    """A loop that makes sound and never waits."""

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        while True:
            await self.send_audio(call, self.sound(0.0, 1.0))
            await asyncio.sleep(0.001)


class NoMedia(PlantedAgent):
    """It takes the call and never says a word."""

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        """Nothing."""


class OnlySilence(PlantedAgent):
    """It sends sound without a sound in it."""

    def sound(self, begin: float, seconds: float) -> bytes:
        return (b"\xff" if self.dialect == "twilio" else b"\0") * len(super().sound(begin, seconds))


class StartsLate(PlantedAgent):
    """Its greeting is made when the call has begun, and takes five seconds."""

    async def started(self, call: PlantedCall) -> None:
        call.say(*self.greeting, after=5.0)

    async def interrupted(self, call: PlantedCall) -> None:
        if call.said or call.stream_sid == "spoke":
            await super().interrupted(call)

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        await asyncio.sleep(after)
        call.said += 1
        await super().speak(call, begin, seconds, 0.0)


class MarkNever(PlantedAgent):
    """The name of its marks is in the wrong place, so that the one it waits for never comes back."""

    async def send_mark(self, call: PlantedCall, name: str) -> None:
        if self.dialect == "twilio":
            await call.send(event="mark", name=name)
        else:
            await call.send(type="mark", mark={"name": name})

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        if call.waiting:
            return
        await super().speak(call, begin, seconds, after)
        call.waiting["said"] = asyncio.Event()


class NoMarks(PlantedAgent):
    """It never asks what the caller has heard: no bug, but worth a note."""

    async def send_mark(self, call: PlantedCall, name: str) -> None:
        """None."""


class WaitsForDroppedMarks(Bursting):
    """It speaks again only when the mark of what it said last has come, which an interruption prevents."""

    async def caller_stopped(self, call: PlantedCall) -> None:
        call.say(*self.answer, after=0.1)

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        for event in list(call.waiting.values()):
            await event.wait()
        await super().speak(call, begin, seconds, after)
        call.waiting[f"said {call.said}"] = asyncio.Event()

    async def interrupted(self, call: PlantedCall) -> None:
        await call.clear()

    async def take(self, call: PlantedCall, message: str | bytes) -> None:
        if isinstance(message, str) and json.loads(message).get("type") == "cleared":
            return
        await super().take(call, message)


class BadBase64(PlantedAgent):
    """Its payloads are the repr of bytes, as `str(b64encode(…))` gives it."""

    async def send_audio(self, call: PlantedCall, audio: bytes) -> None:
        if self.dialect == "twilio":
            await call.send(event="media", media={"payload": str(base64.b64encode(audio))})
        else:
            # The other dialect has no base64; this is what comes of code that was made for the first.
            await call.socket.send(str(base64.b64encode(audio)))


class ClosesEarly(PlantedAgent):
    """It closes when its greeting is said, as a script that has come to its end."""

    greeting = (0.0, 1.0)

    async def started(self, call: PlantedCall) -> None:
        await self.speak(call, *self.greeting, 0.0)
        await call.socket.close()


class BreaksOff(PlantedAgent):
    """An exception ends it when the caller speaks."""

    async def interrupted(self, call: PlantedCall) -> None:
        await call.socket.close(1011, "KeyError: 'transcript'")


class SpeaksBeforeStart(PlantedAgent):
    """It greets as soon as somebody connects."""

    async def run(self, call: PlantedCall) -> None:
        await self.send_audio(call, self.sound(*self.greeting))
        await super().run(call)

    async def started(self, call: PlantedCall) -> None:
        """Said already."""

    async def ring(self, call: PlantedCall) -> None:
        await asyncio.sleep(0.1)
        await super().ring(call)


class LeaksACall(PlantedAgent):
    """A home-made server that has never heard of the close frame, and talks on to a caller who is gone."""

    async def run(self, call: PlantedCall) -> None:
        receive = call.socket.protocol.recv_frame

        def take(frame: Frame) -> None:
            if frame.opcode is not Opcode.CLOSE:
                receive(frame)

        call.socket.protocol.recv_frame = take  # type: ignore[method-assign]
        await super().run(call)

    async def ended(self, call: PlantedCall) -> None:
        await call.stop()
        call.say(0.0, 6.0)


class LeaksSlots(PlantedAgent):
    """It has room for six calls, and never gives a place back."""

    room = 6
    taken = 0

    async def run(self, call: PlantedCall) -> None:
        self.taken += 1
        if self.taken > self.room:
            if self.dialect == "offhook":
                await call.socket.recv()
                await call.send(type="reject", status=486, reason="full")
            await call.socket.close(1013, "full")
            return
        await super().run(call)


class MixesCallsUp(PlantedAgent):
    """Whatever it says goes to everybody who is on the line."""

    async def send_audio(self, call: PlantedCall, audio: bytes) -> None:
        for one in list(self.open):
            with suppress(ConnectionClosed):
                await super().send_audio(one, audio)


class Deaf(PlantedAgent):
    """It greets and then answers nobody."""

    async def caller_stopped(self, call: PlantedCall) -> None:
        """Nothing is said."""


class Choppy(PlantedAgent):
    """It sleeps a frame's length after each frame, on a machine that sleeps too long."""

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        await asyncio.sleep(after)
        audio = self.sound(begin, seconds)
        step = self.frame * 10
        for at in range(0, len(audio), step):
            await self.send_audio(call, audio[at : at + step])
            await asyncio.sleep(0.28)


class RejectsAll(PlantedAgent):
    """It takes no call: by its word, or by closing where the dialect has none."""

    async def run(self, call: PlantedCall) -> None:
        if self.dialect == "offhook":
            await call.socket.recv()
            await call.send(type="reject", status=403, reason="unknown tenant")
            await super().run(call)
        await call.socket.close(1008, "unknown tenant")


class NamesUtterances(PlantedAgent):
    """No bug: it names what it says, and leaves interruptions to the gateway; it stops when that has cut it off."""

    words = "Welcome to the line, what can I do for you today?"
    interruptions: list[dict[str, Any]]

    async def speak(self, call: PlantedCall, begin: float, seconds: float, after: float) -> None:
        await asyncio.sleep(after)
        call.named += 1
        await call.send(type="utterance", id=f"u{call.named}", text=self.words)
        await super().speak(call, begin, seconds, 0.0)
        await call.send(type="utterance_end")

    async def interrupted(self, call: PlantedCall) -> None:
        """The gateway decides."""

    async def take(self, call: PlantedCall, message: str | bytes) -> None:
        if isinstance(message, str) and json.loads(message)["type"] == "interrupted":
            self.interruptions = [*getattr(self, "interruptions", []), json.loads(message)]
            await self.cut_off(call)
        await super().take(call, message)

    async def cut_off(self, call: PlantedCall) -> None:
        await call.stop()


class IgnoresInterrupted(NamesUtterances):
    """It goes on sending an utterance that nobody hears any more."""

    greeting = (0.0, 6.0)

    async def cut_off(self, call: PlantedCall) -> None:
        """Nothing is stopped."""


class Nasty(PlantedAgent):
    """It sends one thing after the other that nobody should send."""

    async def started(self, call: PlantedCall) -> None:
        await super().started(call)
        for text in NASTY:
            await call.socket.send(text)


NASTY = (
    "",
    "[]",
    "null",
    "NaN",
    "1" * 10_000,
    "[" * 20_000,
    '{"event": ["media"], "type": ["mark"]}',
    '{"event": {"a": 1}, "type": 5}',
    '{"event": "media", "media": 5, "streamSid": ["x"]}',
    '{"event": "media", "media": {"payload": "é"}, "streamSid": {"a": {}}}',
    '{"event": "mark", "mark": [], "type": "mark", "name": {}}',
    '{"event": "mark", "mark": {"name": "\\ud800"}, "type": "mark", "name": "\\udfff"}',
    '{"event": "mark", "mark": {"name": ""}, "type": "mark", "name": ""}',
    '{"type": "\\ud800", "event": "\\ud800"}',
    '{"type": "ready", "audio": {"encoding": 5, "rate": true}, "event": "start"}',
    '{"type": "hangup", "now": 5, "reason": {"a": []}, "event": "\u202e"}',
)
