"""What the far ends of one call say of their sound before one of them answers (RFC 3261 13.2.1, RFC 3960 section 2)."""

from dataclasses import dataclass

from offhook.sip.calling import FORK_GONE, MAX_FORKS
from offhook.sip.message import Response
from offhook.sip.reliable import is_reliable


@dataclass(slots=True)
class _Fork:
    sdp: bytes | None = None
    is_agreed: bool = False
    is_gone: bool = False


class Forks:
    """The forks of a call by their To tags, and whose sound is to be heard: the first with SDP, until one answers."""

    def __init__(self) -> None:
        self.heard: str | None = None
        """The tag of the fork whose sound is taken."""
        self._known: dict[str, _Fork] = {}

    @property
    def count(self) -> int:
        """How many there are, gone ones too."""
        return len(self._known)

    def rang(self, response: Response) -> bytes | None:
        """A 1xx; the SDP to go by from here on, None if that does not change.

        A fork that says that it is gone leaves its place to the next one that has sound.
        """
        tag = response.to.tag or ""
        if tag not in self._known and len(self._known) >= MAX_FORKS:
            return None
        fork = self._known.setdefault(tag, _Fork())
        if response.status == FORK_GONE:
            fork.is_gone = True
        elif response.sdp and not fork.is_agreed:
            fork.sdp, fork.is_agreed = response.sdp, is_reliable(response)
        if self.heard is not None and not self._known[self.heard].is_gone:
            return None
        self.heard = next((tag for tag, fork in self._known.items() if fork.sdp and not fork.is_gone), None)
        return self._known[self.heard].sdp if self.heard is not None else None

    def answered(self, response: Response) -> bytes | None:
        """The 2xx; the SDP to go by. What was agreed on reliably stands, whatever is repeated in the 2xx (13.2.1)."""
        tag = response.to.tag or ""
        fork = self._known.get(tag, _Fork())
        self.heard = tag
        self._known[tag] = fork
        return fork.sdp if fork.is_agreed else response.sdp or fork.sdp
