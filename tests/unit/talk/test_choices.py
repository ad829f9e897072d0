"""Whom the page can call, and by which route such a call goes."""

from pathlib import Path

import pytest

from offhook.config.load import examine_text
from offhook.config.routing import Routing, build_routing
from offhook.config.schema import Config
from offhook.route.pattern import names_fit
from offhook.route.table import CallFacts, Forward, NoRoute
from offhook.talk.choices import HEADER, TALK_TRUNK, Choices, choices_of, talk_trunk

pytestmark = pytest.mark.unit

TOML = """
[[trunk]]
name = "acme"
allow = ["198.51.100.0/24"]

[[route]]
name = "night"
trunk = "acme"
to = "+1415*"
headers = { "X-Hour" = "night" }
destination = "echo:welcome"

[[route]]
name = "sales"
trunk = "acme"
to = "+14155550123"
destination = "agent:front-desk"
ring_timeout = 7
record = true
fallback = [{ on = ["refused"], to = "worker:spare" }]

[[route]]
name = "urgent"
priority = 5
destination = "ws://bot.example/x?token=hidden"

[[agent]]
name = "front-desk"
kind = "offhook"
url = "wss://bot.example/media"

[[agent]]
name = "spare"
kind = "worker"
token = "a-token-of-the-tests"

[[agent]]
name = "unused"
kind = "twilio"
url = "wss://bot.example/twilio"
"""


def config() -> Config:
    found = examine_text(TOML, {}, file="", base=Path("/nowhere")).config
    assert found is not None
    return found


def routing() -> Routing:
    return build_routing(config())


def choices() -> Choices:
    return choices_of(config(), routing().routes)


def test_every_route_can_be_called_in_the_order_in_which_they_are_tried_and_then_agents_without_one() -> None:
    assert [(choice.id, choice.destination, choice.number) for choice in choices()] == [
        ("route:urgent", "ws://bot.example/x?…", "urgent"),
        ("route:night", "echo:welcome", "night"),
        ("route:sales", "agent:front-desk", "+14155550123"),
        ("agent:unused", "agent:unused", "unused"),
    ]


def decide(choice: str, trunk: str = TALK_TRUNK) -> object:
    to = read(choice)
    return choices().table.decide(
        CallFacts.read(talk_trunk(4), to_user=to, from_user="talk", headers=((HEADER, choice),))
    )


def read(choice: str) -> str:
    found = choices().get(choice)
    return found.number if found is not None else "nobody"


def test_a_call_goes_by_the_route_that_was_chosen_with_all_that_it_says_but_who_may_call() -> None:
    decision = decide("route:sales")
    assert isinstance(decision, Forward)
    route = decision.route
    own = next(own for own in routing().routes.routes if own.name == "sales")
    assert (route.name, str(route.destination), route.ring_timeout) == ("sales", "agent:front-desk", 7.0)
    assert (route.answer, route.record) == (own.answer, own.record)
    assert [str(fallback.to) for fallback in route.fallback] == ["worker:spare"]
    # Neither the priority of others nor the header that the route wants of its callers counts here.
    night = decide("route:night")
    assert isinstance(night, Forward)
    assert night.route.name == "night"


def test_an_agent_without_a_route_is_called_as_it_is() -> None:
    decision = decide("agent:unused")
    assert isinstance(decision, Forward)
    assert str(decision.destination) == "agent:unused"


def test_what_is_no_choice_goes_nowhere() -> None:
    assert isinstance(decide("route:ops"), NoRoute)
    assert choices().get("route:ops") is None


def test_agents_get_nothing_of_how_the_page_said_whom_it_meant() -> None:
    assert not names_fit(talk_trunk(4).pass_headers, HEADER)
