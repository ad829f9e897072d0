"""Who leaves a call: an agent that says goodbye or is lost, a caller who goes on to somebody else; and who follows."""

from collections.abc import Callable

from offhook.call.agent_side import described
from offhook.call.end_reason import EndReason
from offhook.call.joined.bridge import NotJoined
from offhook.call.leg_media import PLAYOUT_LIMIT
from offhook.call.parts import Parts
from offhook.call.state import CallInput, CallState
from offhook.call.transfers.referral import LEAVES_WITHIN
from offhook.destination.base import (
    DestinationEvent,
    HandOverResult,
    TransferResult,
)
from offhook.errors import DestinationError
from offhook.ids import CallId
from offhook.route.table import FallbackCause

# What may have to be played after the agent's end, should the media plane never say that it has been.
_DRAIN_LIMIT = PLAYOUT_LIMIT + 5.0


class Departure(Parts):
    """A call whose agent may leave it. While it is decided who is to have the caller, nobody's end is the call's."""

    __slots__ = ()

    def _begin(self) -> None:
        """Join the agent and the caller, once."""
        raise NotImplementedError

    def _take_destination(self, event: DestinationEvent) -> None:
        """The agent that the call has says something."""
        raise NotImplementedError

    def _agent_hung_up(self, detail: str, drain: bool, reason: EndReason) -> None:
        """The agent wants no more of the call, and what it said last is still to be played if `drain`."""
        if self.state in (CallState.PREPARING, CallState.WAITING):
            # Nobody has answered yet: so the agent does not take the call.
            self._end(EndReason.AGENT_REJECTED if reason is EndReason.AGENT_HUNG_UP else reason, detail)
        elif not drain:
            self._end(reason, detail)
        else:
            if not self._farewell:
                self._farewell, self._farewell_reason = detail, reason
            if self._is_being_given_away:
                self.timeline.add("agent", self._services.now(), note="the agent leaves; what it has asked for goes on")
            elif self.state is CallState.ANSWERED:
                self.timeline.add("agent", self._services.now(), note="playing what the agent said last")
            self._say_goodbye()

    def _agent_leaves(self, why: str, reason: EndReason) -> None:
        """The agent wants the call to end behind what it has said, which it is told by the media core."""
        asked = "the agent asked to hang up"
        detail = f"{asked}: {why}" if why else asked
        if not self.agent.has_spoken and (self.answered_at is None or not self.agent.is_ready):
            # There is nothing to be played first.
            self._agent_hung_up(detail, False, reason)
            return
        self._farewell, self._farewell_reason = detail, reason
        after = "; what it has asked for goes on" if self._is_being_given_away else ""
        self.timeline.add("agent", self._services.now(), note=f"the agent asks to hang up{after}")
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Play what an agent that leaves said last; on hold there is nobody to hear it.

        While a transfer or a hand-over is tried it waits: a BYE before that is decided would end both.
        """
        is_up = self.state in (CallState.ANSWERED, CallState.DRAINING)
        if not self._farewell or not is_up or self._is_being_given_away:
            return
        if self.leg.is_quiet:
            self._end(self._farewell_reason, f"{self._farewell} (on hold: what it said last was not heard)")
        elif self.state is CallState.ANSWERED and self.agent.joined is not None:
            self._move(CallInput.DRAIN)
            self._timers.arm("drain_limit", _DRAIN_LIMIT)
            self.leg.rtp.drain()

    def _transferred(self, result: TransferResult | None) -> None:
        """A transfer is decided: the caller is gone to somebody else, or back with the agent, which is told."""
        if result is None:
            return
        self._ringing.over()
        if self.agent.destination is not None:
            self.agent.destination.transferred(result)
        deferred = self.transfers.deferred()
        if result.outcome == "completed" and result.way == "bridge":
            self._join_target()
        elif result.outcome == "completed":
            self._end(EndReason.TRANSFERRED, self.transfers.account)
        elif deferred is not None:
            deferred()
        elif self._farewell:
            self._say_goodbye()
        else:
            self._timers.arm("back_from_transfer", self.trunk.media_timeout)

    def _join_target(self) -> None:
        """Whom the gateway has called for a transfer has answered: the caller is with them from here on."""
        target = self.transfers.direct.take()
        self.bridging.to = CallId(self.transfers.direct.call_id)
        self.agent.let_go(EndReason.TRANSFERRED.slug)
        # What the agent has said since is not heard behind the target.
        self.leg.rtp.connect(None)
        self.leg.rtp.clear()
        self.agent.replace(target)
        self._farewell = ""
        self._move(CallInput.REPLACE)
        self._no_longer_held_by_agent()
        self._begin()

    def _settle_hold(self) -> None:
        """An offer was answered: who holds now, and whose music is heard?"""
        self.hold.settle(self.agent.joined)
        self.holders_music.settle(self.agent.joined)

    def _no_longer_held_by_agent(self) -> None:
        """Who held the caller is gone, or has somebody else."""
        self.holders_music.agent_gone()
        self.hold.agent_gone()

    def _keep_company(self) -> None:
        """Let a caller hear ringing for whom somebody is called, and whose agent has left meanwhile."""
        if self.transfers.is_left_alone or (self.transfers.direct.is_open and self._farewell):
            self._ringing.put_through()

    @property
    def _is_being_given_away(self) -> bool:
        """Whether the agent has asked for something that would give the call to somebody else."""
        return self.transfers.is_open or self.hand_overs.is_open

    def _defers(self, action: Callable[[], None]) -> bool:
        """Whether what would end the call for its agent has to wait for what the agent has asked for."""
        return self.transfers.defers(action) or self.hand_overs.defers(action)

    def _handed_over(self, result: HandOverResult | None) -> None:
        """A hand-over has failed: the agent still has the call, and is told."""
        if result is None:
            return
        if self.agent.destination is not None:
            self.agent.destination.handed_over(result)
        deferred = self.hand_overs.deferred()
        if deferred is not None:
            deferred()
        else:
            self._say_goodbye()

    def _replace_agent(self) -> None:
        """What was said last has been played: the other agent has the call."""
        said = self.hand_overs.complete()
        self._farewell = ""
        self._move(CallInput.REPLACE)
        self._no_longer_held_by_agent()
        self._begin()
        other = self.agent.destination
        for event in said:
            if other is not None and self.agent.serves(other):
                self._take_destination(event)

    def _agent_went_on(self) -> None:
        """Whom we were referred to has answered, and has the agent: the other side here is to hang up, or we do."""
        self._farewell = ""
        self.leg.rtp.connect(None)
        self.leg.rtp.clear()
        self._no_longer_held_by_agent()
        self.agent.let_go(EndReason.REFERRED.slug)
        self._timers.arm("referred", LEAVES_WITHIN)

    def _not_taken(self, error: DestinationError) -> None:
        if isinstance(error, NotJoined):
            self.bridging.causes = error.outcome.causes
        late = error.code == EndReason.NO_ANSWER.slug
        self._give_up_agent(error, FallbackCause.LATE if late else FallbackCause.REFUSED)
        if self.state is not CallState.ENDED:
            # Somebody else is asked now.
            self.bridging.causes = ()

    def _give_up_agent(self, error: DestinationError, cause: FallbackCause) -> None:
        """The agent has failed: take the fallback that fits, or end."""
        if self._farewell:
            self.timeline.add("agent", self._services.now(), note=f"after its goodbye: {error}")
            self._say_goodbye()
            if self.state is not CallState.DRAINING:
                self._agent_hung_up(self._farewell, False, self._farewell_reason)
            return
        reason = EndReason.of(error.code)
        self.reject_status = error.sip_status
        self._ringing.agent_gone()
        following = self.agent.lost(error, cause, self.causes)
        if following is None:
            self._end(reason, described(error))
            return
        if self.state in (CallState.WAITING, CallState.ANSWERED):
            self._move(CallInput.REPLACE)
            if not self._ringing.is_playing:
                # The one that follows must not be heard behind what the lost one had still to say.
                self.leg.rtp.clear()
        self._no_longer_held_by_agent()
        self.agent.engage(following)
