"""Who may speak, and what somebody is told who is not served: answers without a transaction (RFC 3261 8.2.7 and 22)."""

from collections import Counter
from collections.abc import Callable, Sequence

from offhook.errors import RemoteProtocolError
from offhook.sip.causes import why_refused, with_reason
from offhook.sip.digest import Rejected, Stale, Verified
from offhook.sip.effects import Effect, SendResponse, Source, Tell
from offhook.sip.events import InviteRefused
from offhook.sip.headers.session_id import NIL, SessionId, SessionUuids
from offhook.sip.invite import InviteSession
from offhook.sip.message import Message, Request, Response
from offhook.sip.parser import MessageError, validate
from offhook.sip.screening import Admit, Challenge, Drop, Refuse, Screen, Verdict
from offhook.sip.session_core import HeaderList
from offhook.sip.stateless import StatelessTags, least_size, reply_to
from offhook.sip.transaction.layer import TransactionLayer

MOST_FOR_NOTHING = 3
"""Bytes of an answer for each byte of what asked for it by UDP, while nothing is proven (RFC 3261 section 26.3.2.4).

Whoever writes another's address into a datagram has the answer sent there. No request of a real peer is so small that
all that it is told would not fit.
"""


class Doorkeeper:
    """Asks the screen, has digest verified, and writes the refusals."""

    __slots__ = ("_counters", "_emit", "_screen", "_server_header", "_tags", "_transactions", "_uuids")

    def __init__(
        self,
        screen: Screen,
        transactions: TransactionLayer,
        counters: Counter[str],
        emit: Callable[[Effect], None],
        *,
        server_header: HeaderList,
        secret: bytes,
        namespace: bytes,
    ) -> None:
        self._screen = screen
        self._transactions = transactions
        self._counters = counters
        self._emit = emit
        self._server_header = server_header
        self._tags = StatelessTags(secret)
        self._uuids = SessionUuids(namespace)

    # ------------------------------------------------------------------ who may speak

    def screen(self, request: Request, source: Source) -> Verdict:
        """What the screen says of it before anything is proven."""
        return self._screen(request, source, None)

    def admit(self, request: Request, source: Source, now: float) -> Admit | None:
        """Whose request it is; None when it is not served, and has been refused where that is due."""
        verdict: Verdict | None = self.screen(request, source)
        if isinstance(verdict, Challenge):
            verdict = self._authenticate(request, source, verdict, now)
        match verdict:
            case Admit():
                return verdict
            case Refuse(status, phrase, headers):
                self._counters["refused_requests"] += 1
                self._tell_unproven(request, source, status, (tuple(headers),), phrase)
            case Drop():
                self._counters["dropped_requests"] += 1
            case Challenge() | None:
                pass
        return None

    def _authenticate(self, request: Request, source: Source, challenge: Challenge, now: float) -> Verdict | None:
        """Digest on the server's side; None when the 401 has been sent."""
        challenger = challenge.challenger
        outcome = challenger.verify(request, now, source.remote[0], challenge.lookup)
        match outcome:
            case Verified():
                return self._screen(request, source, outcome.user)
            case Stale():
                stale = True
            case Rejected(why):
                stale = False
                if why != "no_credentials" and challenge.failed is not None:
                    challenge.failed(why)
        if request.method == "CANCEL":
            # RFC 3261 22.1: CANCEL can't be sent again with credentials; it is believed where its INVITE came from.
            invite = self._transactions.cancelled(request)
            session = invite.user if invite is not None else None
            if (
                isinstance(session, InviteSession)
                and invite is not None
                and invite.source.remote[0] == source.remote[0]
            ):
                return Admit(session.peer)
            return Drop("cancel_without_invite")
        self._counters["challenged_requests"] += 1
        values = challenger.challenge(now, source.remote[0], request.method, str(request.request_uri), stale=stale)
        offered = tuple(("WWW-Authenticate", value) for value in values)
        self._tell_unproven(request, source, 401, [offered[:count] for count in range(len(offered), 0, -1)])
        return None

    def _tell_unproven(
        self,
        request: Request,
        source: Source,
        status: int,
        choices: Sequence[HeaderList],
        reason: str | None = None,
    ) -> None:
        """Answer who has proven nothing, with the first of `choices` of headers that is not too long for it."""
        most = MOST_FOR_NOTHING * least_size(request)
        for headers in choices:
            answer = self._answer(request, source, status, headers, reason)
            if source.transport != "udp" or len(answer.wire) <= most:
                self._emit(answer)
                return
        self._counters["answers_too_large"] += 1

    # ------------------------------------------------------------------ what the others are told

    def broken(self, error: MessageError, source: Source, now: float) -> None:
        """Bytes that are no message: an admitted peer gets the 4xx where one can be built, others get nothing."""
        self._counters["broken_messages"] += 1
        if error.partial is None:
            return
        try:
            admitted = self.admit(error.partial, source, now)
            if admitted is not None:
                self.object(error.partial, source, admitted.peer, error.status_hint, detail=str(error))
        except RemoteProtocolError:
            self._counters["unanswerable"] += 1

    def objected(
        self, message: Message, error: RemoteProtocolError, source: Source, admitted: Admit | None = None
    ) -> None:
        """A message that could be read and means nothing; the peer is told if it is an admitted one's request."""
        self._counters["broken_messages"] += 1
        if isinstance(message, Response):
            return
        if not isinstance(error, MessageError):
            # Some field that was read before the others were looked at: the check of all says what can be answered.
            error = _checked(message) or MessageError(str(error), status_hint=error.status_hint, partial=message)
        partial = error.partial
        if partial is None or partial.method == "ACK":
            return
        try:
            verdict = admitted or self.screen(partial, source)
            if isinstance(verdict, Admit):
                self.object(partial, source, verdict.peer, error.status_hint, detail=str(error))
        except RemoteProtocolError:
            self._counters["unanswerable"] += 1

    def object(
        self,
        request: Request,
        source: Source,
        peer: object,
        status: int,
        headers: HeaderList = (),
        reason: str | None = None,
        *,
        repeated: bool = False,
        detail: str = "",
        mark: HeaderList | None = None,
    ) -> None:
        """Refuse a request of an admitted peer; an INVITE with its reason (RFC 6432), and the layer above hears.

        `mark` is the Session-ID of the session that the request is for.
        """
        if request.method == "INVITE":
            headers = with_reason(headers, why_refused(status))
        self._counters["objections"] += 1
        response = self.reply(request, source, status, headers, reason, nat=is_behind_nat(peer), mark=mark)
        if request.method == "INVITE":
            self._emit(Tell(InviteRefused(request, response, source, peer, repeated, detail)))

    def reply(
        self,
        request: Request,
        source: Source,
        status: int,
        headers: HeaderList = (),
        reason: str | None = None,
        *,
        nat: bool = False,
        mark: HeaderList | None = None,
    ) -> Response:
        """Send a response without a transaction; every repetition of the request gets the same one."""
        answer = self._answer(request, source, status, headers, reason, nat=nat, mark=mark)
        self._emit(answer)
        return answer.response

    def _answer(
        self,
        request: Request,
        source: Source,
        status: int,
        headers: HeaderList,
        reason: str | None,
        *,
        nat: bool = False,
        mark: HeaderList | None = None,
    ) -> SendResponse:
        request = request.received_from(source.remote[0], source.remote[1], force_rport=nat)
        response = request.response(
            status,
            reason,
            to_tag=self.tag_of(request),
            headers=(*(self.mark_of(request) if mark is None else mark), *headers, *self._server_header),
        )
        return SendResponse(response, source, reply_to(request, source, nat=nat), bytes(response))

    def session_uuid(self, request: Request) -> str:
        """Our session id towards the caller of a request: the same in what refuses it and in the session it makes."""
        caller = request.from_.tag if request.headers.get("From") else None
        return self._uuids.of(request.headers.get("Call-ID") or "", caller or "")

    def mark_of(self, request: Request) -> HeaderList:
        """RFC 7989: early errors have it too, if the request has, or may be the beginning of a session.

        Within a dialog that is no more, or is not shown to this peer, our half is what the peer says it is.
        """
        theirs = request.session_id
        if theirs is None and request.method != "INVITE":
            return ()
        if theirs is not None and theirs.remote not in (None, NIL) and request.has_to_tag:
            return (("Session-ID", str(theirs.reversed)),)
        try:
            ours = SessionId(self.session_uuid(request))
        except RemoteProtocolError:
            # Its From can't be read.
            return ()
        return (("Session-ID", str(ours if theirs is None else ours.hearing(theirs))),)

    def tag_of(self, request: Request) -> str:
        """The To tag of a response without a transaction."""
        return self._tags.of(request)


def is_behind_nat(peer: object) -> bool:
    """Whether a peer is answered where its requests come from, by what is configured."""
    return bool(getattr(peer, "nat", False))


def _checked(request: Request) -> MessageError | None:
    try:
        validate(request)
    except MessageError as error:
        return error
    return None
