"""RFC 6432: a refusal has the Q.850 cause beside its status, and none of SIP, which would say it twice."""

import pytest
from tests.support.messages import SDP, request
from tests.support.solo import Solo

from offhook.call.end_reason import EndReason
from offhook.sip.causes import q850_of
from offhook.sip.events import InviteReceived
from offhook.sip.message import Response
from offhook.sip.screening import Refuse

pytestmark = pytest.mark.conformance


def causes(response: Response) -> list[tuple[str, int | None]]:
    return [(reason.protocol, reason.cause) for reason in response.reasons]


@pytest.mark.rfc(6432, "2")
@pytest.mark.parametrize(
    ("status", "q850"), [(404, 1), (480, 18), (486, 17), (488, 88), (500, 41), (503, 42), (603, 21)]
)
def test_a_refusal_that_says_nothing_else_has_the_cause_of_its_status(status: int, q850: int) -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.reject, status)
    assert causes(solo.responses(status)[0]) == [("Q.850", q850)]


@pytest.mark.rfc(6432, "2")
def test_one_that_has_a_reason_of_its_own_keeps_it() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.reject, 480, headers=EndReason.AGENT_REFUSED.refusal_headers)
    assert solo.responses(480)[0].headers.get_all("Reason") == ('Q.850;cause=27;text="agent_refused"',)


@pytest.mark.rfc(6432, "2")
@pytest.mark.parametrize(
    ("lines", "status"),
    [(("Require: x",), 420), (("Content-Encoding: gzip",), 415), (("Accept: text/html",), 406)],
)
def test_refusals_of_the_protocol_itself(lines: tuple[str, ...], status: int) -> None:
    solo = Solo()
    (refusal,) = solo.receive(request("INVITE", *lines, body=SDP))
    assert isinstance(refusal, Response)
    assert (refusal.status, causes(refusal)) == (status, [("Q.850", q850_of(status))])


def test_a_cancelled_invite() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    solo.receive(request("CANCEL"))
    assert causes(solo.responses(487)[0]) == [("Q.850", 16)]


def test_strangers_and_challenges_get_no_reason() -> None:
    solo = Solo()
    solo.screen = lambda request, source, user: Refuse(403)
    (refusal,) = solo.receive(request())
    assert isinstance(refusal, Response)
    assert refusal.reasons == ()


@pytest.mark.rfc(6432, "2")
def test_neither_a_1xx_nor_a_200_has_one_nor_what_refuses_another_request() -> None:
    solo = Solo()
    solo.receive(request(body=SDP))
    session = solo.told(InviteReceived)[0].session
    solo.do(session.ring)
    solo.do(session.answer, SDP)
    solo.receive(request("INFO", to=str(solo.responses(200)[0].to), cseq=2, branch="z9hG4bKi", body=b"x"))
    assert all(effect.response.reasons == () for _, effect in solo.sent if hasattr(effect, "response"))


def test_every_status_has_a_cause_that_q850_knows() -> None:
    assert all(1 <= q850_of(status) <= 127 for status in range(200, 700))
    assert q850_of(499) == 31
