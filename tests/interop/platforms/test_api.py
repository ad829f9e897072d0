"""Requests to a platform's API over real HTTP: what it refuses is named, what it can't do now is asked again."""

import asyncio
import socket
from typing import Any

import pytest
from tests.interop.platforms.web import Asked, Web

from offhook.destination.platform_api import MAX_ANSWER, TRIES, ApiSpec, PlatformApi
from offhook.errors import DestinationError

pytestmark = pytest.mark.interop

KEY = "key-that-nobody-may-see"


class Answers:
    """An API that gives these answers in turn, the last one again and again."""

    def __init__(self, *answers: tuple[int, Any], silent: bool = False) -> None:
        self._answers = list(answers)
        self._silent = silent
        self.web = Web(self._answer)

    async def _answer(self, asked: Asked) -> tuple[int, Any]:
        if self._silent:
            await asyncio.sleep(60)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def ask(self, within: float = 5.0) -> bytes:
        api = PlatformApi()
        try:
            async with self.web.open():
                return await api.post(ApiSpec(self.web.url, KEY, within), "/v2/thing", {"a": "ä"})
        finally:
            await api.close()

    async def refusal(self, within: float = 5.0) -> DestinationError:
        with pytest.raises(DestinationError) as raised:
            await self.ask(within)
        assert KEY not in f"{raised.value} {raised.value.hint}"
        return raised.value


async def test_what_is_asked_is_json_with_the_key() -> None:
    answers = Answers((201, {"ok": True}))
    assert await answers.ask() == b'{"ok": true}'
    asked = answers.web.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/v2/thing", {"a": "ä"})
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "api_key"), (402, "paid"), (403, "api_key"), (404, "ids"), (422, "ids"), (302, "")]
)
async def test_a_refusal_is_told_with_what_to_change_and_not_repeated(status: int, hint: str) -> None:
    answers = Answers((status, {"error": {"message": "no\x1b[2Jway"}}))
    error = await answers.refusal()
    assert error.code == "agent_refused"
    assert f"HTTP {status}: no\\x1b[2Jway" in str(error)
    assert hint in error.hint
    assert len(answers.web.asked) == 1


async def test_an_overloaded_api_is_asked_again_so_many_times() -> None:
    answers = Answers((503, {"message": "later"}), (201, {"call_id": "c"}))
    assert await answers.ask() == b'{"call_id": "c"}'
    answers = Answers((429, {"error_message": "slow down"}))
    error = await answers.refusal()
    assert (error.code, len(answers.web.asked)) == ("agent_refused", TRIES)
    assert "slow down" in str(error)


async def test_an_api_that_says_nothing_is_given_up() -> None:
    error = await Answers((200, {}), silent=True).refusal(within=0.3)
    assert error.code == "agent_unreachable"
    assert "0.3 s" in str(error)


async def test_an_api_that_is_not_there_is_named() -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    api = PlatformApi()
    with pytest.raises(DestinationError) as raised:
        await api.post(ApiSpec(f"http://127.0.0.1:{port}", KEY), "/v2/thing", {})
    await api.close()
    assert raised.value.code == "agent_unreachable"
    assert str(port) in str(raised.value)


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    error = await Answers((200, "x" * MAX_ANSWER)).refusal()
    assert (error.code, str(MAX_ANSWER) in str(error)) == ("agent_refused", True)
