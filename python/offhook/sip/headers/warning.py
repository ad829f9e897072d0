"""Warning (RFC 3261 section 20.43)."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import check_value, excerpt, fail, find_quote_end, parse_uint, quote, unquote


@dataclass(frozen=True, slots=True)
class Warning:
    """One value: a code of three digits, who says it, and what."""

    code: int
    agent: str
    text: str

    def __post_init__(self) -> None:
        if not 100 <= self.code <= 999:
            raise LocalProtocolError(f"warn-code out of range: {self.code}")
        if not self.agent or any(blank in check_value(self.agent, "warn-agent") for blank in ' \t",;'):
            raise LocalProtocolError("a warn-agent is a host or a token")

    @classmethod
    def parse(cls, text: str) -> "Warning":
        """Parse one value: code, agent and a quoted text."""
        pieces = text.replace("\t", " ").split(" ", 2)
        if len(pieces) != 3 or not pieces[1] or any(mark in pieces[1] for mark in '",;'):
            fail(f"no Warning: {excerpt(text)}")
        said = pieces[2].strip(" ")
        if said[:1] != '"' or find_quote_end(said, 0) != len(said):
            fail("the text of a Warning is a quoted string")
        code = parse_uint(pieces[0], 999, "warn-code")
        if code < 100:
            fail("a warn-code has three digits")
        return cls(code, pieces[1], unquote(said))

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"
