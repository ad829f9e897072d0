"""What engines that recognise on this machine have in common: a network that is loaded once, and threads that infer."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np

from offhook.speech.errors import SpeechError
from offhook.speech.listening import Ears
from offhook.speech.pool import Pool
from offhook.speech.resample import Sound


class Network(Protocol):
    """What has been loaded. What it holds never changes, so all threads share it."""

    def text_of(self, sound: Sound, gone: threading.Event) -> str:
        """What is said in the sound; empty if that is nothing, or if `gone` is set before it is known."""
        ...


_Network = TypeVar("_Network", bound=Network)


class LocalSpeechToText(Generic[_Network]):
    """The part of a `SpeechToText` that is the same for every network.

    `load` makes the network, in a thread, when it is first needed. `rate` is what the network hears, in hertz. `cut`
    goes to `Ears`: where a stretch of speech ends.
    """

    def __init__(self, name: str, load: Callable[[], _Network], *, threads: int, rate: int, **cut: int) -> None:
        self.name = name
        self._load, self._rate = load, rate
        self._pool = Pool(threads, name)
        self._model: _Network | None = None
        self._loading = asyncio.Lock()
        self._ears = Ears(self._recognise, rate, **cut)

    async def warm_up(self) -> None:
        """See the protocol. Loads the network and lets it hear a second of silence."""
        async with self._loading:
            if self._model is None:
                model = await self._pool.run(self._load)
                await self._pool.run(partial(model.text_of, np.zeros(self._rate, np.float32), threading.Event()))
                await self._ears.warm_up()
                self._model = model

    async def close(self) -> None:
        """See the protocol."""
        await self._ears.close()
        self._pool.close()
        self._model = None

    async def _recognise(self, sound: Sound) -> str:
        if self._model is None:
            await self.warm_up()
        model, gone = self._model, threading.Event()
        if model is None:
            raise SpeechError(f"the engine {self.name} is closed")
        try:
            return await self._pool.run(partial(model.text_of, sound, gone))
        finally:
            # A thread can't be cancelled: it looks at this where it can stop.
            gone.set()
