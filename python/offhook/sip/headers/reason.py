"""Reason (RFC 3326): why a request was sent, with a SIP status or a Q.850 cause."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import Params, check_token, excerpt, fail, is_token, parse_uint, quote


@dataclass(frozen=True, slots=True)
class Reason:
    """One value. `protocol` is in capitals (`SIP`, `Q.850`); `cause` is None where it is absent."""

    protocol: str
    cause: int | None = None
    text: str = ""

    def __post_init__(self) -> None:
        check_token(self.protocol, "protocol of Reason")
        if self.cause is not None and not 0 <= self.cause <= 999:
            raise LocalProtocolError(f"cause out of range: {self.cause}")

    @classmethod
    def parse(cls, text: str) -> "Reason":
        """Parse one value; causes above 999 are refused."""
        head, semicolon, tail = text.partition(";")
        protocol = head.strip(" \t")
        if not is_token(protocol):
            fail(f"no Reason: {excerpt(text)}")
        params = Params.parse(semicolon + tail)
        cause = params.get("cause")
        return cls(
            protocol.upper(), parse_uint(cause, 999, "cause of Reason") if cause else None, params.get("text") or ""
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        return f"{self.protocol}{cause}{f';text={quote(self.text)}' if self.text else ''}"
