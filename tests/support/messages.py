"""Short ways to write the messages that tests need. Everything goes through the parser, as from the wire."""

from offhook.sip.effects import SendRequest, SendResponse, Source, Target
from offhook.sip.message import Request, Response
from offhook.sip.parser import parse_datagram
from offhook.sip.transaction.machine import TransactionEffect

UDP = Source("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060), 1)
TCP = Source("tcp", ("192.0.2.1", 40000), ("192.0.2.2", 5060), 7)

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def request(
    method: str = "INVITE",
    *headers: str,
    uri: str = "sip:bob@192.0.2.2",
    branch: str | None = "z9hG4bKone",
    via: str = "SIP/2.0/UDP 192.0.2.1:5060",
    from_: str = "<sip:alice@192.0.2.1>;tag=alice",
    to: str = "<sip:bob@192.0.2.2>",
    call_id: str = "call@192.0.2.1",
    cseq: int = 1,
    contact: str | None = "<sip:alice@192.0.2.1>",
    max_forwards: int | None = 70,
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> Request:
    """A request as it comes from the wire. `headers` are whole lines."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via}" + (f";branch={branch}" if branch is not None else ""),
        *([f"Max-Forwards: {max_forwards}"] if max_forwards is not None else []),
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *([f"Contact: {contact}"] if contact is not None else []),
        *headers,
        *([f"Content-Type: {content_type}"] if body else []),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    message = parse_datagram("\r\n".join(lines).encode() + body)
    assert isinstance(message, Request)
    return message


def response(
    to: Request,
    status: int,
    tag: str | None = "bob",
    *headers: tuple[str, str],
    body: bytes = b"",
    contact: bool = True,
) -> Response:
    """An answer of the peer to a request of ours, as it comes from the wire."""
    extra = [("Contact", "<sip:bob@192.0.2.2>")] if contact and 100 < status < 300 else []
    made = to.response(
        status,
        to_tag=tag,
        headers=[*extra, *headers],
        body=body,
        content_type="application/sdp" if body else None,
    )
    message = parse_datagram(bytes(made))
    assert isinstance(message, Response)
    return message


def to_send(message: Request, transport: str = "udp") -> SendRequest:
    """A request on its way to 192.0.2.2."""
    return SendRequest(message, Target(transport, "192.0.2.2", 5060), bytes(message), 1)


def sent(effects: list[TransactionEffect]) -> list[str | int]:
    """Methods and statuses of what is to be sent."""
    found: list[str | int] = []
    for effect in effects:
        if isinstance(effect, SendRequest):
            found.append(effect.request.method)
        elif isinstance(effect, SendResponse):
            found.append(effect.response.status)
    return found
