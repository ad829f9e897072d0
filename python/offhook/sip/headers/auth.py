"""WWW-Authenticate, Authorization and their proxy forms (RFC 3261 sections 20.7 and 20.44, RFC 7616 section 3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from offhook.sip.grammar import (
    BLANKS,
    MAX_PARAMS,
    UNQUOTED_FORBIDDEN,
    WSP,
    excerpt,
    fail,
    is_token,
    quote,
    read_quoted,
    split_commas,
)

_ALWAYS_QUOTED: Final = frozenset({"username", "realm", "nonce", "uri", "response", "cnonce", "opaque", "domain"})


@dataclass(frozen=True, slots=True)
class AuthValue:
    """A scheme and its parameters, of a challenge or of credentials.

    `scheme` is in lower case; parameter names are in lower case, values plain. Of another scheme than `digest` the
    parameters are not read: `params` is empty.
    """

    scheme: str
    params: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AuthValue":
        """Parse one header field value. Raises RemoteProtocolError (400) for broken or repeated digest parameters."""
        scheme, *others = BLANKS.split(text.strip(WSP), maxsplit=1)
        rest = others[0] if others else ""
        if not is_token(scheme):
            fail(f"no authentication scheme: {excerpt(scheme)}")
        scheme = scheme.lower()
        if scheme != "digest":
            return cls(scheme)
        params: dict[str, str] = {}
        for piece in split_commas(rest, angles=False, maximum=MAX_PARAMS):
            name, equals, value = piece.partition("=")
            name, value = name.strip(WSP).lower(), value.strip(WSP)
            if not equals or not is_token(name) or not value:
                fail(f"no digest parameter: {excerpt(piece)}")
            if name in params:
                fail(f"digest parameter {name} twice")
            if value[0] == '"':
                value = read_quoted(value, f"value of {name}")
            elif UNQUOTED_FORBIDDEN.search(value) is not None:
                fail(f"value of {name} needs quotes")
            params[name] = value
        return cls(scheme, tuple(params.items()))

    @classmethod
    def digest(cls, params: Iterable[tuple[str, str | None]]) -> "AuthValue":
        """Build a digest value; parameters that are None are left out."""
        return cls("digest", tuple((name, value) for name, value in params if value is not None))

    def get(self, name: str) -> str | None:
        """Return the plain value of a parameter, None if absent."""
        return next((value for have, value in self.params if have == name), None)

    def write(self, *, quoted: Iterable[str] = ()) -> str:
        """Write the value; `quoted` names parameters that this header quotes besides the usual ones."""
        also = frozenset(quoted)
        scheme = "Digest" if self.scheme == "digest" else self.scheme
        return f"{scheme} " + ", ".join(
            f"{name}={quote(value) if name in _ALWAYS_QUOTED or name in also or not is_token(value) else value}"
            for name, value in self.params
        )

    def __str__(self) -> str:
        return self.write()
