"""From a URI to a destination."""

import asyncio

import pytest
from tests.support.clock import in_virtual_time
from tests.support.media import FakeEngine

from offhook._media import EngineConfig
from offhook.destination.base import Destination, DestinationEvent
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.directory import AgentSeat, Directory
from offhook.destination.echo import EchoDestination
from offhook.destination.wire import AgentSpec, WireDestination
from offhook.destination.worker import WorkerDestination
from offhook.destination.workers import Workers
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.media.plane import MediaPlane
from offhook.route.destination_uri import OtherUri, parse_destination
from offhook.route.limits import Admission, Limit, Limits

pytestmark = pytest.mark.unit


WORKERS = Workers(threads=1, gateway="edge", version="1")


def ignore(who: Destination, event: DestinationEvent) -> None:
    """Nobody listens."""


def directory(engine: FakeEngine | None = None, admission: Admission | None = None) -> Directory:
    plane = MediaPlane(EngineConfig(), engine=engine or FakeEngine())
    spec = AgentSpec("desk", "twilio", "wss://bot.example/x?token=1", (("Authorization", "Bearer s"),), "https://o")
    agents = {"desk": spec, "crew": AgentSpec("crew", "worker", "")}
    return Directory(plane, agents, admission or Admission(Limits(Limit())), WORKERS, node="edge")


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("echo:", EchoDestination, "echo:"),
        ("echo:welcome", EchoDestination, "echo:welcome"),
        ("ws://agent.example/a?token=1", WireDestination, "ws://agent.example/a?…"),
        ("twilio+wss://bot.example/m", WireDestination, "twilio+wss://bot.example/m"),
        ("agent:desk", WireDestination, "agent:desk"),
        ("agent:crew", WorkerDestination, "agent:crew"),
        ("worker:crew", WorkerDestination, "worker:crew"),
    ],
)
def test_every_kind_of_uri_has_its_destination_and_shows_no_token(text: str, kind: type, shown: str) -> None:
    made = directory().make(parse_destination(text), ignore, ready_within=20)
    assert type(made) is kind
    assert made.uri == shown


def test_what_the_configuration_refuses_is_not_made() -> None:
    with pytest.raises(AssertionError):
        directory().make(OtherUri("sip", "sip:x"), ignore, ready_within=20)


@in_virtual_time
async def test_an_agent_is_dialled_with_its_credentials() -> None:
    engine = FakeEngine()
    plane = MediaPlane(EngineConfig(), engine=engine)
    spec = AgentSpec("desk", "twilio", "wss://bot.example/x", (("Authorization", "Bearer s"),), "https://o", 2.5)
    made = Directory(plane, {"desk": spec}, Admission(Limits(Limit())), WORKERS, node="edge").make(
        parse_destination("agent:desk"), ignore, ready_within=20
    )
    leg = plane.open_leg(on_event=lambda event: None, on_error=lambda error: None)
    task = asyncio.create_task(made.prepare(leg, AgentFacts(CallId("c"), "+1", "+2")))
    await asyncio.sleep(0)
    config = engine.wires[0].config
    assert config.url == "wss://bot.example/x"
    assert config.headers == [("Authorization", "Bearer s")]
    assert (config.origin, config.total_timeout_ms) == ("https://o", 2500)
    task.cancel()
    engine.dispose()


def test_a_seat_is_taken_once_and_given_back_once() -> None:
    admission = Admission(Limits(Limit(), agents={"desk": 1}))
    first, second = AgentSeat("desk", admission), AgentSeat("desk", admission)
    first.take()
    with pytest.raises(DestinationError) as found:
        second.take()
    assert found.value.code == "limit_agent_calls"
    second.give_back()
    with pytest.raises(DestinationError):
        AgentSeat("desk", admission).take()
    first.give_back()
    first.give_back()
    AgentSeat("desk", admission).take()
    with pytest.raises(DestinationError):
        AgentSeat("desk", admission).take()
