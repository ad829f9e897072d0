"""`/v1/calls` on a whole gateway: who may place a call, what is answered, and what happens once though asked twice."""

import asyncio
import hashlib
import json
from typing import Any

import pytest
from tests.support.carrier import CALLEE, CONFIG, OURS, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.http_request import ask

from offhook.api.calls import CallDesk
from offhook.api.guard import Guard
from offhook.api.keys import ApiKeys
from offhook.call.out.detect import DetectWish
from offhook.call.out.gatekeeper import Denied

pytestmark = pytest.mark.scenario

KEY, OTHER = "crm-" * 10, "shop" * 10


class Api:
    """The API of a world, asked over HTTP that needs no server."""

    def __init__(self, world: DiallingWorld, detects: dict[str, DetectWish] | None = None) -> None:
        loop = asyncio.get_running_loop()
        desk = CallDesk(
            world.signalling.dialler, {"bot"}, now=loop.time, wall=lambda at: round(at * 1000), detects=detects
        )
        hashes = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in (("crm", KEY), ("shop", OTHER))}
        self.refused: list[tuple[str, str, str]] = []
        guard = Guard("local", lambda *refusal: self.refused.append(refusal), ApiKeys(hashes), loop.time)
        self.routes = desk.routes(guard)

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = KEY, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        all_headers = {"Authorization": f"Bearer {key}", **(headers or {})}
        status, self.headers, said = await ask(self.routes, path, method=method, headers=all_headers, body=sent)
        return status, json.loads(said) if said else None

    async def place(self, headers: dict[str, str] | None = None, **wish: Any) -> tuple[int, Any]:
        return await self.ask("POST", "/v1/calls", {"to": CALLEE, "agent": "bot", **wish}, headers=headers)


@in_virtual_time
async def test_a_call_from_the_wish_to_its_end() -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        status, placed = await api.place(data={"order": "4711"}, ring_timeout=30)
        assert (status, placed["state"], placed["outcome"]) == (201, "preparing", None)
        assert (placed["from_number"], placed["to_number"], placed["agent"]) == (OURS, CALLEE, "bot")
        assert world.gate.asked[-1].key == "crm"
        path = f"/v1/calls/{placed['call_id']}"
        assert api.headers["location"] == path
        await world.pass_time(0.05)
        world.take_call()
        status, seen = await api.ask("GET", f"{path}?wait=20&since=preparing")
        assert seen["state"] == "calling"
        await world.pass_time(0.05)
        [phone] = world.carrier.calls
        phone.ring()
        _, seen = await api.ask("GET", f"{path}?wait=20&since=calling")
        assert (seen["state"], seen["rang_at"] is not None) == ("ringing", True)
        phone.answer(headers=(("X-Ticket", "4711"),))
        _, seen = await api.ask("GET", f"{path}?wait=20&since=ringing")
        assert (seen["state"], seen["outcome"]["kind"], seen["outcome"]["status"]) == ("answered", "answered", 200)
        assert seen["variables"] == {"Ticket": "4711"}
        began = asyncio.get_running_loop().time()
        _, seen = await api.ask("GET", f"{path}?wait=3&since=answered")
        assert seen["state"] == "answered"
        assert asyncio.get_running_loop().time() - began == pytest.approx(3)
        assert await api.ask("DELETE", path) == (202, None)
        await world.pass_time(0.5)
        _, seen = await api.ask("GET", path)
        assert (seen["state"], seen["end_reason"], seen["end_detail"]) == (
            "ended",
            "ended_by_request",
            "by the key 'crm'",
        )
        assert await api.ask("DELETE", path) == (204, None)
        await world.pass_time(40)
        world.assert_nothing_left()


@in_virtual_time
async def test_a_wish_may_keep_the_number_from_the_one_who_is_called() -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        status, _ = await api.place(private=True)
        assert (status, world.gate.asked[-1].private) == (201, True)


@in_virtual_time
async def test_a_busy_line_is_an_outcome() -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        _, placed = await api.place()
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        world.carrier.calls[0].refuse(486, "Busy Here", (("Reason", "Q.850;cause=17"),))
        await world.pass_time(1)
        _, seen = await api.ask("GET", f"/v1/calls/{placed['call_id']}")
        outcome = seen["outcome"]
        assert (outcome["kind"], outcome["status"], outcome["reason"], outcome["q850"]) == (
            "busy",
            486,
            "Busy Here",
            17,
        )
        assert outcome["causes"] == [{"protocol": "Q.850", "cause": 17, "text": ""}]


@in_virtual_time
async def test_under_one_idempotency_key_one_call() -> None:
    """livekit/sip#626: a call out that was sent again was another one, and got 482."""
    async with DiallingWorld() as world:
        api, key = Api(world), {"Idempotency-Key": "order-4711"}
        first, second = await asyncio.gather(api.place(key), api.place(key))
        assert first == second
        assert len(world.gate.asked) == 1
        status, said = await api.ask("POST", "/v1/calls", {"to": "+14155550199", "agent": "bot"}, headers=key)
        assert (status, said["code"], said["field"]) == (409, "idempotency_conflict", "Idempotency-Key")
        # Another program's keys are its own.
        status, other = await api.ask("POST", "/v1/calls", {"to": CALLEE, "agent": "bot"}, key=OTHER, headers=key)
        assert (status, other["call_id"] != first[1]["call_id"]) == (201, True)
        status, said = await api.ask(
            "POST", "/v1/calls", {"to": CALLEE, "agent": "bot"}, headers={"Idempotency-Key": "x" * 129}
        )
        assert (status, said["field"]) == (400, "Idempotency-Key")


@in_virtual_time
async def test_what_a_limit_has_refused_may_be_asked_for_again() -> None:
    async with DiallingWorld() as world:
        api, key = Api(world), {"Idempotency-Key": "order-4711"}
        world.gate.denies = Denied("limit_outbound_cps", "too many calls a second", "", 2)
        status, said = await api.place(key)
        assert (status, said["code"], api.headers["retry-after"]) == (429, "limit_outbound_cps", "2")
        world.gate.denies = None
        assert (await api.place(key))[0] == 201


@in_virtual_time
async def test_what_the_gate_denies_is_forbidden_and_stays_so() -> None:
    async with DiallingWorld() as world:
        api, key = Api(world), {"Idempotency-Key": "order-4711"}
        world.gate.denies = Denied("dial_not_listed", "nobody lists it", "add it")
        status, said = await api.place(key)
        assert (status, said["code"], said["outcome"]["kind"]) == (403, "dial_not_listed", "failed")
        assert said["call_id"] == world.records[0].call_id
        assert await api.place(key) == (status, said)
        assert len(world.records) == 1


@in_virtual_time
async def test_a_key_sees_its_own_calls_alone_and_the_machine_s_owner_all() -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        _, placed = await api.place()
        path = f"/v1/calls/{placed['call_id']}"
        assert (await api.ask("GET", path, key=OTHER))[0] == 404
        assert (await api.ask("DELETE", path, key=OTHER))[0] == 404
        assert (await api.ask("GET", path, key="local"))[0] == 200
        assert (await api.ask("GET", "/v1/calls/nobody"))[0] == 404
        assert (await api.ask("DELETE", path, key="local"))[0] == 202


@in_virtual_time
async def test_who_has_no_key_is_not_heard_and_who_guesses_not_at_all() -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        body = {"to": CALLEE, "agent": "bot"}
        for _ in range(10):
            status, said = await api.ask("POST", "/v1/calls", body, key="guess")
            assert (status, said["code"]) == (401, "wrong_token")
        assert len(api.refused) == 10
        status, said = await api.ask("POST", "/v1/calls", body, key="guess")
        assert (status, said["code"]) == (429, "too_many_failures")
        # Whoever guesses from here does not lock out who has a key, nor this machine.
        assert (await api.ask("POST", "/v1/calls", body))[0] == 201
        assert (await api.ask("POST", "/v1/calls", body, key="local"))[0] == 201
        await world.pass_time(61)
        assert (await api.ask("POST", "/v1/calls", body, key="guess"))[0] == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[]", None),
        ({"to": CALLEE}, "agent"),
        ({"agent": "bot"}, "to"),
        ({"to": CALLEE, "agent": "nobody"}, "agent"),
        ({"to": CALLEE, "agent": "bot", "too": 1}, "too"),
        ({"to": "", "agent": "bot"}, "to"),
        ({"to": CALLEE, "agent": "bot", "ring_timeout": 0}, "ring_timeout"),
        ({"to": CALLEE, "agent": "bot", "ring_timeout": 301}, "ring_timeout"),
        ({"to": CALLEE, "agent": "bot", "early_media": True, "record": True}, "early_media"),
        ({"to": CALLEE, "agent": "bot", "headers": {"X-A": "a\r\nX-B: b"}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "headers": {"From": "<sip:president@example.com>"}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "headers": {"P-Asserted-Identity": "<sip:1@x>"}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "headers": {"P-Charge-Info": "<sip:somebody@example.com>"}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "headers": {"Resource-Priority": "ets.0"}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "headers": {f"X-{n}": "1" for n in range(33)}}, "headers"),
        ({"to": CALLEE, "agent": "bot", "data": {"a": "x" * 1025}}, "data.a"),
    ],
)
@in_virtual_time
async def test_a_wish_that_is_none_says_what_is_wrong_with_it(body: Any, field: str | None) -> None:
    async with DiallingWorld() as world:
        api = Api(world)
        status, said = await api.ask("POST", "/v1/calls", body)
        assert (status, set(said)) == (400, {"code", "message", "hint", "field"})
        assert said["field"] == field
        assert world.gate.asked == []


@in_virtual_time
async def test_a_body_has_a_bound() -> None:
    async with DiallingWorld() as world:
        status, said = await Api(world).ask("POST", "/v1/calls", b" " * 70_000)
        assert (status, said["code"]) == (413, "too_large")


_SOUND = (bytes(1600), 8000)


@pytest.mark.parametrize(
    ("own", "asked", "policy"),
    [
        (DetectWish(), None, None),
        (DetectWish(), True, "tell"),
        (DetectWish(), {"on_machine": "hang_up"}, "hang_up"),
        (DetectWish(True, "voicemail", _SOUND), None, "voicemail"),
        (DetectWish(True, "voicemail", _SOUND), {"on_machine": "tell"}, "tell"),
        (DetectWish(True, "voicemail", _SOUND), {}, "voicemail"),
        (DetectWish(True, "voicemail", _SOUND), False, None),
    ],
)
@in_virtual_time
async def test_a_call_says_whether_it_wants_to_know_who_answers_or_its_agent_does(
    own: DetectWish, asked: Any, policy: str | None
) -> None:
    async with DiallingWorld() as world:
        assert await _policy(world, own, asked) == policy


@pytest.mark.parametrize(
    ("trunk", "own", "asked", "policy"),
    [
        ("detect = true", DetectWish(), None, "tell"),
        ('detect = true\non_machine = "hang_up"', DetectWish(), None, "hang_up"),
        ('detect = true\non_machine = "hang_up"', DetectWish(on_machine="voicemail"), None, "voicemail"),
        ('detect = true\non_machine = "hang_up"', DetectWish(), {"on_machine": "tell"}, "tell"),
        ('on_machine = "hang_up"', DetectWish(), True, "hang_up"),
        ('on_machine = "hang_up"', DetectWish(), None, None),
        ("detect = true", DetectWish(False), None, None),
        ("detect = true", DetectWish(), False, None),
    ],
)
@in_virtual_time
async def test_what_neither_the_call_nor_its_agent_says_its_trunk_does(
    trunk: str, own: DetectWish, asked: Any, policy: str | None
) -> None:
    async with DiallingWorld(CONFIG.replace('name = "out"', f'name = "out"\n{trunk}')) as world:
        assert await _policy(world, own, asked) == policy


async def _policy(world: DiallingWorld, own: DetectWish, asked: Any) -> str | None:
    """What the call is told to do with machines; None if nobody listens to it."""
    status, placed = await Api(world, {"bot": own}).place(**({} if asked is None else {"detect": asked}))
    assert status == 201
    told = placed["answered_by"]
    return told["on_machine"] if told is not None else None


@in_virtual_time
async def test_who_waits_for_news_of_a_call_learns_who_answered_at_once() -> None:
    async with DiallingWorld() as world:
        api = Api(world, {"bot": DetectWish(True)})
        _, placed = await api.place()
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        world.carrier.calls[0].answer()
        await world.pass_time(0.1)
        looking = asyncio.create_task(api.ask("GET", f"/v1/calls/{placed['call_id']}?wait=30&since=answered"))
        await world.pass_time(1)
        assert not looking.done()
        heard = {"confidence": 0.75, "position_ms": 1200, "speech_ms": 400, "pause_ms": 320}
        world.leg.tells("answered_by", who="human", code="short_then_silence", **heard)
        await world.pass_time(0.1)
        assert looking.done()
        _, seen = await looking
        assert (seen["state"], seen["answered_by"]["who"]) == ("answered", "human")


@in_virtual_time
async def test_a_policy_that_there_is_not_is_refused() -> None:
    async with DiallingWorld() as world:
        status, refused = await Api(world).place(detect={"on_machine": "shout"})
        assert (status, refused["code"]) == (400, "bad_request")
        assert refused["field"].startswith("detect")


@in_virtual_time
async def test_a_header_that_may_not_be_set_is_named() -> None:
    async with DiallingWorld() as world:
        wish = {"to": CALLEE, "agent": "bot", "headers": {"Via": "b"}}
        status, refused = await Api(world).ask("POST", "/v1/calls", wish)
        assert (status, refused["field"]) == (400, "headers")
        assert refused["message"] == "'Via' is none of X-*, User-to-User, which alone may be set"
