"""Requests of the peer within the dialog that wait for the layer above to answer them, such as INFO (RFC 6086)."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from offhook.sip import in_dialog
from offhook.sip.message import Request
from offhook.sip.session_core import HeaderList
from offhook.sip.transaction.layer import AnyServerTransaction
from offhook.sip.transaction.server import ServerTransaction

if TYPE_CHECKING:
    from offhook.sip.events import SessionEvent
    from offhook.sip.invite import InviteSession

MAX_OPEN = 8
"""Requests of one method that may wait for their answer; further ones get 503."""

Handler: TypeAlias = Callable[["InviteSession", AnyServerTransaction, float], None]
"""What takes a request within the dialog: it answers the transaction, now or later."""


class Inquiries:
    """The open ones by method, the oldest first."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, deque[ServerTransaction]] = {}

    def keep(self, transaction: ServerTransaction) -> bool:
        """Keep it until it is answered; False if too many of its method wait already."""
        waiting = self._open.setdefault(transaction.request.method, deque())
        while waiting and waiting[0].terminated:
            # Nobody has answered it in time.
            waiting.popleft()
        if len(waiting) >= MAX_OPEN:
            return False
        waiting.append(transaction)
        return True

    def oldest(self, method: str) -> ServerTransaction | None:
        """Take the oldest that still waits; what nobody answered within 64*T1 is waited for no longer."""
        waiting = self._open.get(method)
        while waiting:
            transaction = waiting.popleft()
            if not transaction.terminated:
                return transaction
        return None

    def answer(
        self, session: "InviteSession", method: str, status: int, headers: HeaderList = (), *, now: float
    ) -> bool:
        """Answer the oldest of a method; False if none waits."""
        transaction = self.oldest(method)
        if transaction is None:
            return False
        in_dialog.answer(session, transaction, status, now, headers)
        return True

    def end(self, session: "InviteSession", now: float) -> None:
        """The session is over: whoever still waits gets 481."""
        for method in self._open:
            while self.answer(session, method, 481, now=now):
                pass

    def drop(self) -> None:
        """Forget them as they stand."""
        self._open.clear()


def asks(event: "Callable[[InviteSession, Request], SessionEvent]") -> Handler:
    """A handler that tells `event` and lets the request wait for `InviteSession.answer_request`."""

    def handle(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
        assert isinstance(transaction, ServerTransaction), "INVITE has a handler of its own"
        if session.inquiries.keep(transaction):
            session.core.tell(event(session, transaction.request))
        else:
            in_dialog.answer(session, transaction, 503, now, (("Retry-After", "1"),))

    return handle
