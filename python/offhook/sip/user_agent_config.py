"""What a user agent says of itself, its bounds, and its source of chance."""

from dataclasses import dataclass
from typing import Protocol

from offhook.sip.session_timer import LEAST_INTERVAL, TimerSetting
from offhook.sip.timers import DEFAULT_TIMERS, TimerValues


class Random(Protocol):
    """The part of `random.Random` that is needed; outside tests it is `random.SystemRandom`."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""

    def random(self) -> float:
        """A number from 0 up to 1."""


@dataclass(frozen=True, slots=True)
class UserAgentConfig:
    """What the user agent says of itself, and its bounds."""

    user_agent: str = "offhook"
    contact_user: str = "offhook"
    allow: tuple[str, ...] = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "PRACK", "UPDATE", "NOTIFY")
    supported: tuple[str, ...] = ("timer", "100rel")
    session_timer: TimerSetting = "accept"
    """For peers that have no `session_timer` of their own (RFC 4028)."""
    min_session_interval: int = LEAST_INTERVAL
    """Seconds below which no session timer is agreed to; the RFC forbids less than its default."""
    max_transactions: int = 20_000
    """Above it new INVITEs get 503 with Retry-After, without a transaction."""
    max_dialogs: int = 10_000
    max_resolutions: int = 1_000
    timers: TimerValues = DEFAULT_TIMERS
    large_requests_to_tcp: bool = True
    """RFC 3261 18.1.1: requests above 1,300 bytes go by TCP where the peer takes it, else by UDP all the same."""
    overload_retry_seconds: int = 5
