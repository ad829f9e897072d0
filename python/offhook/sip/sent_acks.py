"""The ACKs that 2xx responses have been given: each is sent again whenever its 2xx comes again (RFC 3261 13.2.2.4)."""

from offhook.sip.client_request import ClientRequest
from offhook.sip.message import Request

MAX_KEPT = 24
"""So many are kept for one session; the oldest is forgotten for the next."""


class SentAcks:
    """By the tag of who sent the 2xx and the number of its INVITE."""

    __slots__ = ("_sent",)

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], ClientRequest] = {}

    @property
    def is_full(self) -> bool:
        """Whether one more would be one too many."""
        return len(self._sent) >= MAX_KEPT

    def repeat(self, tag: str, number: int) -> bool:
        """That 2xx has come again: send its ACK again. False if it has none yet."""
        ack = self._sent.get((tag, number))
        if ack is None:
            return False
        ack.repeat()
        return True

    def keep(self, tag: str, number: int, ack: ClientRequest) -> None:
        """An ACK has been sent. Older ones are hardly asked for again: the next INVITE went out after them."""
        while self.is_full:
            del self._sent[next(iter(self._sent))]
        self._sent[tag, number] = ack


def credentials_of(invite: Request | None) -> tuple[tuple[str, str], ...]:
    """What an ACK copies of its INVITE (RFC 3261 13.2.2.4 and 22.1)."""
    if invite is None:
        return ()
    names = ("Authorization", "Proxy-Authorization")
    return tuple((name, value) for name in names for value in invite.headers.get_all(name))
