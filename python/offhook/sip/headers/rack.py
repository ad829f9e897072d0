"""RAck (RFC 3262 section 7.2): which reliable provisional response a PRACK acknowledges."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import BLANKS, check_token, excerpt, fail, is_token, parse_uint
from offhook.sip.headers.cseq import MAX_CSEQ

MAX_RSEQ = 2**32 - 1
"""The largest number of a provisional response (RFC 3262 section 7.1)."""


@dataclass(frozen=True, slots=True)
class RAck:
    """The RSeq of the response, and the CSeq of the request that it answered."""

    response_number: int
    cseq_number: int
    method: str

    def __post_init__(self) -> None:
        if not 0 < self.response_number <= MAX_RSEQ:
            raise LocalProtocolError(f"RSeq out of range: {self.response_number}")
        check_token(self.method, "method")

    @classmethod
    def parse(cls, text: str) -> "RAck":
        """Parse `response-number cseq-number method`; numbers out of their range are refused with 400."""
        parts = BLANKS.split(text)
        if len(parts) != 3 or not is_token(parts[2]):
            fail(f"no RAck: {excerpt(text)}")
        return cls(parse_rseq(parts[0]), parse_uint(parts[1], MAX_CSEQ, "CSeq number of RAck"), parts[2])

    def __str__(self) -> str:
        return f"{self.response_number} {self.cseq_number} {self.method}"


def parse_rseq(text: str) -> int:
    """Read the number of RSeq (RFC 3262 section 7.1): from 1 to 2**32 - 1."""
    number = parse_uint(text, MAX_RSEQ, "RSeq")
    if number == 0:
        fail("RSeq is 0")
    return number
