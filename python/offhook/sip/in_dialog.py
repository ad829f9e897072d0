"""What a session sends within its dialogs: requests by the peer's path, and responses (RFC 3261 section 12.2)."""

from typing import TYPE_CHECKING

from offhook.sip.client_request import ClientRequest, Done, Progress
from offhook.sip.dialog import WITH_CONTACT, Dialog
from offhook.sip.events import FailureCause
from offhook.sip.headers.rack import RAck
from offhook.sip.message import Headers, Request, Response
from offhook.sip.peer_path import wants_sips
from offhook.sip.sent_acks import credentials_of
from offhook.sip.session_core import SDP, HeaderList
from offhook.sip.transaction.invite_server import InviteServerTransaction
from offhook.sip.transaction.layer import AnyServerTransaction

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession


def client(
    session: "InviteSession", dialog: Dialog, request: Request, done: Done, progress: Progress | None = None
) -> ClientRequest:
    """A request of ours, on its way by the peer's path once `begin` is called."""
    mark = session.calling.mark_of(session, dialog) if session.calling is not None else ()
    said = (*mark, *session.letterhead.of_request(request.method, tuple(request.headers)))
    if len(said) != len(request.headers):
        request = Request(request.method, request.request_uri, Headers(said), request.body)
    path = session.path
    secure = path.over_tls and (wants_sips(session.request) or path.tls_only)
    next_hop = path.hop(dialog.next_hop)
    return ClientRequest(
        session.core,
        request,
        next_hop,
        done,
        progress=progress,
        fixed=path.fixed(next_hop, secure=secure, speaks_tls=session.core.speaks_tls),
        listener=path.target,
        credentials=session.credentials,
        number=dialog.next_number,
        owner=session,
        secure=secure,
        names=path.names,
        identity=path.identity,
    )


def send(session: "InviteSession", dialog: Dialog, request: Request, now: float) -> ClientRequest:
    """Send a request whose end nobody waits for."""
    sent = client(session, dialog, request, _ignore)
    sent.begin(now)
    return sent


def send_ack(session: "InviteSession", number: int, sdp: bytes, now: float, invite: Request | None = None) -> None:
    """Acknowledge the 2xx to the INVITE of this number; `invite` is a re-INVITE as it was sent."""
    dialog = session.dialog
    assert dialog is not None, "only a dialog's 2xx is acknowledged"
    content = (("Content-Type", SDP),) if sdp else ()
    credentials = credentials_of(invite or (session.request if session.is_caller else None))
    request = dialog.request("ACK", (*credentials, *content), sdp, cseq=number)
    session.acks.keep(dialog.remote_tag, number, send(session, dialog, request, now))


def send_prack(session: "InviteSession", dialog: Dialog, rack: RAck, sdp: bytes, now: float) -> None:
    """Send a PRACK (RFC 3262 section 4). Nobody waits for its end: without it the peer gives up by itself."""
    content = (("Content-Type", SDP),) if sdp else ()
    headers = (("RAck", str(rack)), *session.core.user_agent_header(), *content)
    send(session, dialog, dialog.request("PRACK", headers, sdp), now)


def answer(
    session: "InviteSession",
    transaction: AnyServerTransaction,
    status: int,
    now: float,
    headers: HeaderList = (),
    sdp: bytes | None = None,
) -> Response:
    """Answer a request of the peer; returns what was sent."""
    made = response(session, transaction.request, status, headers, sdp)
    transaction.respond(made, now)
    session.core.pump(transaction, now)
    return made


def abandon(session: "InviteSession", transaction: AnyServerTransaction, now: float) -> None:
    """Leave a re-INVITE, or INVITE, without its answer: no timer would ever end its transaction."""
    if isinstance(transaction, InviteServerTransaction):
        transaction.abandon(now)
        session.core.pump(transaction, now)


def response(
    session: "InviteSession",
    request: Request,
    status: int,
    headers: HeaderList = (),
    sdp: bytes | None = None,
    *,
    reason: str | None = None,
) -> Response:
    """The response to a request of the peer: with our tag, our name, and Contact where one belongs."""
    if request is session.request:
        headers = session.letterhead.of_answer(status, headers)
    theirs = request.session_id
    is_of_fork = session.is_caller and theirs is not None
    extra = [*(session.letterhead.towards(theirs) if is_of_fork else session.letterhead.mark), *headers]
    target = session.path.target
    if request.method in WITH_CONTACT and 100 < status < 300 and target is not None:
        contact = session.core.contact(session.core.local_address(target), secure=wants_sips(session.request))
        extra.insert(0, ("Contact", contact))
    extra += session.core.server_header()
    return request.response(
        status,
        reason,
        to_tag=session.local_tag,
        headers=extra,
        body=sdp or b"",
        content_type=SDP if sdp else None,
    )


def _ignore(response: Response | None, cause: FailureCause | None, now: float) -> None:
    """Nobody waits for the outcome."""
