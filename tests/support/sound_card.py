"""A sound card of pipes for programs that use ALSA: they hear a tone at the pace of speech, and what they play is kept.

ALSA's `file` device in front of its `null` one knows no time; the pipes have it: one is written, one is read 50 times a
second.
"""

import array
import fcntl
import math
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

RATE = 8000
FRAME = RATE // 50

_ALSA = """\
pcm.mouth {{ type file  slave.pcm "null"  file "/dev/null"  infile "{directory}/mouth"  format raw }}
pcm.ears {{ type file  slave.pcm "null"  file "{directory}/ears"  format raw }}
"""
_PAGE = 4096
"""The shortest pipe there is: a quarter of a second at 8 kHz."""


class SoundCard:
    """Devices `mouth` and `ears` at 8 kHz, for programs whose home is `directory`. `hz` is what the mouth says."""

    def __init__(self, directory: Path, hz: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".asoundrc").write_text(_ALSA.format(directory=directory))
        self.home = directory
        self._played = bytearray()
        self._mouth, self._ears = self._pipe("mouth"), self._pipe("ears")
        self._frame = 0
        self._step = 2 * math.pi * hz / RATE
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        os.close(self._mouth)
        os.close(self._ears)

    @property
    def environ(self) -> dict[str, str]:
        """What a program that uses it is started with."""
        return {**os.environ, "HOME": str(self.home), "TERM": "dumb", "LC_ALL": "C"}

    def heard(self) -> list[int]:
        """What was played so far, as PCM16."""
        sound = bytes(self._played)
        return array.array("h", sound[: len(sound) // 2 * 2]).tolist()

    def _pipe(self, name: str) -> int:
        path = self.home / name
        os.mkfifo(path)
        # Read and write: so it opens at once for either side, and there is never an end of it.
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PAGE)
        return pipe

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_over.is_set():
            at = self._frame * FRAME
            frame = array.array("h", (round(8000 * math.sin(self._step * n)) for n in range(at, at + FRAME)))
            try:
                os.write(self._mouth, frame.tobytes())
                self._frame += 1
            except BlockingIOError:
                # Nobody listens, as before a call and on hold.
                pass
            with suppress(BlockingIOError):
                self._played += os.read(self._ears, 2 * FRAME)
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))
