"""RFC 3263 4.3: the next target where one fails, what is asked of it, and what becomes of the one before."""

from dataclasses import dataclass, field

import pytest
from tests.support.messages import SDP, response
from tests.support.solo import Solo

from offhook.sip.digest import Credentials
from offhook.sip.effects import SendRequest, Target
from offhook.sip.events import Answered, Failed, FailureCause, Provisional, Refused
from offhook.sip.message import Response

pytestmark = [pytest.mark.conformance, pytest.mark.rfc(3263, "4.3")]

ONE, TWO, THREE = (Target("udp", f"192.0.2.1{n}", 5060) for n in (1, 2, 3))
BY_TCP = Target("tcp", "192.0.2.14", 5060)


@dataclass
class Watch:
    """Lays down how targets are gone through, and writes down what it hears."""

    seconds: float = 4.0
    goes_on: bool = False
    without: tuple[Target, ...] = ()
    failures: list[tuple[str, str]] = field(default_factory=list)
    heard_of: list[tuple[str, int]] = field(default_factory=list)

    def offer(self, target: Target, now: float) -> bytes | None:
        return None if target in self.without else f"v=0 for {target.host}".encode()

    def patience(self) -> float:
        return self.seconds

    def heard(self, target: Target, response: Response, now: float) -> None:
        self.heard_of.append((target.host, response.status))

    def failed(self, target: Target, why: str, response: Response | None, now: float) -> None:
        self.failures.append((target.host, why))


def call(*targets: Target, watch: Watch | None = None, **options: object) -> tuple[Solo, Watch]:
    solo, watch = Solo(), watch or Watch()
    solo.invite("sip:bob@trunk.example", targets=targets, tries=watch, **options)
    return solo, watch


def invites(solo: Solo) -> list[SendRequest]:
    """The first INVITE to each target in turn."""
    sent = [e for _, e in solo.sent if isinstance(e, SendRequest) and e.request.method == "INVITE"]
    return list({(e.request.via.branch, e.request.cseq.number): e for e in reversed(sent)}.values())[::-1]


def asked(solo: Solo) -> list[str]:
    return [sent.target.host for sent in invites(solo)]


def fails(solo: Solo, sent: SendRequest) -> None:
    solo.user_agent.transport_failed(sent.transaction, solo.now, "connection refused")
    solo.drain()


def test_the_next_request_is_the_same_but_for_its_branch() -> None:
    solo, _ = call(ONE, TWO)
    solo.run(4.0)
    first, second = (sent.request for sent in invites(solo))
    assert first.via.branch != second.via.branch
    assert (first.call_id, first.from_.tag, first.cseq) == (second.call_id, second.from_.tag, second.cseq)
    assert first.request_uri == second.request_uri


def test_each_gets_the_offer_that_is_for_it() -> None:
    solo, _ = call(ONE, TWO)
    solo.run(4.0)
    assert [sent.request.body for sent in invites(solo)] == [b"v=0 for 192.0.2.11", b"v=0 for 192.0.2.12"]


@pytest.mark.rfc(3261, "18.1.1")
def test_another_transport_has_another_via_and_contact() -> None:
    solo, _ = call(BY_TCP, ONE)
    fails(solo, invites(solo)[0])
    first, second = (sent.request for sent in invites(solo))
    assert (first.via.transport, second.via.transport) == ("TCP", "UDP")
    assert "transport=tcp" in (first.headers.get("Contact") or "")
    assert "transport" not in (second.headers.get("Contact") or "")


def test_silence_is_waited_out_for_its_seconds_and_no_longer_repeated_to() -> None:
    solo, watch = call(ONE, TWO, watch=Watch(3.0))
    solo.run(2.9)
    assert asked(solo) == ["192.0.2.11"]
    solo.run(30.0)
    assert watch.failures[0] == ("192.0.2.11", "no answer in 3 s")
    to_one = [at for at, e in solo.sent if isinstance(e, SendRequest) and e.target == ONE]
    assert max(to_one) <= 3.0


def test_the_last_has_all_the_time_of_timer_b() -> None:
    solo, _ = call(ONE, TWO)
    solo.run(35.9)
    assert solo.told(Failed) == []
    solo.run(36.1)
    assert [(event.cause, event.detail) for event in solo.told(Failed)] == [(FailureCause.TIMEOUT, "")]
    solo.run(100)
    solo.assert_empty()


def test_where_others_are_asked_after_the_last_it_is_not_waited_for_either() -> None:
    solo, _ = call(ONE, TWO, watch=Watch(goes_on=True))
    solo.run(8.0)
    assert [(event.cause, event.detail) for event in solo.told(Failed)] == [(FailureCause.TIMEOUT, "no answer in 4 s")]


@pytest.mark.parametrize("status", [486, 404, 480, 500, 504, 600, 603])
def test_any_other_refusal_than_503_is_the_end(status: int) -> None:
    solo, _ = call(ONE, TWO)
    solo.receive(response(solo.last().request, status))
    assert asked(solo) == ["192.0.2.11"]
    assert [event.response.status for event in solo.told(Refused)] == [status]


def test_503_goes_on_and_the_last_one_is_told() -> None:
    solo, watch = call(ONE, TWO)
    solo.receive(response(invites(solo)[0].request, 503))
    solo.receive(response(invites(solo)[1].request, 503))
    assert [host for host, _ in watch.failures] == ["192.0.2.11", "192.0.2.12"]
    assert [event.response.status for event in solo.told(Refused)] == [503]


def test_who_has_said_100_has_time_yet_a_broken_connection_is_known_at_once() -> None:
    solo, watch = call(BY_TCP, ONE)
    first = invites(solo)[0]
    solo.receive(response(first.request, 100))
    solo.run(20.0)
    assert asked(solo) == ["192.0.2.14"]
    fails(solo, first)
    assert asked(solo) == ["192.0.2.14", "192.0.2.11"]
    assert watch.failures == [("192.0.2.14", "connection refused")]
    # It may ring there all the same: nobody is to pick up in vain.
    assert [sent.target for _, sent in solo.sent if sent.request.method == "CANCEL"] == [BY_TCP]


@pytest.mark.parametrize("trouble", ["time", "connection", "503"])
def test_where_it_has_rung_nobody_else_is_asked(trouble: str) -> None:
    solo, _ = call(BY_TCP, ONE)
    first = invites(solo)[0]
    solo.receive(response(first.request, 180, "phone"))
    if trouble == "connection":
        fails(solo, first)
    elif trouble == "503":
        solo.receive(response(first.request, 503, "phone"))
    solo.run(100.0)
    assert asked(solo) == ["192.0.2.14"]
    assert len(solo.told(Refused)) == (trouble == "503")


def test_a_late_ringing_of_one_that_was_left_gets_cancel_once_and_is_not_told() -> None:
    solo, _ = call(ONE, TWO)
    solo.run(4.0)
    first = invites(solo)[0].request
    solo.receive(response(first, 180, "late"))
    solo.receive(response(first, 183, "late"))
    (cancel,) = solo.requests("CANCEL")
    assert (cancel.via.branch, cancel.cseq.number) == (first.via.branch, first.cseq.number)
    assert solo.told(Provisional) == []
    # Its 487 is acknowledged, and the call goes on with the other.
    solo.receive(response(first, 487, "late"))
    assert solo.requests("ACK")[-1].via.branch == first.via.branch
    solo.receive(response(invites(solo)[1].request, 200, "two", body=SDP))
    assert len(solo.told(Answered)) == 1


@pytest.mark.rfc(3261, "13.2.2.4")
@pytest.mark.parametrize("other", ["calling", "answered", "refused"])
def test_a_late_answer_of_one_that_was_left_gets_ack_and_bye(other: str) -> None:
    solo, _ = call(ONE, TWO)
    solo.run(4.0)
    first, second = (sent.request for sent in invites(solo))
    if other == "answered":
        solo.receive(response(second, 200, "two", body=SDP))
    elif other == "refused":
        solo.receive(response(second, 486, "two"))
    late = response(first, 200, "late", body=SDP)
    solo.receive(late)
    acks = [ack for ack in solo.requests("ACK") if ack.to.tag == "late"]
    (bye,) = solo.requests("BYE")
    assert (len(acks), bye.to.tag, bye.call_id) == (1, "late", first.call_id)
    assert len(solo.told(Answered)) == (other == "answered")
    # A repeated 200 gets its ACK again, and no second BYE.
    solo.receive(late)
    assert len([ack for ack in solo.requests("ACK") if ack.to.tag == "late"]) == 2
    assert len(solo.requests("BYE")) == 1


def test_hanging_up_asks_nobody_else() -> None:
    solo = Solo()
    session = solo.invite("sip:bob@trunk.example", targets=(ONE, TWO), tries=Watch())
    solo.receive(response(invites(solo)[0].request, 100))
    solo.do(session.hang_up)
    solo.receive(response(invites(solo)[0].request, 503))
    assert asked(solo) == ["192.0.2.11"]


def test_the_next_server_is_asked_without_the_proof_that_was_for_the_last() -> None:
    login = Credentials("us", "secret", frozenset({"trunk.example", "192.0.2.11", "192.0.2.12"}))
    solo, _ = call(ONE, TWO, credentials=login)
    challenge = (("WWW-Authenticate", 'Digest realm="t", nonce="one", algorithm=MD5, qop="auth"'),)
    solo.receive(response(solo.last().request, 401, "t", *challenge))
    assert "Authorization" in solo.last().request.headers
    solo.receive(response(solo.last().request, 503))
    assert solo.last().target == TWO
    assert "Authorization" not in solo.last().request.headers
    solo.receive(response(solo.last().request, 401, "t", *challenge))
    assert "Authorization" in solo.last().request.headers


def test_a_target_without_an_offer_is_passed_over() -> None:
    solo, _ = call(ONE, TWO, watch=Watch(without=(ONE,)))
    assert asked(solo) == ["192.0.2.12"]


def test_if_none_can_be_asked_that_is_told() -> None:
    solo, _ = call(ONE, TWO, watch=Watch(without=(ONE, TWO)))
    assert asked(solo) == []
    assert [event.cause for event in solo.told(Failed)] == [FailureCause.TRANSPORT]


def test_what_was_heard_of_whom_is_told() -> None:
    solo, watch = call(ONE, TWO)
    solo.receive(response(solo.last().request, 503))
    solo.receive(response(solo.last().request, 100))
    assert watch.heard_of == [("192.0.2.11", 503), ("192.0.2.12", 100)]


def test_a_large_request_tries_tcp_of_a_target_before_the_next_target() -> None:
    class Large(Watch):
        def offer(self, target: Target, now: float) -> bytes | None:
            return b"v=0 " + b"x" * 1_400

    solo, _ = call(ONE, TWO, watch=Large())
    assert solo.last().target.transport == "tcp"
    solo.run(4.0)
    assert [(sent.target.transport, sent.target.host) for sent in invites(solo)][:2] == [
        ("tcp", "192.0.2.11"),
        ("udp", "192.0.2.11"),
    ]
