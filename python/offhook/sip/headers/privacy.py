"""Privacy (RFC 3323 section 4.2, RFC 3325 section 9.3): what a caller wants kept from whom it calls."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import WSP, excerpt, fail, is_token

_CALLER = frozenset({"id", "user", "header"})


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is asked for, in lower case: `id`, `user`, `header`, `session`, `critical`, `history`, or `none`."""

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(map(is_token, self.values)):
            raise LocalProtocolError("Privacy is one token or more")

    @classmethod
    def parse(cls, text: str) -> "Privacy":
        """Parse the value: tokens with semicolons between them, or commas, as some peers write."""
        values = [piece.strip(WSP).lower() for piece in text.replace(",", ";").split(";")]
        if not all(map(is_token, values)):
            fail(f"no Privacy: {excerpt(text)}")
        return cls(tuple(dict.fromkeys(values)))

    @property
    def withholds_caller(self) -> bool:
        """Whether the person called must not learn who calls."""
        return not _CALLER.isdisjoint(self.values)

    @property
    def waives(self) -> bool:
        """Whether the caller wants no privacy at all, whatever a network does by itself."""
        return "none" in self.values and not self.withholds_caller

    def __str__(self) -> str:
        return ";".join(self.values)
