"""Warning (RFC 3261 section 20.43)."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import BLANKS, UNQUOTED_FORBIDDEN, WSP, excerpt, fail, parse_uint, quote, read_quoted


@dataclass(frozen=True, slots=True)
class Warning:
    """One value: a code of three digits, who says it, and what."""

    code: int
    agent: str
    text: str

    def __post_init__(self) -> None:
        if not 100 <= self.code <= 999:
            raise LocalProtocolError(f"warn-code out of range: {self.code}")
        if not self.agent or UNQUOTED_FORBIDDEN.search(self.agent) is not None:
            raise LocalProtocolError("a warn-agent is a host or a token")

    @classmethod
    def parse(cls, text: str) -> "Warning":
        """Parse one value: code, agent and a quoted text."""
        pieces = BLANKS.split(text.strip(WSP), maxsplit=2)
        if len(pieces) != 3 or UNQUOTED_FORBIDDEN.search(pieces[1]) is not None:
            fail(f"no Warning: {excerpt(text)}")
        said = read_quoted(pieces[2], "text of Warning")
        code = parse_uint(pieces[0], 999, "warn-code")
        if code < 100:
            fail("a warn-code has three digits")
        return cls(code, pieces[1], said)

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"
