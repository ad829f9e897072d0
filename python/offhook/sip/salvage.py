"""Responses that mean something in spite of what can't be read of them.

A response can't be refused. One that is dropped for a broken field is sent again and again, a 2xx for 32 seconds and
into a call that nobody acknowledges (RFC 3261 13.2.2.4). So what can't be read is as if it were missing.
"""

from dataclasses import replace
from typing import Final

from offhook.errors import RemoteProtocolError
from offhook.sip.headers.names import SINGLES
from offhook.sip.message import Response
from offhook.sip.parser import READ_LATER, validate

_NEEDED: Final = frozenset({"From", "To", "Call-ID", "CSeq"})
_TYPED: Final = READ_LATER | {"Max-Forwards": "max_forwards"}


def salvaged(response: Response) -> Response:
    """Return it without the fields and the body that can't be read.

    Where Via, From, To, Call-ID or CSeq is broken nobody knows what it answers: MessageError.
    """
    try:
        validate(response)
        _ = response.sdp
    except RemoteProtocolError:
        return _without_the_unreadable(response)
    return response


def _without_the_unreadable(response: Response) -> Response:
    headers = response.headers
    for name, count in response.headers.counts().items():
        is_double = count > 1 and name in SINGLES and name not in _NEEDED
        if is_double or (name in _TYPED and not _is_readable(response, _TYPED[name])):
            headers = headers.without(name)
    made = replace(response, headers=headers)
    if not _is_readable(made, "sdp"):
        made = replace(made, headers=headers.without("Content-Type"), body=b"")
    validate(made)
    return made


def _is_readable(response: Response, what: str) -> bool:
    try:
        getattr(response, what)
    except RemoteProtocolError:
        return False
    return True
