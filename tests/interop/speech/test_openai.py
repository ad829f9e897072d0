"""The OpenAI engines against a server on this machine that answers as the public interface says, or fails."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.support.gateway import REPOSITORY
from tests.support.speech import read_wav

from offhook.speech.engines import speech_to_text, text_to_speech
from offhook.speech.errors import SpeechError
from offhook.speech.openai import OpenAIChat, OpenAIClient
from offhook.speech.protocol import Spoken, Transcript

pytestmark = pytest.mark.interop

KEY = "sk-this-is-secret"
TONE = (8_000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype("<i2").tobytes()


@dataclass
class Service:
    """What it was asked, and how it is to answer: `broken` is a status, `slow` holds sound back until it is set."""

    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    broken: list[int] = field(default_factory=list)
    slow: asyncio.Event | None = None
    spoken: tuple[bytes, str] | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def speech(self, request: Request) -> Response:
        body = await request.json()
        if failure := self._note(request, "speech", body):
            return failure
        assert body["response_format"] == "pcm"
        if self.spoken is not None:
            return Response(self.spoken[0], media_type=self.spoken[1])
        return StreamingResponse(self._sound(), media_type="application/octet-stream")

    async def _sound(self) -> AsyncIterator[bytes]:
        try:
            for at in range(0, len(TONE), 4_001):
                yield TONE[at : at + 4_001]
                if self.slow is not None and at > 16_000:
                    await self.slow.wait()
        finally:
            self.left.set()

    async def transcriptions(self, request: Request) -> Response:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + await request.body()).iter_parts()
        form = {part.get_param("name", header="content-disposition"): part.get_content() for part in parts}
        data, fields = form.pop("file"), {name: text.strip() for name, text in form.items()}
        if failure := self._note(request, "transcriptions", fields):
            return failure
        with wave.open(io.BytesIO(data)) as file:
            seconds = file.getnframes() / file.getframerate()
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return JSONResponse({"text": f" {seconds:.0f} seconds\nof speech. "})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        if failure := self._note(request, "chat", body):
            return failure

        async def events() -> AsyncIterator[bytes]:
            yield b": a comment\n\n"
            for delta in ({"role": "assistant"}, {"content": "Hel"}, {"content": "lo ä"}, {"content": None}, {}):
                data = json.dumps({"choices": [{"index": 0, "delta": delta}]}, ensure_ascii=False).encode()
                yield b"data: " + data[:20]
                yield data[20:] + b"\r\n\r\n"
            yield b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\n'
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    def _note(self, request: Request, what: str, body: Any) -> Response | None:
        self.asked.append((what, body))
        self.keys.add(request.headers.get("authorization"))
        if not self.broken:
            return None
        status = self.broken.pop(0)
        if status == 307:
            return RedirectResponse("http://127.0.0.1:9/elsewhere", 307)
        if status == 200:
            return Response(b"<html>no JSON</html>", 200)
        return JSONResponse({"error": {"message": "that went wrong", "type": "x"}}, status)


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    here = Service()
    routes = [
        Route("/v1/audio/speech", here.speech, methods=["POST"]),
        Route("/v1/audio/transcriptions", here.transcriptions, methods=["POST"]),
        Route("/v1/chat/completions", here.chat, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        async with asyncio.timeout(40):
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
        here.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        try:
            yield here
        finally:
            if here.slow is not None:
                here.slow.set()
            server.should_exit = True


async def test_a_sentence_is_a_request_and_its_sound_comes_in_pieces() -> None:
    async with service() as here:
        voice = text_to_speech("openai:tts-1", base_url=here.url, api_key=KEY, voice="nova")
        pieces = [piece async for piece in voice.say("**Hello** there. \U0001f600 How are you?", rate=8_000)]
        await voice.close()
    assert [(what, body["input"], body["voice"], body["model"]) for what, body in here.asked] == [
        ("speech", "Hello there.", "nova", "tts-1"),
        ("speech", "How are you?", "nova", "tts-1"),
    ]
    assert [piece.text for piece in pieces if piece.text] == ["**Hello** there.", "\U0001f600 How are you?"]
    assert len(pieces) >= 20
    sound = np.frombuffer(b"".join(piece.pcm for piece in pieces), "<i2")
    assert len(sound) == 16_000
    spectrum = np.abs(np.fft.rfft(sound[:8_000]))
    assert int(spectrum.argmax()) == 440
    assert here.keys == {f"Bearer {KEY}"}


async def test_sound_is_passed_on_before_it_is_complete_and_cancelled_with_its_reader() -> None:
    async with service() as here:
        here.slow = asyncio.Event()
        voice = text_to_speech("openai", base_url=here.url, api_key="")
        speech = voice.say("Hello.", rate=16_000)
        async with asyncio.timeout(40):
            first = await anext(speech)
        assert isinstance(first, Spoken)
        assert first.text == "Hello."
        await speech.aclose()
        async with asyncio.timeout(40):
            await here.left.wait()
        await voice.close()
    assert here.keys == {None}


async def test_stretches_of_speech_are_transcribed() -> None:
    pcm = read_wav(REPOSITORY / "python/offhook/phone/sounds/sentence.wav")[0].tobytes()
    async with service() as here:
        # Once busy: it is asked again.
        here.broken = [503]
        engine = speech_to_text("openai:whisper-1", base_url=here.url, api_key=KEY, language="en")
        await engine.warm_up()
        listening = engine.listen(rate=8_000)
        listening.write(pcm)
        listening.finish()
        texts: list[str] = []
        async with asyncio.timeout(40):
            async for event in listening:
                if isinstance(event, Transcript):
                    texts.append(event.text)
                    if len(texts) == 2:
                        break
        await engine.close()
    assert texts == ["3 seconds of speech.", "3 seconds of speech."]
    assert here.asked[0] == ("transcriptions", {"model": "whisper-1", "response_format": "json", "language": "en"})
    assert len(here.asked) == 3


async def test_a_chat_is_its_tokens() -> None:
    async with service() as here:
        chat = OpenAIChat(model="small", base_url=here.url, api_key=KEY, temperature=0)
        tokens = [token async for token in chat.stream([{"role": "user", "content": "Hi"}])]
        await chat.close()
    assert tokens == ["Hel", "lo ä"]
    assert here.asked == [
        ("chat", {"model": "small", "stream": True, "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]})
    ]


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (401, False, "/audio/speech was answered 401: that went wrong"),
        (400, False, "/audio/speech was answered 400: that went wrong"),
        (429, True, "/audio/speech was answered 429: that went wrong"),
        (500, True, "/audio/speech was answered 500: that went wrong"),
        (307, False, "/audio/speech was answered 307"),
    ],
)
async def test_what_the_service_refuses_is_told_without_the_key(status: int, retryable: bool, words: str) -> None:
    async with service() as here:
        here.broken = [status]
        voice = text_to_speech("openai", base_url=here.url, api_key=KEY)
        with pytest.raises(SpeechError) as error:
            await anext(voice.say("Hello.", rate=8_000))
        assert str(error.value) == words
        assert error.value.retryable is retryable
        # It stays usable.
        assert (await anext(voice.say("Hello.", rate=8_000))).pcm
        await voice.close()


@pytest.mark.parametrize(
    ("sound", "kind", "words"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt " + TONE, "audio/wav", "the answer is a WAV file, not the PCM"),
        (b"ID3\x04" + TONE, "audio/pcm", "the answer is an MP3 file"),
        (b"<html>Log in</html>", "text/html; charset=utf-8", "the answer is text/html, no sound"),
        (b"", "audio/pcm", "the answer has no sound in it"),
    ],
)
async def test_an_answer_that_is_no_raw_sound_is_told_and_not_played(sound: bytes, kind: str, words: str) -> None:
    async with service() as here:
        here.spoken = sound, kind
        voice = text_to_speech("openai", base_url=here.url, api_key=KEY)
        with pytest.raises(SpeechError, match=words):
            await anext(voice.say("Hello.", rate=8_000))
        # What a server calls its sound is not believed: some name every answer MP3.
        here.spoken = TONE, "audio/mpeg"
        assert (await anext(voice.say("Hello.", rate=8_000))).pcm
        await voice.close()


async def test_an_address_without_its_end_is_told() -> None:
    async with service() as here:
        voice = text_to_speech("openai", base_url=here.url.removesuffix("/v1"), api_key=KEY)
        with pytest.raises(SpeechError, match="was answered 404") as error:
            await anext(voice.say("Hello.", rate=8_000))
        assert "ends with /v1" in error.value.hint
        await voice.close()


async def test_no_server_no_json_no_key_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")
    voice = text_to_speech("openai", timeout=2.0)
    with pytest.raises(SpeechError, match=r"^http://127\.0\.0\.1:9/v1/audio/speech: ") as error:
        await anext(voice.say("Hello.", rate=8_000))
    assert error.value.retryable
    assert KEY not in repr(error.value)
    client = OpenAIClient()
    assert KEY not in repr(client)
    await client.close()
    await voice.close()
    async with service() as here:
        here.broken = [200]
        chat = OpenAIChat(model="small", base_url=here.url)
        with pytest.raises(SpeechError, match="no stream of events"):
            await anext(chat.stream([]))
        await chat.close()
