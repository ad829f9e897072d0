"""A platform's HTTP API in memory: what was asked of it, and what it answers is in the test's hand."""

from collections.abc import Mapping
from typing import Any

from offhook.destination.platform_api import ApiSpec, PlatformApi
from offhook.errors import DestinationError


class FakeApi(PlatformApi):
    """Answers each path by its last word with what `answers` has, or with nothing."""

    def __init__(self, answers: Mapping[str, bytes | DestinationError] | None = None) -> None:
        super().__init__()
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def post(self, api: ApiSpec, path: str, body: Mapping[str, Any], *, tries: int = 3) -> bytes:
        self.asked.append((path, body))
        answer = self.answers.get(path.rpartition("/")[2], b"")
        if isinstance(answer, DestinationError):
            raise answer
        return answer
