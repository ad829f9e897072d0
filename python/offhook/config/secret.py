"""Passwords and tokens: values that reach the code that needs them and no log, dump or traceback."""

import hmac
from typing import NoReturn


class Secret:
    """A secret text. Only `reveal()` returns it; printing, formatting and pickling don't.

    `origin` says where it came from (`env ACME_IN`), for people who look for a wrong one.
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str = "file") -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """The text itself. Call it where it goes onto the wire, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.origin})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
