"""What takes a request of the peer within the dialog, by its method: RFC 3261 section 12.2.2."""

from typing import TYPE_CHECKING

from offhook.sip import in_dialog
from offhook.sip.events import InfoReceived
from offhook.sip.inquiries import Handler, asks
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.layer import AnyServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession


def _capabilities(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    in_dialog.answer(session, transaction, 200, now, session.core.session_headers(session.peer))


def _reinvite(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    assert isinstance(transaction, InviteServerTransaction), "made for an INVITE"
    session.renegotiation.receive_invite(session, transaction, now)


def _update(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    session.renegotiation.receive_update(session, transaction, now)


def _prack(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    session.provisionals.receive(session, transaction, now)


def _refer(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    session.referred.receive(session, transaction, now)


def _report(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    session.referrals.notify(session, transaction, now)


HANDLERS: dict[str, Handler] = {
    "BYE": lambda session, transaction, now: session.on_bye(transaction, now),
    "INFO": asks(InfoReceived),
    "INVITE": _reinvite,
    "NOTIFY": _report,
    "OPTIONS": _capabilities,
    "PRACK": _prack,
    "REFER": _refer,
    "UPDATE": _update,
}
"""Each answers its transaction, now or later; methods that are not here get 405 (or before, if not in Allow)."""
