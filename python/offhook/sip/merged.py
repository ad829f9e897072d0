"""Copies of one INVITE that came by several ways, or came again after its refusal: RFC 3261 8.2.2.2."""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from offhook.sip.message import Request, Response

InviteKey: TypeAlias = tuple[str, str, int]

VERDICT_SECONDS = 32.0
"""How long a retry with the same Call-ID, From tag and CSeq gets the same answer."""

MERGED = 482
"""What a copy gets while the INVITE itself is open, and after it was answered."""

_COPIED = frozenset(
    {"via", "from", "to", "call-id", "cseq", "record-route", "contact", "content-type", "content-length", "session-id"}
)


@dataclass(slots=True)
class Verdict:
    """What became of an INVITE; `status` is 482 while it is open or was answered."""

    status: int = MERGED
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class MergedInvites:
    """INVITEs outside dialogs by Call-ID, From tag and CSeq number, at most `limit` of them.

    Other methods are not kept: answering their copies twice starts nothing.
    """

    __slots__ = ("_expiring", "_limit", "_verdicts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._verdicts: dict[InviteKey, Verdict] = {}
        self._expiring: deque[tuple[float, InviteKey, Verdict]] = deque()

    def find(self, request: Request, now: float) -> Verdict | None:
        """The verdict on a copy of this INVITE that came with another branch."""
        self._forget(now)
        return self._verdicts.get(key_of(request))

    def open(self, request: Request, now: float) -> None:
        """Take note of an INVITE that gets a session."""
        self._forget(now)
        if len(self._verdicts) < self._limit:
            self._verdicts[key_of(request)] = Verdict()

    def close(self, request: Request, response: Response | None, now: float) -> None:
        """The INVITE got its final response: a refusal is repeated to those who retry, None keeps the 482."""
        verdict = self._verdicts.get(key_of(request))
        if verdict is None:
            return
        if response is not None:
            verdict.status = response.status
            verdict.reason = response.reason
            verdict.headers = tuple((n, v) for n, v in response.headers if n.lower() not in _COPIED)
        self._expiring.append((now + VERDICT_SECONDS, key_of(request), verdict))

    def __len__(self) -> int:
        return len(self._verdicts)

    def _forget(self, now: float) -> None:
        expiring = self._expiring
        while expiring and expiring[0][0] <= now:
            _, key, verdict = expiring.popleft()
            if self._verdicts.get(key) is verdict:
                del self._verdicts[key]


def key_of(request: Request) -> InviteKey:
    """Call-ID, From tag and CSeq number."""
    return (request.call_id, request.from_.tag or "", request.cseq.number)
