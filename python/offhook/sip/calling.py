"""The caller's side of an INVITE: sent, cancelled, forked, answered (RFC 3261 sections 9.1, 12.1.2 and 13.2.2)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from offhook.errors import RemoteProtocolError
from offhook.sip import dialog as dialogs
from offhook.sip import in_dialog, refreshing
from offhook.sip.causes import ELSEWHERE, GIVEN_UP
from offhook.sip.client_request import ClientRequest
from offhook.sip.dialog import Dialog
from offhook.sip.early_dialog import EarlyDialog
from offhook.sip.effects import Target
from offhook.sip.events import Answered, Failed, FailureCause, Provisional, Refused
from offhook.sip.forking import Branches, ForkingRequest
from offhook.sip.message import Request, Response
from offhook.sip.reliable import is_reliable
from offhook.sip.sent_acks import credentials_of
from offhook.sip.session_core import HeaderList
from offhook.sip.session_state import Input, State
from offhook.sip.tries import Tries
from offhook.sip.uri import SipUri

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

MAX_FORKS = 24
"""Early dialogs that one INVITE of ours may make; further forks are told without one, and get no PRACK."""

UNDECIDED = (State.CALLING, State.PROCEEDING, State.CANCELLING)
"""Where the first 2xx makes the session."""

FORK_GONE = 199
"""RFC 6228: this fork will not answer; others may."""


class Calling:
    """The INVITE and its early dialogs, one for each To tag in a 1xx.

    The session is handed in and not kept, but for the time that the INVITE is on its way: what is over has to be freed
    at once, not when the collector looks.
    """

    __slots__ = ("_branches", "_cancel_deadline", "_early", "_fixed", "_invite", "_next_hop", "_number", "_tries")

    def __init__(
        self,
        session: "InviteSession",
        next_hop: SipUri,
        *,
        fixed: Target | None,
        targets: tuple[Target, ...] = (),
        tries: Tries | None = None,
        branches: Branches | None = None,
    ) -> None:
        self._branches = branches
        self._next_hop = next_hop
        self._fixed = fixed
        self._tries = tries
        self._number = session.request.cseq.number
        self._early: dict[str, EarlyDialog] = {}
        self._cancel_deadline: float | None = None
        self._invite = self._made(session, session.request, targets)

    def _made(
        self, session: "InviteSession", request: Request, targets: tuple[Target, ...]
    ) -> ClientRequest | ForkingRequest:
        if self._branches is not None:
            return ForkingRequest(
                session.core,
                request,
                self._branches,
                lambda *final: self._on_final(session, *final),
                progress=lambda *progress: self._on_provisional(session, *progress),
                stray=lambda response, now: self._on_stray(session, response, now),
                credentials=session.credentials,
                number=self._next_number,
                owner=session,
            )
        return ClientRequest(
            session.core,
            request,
            self._next_hop,
            lambda *final: self._on_final(session, *final),
            progress=lambda *progress: self._on_provisional(session, *progress),
            fixed=self._fixed,
            credentials=session.credentials,
            number=self._next_number,
            owner=session,
            targets=targets,
            tries=self._tries,
            stray=lambda response, now: self._on_stray(session, response, now),
        )

    @property
    def early(self) -> tuple[Dialog, ...]:
        """The early dialogs that live, in the order in which they rang."""
        return tuple(early.dialog for early in self._early.values() if not early.is_gone)

    def dialog_of(self, request: Request) -> Dialog | None:
        """The early dialog that a request of the peer is for."""
        early = self._early.get(request.from_.tag or "")
        return early.dialog if early is not None else None

    def mark_of(self, session: "InviteSession", dialog: Dialog) -> HeaderList:
        """The Session-ID towards a fork that has not answered; empty for what is no such fork."""
        early = self._early.get(dialog.remote_tag)
        return session.letterhead.towards(early.session_id) if early is not None else ()

    def carry(self, request: Request) -> None:
        """Send this INVITE in place of the one that was made; before `begin`."""
        self._invite.request = request

    def begin(self, now: float) -> None:
        """Send the INVITE."""
        self._invite.begin(now)

    def cancel(self, session: "InviteSession", headers: HeaderList, now: float) -> None:
        """Give up: CANCEL, and no longer waited for than 64*T1 (9.1)."""
        self._cancel_deadline = now + session.core.timers.transaction
        self._invite.cancel(headers, now)
        session.core.arm(session)

    def abandon(self, now: float) -> None:
        """Wait for no final response, and send no CANCEL."""
        self._invite.abandon(now)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        return self._cancel_deadline

    def handle_timeout(self, session: "InviteSession", now: float) -> None:
        """Wait no longer for what the CANCEL should have brought about."""
        if self._cancel_deadline is not None and now >= self._cancel_deadline:
            self._cancel_deadline = None
            if session.state is State.CANCELLING:
                self._invite.abandon(now)

    def end(self, session: "InviteSession") -> None:
        """The session is over: none of its early dialogs lives on."""
        self._cancel_deadline = None
        for early in self._early.values():
            early.dialog.step(dialogs.Input.END)
            session.core.unbind(early.dialog.id)

    def _next_number(self) -> int:
        """The CSeq number of the INVITE with credentials: the one after the challenged."""
        self._number += 1
        return self._number

    # ------------------------------------------------------------------ what the peer answers

    def _on_provisional(self, session: "InviteSession", response: Response, now: float) -> None:
        if not session.step(Input.PROVISIONAL) or response.status == 100:
            return
        self._learn_request(session)
        early = self._ring(session, response)
        if is_reliable(response) and (early is None or not early.take(response)):
            return
        if early is not None:
            session.allows = early.allows
        session.learn(response)
        if early is not None:
            early.allows = session.allows
            early.session_id = response.session_id or early.session_id
        session.response = response
        rack = early.acknowledgement(response) if early is not None else None
        if early is not None and rack is not None:
            in_dialog.send_prack(session, early.dialog, rack, b"", now)
        if session.state is not State.CANCELLING and (early is None or not early.is_gone):
            session.dialog = early.dialog if early is not None else None
        if early is not None and response.status == FORK_GONE:
            self._fork_gone(session, early, now)
        if session.state is not State.CANCELLING:
            session.core.tell(Provisional(session, response))

    def _fork_gone(self, session: "InviteSession", early: EarlyDialog, now: float) -> None:
        """A 199: this one will not answer. What is wanted of the call from now on is for another that rings."""
        early.is_gone = True
        session.dialog = self.early[-1] if self.early else None
        _end_fork(session, early, now)

    def answer_early(self, session: "InviteSession", tag: str, sdp: bytes, now: float) -> bool:
        """Send the PRACK with our answer to the offer in a reliable 1xx; False if none is owed to this fork."""
        early = self._early.get(tag)
        if early is None or early.owed is None:
            return False
        rack, early.owed = early.owed, None
        early.dialog.offers.answer(sdp)
        in_dialog.send_prack(session, early.dialog, rack, sdp, now)
        return True

    def _on_final(
        self, session: "InviteSession", response: Response | None, cause: FailureCause | None, now: float
    ) -> None:
        self._learn_request(session)
        if response is not None and response.is_success:
            self._on_success(session, response, now)
            return
        if response is not None and response.status == 422 and self._asks_for_longer(session, response, now):
            return
        if not session.step(Input.FAILURE):
            return
        session.end(now)
        if response is not None:
            session.response = response
            session.core.tell(Refused(session, response))
        else:
            assert cause is not None, "no response has a cause"
            session.core.tell(Failed(session, cause, self._invite.why))

    def _asks_for_longer(self, session: "InviteSession", response: Response, now: float) -> bool:
        """The session timer was too short for somebody on the way (RFC 4028 7.3): the INVITE goes out anew."""
        if session.state is State.CANCELLING or not session.timer.raised(response):
            return False
        session.dialog, forks, self._early = None, self._early, {}
        for early in forks.values():
            _end_fork(session, early, now)
        request = self._invite.request
        headers = request.headers.replacing("CSeq", f"{self._next_number()} INVITE")
        for name in ("Authorization", "Proxy-Authorization", "Session-Expires", "Min-SE"):
            headers = headers.without(name)
        for name, value in session.timer.ask():
            headers = headers.adding(name, value)
        targets = self._invite.targets_left if self._tries is not None else ()
        self._invite = self._made(session, replace(request, headers=headers), targets)
        self._invite.begin(now)
        return True

    def _on_success(self, session: "InviteSession", response: Response, now: float) -> None:
        tag = response.to.tag or ""
        number = response.cseq.number
        if session.acks.repeat(tag, number):
            return
        if session.state not in UNDECIDED:
            answered = session.response is not None and session.response.is_success
            # Else it is repeated while the layer above still owes the ACK's answer.
            if not answered or session.is_over or tag != session.remote_tag:
                self._end_stray(session, response, ELSEWHERE if answered else GIVEN_UP, now)
            return
        forks, self._early = self._early, {}
        session.dialog, fault = self._confirm(session, response, forks.pop(tag, None))
        session.response = response
        self._cancel_deadline = None
        session.learn(response)
        before = session.state
        # What a reliable provisional response has agreed on already wants no answer in the ACK (RFC 3262 5).
        asked = self._invite.request.sdp is None and not session.dialog.offers.is_agreed
        owes = asked and response.sdp is not None and not fault
        if asked and response.sdp is None:
            fault = fault or f"the {response.status} has no offer, and neither had our INVITE"
        _see_description(session.dialog, response)
        session.step(Input.SUCCESS_WITH_OFFER if owes else Input.SUCCESS)
        if not owes or before is State.CANCELLING:
            in_dialog.send_ack(session, number, b"", now)
        else:
            session.renegotiation.owed = number
        for fork in forks.values():
            _end_fork(session, fork, now)
        if before is State.CANCELLING:
            session.bye(now)
        elif fault:
            session.lost(FailureCause.UNUSABLE, fault, now)
        else:
            refreshing.answered(session, response, now)
            session.core.tell(Answered(session, response))
            session.renegotiation.try_ours(session, now)

    def _ring(self, session: "InviteSession", response: Response) -> EarlyDialog | None:
        """The early dialog of a 1xx, made if this is its first; None without a tag, or beyond MAX_FORKS."""
        tag = response.to.tag
        if tag is not None and tag not in self._early and len(self._early) < MAX_FORKS:
            self._early[tag] = early = EarlyDialog(Dialog.uac(session.request, response, self._next_hop))
            session.core.bind(session, early.dialog.id)
        return self._early.get(tag or "")

    def _confirm(self, session: "InviteSession", response: Response, answers: EarlyDialog | None) -> tuple[Dialog, str]:
        """The dialog of the first 2xx, which is that of the fork that `answers` if it has rung; what can't be used."""
        made, fault = self._made_by(session, response)
        dialog = made if answers is None else answers.dialog
        # Nothing that other forks have said is true of this one.
        session.allows = answers.allows if answers is not None else None
        session.letterhead.meet(response.session_id or (answers.session_id if answers is not None else None))
        if answers is not None:
            dialog.confirm(made)
        # Again where a 199 had come before.
        session.core.bind(session, dialog.id)
        return dialog, fault

    def _made_by(self, session: "InviteSession", response: Response) -> tuple[Dialog, str]:
        """The dialog that a 2xx makes. If its route set can't be used it has none, so that ACK and BYE can be tried."""
        try:
            return Dialog.uac(session.request, response, self._next_hop), ""
        except RemoteProtocolError as error:
            direct = replace(response, headers=response.headers.without("Record-Route"))
            return Dialog.uac(session.request, direct, self._next_hop), str(error)

    def _on_stray(self, session: "InviteSession", response: Response, now: float) -> None:
        """A target that was given up for another answers after all: it is told that nobody waits for it any more."""
        if not session.acks.repeat(response.to.tag or "", response.cseq.number):
            self._end_stray(session, response, ELSEWHERE, now)

    def _end_stray(self, session: "InviteSession", response: Response, why: HeaderList, now: float) -> None:
        """A 2xx that nobody waits for: RFC 3261 13.2.2.4 asks for ACK, then BYE."""
        if session.acks.is_full:
            return
        stray, _ = self._made_by(session, response)
        number = response.cseq.number
        mark = session.letterhead.towards(response.session_id)
        ack = stray.request("ACK", (*mark, *credentials_of(session.request)), cseq=number)
        session.acks.keep(stray.remote_tag, number, in_dialog.send(session, stray, ack, now))
        in_dialog.send(session, stray, stray.request("BYE", (*mark, *why, *session.core.user_agent_header())), now)

    def _learn_request(self, session: "InviteSession") -> None:
        """Take the INVITE as it last left: with Via and Contact, and perhaps with credentials and another number."""
        if self._invite.target is not None:
            session.request = self._invite.sent_request
            session.path.target = self._invite.target


def _see_description(dialog: Dialog, response: Response) -> None:
    """The SDP of a 2xx: the answer to the INVITE's offer, or an offer in its place."""
    offers = dialog.offers
    if offers.is_agreed:
        # Reliable provisional responses have seen to it; what is open now is an UPDATE's (RFC 3262 5, RFC 3311 5.1).
        return
    if response.sdp is None:
        offers.withdraw()
    elif not offers.answered():
        offers.offered()


def _end_fork(session: "InviteSession", early: EarlyDialog, now: float) -> None:
    """A fork is over: nothing that is open in its early dialog keeps the others waiting."""
    session.core.unbind(early.dialog.id)
    session.renegotiation.fork_gone(session, early.dialog, now)
    session.questions.drop(session, early.dialog, now)
