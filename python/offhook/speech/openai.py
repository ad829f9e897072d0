"""OpenAI's HTTP interface for speech, transcription and chat, and every server that speaks it, local ones too.

`OPENAI_BASE_URL` (default https://api.openai.com/v1) and `OPENAI_API_KEY` say where and who, unless options do. A local
server may need no key. The key is in no error, log or repr; redirects are not followed, so that it goes nowhere else.
"""

import io
import json
import os
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import ModuleType
from typing import Any

import numpy as np

from offhook.speech.errors import SpeechError
from offhook.speech.listening import Ears
from offhook.speech.packages import module
from offhook.speech.protocol import Listening, Spoken
from offhook.speech.resample import RATES, Resampler, Sound, from_pcm, to_pcm
from offhook.speech.sentences import sentences
from offhook.speech.speakable import plain

BASE_URL = "https://api.openai.com/v1"
_ENGINE = "openai"
_RATE = 24_000
"""What `response_format=pcm` is at."""
_LISTENING_RATE = 16_000
_LONGEST_ANSWER = 2**20
_LONGEST_SENTENCE_S = 120
_PIECE_MS = 100
_WHOLE_ADDRESS = "is the base URL right? that of most servers ends with /v1; the model may be unknown there, too"
# What files begin with that a server sends which knows no raw sound.
_FILES = {b"RIFF": "a WAV file", b"ID3": "an MP3 file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file"}


class OpenAIClient:
    """Where the service is, and the connections to it. Makes none before it is asked."""

    def __init__(self, base_url: str | None = None, api_key: str | None = None, timeout: float = 10.0) -> None:
        self.base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or BASE_URL).rstrip("/")
        if not self.base_url.startswith(("http://", "https://")):
            raise SpeechError(
                f"{self.base_url!r} is no address of a service", code="speech_refused", hint="such as https://HOST/v1"
            )
        key = api_key if api_key is not None else os.environ.get("OPENAI_API_KEY", "")
        if not key and self.base_url == BASE_URL:
            raise SpeechError(
                f"{BASE_URL} wants a key", code="speech_refused", hint="set OPENAI_API_KEY, or OPENAI_BASE_URL"
            )
        self._http: ModuleType = module("httpx2", engine=_ENGINE, extra="openai")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: Any = self._http.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False)

    def __repr__(self) -> str:
        return f"OpenAIClient({self.base_url!r})"

    @asynccontextmanager
    async def post(self, path: str, **content: Any) -> AsyncGenerator[Any, None]:
        """The answer to a request, its body not read yet. Anything but a 200 is a `SpeechError`."""
        try:
            async with self._client.stream("POST", f"{self.base_url}{path}", **content) as response:
                if response.status_code != 200:
                    raise await _refusal(path, response)
                yield response
        except self._http.HTTPError as error:
            what = str(error) or type(error).__name__
            raise SpeechError(f"{self.base_url}{path}: {what}", retryable=True) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


class OpenAITextToSpeech:
    """A voice of the service; see `offhook.speech.protocol.TextToSpeech`. Sound is passed on as it comes."""

    def __init__(
        self,
        *,
        model: str = "gpt-4o-mini-tts",
        voice: str = "alloy",
        instructions: str = "",
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.name = f"openai:{model}/{voice}"
        self._body = {"model": model, "voice": voice, "response_format": "pcm"}
        if instructions:
            self._body["instructions"] = instructions
        self._client = OpenAIClient(base_url, api_key, timeout)

    async def warm_up(self) -> None:
        """Nothing: the service costs by the word."""

    async def say(self, text: str, *, rate: int) -> AsyncGenerator[Spoken, None]:
        """See the protocol. One request a sentence; its sound comes in pieces of 0.1 s, its text with the first."""
        if rate not in RATES:
            raise SpeechError(f"openai does not speak at {rate} Hz", code="speech_refused", hint=f"rates: {RATES}")
        for sentence in sentences(text):
            words = plain(sentence)
            if not any(map(str.isalnum, words)):
                continue
            given: str = sentence
            async with (
                self._client.post("/audio/speech", json={**self._body, "input": words}) as response,
                aclosing(_pieces(response, rate)) as pieces,
            ):
                async for pcm in pieces:
                    yield Spoken(pcm, rate, given)
                    given = ""

    async def close(self) -> None:
        """See the protocol."""
        await self._client.close()


class OpenAISpeechToText:
    """Transcription by the service, stretch by stretch; see `offhook.speech.protocol.SpeechToText`.

    When somebody speaks is found here, by Silero; each stretch of speech is one request, and each partial one more.
    """

    def __init__(
        self,
        *,
        model: str = "gpt-4o-mini-transcribe",
        language: str = "",
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.name = f"openai:{model}"
        self._fields = {"model": model, "response_format": "json"} | ({"language": language} if language else {})
        self._client = OpenAIClient(base_url, api_key, timeout)
        self._ears = Ears(self._recognise, _LISTENING_RATE)

    async def warm_up(self) -> None:
        """Only Silero: the service costs by the second."""
        await self._ears.warm_up()

    def listen(self, *, rate: int, partials: bool = False) -> Listening:
        """See the protocol."""
        return self._ears.open(rate, partials)

    async def close(self) -> None:
        """See the protocol."""
        await self._ears.close()
        await self._client.close()

    async def _recognise(self, sound: Sound) -> str:
        file = ("speech.wav", _wav(sound), "audio/wav")
        path = "/audio/transcriptions"
        async with self._client.post(path, data=self._fields, files={"file": file}) as response:
            data = bytearray()
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > _LONGEST_ANSWER:
                    raise SpeechError(f"{path}: the answer is longer than a transcript can be")
        try:
            text = json.loads(data)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise SpeechError(f"{path}: the answer is no transcript") from error
        return " ".join(str(text).split())


class OpenAIChat:
    """A language model of the service: messages in, tokens out, for `Call.say`. One for all calls."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        **options: Any,
    ) -> None:
        self.name = f"openai:{model}"
        self._body = {"model": model, "stream": True, **options}
        self._client = OpenAIClient(base_url, api_key, timeout)

    async def stream(self, messages: Sequence[Mapping[str, Any]]) -> AsyncGenerator[str, None]:
        """The answer's text, piece by piece. Closing it, or cancelling its reader, ends the request."""
        path = "/chat/completions"
        async with self._client.post(path, json={**self._body, "messages": list(messages)}) as response:
            known = False
            async for line in _lines(response):
                if not line.startswith("data:"):
                    continue
                known = True
                data = line[5:].strip()
                if data == "[DONE]":
                    return
                try:
                    event = json.loads(data)
                    choices = event.get("choices") or [{}]
                    text = (choices[0].get("delta") or {}).get("content")
                except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
                    raise SpeechError(f"{path}: a piece of the answer is no JSON that is known") from error
                if event.get("error"):
                    raise SpeechError(f"{path}: {_said(event)}", retryable=True)
                if text:
                    yield str(text)
        if not known:
            raise SpeechError(f"{path}: the answer is no stream of events")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


async def _pieces(response: Any, rate: int) -> AsyncGenerator[bytes, None]:
    """The sound of a response at the rate asked for, in pieces of 0.1 s; the first as soon as there is one."""
    resampler, waiting, total = Resampler(_RATE, rate), b"", 0
    least = _RATE * 2 * _PIECE_MS // 1000
    _check_kind(response)
    begun = False
    async for data in response.aiter_bytes():
        waiting += data
        total += len(data)
        if not begun and total >= 4:
            _check_beginning(waiting)
            begun = True
        if total > _LONGEST_SENTENCE_S * _RATE * 2:
            raise SpeechError("/audio/speech: the sound of a sentence doesn't end")
        while len(waiting) >= least:
            piece, waiting = waiting[:least], waiting[least:]
            yield to_pcm(resampler.feed(from_pcm(piece)))
    if not total:
        raise SpeechError("/audio/speech: the answer has no sound in it", retryable=True)
    rest = np.concatenate([resampler.feed(from_pcm(waiting)), resampler.finish()])
    if len(rest):
        yield to_pcm(rest)


def _check_kind(response: Any) -> None:
    """Raise `SpeechError` for what is meant to be read: noise, if it were played."""
    kind = str(response.headers.get("content-type", "")).split(";")[0].strip().lower()
    if kind.startswith("text/") or kind == "application/json":
        raise SpeechError(f"/audio/speech: the answer is {_printable(kind)}, no sound", hint=_WHOLE_ADDRESS)


def _check_beginning(data: bytes) -> None:
    """Raise `SpeechError` for a file: its head would be heard as a click, the rest at a wrong rate or as noise."""
    for beginning, what in _FILES.items():
        if data.startswith(beginning):
            raise SpeechError(
                f"/audio/speech: the answer is {what}, not the PCM that was asked for",
                hint="choose a model or a server that knows response_format=pcm (16 bits, 24 kHz)",
            )


async def _lines(response: Any) -> AsyncIterator[str]:
    """Lines of a stream of events, none longer than an answer may be."""
    waiting = b""
    async for data in response.aiter_bytes():
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").strip("\r")
        if len(waiting) > _LONGEST_ANSWER:
            raise SpeechError("a line of the answer doesn't end")
    if waiting:
        yield waiting.decode("utf-8", "replace")


async def _refusal(path: str, response: Any) -> SpeechError:
    data = b""
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > 10_000:
            break
    try:
        said = _said(json.loads(data))
    except ValueError:
        said = ""
    status = response.status_code
    hint = {401: "look at OPENAI_API_KEY", 403: "look at OPENAI_API_KEY", 404: _WHOLE_ADDRESS}.get(status, "")
    # Too many requests, and what is the server's own fault, may pass.
    retryable = status in (408, 409, 429) or status >= 500
    return SpeechError(f"{path} was answered {status}{said and f': {said}'}", hint=hint, retryable=retryable)


def _said(answer: Any) -> str:
    """The service's own words, cut to what a log line bears."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return _printable(str(message or ""))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:300]


def _wav(sound: Sound) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(_LISTENING_RATE)
        writer.writeframes(to_pcm(sound))
    return file.getvalue()
