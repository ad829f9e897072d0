"""A connection between two stacks of this process: no socket, no port, and nobody else can speak on it."""

import asyncio

from offhook.sip.effects import Address
from offhook.transport.tcp import ConnectionOwner, TcpConnection


class InsideConnection(TcpConnection):
    """One end of it. What is written here is taken at the other end in the next turn of the loop, in order.

    It is told as TCP, with the addresses that it was given; `join` makes two ends one connection.
    """

    is_of_the_network = False

    def __init__(self, owner: ConnectionOwner, flow: int, remote: Address, local: Address) -> None:
        super().__init__(owner, flow, None, remote)
        self.source = self._named(remote, local)
        self._other: InsideConnection | None = None
        self._is_over = False

    def join(self, other: "InsideConnection") -> None:
        """Make the two ends one connection."""
        self._other, other._other = other, self

    @property
    def is_open(self) -> bool:
        return not self._is_over and self._other is not None

    def write(self, data: bytes) -> bool:
        other = self._other
        if self._is_over or other is None:
            return False
        asyncio.get_running_loop().call_soon(other.take, data)
        return True

    def overdue(self, now: float) -> str | None:
        """It costs nothing, so it is kept."""
        return None

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        loop = asyncio.get_running_loop()
        loop.call_soon(self._owner.closed, self)
        if self._other is not None:
            # Behind what was written before.
            loop.call_soon(self._other._gone)

    def _gone(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._owner.closed(self)
