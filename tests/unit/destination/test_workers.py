"""Who is connected, and who gets the next call: by a stand-in for the media engine, so that no socket is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeEngine, FakeMux, FakeWire

from offhook._media import EngineConfig
from offhook.api.failures import Failures
from offhook.api.upgrade import Accepted, Declined, UpgradeRequest
from offhook.api.worker_door import MAX_UNKNOWN, Tokens, WorkerDoor
from offhook.destination.base import AgentLost, AgentNote, Destination, DestinationEvent
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.directory import AgentSeat
from offhook.destination.wire import AgentSpec
from offhook.destination.worker import WorkerDestination
from offhook.destination.workers import Workers
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media.plane import MediaPlane
from offhook.route.limits import Admission, Limit, Limits

pytestmark = pytest.mark.unit

FACTS = AgentFacts(CallId("c"), "+1", "+2")


class Office:
    """A door, the workers that came in by it, and calls for them."""

    def __init__(self, threads: int = 1) -> None:
        self.engine = FakeEngine()
        self.plane = MediaPlane(EngineConfig(), engine=self.engine)
        self.workers = Workers(threads=threads, gateway="edge", version="1")
        self.refused: list[tuple[str, str, str]] = []
        loop = asyncio.get_running_loop()
        self.door = WorkerDoor(
            self.workers,
            Tokens({"desk": "t-desk", "night": "t-night"}),
            self.plane,
            now=loop.time,
            refused=lambda source, rule, why: self.refused.append((source, rule, why)),
        )
        self.admission = Admission(Limits(Limit()))
        self.told: list[DestinationEvent] = []

    def judge(self, token: str | None = "t-desk", source: str = "192.0.2.7", **query: str) -> Accepted | Declined:
        headers = {"sec-websocket-protocol": "offhook.worker.v1"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.door.judge(UpgradeRequest("/v1/worker", query, headers, source))

    def connect(self, **query: str) -> FakeMux:
        accepted = self.judge(**query)
        assert isinstance(accepted, Accepted), accepted
        accepted.take(5, b"HTTP/1.1 101")
        return self.engine.muxes[-1]

    async def hire(self, name: str = "desk", max_calls: int = 10, **hello: Any) -> FakeMux:
        mux = self.connect()
        mux.says(type="hello", name=name, max_calls=max_calls, **hello)
        await settle()
        assert mux.said[0]["type"] == "welcome"
        return mux

    def call(self, agent: str = "desk") -> tuple[WorkerDestination, "asyncio.Task[None]"]:
        destination = WorkerDestination(
            f"worker:{agent}",
            AgentSpec(agent, "worker", ""),
            self.plane,
            self.workers,
            self.listen,
            node="edge",
            ready_within=20,
            seat=AgentSeat(agent, self.admission),
        )
        leg = self.plane.open_leg(on_event=lambda event: None, on_error=lambda error: None)
        return destination, asyncio.create_task(destination.prepare(leg, FACTS))

    def listen(self, who: Destination, event: DestinationEvent) -> None:
        self.told.append(event)

    def notes(self) -> list[str]:
        return [event.what for event in self.told if isinstance(event, AgentNote)]


async def settle() -> None:
    await asyncio.sleep(0.01)


@asynccontextmanager
async def office(threads: int = 1) -> AsyncIterator[Office]:
    made = Office(threads)
    # A call begins at once on a connection that is there.
    made.engine.on_dial = FakeWire.accept
    async with made.plane:
        yield made
    made.engine.dispose()


async def take(wire: FakeWire) -> None:
    wire.says(type="ready")
    await settle()


@in_virtual_time
async def test_the_least_loaded_gets_the_call_and_its_place_is_given_back() -> None:
    async with office() as here:
        large, small = await here.hire(max_calls=4), await here.hire(max_calls=2)
        calls = []
        for _ in range(6):
            calls.append(here.call()[0])
            await settle()
        assert (len(large.calls), len(small.calls)) == (4, 2)
        _, seventh = here.call()
        with pytest.raises(DestinationError, match="2 workers of 'desk' are connected: 2 full") as full:
            await seventh
        assert full.value.code == "no_worker"
        calls[0].close("caller_hung_up")
        calls[0].close("caller_hung_up")
        here.call()
        await settle()
        assert len(large.calls) + len(small.calls) == 7


@in_virtual_time
async def test_calls_go_round_where_load_is_the_same() -> None:
    async with office() as here:
        crew = [await here.hire() for _ in range(3)]
        for _ in range(3):
            destination, task = here.call()
            await settle()
            task.cancel()
            destination.close("caller_cancelled")
        assert [len(mux.calls) for mux in crew] == [1, 1, 1]


@in_virtual_time
async def test_a_worker_that_breaks_stalls_or_declines_before_ready_is_passed_over() -> None:
    async with office() as here:
        crew = [await here.hire(instance=name) for name in ("breaks", "stalls", "declines", "takes")]
        destination, task = here.call()
        await settle()
        crew[0].calls[0].breaks()
        await settle()
        crew[1].tell("stalled")
        await settle()
        crew[2].calls[0].says(type="decline", reason="busy with itself")
        await settle()
        assert not task.done()
        await take(crew[3].calls[0])
        await task
        assert [note for note in here.notes() if "did not take" in note] == [
            f"worker {name} did not take the call" for name in ("breaks", "stalls", "declines")
        ]
        assert here.workers.events["passed_on"] == 3
        assert sum(worker.calls for worker in here.workers) == 1
        # Once it is taken a stall changes nothing, and a loss is the call's.
        destination.begin()
        crew[3].tell("stalled")
        await settle()
        assert not any(isinstance(event, AgentLost) for event in here.told)
        crew[3].calls[0].breaks()
        await settle()
        assert isinstance(here.told[-1], AgentLost)


@in_virtual_time
async def test_who_can_not_be_asked_is_passed_over_by_name_and_once() -> None:
    async with office() as here:
        crew = [await here.hire(instance=name, max_calls=1) for name in ("full", "drains", "stalls", "breaks", "takes")]
        here.call()
        await settle()
        crew[1].says(type="drain")
        crew[2].tell("stalled")
        await settle()
        here.told.clear()
        _, task = here.call()
        await settle()
        crew[3].calls[0].breaks()
        await settle()
        await take(crew[4].calls[0])
        await task
        assert [(event.what, event.fields.get("why")) for event in here.told if isinstance(event, AgentNote)] == [
            ("worker full was passed over", "it is full: 1 of 1 calls"),
            ("worker drains was passed over", "it is draining"),
            ("worker stalls was passed over", "it has stalled"),
            ("worker breaks is asked", None),
            ("worker breaks did not take the call", "worker:desk closed with 1006 before the call was answered"),
            ("worker takes is asked", None),
        ]


@in_virtual_time
async def test_a_caller_who_is_rejected_is_not_offered_to_others() -> None:
    async with office() as here:
        crew = [await here.hire(), await here.hire()]
        _, task = here.call()
        await settle()
        crew[0].calls[0].says(type="reject", status=486)
        with pytest.raises(DestinationError) as rejected:
            await task
        assert (rejected.value.code, rejected.value.sip_status) == ("agent_rejected", 486)
        assert not crew[1].calls


@in_virtual_time
async def test_stalled_draining_and_cold_workers_get_what_they_should() -> None:
    async with office() as here:
        warm, cold = await here.hire(ready=1), await here.hire(ready=0)
        here.call()
        await settle()
        assert (len(warm.calls), len(cold.calls)) == (1, 0)
        warm.says(type="drain")
        await settle()
        here.call()
        await settle()
        assert (len(warm.calls), len(cold.calls)) == (1, 1)
        cold.tell("stalled")
        await settle()
        _, task = here.call()
        with pytest.raises(DestinationError, match="1 stalled, 1 draining"):
            await task
        cold.tell("recovered")
        cold.says(type="status", max_calls=1, ready=5)
        await settle()
        assert here.workers.by_agent(lambda worker: worker.max_calls) == {"desk": 11}
        assert here.workers.events["stalled"] == here.workers.events["recovered"] == 1


@in_virtual_time
async def test_each_thread_has_a_connection_and_a_lost_one_can_come_back() -> None:
    async with office(threads=2) as here:
        first = await here.hire()
        session = first.said[0]["session"]
        assert (first.said[0]["connection"], first.said[0]["connections"]) == (0, 2)
        assert not here.workers.take_calls_of("desk"), "a call may be on the other thread"
        second = here.connect(session=session, connection="1")
        assert here.workers.take_calls_of("desk")
        assert not here.workers.take_calls_of("night")
        assert second.thread == 1
        assert second.said[0] == first.said[0] | {"connection": 1}
        taken = here.judge(session=session, connection="1")
        assert isinstance(taken, Declined)
        assert taken.code == "connection_taken"
        first.breaks()
        await settle()
        _, task = here.call()
        with pytest.raises(DestinationError, match="1 not connected for this call's media thread"):
            await task
        here.connect(session=session, connection="0")
        here.call()
        await settle()
        assert len(here.engine.muxes[-1].calls) == 1
        for mux in (second, here.engine.muxes[-1]):
            mux.breaks()
        await settle()
        gone = here.judge(session=session, connection="0")
        assert isinstance(gone, Declined)
        assert gone.code == "no_session"
        assert here.door.connections == 0


@in_virtual_time
async def test_who_says_nothing_or_nonsense_is_closed() -> None:
    async with office() as here:
        silent, rude, stranger = here.connect(), here.connect(), here.connect()
        rude.says(type="hello", name="desk", max_calls=0)
        stranger.says(type="hello", name="night", max_calls=1)
        await settle()
        assert rude.close_asked == (4000, "hello: `max_calls` is a whole number from 1 to 10000")
        assert stranger.close_asked == (4003, "the token is not for an agent 'night' of kind 'worker'")
        await asyncio.sleep(5)
        assert silent.close_asked == (4008, "no hello within 5 s")
        await settle()
        assert (here.door.connections, list(here.workers)) == (0, [])


@in_virtual_time
async def test_connections_without_a_name_are_bounded() -> None:
    async with office() as here:
        for _ in range(MAX_UNKNOWN):
            here.connect()
        declined = here.judge()
        assert isinstance(declined, Declined)
        assert declined.code == "too_many_connections"
        await asyncio.sleep(6)
        assert isinstance(here.judge(), Accepted)


@in_virtual_time
async def test_wrong_tokens_are_told_and_limited() -> None:
    async with office() as here:
        for number in range(10):
            declined = here.judge(token=f"guess {number}")
            assert isinstance(declined, Declined)
            assert declined.code == "wrong_token"
        assert here.refused == [("192.0.2.7", "worker_token", "a worker came with a wrong token")] * 10
        limited = here.judge(token="guess 11")
        assert isinstance(limited, Declined)
        assert (limited.code, limited.headers) == ("too_many_failures", {"Retry-After": "61"})
        # The workers of other agents behind the same proxy have their way.
        assert isinstance(here.judge(), Accepted)
        declined = here.judge(source="192.0.2.8", token="guess 11")
        assert isinstance(declined, Declined)
        assert declined.code == "wrong_token"
        await asyncio.sleep(61)
        declined = here.judge(token="guess 11")
        assert isinstance(declined, Declined)
        assert declined.code == "wrong_token"


@in_virtual_time
async def test_a_gateway_that_stops_says_so() -> None:
    async with office() as here:
        mux = await here.hire()
        here.workers.drain("the gateway is stopping")
        here.door.drain()
        assert mux.said[-1] == {"type": "drain", "reason": "the gateway is stopping"}
        declined = here.judge()
        assert isinstance(declined, Declined)
        assert declined.code == "draining"


def test_a_token_is_good_for_the_agents_that_have_it() -> None:
    tokens = Tokens({"a": "one", "b": "two", "c": "one"})
    assert tokens.agents("one") == {"a", "c"}
    assert tokens.agents("two") == {"b"}
    assert tokens.agents("") == tokens.agents("oné") == frozenset()


def test_sources_of_wrong_tokens_are_forgotten_oldest_first() -> None:
    failures = Failures()
    for number in range(3000):
        failures.add(f"192.0.2.{number}", 0.0)
    assert len(failures._since) == 1024
    for _ in range(10):
        failures.add("203.0.113.1", 1.0)
    assert failures.wait("203.0.113.1", 31.0) == 30
    assert failures.wait("203.0.113.1", 61.0) == 0
