"""RFC 3261 18.1 and RFC 3263 4.3: transport by size, targets in turn, failures of the network."""

import pytest
from tests.support.messages import SDP, response
from tests.support.solo import Solo

from offhook.sip.effects import SendRequest, Target
from offhook.sip.events import Answered, Failed, FailureCause, OptionsAnswered, Refused
from offhook.sip.uri import parse_uri
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.conformance

LARGE = b"v=0 " + b"x" * 3000


def fail(solo: Solo) -> SendRequest:
    """The last request could not be sent; returns what is tried next."""
    solo.user_agent.transport_failed(solo.last().transaction, solo.now)
    solo.drain()
    effect = solo.last()
    assert isinstance(effect, SendRequest)
    return effect


@pytest.mark.rfc(3261, "18.1.1")
def test_a_large_request_goes_by_tcp_with_the_via_of_tcp() -> None:
    solo = Solo()
    solo.invite(offer=LARGE)
    sent = solo.last()
    assert sent.target == Target("tcp", "192.0.2.1", 5060)
    assert sent.request.via.transport == "TCP"
    assert "transport=tcp" in str(sent.request.contacts[0].uri)
    assert solo.times("INVITE") == [0]


@pytest.mark.rfc(3261, "18.1.1")
def test_1300_bytes_are_the_limit() -> None:
    solo = Solo()
    solo.invite(offer=b"x" * 100)
    overhead = len(solo.last().wire) - 100
    for size, transport in ((1300 - overhead, "udp"), (1301 - overhead, "tcp")):
        solo.invite(offer=b"x" * size)
        sent = solo.last()
        assert sent.target.transport == transport
        assert transport == "tcp" or len(sent.wire) == 1300


@pytest.mark.rfc(3261, "18.1.1")
def test_where_tcp_is_refused_it_falls_back_to_udp_and_remembers() -> None:
    solo = Solo()
    solo.invite(offer=LARGE)
    again = fail(solo)
    assert (again.target, again.request.via.transport) == (Target("udp", "192.0.2.1", 5060), "UDP")
    assert again.request.cseq.number == 1
    solo.invite(offer=LARGE)
    assert solo.last().target.transport == "udp"
    solo.clock.advance(301)
    solo.invite(offer=LARGE)
    assert solo.last().target.transport == "tcp"


@pytest.mark.rfc(3261, "18.1.1")
def test_the_rule_can_be_switched_off() -> None:
    solo = Solo(UserAgentConfig(large_requests_to_tcp=False))
    solo.invite(offer=LARGE)
    assert solo.last().target.transport == "udp"


@pytest.mark.rfc(3263, "4.3")
def test_targets_are_tried_in_turn() -> None:
    solo = Solo()
    solo.invite("sip:bob@trunk.example")
    assert str(solo.resolves[0].uri) == "sip:bob@trunk.example"
    targets = (Target("tcp", "192.0.2.11", 5060), Target("udp", "192.0.2.12", 5060), Target("udp", "192.0.2.13", 5060))
    solo.user_agent.resolved(solo.resolves[0].resolution, targets, solo.now)
    solo.drain()
    first = solo.last()
    assert first.target == targets[0]
    assert str(first.request.request_uri) == "sip:bob@trunk.example"
    second = fail(solo)
    assert second.target == targets[1]
    assert second.request.via.branch != first.request.via.branch
    assert second.request.call_id == first.request.call_id
    solo.receive(response(second.request, 503))
    assert solo.last().target == targets[2]
    solo.receive(response(solo.last().request, 200, body=SDP))
    assert len(solo.told(Answered)) == 1
    assert solo.told(Refused) == []


@pytest.mark.rfc(3263, "4.3")
def test_another_refusal_than_503_is_the_end() -> None:
    solo = Solo()
    solo.invite("sip:bob@trunk.example")
    targets = (Target("udp", "192.0.2.11", 5060), Target("udp", "192.0.2.12", 5060))
    solo.user_agent.resolved(solo.resolves[0].resolution, targets, solo.now)
    solo.drain()
    solo.receive(response(solo.last().request, 486))
    assert [event.response.status for event in solo.told(Refused)] == [486]


@pytest.mark.rfc(3263, "4.3")
def test_the_last_target_that_fails_is_told() -> None:
    solo = Solo()
    solo.invite("sip:bob@192.0.2.1;transport=tcp")
    solo.user_agent.transport_failed(solo.last().transaction, solo.now)
    solo.drain()
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.TRANSPORT]
    solo.assert_empty()


def test_a_name_without_targets_is_told() -> None:
    solo = Solo()
    solo.invite("sip:bob@nowhere.example")
    solo.user_agent.resolved(solo.resolves[0].resolution, (), solo.now)
    solo.drain()
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNRESOLVED]


@pytest.mark.rfc(3261, "26.2.2")
def test_a_sips_uri_never_leaves_by_a_plain_transport() -> None:
    solo = Solo()
    solo.invite("sips:bob@192.0.2.1")
    assert solo.sent == []
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNRESOLVED]


def test_too_many_names_at_once_are_told_not_raised() -> None:
    solo = Solo(UserAgentConfig(max_resolutions=1))
    solo.invite("sip:bob@one.example")
    solo.invite("sip:bob@two.example")
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.UNRESOLVED]


def test_a_late_2xx_of_a_target_that_was_given_up_is_taken() -> None:
    solo = Solo()
    solo.invite("sip:bob@trunk.example")
    targets = (Target("udp", "192.0.2.11", 5060), Target("udp", "192.0.2.12", 5060))
    solo.user_agent.resolved(solo.resolves[0].resolution, targets, solo.now)
    solo.drain()
    first = solo.last().request
    solo.receive(response(first, 503))
    second = solo.last().request
    assert second.via.branch != first.via.branch
    solo.receive(response(second, 200, "two", body=SDP))
    assert len(solo.told(Answered)) == 1


@pytest.mark.rfc(3261, "11.1")
@pytest.mark.parametrize("status", [200, 404, 503])
def test_any_answer_to_options_is_told(status: int) -> None:
    solo = Solo()
    solo.do(solo.user_agent.options, parse_uri("sip:192.0.2.1"), "<sip:us@192.0.2.2>", "trunk")
    asked = solo.requests("OPTIONS")[0]
    assert len(asked.contacts) == 1, "peers exist that know us by it"
    solo.receive(response(asked, status))
    assert [(e.token, e.response.status) for e in solo.told(OptionsAnswered)] == [("trunk", status)]


def test_options_that_nobody_answers_are_told() -> None:
    solo = Solo()
    solo.do(solo.user_agent.options, parse_uri("sip:192.0.2.1"), "<sip:us@192.0.2.2>", "trunk")
    solo.run(40)
    assert [(e.token, e.response, e.cause) for e in solo.told(OptionsAnswered)] == [
        ("trunk", None, FailureCause.TIMEOUT)
    ]
    solo.assert_empty()
