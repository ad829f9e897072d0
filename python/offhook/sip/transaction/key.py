"""Which transaction a message belongs to: RFC 3261 17.1.3 and 17.2.3, with the fallback for RFC 2543 peers."""

from typing import TypeAlias

from offhook.sip.message import Request, Response

TransactionKey: TypeAlias = tuple[str, ...]


def server_key(request: Request) -> TransactionKey:
    """The server transaction of a request; an ACK finds its INVITE, a CANCEL is a transaction of its own."""
    method = "INVITE" if request.method == "ACK" else request.method
    via = request.via
    if via.has_magic_cookie:
        host, port = via.sent_by
        return ((via.branch or "").lower(), f"{host}:{port}", method)
    return rfc2543_key(request, method)


def cancelled_key(cancel: Request) -> TransactionKey:
    """The INVITE that a CANCEL means (RFC 3261 9.2)."""
    key = server_key(cancel)
    return (*key[:-1], "INVITE")


def rfc2543_key(request: Request, method: str) -> TransactionKey:
    """Without the cookie the Request-URI, the tags, Call-ID, CSeq and the top Via decide (RFC 3261 17.2.3).

    The To tag is left out: INVITE has none and its ACK carries ours, which Call-ID and From tag tell apart as well.
    """
    via = request.via
    return (
        "",
        str(request.request_uri),
        request.from_.tag or "",
        request.call_id,
        str(request.cseq.number),
        f"{via.transport}/{via.sent_by}/{via.branch or ''}",
        method,
    )


def client_key(branch: str, method: str) -> TransactionKey:
    """The client transaction that sent `branch` with `method`."""
    return (branch.lower(), method)


def response_key(response: Response) -> TransactionKey:
    """The client transaction of a response: branch of the top Via, and the method in CSeq."""
    return client_key(response.via.branch or "", response.cseq.method)
