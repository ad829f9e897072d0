"""The door of OpenAI's webhook: who is heard there, and what comes of it."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.http_request import ask
from tests.support.platform_api import FakeApi

from offhook.api.failures import FAILURES
from offhook.api.openai_webhook import OpenAIDoor
from offhook.destination.openai_calls import OpenAICalls, OpenAISpec
from offhook.destination.platform_api import ApiSpec
from offhook.platform.webhook import MAX_BODY, Verifier, sign

pytestmark = pytest.mark.unit

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_750_287_078
PATH = "/v1/webhooks/openai/bot"


class Door:
    def __init__(self, *, model: str = "gpt-realtime", **spec: Any) -> None:
        self.api = FakeApi()
        self.calls = OpenAICalls(self.api, token=lambda: "t1")
        self.refused: list[tuple[str, str, str]] = []
        api = ApiSpec("https://api.example/v1", "sk-1")
        self.spec = OpenAISpec("bot", model, "Be kind.", "marin", api, Verifier(SECRET), **spec)
        door = OpenAIDoor(
            self.calls,
            {"bot": self.spec, "other": OpenAISpec("other")},
            now=lambda: 5.0,
            wall=lambda: NOW,
            refused=lambda *why: self.refused.append(why),
        )
        self.routes = door.routes()

    async def post(
        self, body: bytes, *, ident: str = "wh_1", headers: Mapping[str, str] | None = None, path: str = PATH
    ) -> tuple[int, dict[str, Any]]:
        signed = {
            "webhook-id": ident,
            "webhook-timestamp": str(NOW),
            "webhook-signature": sign(SECRET, ident, NOW, body),
        }
        status, _, said = await ask(self.routes, path, method="POST", headers={**signed, **(headers or {})}, body=body)
        return status, json.loads(said) if said.startswith(b"{") else {}

    async def settle(self) -> list[tuple[str, Mapping[str, Any]]]:
        for task in tuple(self.calls._tasks):
            await task
        return self.api.asked


def incoming(token: str = "t1", call_id: str = "rtc_1") -> bytes:
    headers = [{"name": "X-Offhook-Token", "value": token}] if token else []
    return json.dumps({"type": "realtime.call.incoming", "data": {"call_id": call_id, "sip_headers": headers}}).encode()


def live(token: str = "t1", kind: str = "live.transport.incoming") -> bytes:
    headers = [{"name": "X-Offhook-Token", "value": token}]
    data = {"type": "sip", "session_id": "live_1", "sip_headers": headers, "sip_media_security": "srtp"}
    return json.dumps({"type": kind, "data": data}).encode()


async def test_our_call_is_accepted_with_the_agents_session() -> None:
    door = Door()
    waiting = door.calls.expect(door.spec)
    assert await door.post(incoming()) == (204, {})
    session = {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "Be kind.",
        "audio": {"output": {"voice": "marin"}},
    }
    assert await door.settle() == [("/realtime/calls/rtc_1/accept", session)]
    assert waiting.asked.done()
    assert waiting.call_id == "rtc_1"


async def test_a_webhook_that_comes_twice_counts_once() -> None:
    door = Door()
    door.calls.expect(door.spec)
    for ident in ("wh_1", "wh_1", "wh_2"):
        assert (await door.post(incoming(), ident=ident))[0] == 204
    assert len(await door.settle()) == 1


async def test_a_call_for_a_live_model_is_accepted_by_the_live_api_whatever_else_asks() -> None:
    door = Door(model="gpt-live-1")
    waiting = door.calls.expect(door.spec)
    events = (incoming(), live(), live(kind="live.call.incoming"))
    for number, body in enumerate(events):
        assert (await door.post(body, ident=f"wh_{number}"))[0] == 204
    [(path, session)] = await door.settle()
    assert path == "/live/sessions/live_1/accept"
    assert session["session"]["type"] == "live"
    assert (waiting.call_id, waiting.media, waiting.other_event) == ("live_1", "srtp", "realtime.call.incoming")
    waiting.over(answered=False)
    assert [path for path, _ in await door.settle()][1:] == ["/live/sessions/live_1/hangup"]


async def test_the_live_api_does_not_get_a_call_whose_model_is_of_the_other() -> None:
    door = Door(strangers="reject")
    waiting = door.calls.expect(door.spec)
    assert (await door.post(live()))[0] == 204
    assert (await door.post(live("guessed"), ident="wh_2"))[0] == 204
    assert await door.settle() == []
    assert (waiting.call_id, waiting.other_event) == ("", "live.transport.incoming")


async def test_what_is_not_signed_by_openai_is_refused_and_listed() -> None:
    door = Door()
    door.calls.expect(door.spec)
    wrong = {"webhook-signature": f"v1,{base64.b64encode(b'no').decode()}"}
    assert (await door.post(incoming(), headers=wrong))[0] == 401
    [(_, rule, why)] = door.refused
    assert rule == "webhook_signature"
    assert "agent 'bot'" in why
    assert "`webhook_secret` of the [[agent]]" in why
    assert await door.settle() == []


async def test_who_has_no_secret_does_not_learn_which_agents_there_are() -> None:
    signature = base64.b64encode(b"no").decode()
    said = []
    for path in (PATH, "/v1/webhooks/openai/none", "/v1/webhooks/openai/other"):
        door = Door()
        attempts = (
            {"webhook-signature": f"v1,{signature}"},
            {"webhook-id": ""},
            {"webhook-timestamp": "yesterday"},
            {"webhook-timestamp": "1"},
        )
        said += [await door.post(incoming(), headers=headers, path=path) for headers in attempts]
        listed = door.refused[0][2]
        assert ("no [[agent]] of that name" in listed) == (path != PATH), listed
    assert all(one == said[0] for one in said)
    assert said[0][0] == 401


async def test_whoever_has_the_secret_is_told_that_a_clock_is_wrong() -> None:
    door = Door()
    old = str(NOW - 900)
    headers = {"webhook-timestamp": old, "webhook-signature": sign(SECRET, "wh_1", int(old), incoming())}
    status, said = await door.post(incoming(), headers=headers)
    assert (status, said["code"]) == (401, "wrong_time")


async def test_who_guesses_is_not_listened_to_for_a_while() -> None:
    door = Door()
    for _ in range(FAILURES):
        assert (await door.post(b"{}", headers={"webhook-id": ""}))[0] == 401
    assert (await door.post(b"{}", headers={"webhook-id": ""}))[0] == 429


async def test_who_floods_it_does_not_lock_openai_out_that_comes_by_the_same_proxy() -> None:
    door = Door()
    door.calls.expect(door.spec)
    for _ in range(FAILURES + 1):
        await door.post(b"{}", headers={"webhook-id": ""})
    assert (await door.post(incoming()))[0] == 204
    assert len(await door.settle()) == 1


async def test_a_call_that_is_not_ours_is_left_to_whoever_it_belongs_to() -> None:
    door = Door()
    for token in ("", "guessed"):
        assert (await door.post(incoming(token), ident=token or "none"))[0] == 204
    assert await door.settle() == []


async def test_or_is_rejected_where_the_project_is_ours_alone() -> None:
    door = Door(strangers="reject")
    assert (await door.post(incoming("guessed")))[0] == 204
    assert await door.settle() == [("/realtime/calls/rtc_1/reject", {"status_code": 603})]


async def test_a_webhook_that_comes_when_the_caller_is_gone_is_answered_by_a_rejection() -> None:
    door = Door()
    waiting = door.calls.expect(door.spec)
    waiting.over(answered=False)
    waiting.over(answered=False)
    await door.post(incoming())
    assert await door.settle() == [("/realtime/calls/rtc_1/reject", {"status_code": 603})]


async def test_a_call_that_was_accepted_and_never_answered_is_hung_up_there() -> None:
    door = Door()
    waiting = door.calls.expect(door.spec)
    await door.post(incoming())
    await door.settle()
    waiting.over(answered=False)
    assert [path for path, _ in await door.settle()] == ["/realtime/calls/rtc_1/accept", "/realtime/calls/rtc_1/hangup"]


async def test_a_call_that_was_answered_ends_by_sip_alone() -> None:
    door = Door()
    waiting = door.calls.expect(door.spec)
    await door.post(incoming())
    waiting.over(answered=True)
    assert [path for path, _ in await door.settle()] == ["/realtime/calls/rtc_1/accept"]


async def test_bodies_are_bounded_and_garbage_is_told_so() -> None:
    door = Door()
    assert (await door.post(b" " * (MAX_BODY + 1)))[0] == 413
    status, said = await door.post(b"garbage")
    assert (status, said["code"]) == (400, "openai_event_invalid")
    assert (await door.post(b'{"type": "batch.completed"}', ident="wh_3"))[0] == 204


async def test_an_agent_without_a_secret_has_no_webhook() -> None:
    door = Door()
    assert (await door.post(incoming(), path="/v1/webhooks/openai/other"))[0] == 401
    empty = OpenAIDoor(door.calls, {"x": OpenAISpec("x")}, now=lambda: 0, wall=lambda: 0, refused=lambda *why: None)
    assert empty.routes() == []
