from ipaddress import ip_network

import pytest

from offhook.ids import RouteName, TrunkName
from offhook.route.destination_uri import EchoUri
from offhook.route.dry_run import Question, try_call
from offhook.route.pattern import Pattern
from offhook.route.table import Route, RouteTable
from offhook.route.trunk import InboundDigest, Trunk, TrunkTable

pytestmark = pytest.mark.unit

TRUNKS = TrunkTable([
    Trunk(TrunkName("acme"), (ip_network("198.51.100.0/24"),), country="US"),
    Trunk(TrunkName("road"), inbound=InboundDigest("alice")),
    Trunk(TrunkName("home"), inbound=InboundDigest("bob")),
])  # fmt: skip
ROUTES = RouteTable([Route(RouteName("sales"), EchoUri(), to=(Pattern("+1415*"),))])


def test_a_call_that_a_route_takes() -> None:
    run = try_call(TRUNKS, ROUTES, Question("198.51.100.7", "4155550100", "anonymous"))
    assert (run.slug, run.trunk and run.trunk.name, run.route and run.route.name) == ("", "acme", "sales")
    assert [(step.subject, step.ok) for step in run.steps] == [
        ("source", True), ("to", None), ("from", None), ("route", True),
    ]  # fmt: skip
    assert "'4155550100' is +14155550100 by country US" in run.steps[1].text


def test_a_call_that_no_route_takes() -> None:
    run = try_call(TRUNKS, ROUTES, Question("198.51.100.7", "sales", "1"))
    assert run.slug == "no_route"
    assert run.route is None
    assert "nearest is 'sales'" in run.why


def test_a_caller_with_a_password_must_be_chosen_if_there_are_several() -> None:
    question = Question("203.0.113.1", "+14155550100", "1")
    run = try_call(TRUNKS, ROUTES, question)
    assert (run.slug, run.trunk) == ("auth_failed", None)
    assert "alice, bob" in run.why
    proven = try_call(TRUNKS, ROUTES, Question("203.0.113.1", "+14155550100", "1", user="bob"))
    assert proven.trunk is not None
    assert proven.trunk.name == "home"
    assert [step.subject for step in proven.steps[:2]] == ["source", "user"]
    wrong = try_call(TRUNKS, ROUTES, Question("203.0.113.1", "+14155550100", "1", user="eve"))
    assert wrong.slug == "auth_failed"


def test_a_stranger() -> None:
    table = TrunkTable([Trunk(TrunkName("acme"), (ip_network("198.51.100.0/24"),))])
    run = try_call(table, ROUTES, Question("203.0.113.1", "+14155550100", "1"))
    assert run.slug == "no_trunk"
    assert [step.subject for step in run.steps] == ["source"]
    assert "not in trunk 'acme' allow 198.51.100.0/24" in run.why
