"""Who took no TCP when a large request was to go by it (RFC 3261 section 18.1.1)."""

from offhook.sip.effects import Address

MAX_WITHOUT_TCP = 512
WITHOUT_TCP_SECONDS = 300.0
"""So long such a target is left in peace, as each try costs the call its time."""


class WithoutTcp:
    """The targets by address, each for its time; where there are too many all are forgotten."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[Address, float] = {}

    def add(self, remote: Address, now: float) -> None:
        """It took none just now."""
        if len(self._until) >= MAX_WITHOUT_TCP:
            self._until.clear()
        self._until[remote] = now + WITHOUT_TCP_SECONDS

    def has(self, remote: Address, now: float) -> bool:
        """Whether it is to be left in peace."""
        return self._until.get(remote, now) > now
