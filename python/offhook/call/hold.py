"""Who holds a call: the caller by its SIP, the agent by its word. Told to the agent, the timeline and the record."""

from typing import Literal

from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.destination.base import Destination, HoldAction, Holder
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.sip.message import Response

_LONGEST_ANSWER = 100
# A timeline has room for so many of one call; the record counts them all.
_MOST_NOTES = 40


class Hold:
    """The holds of one call, which may be two at once. What is played and heard meanwhile is the leg's.

    The agent asks one thing at a time: what it asks while an answer of the caller's is awaited comes after that, and of
    several only the last.
    """

    __slots__ = ("_asked", "_begun", "_held", "_leg", "_noted", "_services", "_since", "_timeline", "_wish", "count")

    def __init__(self, leg: CallerLeg, services: CallServices, timeline: Timeline) -> None:
        self.count = 0
        """How often somebody has begun to hold."""
        self._leg, self._services, self._timeline = leg, services, timeline
        self._since: dict[Holder, float] = {}
        self._begun: float | None = None
        self._held = 0.0
        self._asked: HoldAction | None = None
        self._wish: HoldAction | None = None
        self._noted = 0

    def counters(self) -> dict[str, int]:
        """What the record of the call says: how often it was on hold, and for how many milliseconds in all."""
        held = self._held + (self._services.now() - self._begun if self._begun is not None else 0.0)
        return {"holds": self.count, "held_ms": round(held * 1000)} if self.count else {}

    def joined(self, destination: Destination) -> None:
        """An agent has joined a call that may be on hold already."""
        for who in self._since:
            destination.held(who)

    def asked(self, action: HoldAction, destination: Destination | None) -> None:
        """The agent wants to hold the caller, or to have it back."""
        if self._leg.is_asking:
            self._wish = action
        elif self._leg.holds == (action == "hold"):
            self._tell_again(action, destination)
        elif self._services.perform(lambda now: self._leg.ask_hold(action == "hold", now)):
            self._asked = action
        elif destination is not None:
            destination.hold_failed(action, "not_answered", None, "the call has not been answered")

    def agent_gone(self) -> None:
        """The agent that held the caller is lost: whoever follows it has nobody to speak to otherwise."""
        self._wish = None
        if self._leg.holds or self._asked == "hold":
            self.asked("resume", None)

    def settle(self, destination: Destination | None) -> None:
        """An offer has been answered, the caller's or ours: tell who holds now, and who does so no longer."""
        self._now("caller", self._leg.is_held, destination)
        self._now("agent", self._leg.holds, destination)
        if not self._leg.is_asking:
            asked, self._asked = self._asked, None
            if asked is not None and self._leg.holds != (asked == "hold"):
                self._failed(
                    asked, "refused", None, "the caller's side answered with nothing that could be used", destination
                )
            self._go_on(destination)

    def refused(self, response: Response | None, destination: Destination | None) -> None:
        """The caller's side doesn't want what the agent asked for: the call is as it was."""
        asked, self._asked = self._asked, None
        if asked is not None:
            status = response.status if response is not None else None
            said = f"{response.status} {response.reason}" if response is not None else "nothing"
            words = f"the caller's side said {printable(said)[:_LONGEST_ANSWER]}"
            self._failed(asked, "refused" if response is not None else "no_answer", status, words, destination)
        self._go_on(destination)

    def over(self) -> None:
        """The call has ended."""
        if self._begun is not None:
            self._held += self._services.now() - self._begun
            self._begun = None

    def _go_on(self, destination: Destination | None) -> None:
        """What was asked meanwhile."""
        wish, self._wish = self._wish, None
        if wish is not None:
            self.asked(wish, destination)

    def _now(self, who: Holder, holds: bool, destination: Destination | None) -> None:
        now = self._services.now()
        if holds and who not in self._since:
            self._begun = now if self._begun is None else self._begun
            self._since[who] = now
            self.count += 1
            self._note(f"the {who} holds the call", {})
            if destination is not None:
                destination.held(who)
        elif not holds and who in self._since:
            lasted = now - self._since.pop(who)
            if not self._since:
                self.over()
            held_ms = round(lasted * 1000)
            self._note(f"the {who} holds the call no longer", {"duration_ms": held_ms})
            if destination is not None:
                destination.resumed(who, held_ms)

    def _tell_again(self, action: HoldAction, destination: Destination | None) -> None:
        if destination is not None and action == "hold":
            destination.held("agent")
        elif destination is not None:
            destination.resumed("agent", 0)

    def _failed(
        self,
        action: HoldAction,
        code: Literal["refused", "no_answer"],
        status: int | None,
        words: str,
        destination: Destination | None,
    ) -> None:
        what = "hold the caller" if action == "hold" else "have the caller back"
        self._note(f"the agent can't {what}: {words}", {})
        if destination is not None:
            destination.hold_failed(action, code, status, words)

    def _note(self, what: str, fields: dict[str, object]) -> None:
        self._noted += 1
        if self._noted <= _MOST_NOTES:
            self._timeline.add("media", self._services.now(), note=what, **fields)
