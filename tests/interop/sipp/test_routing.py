"""Where our own requests within a dialog go (RFC 3261 12.2.1.1): loose routes, a strict router, a new Contact."""

import re

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Played, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop

# sipp stands for the nearest proxy as well as for the phone behind it.
US = "127.0.0.4:[local_port]"
PHONE = "<sip:phone@10.11.12.13:5999>"


@pytest.fixture
def short_sipp(sipp: Player) -> Player:
    """At the trunk that hangs up after half a second."""
    sipp.source = "127.0.0.4"
    return sipp


def bye_of(played: Played) -> tuple[str, list[str]]:
    """Request-URI and Route values of our BYE."""
    ((_, bye),) = played.received("BYE ")
    routes = [value.strip() for line in re.findall(r"^Route: *(.*)$", bye, re.M) for value in line.split(",")]
    return bye.split()[1], routes


def test_two_loose_routes(gateway: Gateway, short_sipp: Player) -> None:
    routes = f"Record-Route: <sip:{US};lr;near=1>, <sip:10.0.0.7;lr;far=1>"
    flow = Scenario("loose", contact=PHONE).set_up(Check("near=1.*far=1", "Record-Route"), headers=(routes,))
    played = short_sipp.play(flow.expect_request("BYE").answer())
    uri, route_set = bye_of(played)
    assert uri == "sip:phone@10.11.12.13:5999"
    assert [re.search(r"near|far", value)[0] for value in route_set] == ["near", "far"]  # type: ignore[index]
    assert gateway.record(played.call_id)["end_reason"] == "max_duration"


def test_a_strict_router(short_sipp: Player) -> None:
    routes = f"Record-Route: <sip:{US};near=1>, <sip:10.0.0.7;lr;far=1>"
    flow = Scenario("strict", contact=PHONE).set_up(headers=(routes,)).expect_request("BYE").answer()
    uri, route_set = bye_of(short_sipp.play(flow))
    assert re.fullmatch(r"sip:127\.0\.0\.4:\d+;near=1", uri), "its own URI becomes the Request-URI"
    assert "far=1" in route_set[0]
    assert "phone@10.11.12.13" in route_set[1], "and the remote target ends the route"
    assert len(route_set) == 2


def test_a_contact_that_moves_takes_later_requests_along(short_sipp: Player) -> None:
    flow = Scenario("moving").set_up()
    flow.contact = "<sip:moved@127.0.0.4:[local_port];transport=[transport]>"
    flow.invite(OFFER, cseq=2, branch="move", within=True).expect(100, optional=True).expect(200, routes=False)
    flow.ack(cseq=2).expect_request("BYE").answer()
    uri, route_set = bye_of(short_sipp.play(flow))
    assert uri.startswith("sip:moved@127.0.0.4:")
    assert route_set == []
