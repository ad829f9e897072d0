"""The thread that does for recordings what may wait for a disk: publishing, notes, deletions."""

import threading
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger("offhook.recording")


class Clerk:
    """Does jobs one after the other on a thread of its own. A job that fails is logged and forgotten.

    There are at most a few for each call that is on; one that hangs with its disk holds up the others and nobody else.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="offhook-recordings", daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], None]) -> None:
        """Do this when its turn comes."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def close(self, within: float) -> bool:
        """Do what waits, and end; False if that takes longer than so many seconds. What is left is done at a start."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            try:
                job()
            except Exception:
                _log.exception("recording.job_failed")
