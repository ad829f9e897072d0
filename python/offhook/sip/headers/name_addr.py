"""name-addr with parameters: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity (RFC 3261 20.10)."""

from dataclasses import dataclass, field, replace

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import NO_PARAMS, WSP, Params, check_token, excerpt, fail, find_quote_end, quote, read_quoted
from offhook.sip.uri import SipUri, Uri, parse_uri

_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A display name, a URI and header parameters. `str()` writes a parsed one back as it came.

    `display_name` is plain text without quotes, `""` if there is none.
    """

    uri: Uri
    display_name: str = ""
    params: Params = NO_PARAMS
    _wire: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if any(character in self.display_name for character in "\r\n\0"):
            raise LocalProtocolError("CR, LF or NUL in a display name", hint="remove line ends from names")

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Parse one value, with or without `<>`.

        Unquoted display names may hold anything but quotes and brackets, as real peers send them. Without brackets
        everything behind `;` belongs to the header (section 20), and `?` or `,` is refused.
        """
        if text[:1] == '"':
            end = find_quote_end(text, 0)
            if end < 0:
                fail("display name without its closing quote")
            display_name = read_quoted(text[:end], "display name")
            rest = text[end:].lstrip(WSP)
            if rest[:1] != "<":
                fail("display name without a URI in brackets")
        else:
            at = text.find("<")
            if at < 0 or '"' in text[:at]:
                return cls._parse_bare(text)
            display_name = text[:at].strip(WSP)
            if ">" in display_name or display_name.lower().startswith(("sip:", "sips:", "tel:")):
                fail(f"text before '<' is no display name: {excerpt(display_name)}")
            rest = text[at:]
        uri_text, closing, tail = rest[1:].partition(">")
        if not closing:
            fail("'<' without '>'")
        tail = tail.lstrip(WSP)
        if tail and tail[0] != ";":
            fail(f"text after '>': {excerpt(tail)}")
        return cls._make(parse_uri(uri_text), display_name, Params.parse(tail), text)

    @classmethod
    def _parse_bare(cls, text: str) -> "NameAddr":
        uri_text, semicolon, tail = text.partition(";")
        uri_text = uri_text.strip(WSP)
        if "?" in uri_text or "," in uri_text:
            fail("a URI with '?' or ',' needs '<' and '>' around it")
        return cls._make(parse_uri(uri_text), "", Params.parse(semicolon + tail), text)

    @classmethod
    def _make(cls, uri: Uri, display_name: str, params: Params, wire: str) -> "NameAddr":
        address = cls.__new__(cls)
        _set(address, "uri", uri)
        _set(address, "display_name", display_name)
        _set(address, "params", params)
        _set(address, "_wire", wire)
        return address

    @property
    def tag(self) -> str | None:
        """The `tag` parameter, None if absent."""
        return self.params.get("tag") or None

    @property
    def sip_uri(self) -> SipUri:
        """The URI where only a SIP one will do; another scheme raises RemoteProtocolError (416)."""
        if not isinstance(self.uri, SipUri):
            fail(f"not a SIP URI: {excerpt(str(self.uri))}", 416)
        return self.uri

    @property
    def q(self) -> float:
        """The preference of a Contact from 0 to 1; 1 where it is absent or unreadable."""
        whole, dot, part = (self.params.get("q") or "1").partition(".")
        digits = whole + part
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 8 or (dot and not part):
            return 1.0
        return min(float(f"{whole or '0'}.{part or '0'}"), 1.0)

    def with_tag(self, tag: str) -> "NameAddr":
        """Return this address with `tag` set; a display name is written as it came."""
        params = self.params.replacing("tag", check_token(tag, "tag"))
        if self._wire is None or not self.display_name or "tag" in self.params:
            return replace(self, params=params)
        return self._make(self.uri, self.display_name, params, f"{self._wire};tag={tag}")

    def __str__(self) -> str:
        if self._wire is not None:
            return self._wire
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{self.params}"


def check_tag(address: NameAddr, what: str) -> NameAddr:
    """Let a From or To pass whose tag stands at most once and is not empty."""
    if address.params and (address.params.get("tag") == "" or address.params.count("tag") > 1):
        fail(f"{what} with an empty or repeated tag")
    return address
