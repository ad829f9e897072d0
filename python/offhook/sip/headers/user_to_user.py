"""User-to-User (RFC 7433): data that one end's application gives to the other's, such as a ticket or an account."""

import re
from dataclasses import dataclass
from typing import Final

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import NO_PARAMS, WSP, Params, excerpt, fail, is_token, quote, read_quoted

MAX_OCTETS: Final = 2048
"""Octets of one value. ISDN has room for 128, with its protocol discriminator (RFC 7434); other networks for more."""

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
# IA5 characters, and what is the user's own: the first octet of what came through ISDN (ITU-T Q.931 section 4.5.30).
_DISCRIMINATORS = (0x00, 0x04)


@dataclass(frozen=True, slots=True)
class UserToUser:
    """One value. `data` is what was meant, `encoding` how it stands in the header: `hex`, or another token.

    Without `encoding=` a value of pairs of hexadecimal digits is one of `hex`, and anything else is text as it stands
    (`encoding` is empty then). `purpose` and `content` are tokens, empty if they are missing: `isdn-uui` is the data of
    an ISDN user.
    """

    data: bytes
    purpose: str = ""
    content: str = ""
    encoding: str = "hex"

    def __post_init__(self) -> None:
        if len(self.data) > MAX_OCTETS:
            raise LocalProtocolError(f"{len(self.data)} octets of user-to-user data", hint=f"at most {MAX_OCTETS}")
        for name in ("purpose", "content", "encoding"):
            value = getattr(self, name)
            if value and not is_token(value):
                raise LocalProtocolError(f"{name} of User-to-User is no token: {excerpt(value)}")

    @classmethod
    def parse(cls, text: str) -> "UserToUser":
        """Parse one value; data that is not what its encoding says is refused, as is more than MAX_OCTETS."""
        head, tail = _split(text)
        params = Params.parse(tail) if tail else NO_PARAMS
        value = read_quoted(head, "user-to-user data") if head[:1] == '"' else head
        if head[:1] != '"' and not is_token(head):
            fail(f"no user-to-user data: {excerpt(head)}")
        encoding = (params.get("encoding") or "").lower()
        if not encoding and value and _HEX.fullmatch(value) is not None:
            encoding = "hex"
        if encoding == "hex":
            if len(value) > 2 * MAX_OCTETS or _HEX.fullmatch(value) is None:
                fail(f"user-to-user data is not in hexadecimal: {excerpt(value)}")
            data = bytes.fromhex(value)
        else:
            data = value.encode("utf-8", "surrogateescape")
            if len(data) > MAX_OCTETS:
                fail(f"{len(data)} octets of user-to-user data")
        purpose, content = (_token(params.get(name), name) for name in ("purpose", "content"))
        return cls(data, purpose, content, _token(encoding, "encoding"))

    @property
    def text(self) -> str | None:
        """The data as text, None if it is none. The protocol discriminator of what came through ISDN is left out."""
        octets = self.data
        if self.purpose in ("", "isdn-uui") and self.encoding == "hex" and octets[:1] and octets[0] in _DISCRIMINATORS:
            octets = octets[1:]
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            return None
        return text if all(character.isprintable() or character in "\t\r\n" for character in text) else None

    def __str__(self) -> str:
        if self.encoding == "hex":
            # A value is never empty, and no digits would be none.
            value = self.data.hex() or '""'
        else:
            plain = self.data.decode("utf-8", "surrogateescape")
            value = quote(plain)
        named = (("purpose", self.purpose), ("content", self.content), ("encoding", self.encoding))
        return value + "".join(f";{name}={said}" for name, said in named if said)


def _split(text: str) -> tuple[str, str]:
    """The data and its parameters, of which the data may be a quoted string with semicolons in it."""
    text = text.strip(WSP)
    if text[:1] != '"':
        head, semicolon, tail = text.partition(";")
        return head.strip(WSP), semicolon + tail
    end = 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    head, tail = text[: end + 1], text[end + 1 :].lstrip(WSP)
    if tail and tail[0] != ";":
        fail(f"text after user-to-user data: {excerpt(tail)}")
    return head, tail


def _token(value: str | None, name: str) -> str:
    if value and not is_token(value):
        fail(f"{name} of User-to-User is no token: {excerpt(value)}")
    return value or ""
