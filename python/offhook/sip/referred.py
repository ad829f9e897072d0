"""REFER of the peer's and the NOTIFYs by which it hears what comes of it: RFC 3515, RFC 3892, RFC 4488, RFC 6665.

One at a time. The layer above judges each (`ReferReceived` without a status), answers it, and says how it goes.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from offhook.errors import RemoteProtocolError
from offhook.sip import in_dialog
from offhook.sip.events import FailureCause, ReferReceived, Replied
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Request, Response
from offhook.sip.session_core import HeaderList
from offhook.sip.session_state import ESTABLISHED
from offhook.sip.sipfrag import SIPFRAG
from offhook.sip.steps import Steps
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.transaction.server import ServerTransaction
from offhook.sip.uri import SipUri, TelUri

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

EXPIRES = 600
"""Seconds that a subscription is said to last; what it is about is decided long before."""

# RFC 3891 section 6.1: a Call-ID and its parameters, without anything that could end the header.
_TAG = r"[A-Za-z0-9.!%*_+`'~-]+"
_REPLACES = re.compile(
    rf"[A-Za-z0-9.!%*_+`'~()<>:\\/\[\]?{{}}@-]{{1,256}}(?:;(?:(?:to|from)-tag={_TAG}|early-only)){{2,3}}"
)


class State(Enum):
    """Where it is."""

    IDLE = "idle"
    ASKED = "asked"
    REPORTING = "reporting"
    SILENT = "silent"
    """It is tried, and no reports are wanted, or nobody knows of them any more."""


class Input(Enum):
    """What moves it."""

    ASK = "REFER"
    REFUSE = "it is refused"
    ACCEPT = "202"
    ACCEPT_SILENTLY = "202 without a subscription"
    UNKNOWN = "481 to a NOTIFY"
    END = "its end is known"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.IDLE, Input.ASK): State.ASKED,
    (State.ASKED, Input.REFUSE): State.IDLE,
    (State.ASKED, Input.ACCEPT): State.REPORTING,
    (State.ASKED, Input.ACCEPT_SILENTLY): State.SILENT,
    (State.ASKED, Input.END): State.IDLE,
    (State.REPORTING, Input.UNKNOWN): State.SILENT,
    (State.REPORTING, Input.END): State.IDLE,
    (State.SILENT, Input.END): State.IDLE,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a REFER asks for: a call to `uri`, without its headers. `referred_by` and `replaces` are for its INVITE."""

    uri: SipUri | TelUri
    referred_by: str | None = None
    replaces: str | None = None


class Referred(Steps[State, Input]):
    """The REFERs of one session's peer. The session is handed in and not kept."""

    TABLE = TRANSITIONS

    __slots__ = ("_event", "_served", "_silent")

    def __init__(self) -> None:
        self.state = State.IDLE
        self._served = 0
        self._event = "refer"
        self._silent = False

    def receive(self, session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        """A REFER within the dialog, of a peer that may send one: it waits for `answer`, or is refused at once."""
        request = transaction.request
        wanted = read(request)
        if isinstance(wanted, int):
            self._refused(session, transaction, wanted, now)
        elif not self._keeps(session, transaction):
            # As RFC 3261 14.2 has it for a second INVITE: ask again when the first is done.
            retry = (("Retry-After", str(round(session.core.between(1, 10)))),)
            self._refused(session, transaction, 500, now, retry)
        else:
            self._step(Input.ASK)
            self._served += 1
            # RFC 3515 2.4.6: the first of a dialog needs no id, and some phones know none.
            self._event = "refer" if self._served == 1 else f"refer;id={request.cseq.number}"
            self._silent = (request.headers.get("Refer-Sub") or "").partition(";")[0].strip().lower() == "false"
            session.core.tell(ReferReceived(session, request, None, wanted))

    def answer(self, session: "InviteSession", status: int, headers: HeaderList, now: float) -> bool:
        """Answer the one that waits: 202, whose reports begin with a 100 (2.4.4), or a refusal."""
        if self.state is not State.ASKED:
            return False
        if status != 202:
            self._step(Input.REFUSE)
            return session.inquiries.answer(session, "REFER", status, headers, now=now)
        if self._silent:
            # RFC 4488 section 4: said, or the peer would have to wait for a NOTIFY.
            headers = (*headers, ("Refer-Sub", "false"))
        self._step(Input.ACCEPT_SILENTLY if self._silent else Input.ACCEPT)
        session.inquiries.answer(session, "REFER", status, headers, now=now)
        self.report(session, 100, "Trying", now)
        return True

    def report(self, session: "InviteSession", status: int, reason: str, now: float) -> bool:
        """Report a status of whoever is called. A final one ends the subscription; False if nobody is told.

        `Replied` of method NOTIFY tells that a final one was answered, or was not.
        """
        is_final = status >= 200
        told = self.state is State.REPORTING
        if is_final:
            self._step(Input.END)
        if not told:
            return False

        def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
            if response is not None and response.status == 481:
                self._step(Input.UNKNOWN)
            if is_final:
                session.core.tell(Replied(session, "NOTIFY", status, response, cause))

        headers, body = self._notify(status, reason, is_last=is_final)
        return session.ask("NOTIFY", headers, body, done=done, now=now)

    def end(self, session: "InviteSession", now: float) -> None:
        """The session ends, by whomever: its subscription with it, by a last NOTIFY that leaves at once."""
        if self.state is State.REPORTING and session.dialog is not None:
            headers, body = self._notify(100, "Trying", is_last=True)
            in_dialog.send(session, session.dialog, session.dialog.request("NOTIFY", headers, body), now)
        self._step(Input.END)

    def _keeps(self, session: "InviteSession", transaction: AnyServerTransaction) -> bool:
        assert isinstance(transaction, ServerTransaction), "INVITE has a handler of its own"
        may = session.state in ESTABLISHED and self.state is State.IDLE
        return may and session.inquiries.keep(transaction)

    def _notify(self, status: int, reason: str, *, is_last: bool) -> tuple[HeaderList, bytes]:
        state = "terminated;reason=noresource" if is_last else f"active;expires={EXPIRES}"
        headers = (
            ("Event", self._event),
            ("Subscription-State", state),
            ("Content-Type", f"{SIPFRAG};version=2.0"),
        )
        return headers, f"SIP/2.0 {status} {reason}\r\n".encode()

    def _refused(
        self,
        session: "InviteSession",
        transaction: AnyServerTransaction,
        status: int,
        now: float,
        headers: HeaderList = (),
    ) -> None:
        in_dialog.answer(session, transaction, status, now, headers)
        session.core.tell(ReferReceived(session, transaction.request, status))


def read(request: Request) -> Wanted | int:
    """What a REFER asks for, or the status that refuses it: one Refer-To, and an INVITE to a sip: or tel: URI.

    Of the headers in its URI Replaces (RFC 3891) is taken, and nothing else: they would be the peer's words in an
    INVITE of ours (RFC 3261 19.1.5).
    """
    try:
        text = request.headers.single("Refer-To")
        uri = NameAddr.parse(text).uri if text is not None else None
        by = request.headers.single("Referred-By")
        # Built anew from what was read: nothing of the peer's text stands in it as it came.
        referred_by = f"<{_plain(NameAddr.parse(by).uri)}>" if by is not None else None
    except RemoteProtocolError:
        return 400
    if uri is None:
        return 400
    if isinstance(uri, TelUri):
        return Wanted(uri, referred_by)
    if not isinstance(uri, SipUri):
        return 416
    if (uri.params.get("method") or "INVITE").upper() != "INVITE":
        return 603
    replaces = uri.header("Replaces")
    if replaces is not None and _REPLACES.fullmatch(replaces) is None:
        return 400
    return Wanted(uri.without_headers(), referred_by, replaces)


def _plain(uri: object) -> str:
    if isinstance(uri, SipUri):
        return str(SipUri(uri.host, uri.port, uri.user, None, scheme=uri.scheme))
    return str(TelUri(uri.number)) if isinstance(uri, TelUri) else "sip:anonymous@anonymous.invalid"
