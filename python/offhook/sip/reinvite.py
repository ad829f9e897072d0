"""A re-INVITE of ours: wanted, on its way, or to come again after a collision (RFC 3261 section 14.1)."""

from collections.abc import Callable

from offhook.sip.client_request import ClientRequest
from offhook.sip.session_core import HeaderList

OWNER_WAITS = (2.1, 4.0)
OTHER_WAITS = (0.0, 2.0)
"""RFC 3261 14.1: seconds that who made the Call-ID waits after a 491, and who did not."""


class OutboundReinvite:
    """The one re-INVITE that a session of ours may have open; a newer wish replaces one that still waits."""

    __slots__ = ("_request", "_retry_at", "_wanted")

    def __init__(self) -> None:
        self._wanted: tuple[bytes | None, HeaderList] | None = None
        self._request: ClientRequest | None = None
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether one is on its way."""
        return self._request is not None

    @property
    def waiting(self) -> tuple[bytes | None, HeaderList] | None:
        """The offer (None: ask for the peer's) and headers of one that could leave now."""
        return self._wanted if self._request is None and self._retry_at is None else None

    def want(self, sdp: bytes | None, headers: HeaderList) -> None:
        """Send this when it can be; a time to wait that was set is over."""
        self._wanted = sdp, headers
        self._retry_at = None

    def forget(self) -> None:
        """What was wanted is so no longer; one that is on its way stays."""
        self._wanted = self._retry_at = None

    def sent(self, request: ClientRequest) -> None:
        """It has left."""
        self._request = request

    def settled(self) -> ClientRequest | None:
        """Its final response is here, or it is waited for no longer: what was sent, None if nothing was."""
        request, self._request = self._request, None
        return request

    def collided(self, now: float, *, is_owner: bool, between: Callable[[float, float], float]) -> None:
        """491: both sides sent one at once. It comes again after a random time."""
        self._retry_at = now + between(*(OWNER_WAITS if is_owner else OTHER_WAITS))

    def next_timeout(self) -> float | None:
        """When it comes again."""
        return self._retry_at

    def handle_timeout(self, now: float) -> bool:
        """Whether its time to come again is here."""
        if self._retry_at is None or now < self._retry_at:
            return False
        self._retry_at = None
        return True

    def abandon(self, now: float) -> None:
        """Wait no longer for the answer to one that is on its way."""
        if self._request is not None:
            self._request.abandon(now)
