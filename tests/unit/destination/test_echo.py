"""The echo test."""

import pytest
from tests.support.clock import in_virtual_time

from offhook.destination.base import AgentAudio, Destination, DestinationEvent
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.echo import EchoDestination, prompt, prompt_names
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.route.destination_uri import ECHO_NAMES

pytestmark = pytest.mark.unit

FACTS = AgentFacts(CallId("a"), "+1", "+2")


class Leg:
    """What an echo asks of an RTP leg."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def echo(self, on: bool) -> None:
        self.asked.append(on)

    def play(self, pcm16: bytes, rate: int, mark: str | None = None) -> None:
        self.asked.append((len(pcm16) > rate, mark))


async def begun(name: str | None) -> tuple[EchoDestination, Leg, list[DestinationEvent]]:
    leg, told = Leg(), []  # type: ignore[var-annotated]

    def listen(who: Destination, event: DestinationEvent) -> None:
        told.append(event)

    echo = EchoDestination(name, listen)
    await echo.prepare(leg, FACTS)  # type: ignore[arg-type]
    assert leg.asked == [], "nothing before the answer"
    echo.begin()
    return echo, leg, told


@in_virtual_time
async def test_it_echoes_from_its_begin_to_its_end() -> None:
    echo, leg, told = await begun(None)
    assert [type(event) for event in told] == [AgentAudio]
    echo.close("caller_hung_up")
    echo.close("caller_hung_up")
    assert leg.asked == [True, False]
    assert (echo.uri, echo.stats()) == ("echo:", {})


@in_virtual_time
async def test_a_prompt_comes_first() -> None:
    echo, leg, _ = await begun("welcome")
    assert leg.asked == [(True, "prompt")]
    echo.played("something else")
    assert len(leg.asked) == 1
    echo.played("prompt")
    assert leg.asked[-1] is True
    assert echo.uri == "echo:welcome"


@in_virtual_time
async def test_a_prompt_that_ends_after_the_call_starts_nothing() -> None:
    echo, leg, _ = await begun("welcome")
    echo.close("caller_hung_up")
    echo.played("prompt")
    assert leg.asked[-1] is False


def test_every_name_of_the_configuration_has_its_recording() -> None:
    assert set(ECHO_NAMES) - {""} == set(prompt_names())
    for name in prompt_names():
        samples, rate = prompt(name)
        assert rate in (8000, 16000, 24000, 48000)
        assert 1 < len(samples) / 2 / rate < 20, "seconds"


def test_a_name_without_recording_is_named_with_those_that_have_one() -> None:
    with pytest.raises(DestinationError, match="no recorded prompt 'x'") as found:
        prompt("x")
    assert "welcome" in found.value.hint
