"""What the layer above wants said in a session's messages beside the protocol's own fields, and what it may say."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import is_token
from offhook.sip.headers.names import OUR_PREFIXES, OURS, header_key
from offhook.sip.headers.user_to_user import UserToUser

if TYPE_CHECKING:
    from offhook.sip.session_core import HeaderList

MAX_NAME: Final = 64
"""Characters of a name."""

MAX_VALUE: Final = 2048
"""Bytes of a value."""


# Control characters of ASCII and of Latin-1, and the ends of line and paragraph that others know.
_LINE_END: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Header fields by the messages that carry them.

    `answer` goes into the final response to the INVITE, `bye` into BYE and CANCEL, `requests` into every other request
    within the dialog but those that only complete another (ACK, PRACK).
    """

    answer: "HeaderList" = ()
    bye: "HeaderList" = ()
    requests: "HeaderList" = ()


NOTHING: Final = Outgoing()


def is_ours(name: str) -> bool:
    """Whether a header field is written by the stack alone, in whatever case or compact form."""
    lower = name.lower()
    return lower in OURS or lower.startswith(OUR_PREFIXES)


def check_header(name: str, value: str) -> tuple[str, str]:
    """Let a field pass that others may have us send, its name as it is known; else raise LocalProtocolError.

    The message is for whoever wrote it. A value is one line without control characters: it can't add a second field.
    """
    if not is_token(name) or len(name) > MAX_NAME:
        raise LocalProtocolError(f"{name[:MAX_NAME]!r} is no header name of at most {MAX_NAME} characters")
    if is_ours(name):
        raise LocalProtocolError(f"{name} is the gateway's own header")
    if not value.strip():
        raise LocalProtocolError(f"the value of {name} is empty")
    if _LINE_END.search(value) is not None:
        raise LocalProtocolError(f"the value of {name} holds a line end or control character")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise LocalProtocolError(f"the value of {name} is no Unicode text") from None
    if size > MAX_VALUE:
        raise LocalProtocolError(f"the value of {name} is longer than {MAX_VALUE} bytes")
    known = header_key(name)
    if known == "User-to-User":
        try:
            UserToUser.parse(value)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"the value of {name} is none: {error}") from None
    return (name if known == name.lower() else known), value.strip()
