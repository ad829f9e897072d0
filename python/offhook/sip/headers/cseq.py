"""CSeq (RFC 3261 section 20.16)."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import BLANKS, check_token, excerpt, fail, is_token, parse_uint

MAX_CSEQ = 2**31 - 1
"""The largest number that may be sent or accepted (RFC 3261 section 8.1.1.5)."""


@dataclass(frozen=True, slots=True)
class CSeq:
    """A sequence number below 2**31 and the method that it counts."""

    number: int
    method: str

    def __post_init__(self) -> None:
        if not 0 <= self.number <= MAX_CSEQ:
            raise LocalProtocolError(f"CSeq out of range: {self.number}")
        check_token(self.method, "method")

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Parse `number method`; a number of 2**31 or more is refused with 400."""
        number, _, method = text.partition(" ")
        if not is_token(method):
            number, *others = BLANKS.split(text)
            method = others[0] if len(others) == 1 else ""
            if not is_token(method):
                fail(f"no CSeq: {excerpt(text)}")
        return cls(parse_uint(number, MAX_CSEQ, "CSeq"), method)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
