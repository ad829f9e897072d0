"""What one side of two joined calls plays while it holds, and who hears it.

Who holds by `sendonly` may bring its own music (RFC 3264 section 8.4, RFC 7088). As long as that comes, whoever is held
hears it; when nothing comes, as from most phones, it is the gateway's music. Nothing in signalling tells which, so the
holder's side looks at its packets while it holds, and tells the held one.
"""

from offhook.call.joined.bridge import Back, Onward
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.call.timers import Timers
from offhook.destination.base import Destination
from offhook.report.timeline import Timeline

LOOKS_EVERY = 0.2
"""Seconds between two looks."""

_A_STREAM = 3
"""Packets in that time which are no stragglers: one has ten of 20 ms."""

_SURE_AFTER = 2
_LOST_AFTER = 5
"""Looks in a row with a stream, and with no packet at all, after which that is believed."""

_MOST_NOTES = 20


class HoldersMusic:
    """The music of one call's other side while it holds, and that of the joined call's while that one holds.

    A call is one or the other, or for a moment both; where both hold nobody hears anything of the other.
    """

    __slots__ = (
        "_brought",
        "_came",
        "_comes",
        "_leg",
        "_missed",
        "_noted",
        "_packets",
        "_services",
        "_timeline",
        "_timers",
        "_to",
        "_was_held",
    )

    def __init__(self, leg: CallerLeg, timers: Timers, timeline: Timeline, services: CallServices) -> None:
        self._leg, self._timers, self._timeline, self._services = leg, timers, timeline, services
        self._noted = 0
        # As who holds: whom it may bring music, whether it does, and what the last looks saw.
        self._to: Onward | Back | None = None
        self._comes = False
        self._packets = self._came = self._missed = 0
        # As who is held: whether the other one brings music.
        self._brought = self._was_held = False

    def settle(self, joined: Destination | None) -> None:
        """An offer was answered, or somebody else has the call: whose music may be heard now?"""
        other = joined if isinstance(joined, Onward | Back) else None
        may_bring = self._leg.is_held and self._leg.may_send and not self._leg.holds
        if self._was_held and not self._leg.holds:
            self._brought = False
        self._was_held = self._leg.holds
        if not may_bring or other is None:
            self._bring_none(other if self._leg.is_held else None)
        elif self._to is not other:
            self._bring_none(other)
            self._to, self._packets, self._came = other, self._leg.received, 0
            self._timers.arm("holders_music", LOOKS_EVERY)
        self._leg.hand_on_music(on=self._comes or self._is_brought)

    def look(self) -> None:
        """Whether music comes: the timer `holders_music` ran out."""
        if self._to is None:
            return
        self._timers.arm("holders_music", LOOKS_EVERY)
        packets = self._leg.received
        new, self._packets = packets - self._packets, packets
        self._came = self._came + 1 if new >= _A_STREAM else 0
        self._missed = 0 if new else self._missed + 1
        if not self._comes and self._came >= _SURE_AFTER:
            self._bring(self._to, on=True)
        elif self._comes and self._missed >= _LOST_AFTER:
            self._bring(self._to, on=False)

    def heard(self, *, on: bool) -> None:
        """The other call, which holds us or is about to, brings music, or does so no longer."""
        self._brought = on
        self._leg.hand_on_music(on=self._comes or self._is_brought)

    def agent_gone(self) -> None:
        """Whoever follows neither brings music nor hears ours."""
        self._bring_none(None)
        self._brought = False
        self._leg.hand_on_music(on=False)

    @property
    def _is_brought(self) -> bool:
        return self._brought and self._leg.holds

    def _bring(self, other: Onward | Back, *, on: bool) -> None:
        self._comes = on
        self._leg.hand_on_music(on=on)
        other.music(on=on)
        self._noted += 1
        if self._noted <= _MOST_NOTES:
            heard = "what comes from who holds" if on else "the gateway's music, as nothing comes from who holds"
            self._timeline.add("media", self._services.now(), note=f"who is held hears {heard}")

    def _bring_none(self, other: Onward | Back | None) -> None:
        """From now on; who was held before learns it by being had back, or as the `other` one who is held."""
        self._timers.disarm("holders_music")
        self._to, self._comes = None, False
        if other is not None:
            other.music(on=False)
