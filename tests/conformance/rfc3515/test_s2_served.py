"""RFC 3515 section 2.4, with RFC 3892, 4488 and 6665: the REFERs that a peer may send us, and our NOTIFYs."""

import pytest
from tests.support.messages import request
from tests.support.pair import Peer
from tests.support.referrer import Referrer

from offhook.sip.events import ReferReceived, Replied
from offhook.sip.message import Request, Response

pytestmark = pytest.mark.conformance

TO = "Refer-To: <tel:+14155550142>"


class MayRefer(Peer):
    """A peer whose REFERs are served."""

    may_refer = True


class Referring(Referrer):
    """A peer that may refer us; `asks` sends a REFER, `notifies` has what we reported."""

    def __init__(self) -> None:
        self._asked = 1
        super().__init__()

    @property
    def peer(self) -> Peer:
        return MayRefer("trunk")

    @peer.setter
    def peer(self, peer: Peer) -> None:
        """It is always one that may."""

    def asks(self, *headers: str) -> Response | None:
        self._asked += 1
        answers = self.receive(self.within("REFER", self._asked, *(headers or (TO,))))
        return answers[0] if answers and isinstance(answers[0], Response) else None

    @property
    def notifies(self) -> list[Request]:
        return self.requests("NOTIFY")

    def accepts(self, *headers: str) -> None:
        assert self.asks(*headers) is None
        assert self.do(self.session.answer_refer, 202)

    def answer_notify(self, status: int = 200) -> None:
        self.receive(self.notifies[-1].response(status))


@pytest.mark.rfc(3515, "2.4.4")
@pytest.mark.rfc(6665, "4.2.2")
def test_202_and_a_notify_with_100_at_once() -> None:
    peer = Referring()
    assert peer.asks() is None
    [told] = peer.told(ReferReceived)
    assert told.status is None
    assert told.wanted is not None
    assert str(told.wanted.uri) == "tel:+14155550142"
    assert peer.notifies == []
    peer.do(peer.session.answer_refer, 202)
    [answer] = [m for m in peer.responses(202) if m.cseq.method == "REFER"]
    assert answer.headers.get("Contact")
    [notify] = peer.notifies
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    assert notify.headers.get("Event") == "refer"
    assert notify.headers.get("Subscription-State") == "active;expires=600"
    assert notify.headers.get("Content-Type") == "message/sipfrag;version=2.0"
    assert notify.headers.get("Contact")


@pytest.mark.rfc(3515, "2.4.5")
@pytest.mark.rfc(3515, "2.4.7")
def test_reports_leave_one_by_one_and_the_final_one_ends_the_subscription() -> None:
    peer = Referring()
    peer.accepts()
    peer.do(peer.session.report_refer, 180, "Ringing")
    peer.do(peer.session.report_refer, 200, "OK")
    assert len(peer.notifies) == 1
    peer.answer_notify()
    peer.answer_notify()
    assert peer.told(Replied) == []
    peer.answer_notify()
    assert [notify.body.split(b" ")[1] for notify in peer.notifies] == [b"100", b"180", b"200"]
    numbers = [notify.cseq.number for notify in peer.notifies]
    assert numbers == sorted(set(numbers))
    assert peer.notifies[-1].headers.get("Subscription-State") == "terminated;reason=noresource"
    [told] = peer.told(Replied)
    assert (told.method, told.token) == ("NOTIFY", 200)
    assert not peer.do(peer.session.report_refer, 486, "Busy Here")
    assert not peer.session.is_over


@pytest.mark.rfc(3515, "2.4.6")
def test_the_second_of_a_dialog_has_an_id() -> None:
    peer = Referring()
    peer.accepts()
    peer.do(peer.session.report_refer, 486, "Busy Here")
    peer.answer_notify()
    peer.answer_notify()
    peer.accepts()
    assert peer.notifies[-1].headers.get("Event") == "refer;id=3"


@pytest.mark.rfc(3515, "2.4.2")
def test_one_at_a_time() -> None:
    peer = Referring()
    peer.accepts()
    answer = peer.asks()
    assert answer is not None
    assert answer.status == 500
    assert 1 <= int(answer.headers.get("Retry-After") or 0) <= 10


@pytest.mark.rfc(3515, "2.4.2")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("X-No: refer-to",), 400),
        ((TO, TO), 400),
        ((f"{TO}, <tel:+14155550143>",), 400),
        (("Refer-To: <sip:a@b.example;method=MESSAGE>",), 603),
        (("Refer-To: <mailto:a@b.example>",), 416),
        ((TO, "Referred-By: <<"), 400),
        ((TO, "Require: replaces-all"), 420),
    ],
)
def test_refused_at_once(headers: tuple[str, ...], status: int) -> None:
    peer = Referring()
    answer = peer.asks(*headers)
    assert answer is not None
    assert answer.status == status
    assert peer.notifies == []
    assert not peer.session.is_over


@pytest.mark.rfc(3892, "2.2")
def test_referred_by_is_read_and_written_anew() -> None:
    peer = Referring()
    peer.asks(TO, 'Referred-By: "A" <sip:a@b.example;x=1?Subject=y>;cid="1@b"')
    wanted = peer.told(ReferReceived)[0].wanted
    assert wanted is not None
    assert wanted.referred_by == "<sip:a@b.example>"


@pytest.mark.rfc(3891, "6.1")
@pytest.mark.parametrize(
    ("escaped", "status"),
    [
        ("1%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy", None),
        ("1%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy%0d%0aX-Evil:1", 400),
        ("1%40b", 400),
    ],
)
def test_replaces_in_refer_to(escaped: str, status: int | None) -> None:
    peer = Referring()
    answer = peer.asks(f"Refer-To: <sip:a@b.example?Replaces={escaped}>")
    assert (answer.status if answer is not None else None) == status


@pytest.mark.rfc(4488, "4")
def test_no_reports_where_none_are_wanted() -> None:
    peer = Referring()
    peer.accepts(TO, "Refer-Sub: false", "Supported: norefersub")
    [answer] = [m for m in peer.responses(202) if m.cseq.method == "REFER"]
    assert answer.headers.get("Refer-Sub") == "false"
    assert not peer.do(peer.session.report_refer, 200, "OK")
    assert peer.notifies == []


@pytest.mark.rfc(6665, "4.2.2")
def test_a_peer_that_knows_no_subscription_gets_no_more_and_keeps_its_session() -> None:
    peer = Referring()
    peer.accepts()
    peer.answer_notify(481)
    assert not peer.do(peer.session.report_refer, 200, "OK")
    assert len(peer.notifies) == 1
    assert not peer.session.is_over


@pytest.mark.rfc(6665, "4.4.1")
@pytest.mark.parametrize("by_us", [False, True])
def test_the_end_of_the_session_ends_the_subscription(by_us: bool) -> None:
    peer = Referring()
    peer.accepts()
    peer.answer_notify()
    if by_us:
        peer.do(peer.session.hang_up)
    else:
        peer._cseq = peer._asked
        peer.bye()
    assert len(peer.notifies) == 2
    assert peer.notifies[-1].headers.get("Subscription-State") == "terminated;reason=noresource"
    assert peer.notifies[-1].body == b"SIP/2.0 100 Trying\r\n"


@pytest.mark.rfc(6665, "8.2.2")
def test_offered_where_it_is_served() -> None:
    peer = Referring()
    [answer] = [m for m in peer.responses(200) if m.cseq.method == "INVITE"]
    assert "REFER" in (answer.headers.get("Allow") or "")
    assert answer.headers.get("Allow-Events") == "refer"


@pytest.mark.rfc(3515, "2.4.2")
def test_outside_of_a_dialog() -> None:
    peer = Referring()
    [answer] = peer.receive(request("REFER", TO, call_id="another"))
    assert isinstance(answer, Response)
    assert answer.status == 481
