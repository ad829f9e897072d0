"""Diversion (RFC 5806): who has sent a call on to another number, and why. Historic, and what most carriers send."""

from dataclasses import dataclass

from offhook.sip.grammar import is_token
from offhook.sip.headers.name_addr import NameAddr

MAX_COUNTER = 100
"""Counters above this are taken as this."""


@dataclass(frozen=True, slots=True)
class Diversion:
    """One diversion: the address that did not take the call. The latest stands first in a request."""

    address: NameAddr

    @classmethod
    def parse(cls, text: str) -> "Diversion":
        """Parse one value. What its parameters say is read leniently, since nothing depends on it."""
        return cls(NameAddr.parse(text))

    @property
    def reason(self) -> str:
        """`user-busy`, `no-answer`, `unconditional`, `deflection` and others, in lower case; `unknown` without one."""
        said = (self.address.params.get("reason") or "").lower()
        return said if is_token(said) and len(said) <= 40 else "unknown"

    @property
    def counter(self) -> int:
        """How many diversions this one stands for, 1 if it does not say."""
        said = self.address.params.get("counter") or ""
        if not (said.isascii() and said.isdigit()) or len(said) > 9:
            return 1
        return max(1, min(int(said), MAX_COUNTER))

    @property
    def is_private(self) -> bool:
        """Whether the one who diverted wants not to be named."""
        return (self.address.params.get("privacy") or "off").lower() not in ("off", "none")

    def __str__(self) -> str:
        return str(self.address)
