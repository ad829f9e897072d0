"""Where a call was to go before it came to us: Diversion and History-Info (RFC 5806, RFC 7044, RFC 7544)."""

import itertools
from dataclasses import dataclass
from typing import Final, Literal

from offhook.sip.headers.diversion import Diversion
from offhook.sip.headers.history_info import HistoryInfo
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Request
from offhook.sip.readable import readable
from offhook.sip.uri import user_of

MAX_DIVERSIONS: Final = 8
"""Of more, the first and the latest ones are kept."""

_WORDS: Final = {
    302: "unconditional", 404: "unknown", 408: "no-answer", 480: "deflection", 486: "user-busy", 487: "deflection",
    503: "unavailable",
}  # fmt: skip
"""RFC 7544 section 7.3: what a cause of History-Info is called in Diversion."""


@dataclass(frozen=True, slots=True)
class Diverted:
    """One who was called and did not take the call. `reason` is a word of Diversion, `unknown` if nobody said one.

    `counter` is how many diversions it stands for. `address` is None where the one who diverted wants not to be named.
    """

    address: NameAddr | None
    reason: str
    counter: int
    header: Literal["Diversion", "History-Info"]


def diversions(request: Request) -> tuple[Diverted, ...]:
    """The diversions of an INVITE, the number first dialled first. Whichever header tells more is taken; never raises.

    Values that can't be read are left out: they are claims, and decide nothing.
    """
    by_diversion = [
        Diverted(None if value.is_private else value.address, value.reason, value.counter, "Diversion")
        for value in reversed(readable(request.headers, "Diversion", Diversion.parse))
    ]
    by_history = _of_history(readable(request.headers, "History-Info", HistoryInfo.parse))
    found = by_history if len(by_history) > len(by_diversion) else by_diversion
    if len(found) > MAX_DIVERSIONS:
        found = [*found[: MAX_DIVERSIONS // 2], *found[-MAX_DIVERSIONS // 2 :]]
    return tuple(found)


def _of_history(entries: tuple[HistoryInfo, ...]) -> list[Diverted]:
    """Each entry that a later one was a new target of. The last one is where the call is now: it diverted nobody."""
    # Entries without an index stand as they came, which is in their order, too.
    ordered = sorted(entries, key=lambda entry: entry.index)
    by_index = {entry.index: entry for entry in ordered if entry.index}
    found = []
    for before, target in itertools.pairwise(ordered):
        entry = by_index.get(target.mapped_from, before)
        if target.is_same_user or entry is target:
            continue
        moved = user_of(entry.address.uri) != user_of(target.address.uri)
        if target.cause is None and not target.is_retargeted and not moved:
            continue
        causes = [reason.cause for reason in entry.reasons if reason.protocol == "SIP" and reason.cause]
        word = _WORDS.get(target.cause or (causes[0] if causes else 0), "unknown")
        found.append(Diverted(None if entry.is_private else entry.address, word, 1, "History-Info"))
    return found
