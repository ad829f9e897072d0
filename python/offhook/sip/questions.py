"""Requests of ours within the dialog, other than INVITE, ACK and BYE, and their final responses: RFC 3261 12.2.1.

They leave one at a time of each method. Two at once could overtake each other on UDP, and who gets the second first
refuses the other for its CSeq number (12.2.2).
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offhook.sip import in_dialog
from offhook.sip.client_request import ClientRequest, Done
from offhook.sip.dialog import Dialog
from offhook.sip.dialog import State as DialogState
from offhook.sip.events import FailureCause
from offhook.sip.message import Response
from offhook.sip.session_core import HeaderList

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

MAX_WAITING = 32
"""Requests of one session that may wait for their turn; further ones are not taken."""

OTHER_USAGES = frozenset({"SUBSCRIBE", "NOTIFY", "REFER"})
"""RFC 5057 5.1: a 481 to one of these ends a subscription, not the session."""


@dataclass(frozen=True, slots=True)
class Question:
    """One that waits for its turn."""

    method: str
    headers: HeaderList
    body: bytes
    done: Done
    dialog: Dialog


class Questions:
    """Those on their way by method, and those that wait.

    The session is handed in and not kept: what is over has to be freed at once, not when the collector looks.
    """

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open: dict[str, tuple[ClientRequest, Question]] = {}
        self._waiting: deque[Question] = deque()

    def ask(self, session: "InviteSession", question: Question, now: float) -> bool:
        """Send it when its turn comes; False if too many wait already."""
        if question.method not in self._open:
            self._send(session, question, now)
            return True
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(question)
        return True

    def end(self) -> None:
        """The session is over: what has not left will not; answers to what has are told to nobody."""
        self._waiting.clear()
        self._open.clear()

    def drop(self, session: "InviteSession", dialog: Dialog, now: float) -> None:
        """A dialog is no more: what was asked within it has its end, and stands in the way of no other."""
        lost = [question for question in self._waiting if question.dialog is dialog]
        self._waiting = deque(question for question in self._waiting if question.dialog is not dialog)
        for method, (_, question) in list(self._open.items()):
            if question.dialog is dialog:
                del self._open[method]
                lost.insert(0, question)
        for question in lost:
            question.done(None, FailureCause.DIALOG_GONE, now)
            self._next(session, question.method, now)

    def _send(self, session: "InviteSession", question: Question, now: float) -> None:
        dialog = question.dialog
        request = dialog.request(question.method, question.headers, question.body)

        def done(response: Response | None, cause: FailureCause | None, at: float) -> None:
            if self._open.get(question.method) != (client, question):
                return
            del self._open[question.method]
            is_gone = response is not None and response.status == 481 and question.method not in OTHER_USAGES
            question.done(response, cause, at)
            if is_gone and dialog.state is DialogState.CONFIRMED and not session.is_over:
                session.lost(FailureCause.DIALOG_GONE, f"481 to our {question.method}", at)
            self._next(session, question.method, at)

        client = in_dialog.client(session, dialog, request, done)
        self._open[question.method] = client, question
        client.begin(now)

    def _next(self, session: "InviteSession", method: str, now: float) -> None:
        if method in self._open or session.is_over:
            return
        for question in self._waiting:
            if question.method == method:
                self._waiting.remove(question)
                self._send(session, question, now)
                return
