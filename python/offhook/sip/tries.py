"""One target after another: what whoever sends a request lays down about it, and hears of it (RFC 3263 section 4.3)."""

from typing import Protocol

from offhook.sip.effects import Target
from offhook.sip.message import Response


class Tries(Protocol):
    """Goes with a request to several targets, each asked once the one before has failed."""

    @property
    def goes_on(self) -> bool:
        """Whether somebody else will be asked after the last target: then it is not waited for to the end, either."""

    def offer(self, target: Target, now: float) -> bytes | None:
        """The body for this target, which is asked next; None if it can't be."""

    def patience(self) -> float:
        """Seconds without any response after which the next target is asked."""

    def heard(self, target: Target, response: Response, now: float) -> None:
        """The target that is being asked has said something."""

    def failed(self, target: Target, why: str, response: Response | None, now: float) -> None:
        """The target has failed, by its 503 or without a `response`; the next one is asked, if there is one."""
