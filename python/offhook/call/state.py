"""The states of a call and the table that it follows; the picture in ARCHITECTURE.md is drawn from this table."""

from enum import Enum


class CallState(Enum):
    """Where a call stands. The values are the words of the timeline and the logs."""

    ARRIVED = "arrived"
    """The INVITE is in, 100 is out, nothing has been promised; of a call out, nothing has been done."""
    PREPARING = "preparing"
    """The destination is being made ready: while the caller hears ringing (180), or before anybody is called."""
    CALLING = "calling"
    """A call out: the agent is ready, INVITE has left, nobody has answered yet."""
    WAITING = "waiting"
    """The route answers at the agent's first audio: the agent is ready, its audio is awaited."""
    ANSWERED = "answered"
    """200 is out, RTP flows; the destination may still be on its way (`answer = "at-once"`, or a fallback)."""
    DRAINING = "draining"
    """The agent has ended the call in good order; what it said last is being played."""
    ENDED = "ended"
    """The end reason is known and the media is free; what signalling still has to say is being said."""


class CallInput(Enum):
    """What moves a call from one state to the next."""

    RING = "ring"
    PREPARE = "prepare"
    DIAL = "dial"
    AWAIT_AUDIO = "await audio"
    ANSWER = "answer"
    DRAIN = "drain"
    REPLACE = "replace the agent"
    END = "end"


TRANSITIONS: dict[tuple[CallState, CallInput], CallState] = {
    (CallState.ARRIVED, CallInput.RING): CallState.PREPARING,
    (CallState.ARRIVED, CallInput.PREPARE): CallState.PREPARING,
    (CallState.ARRIVED, CallInput.END): CallState.ENDED,
    (CallState.PREPARING, CallInput.AWAIT_AUDIO): CallState.WAITING,
    (CallState.PREPARING, CallInput.ANSWER): CallState.ANSWERED,
    (CallState.PREPARING, CallInput.DIAL): CallState.CALLING,
    (CallState.PREPARING, CallInput.END): CallState.ENDED,
    (CallState.CALLING, CallInput.ANSWER): CallState.ANSWERED,
    (CallState.CALLING, CallInput.END): CallState.ENDED,
    (CallState.WAITING, CallInput.ANSWER): CallState.ANSWERED,
    (CallState.WAITING, CallInput.REPLACE): CallState.PREPARING,
    (CallState.WAITING, CallInput.END): CallState.ENDED,
    (CallState.ANSWERED, CallInput.REPLACE): CallState.ANSWERED,
    (CallState.ANSWERED, CallInput.DRAIN): CallState.DRAINING,
    (CallState.ANSWERED, CallInput.END): CallState.ENDED,
    (CallState.DRAINING, CallInput.END): CallState.ENDED,
}
"""A pair that is missing here is a bug of ours: everything that peers cause is sorted out before."""


def picture() -> str:
    """The table as a drawing: a line for each transition under the state that it leaves, and one for all the ends."""
    left = max(len(state.value) for state in CallState)
    over = max(len(what.value) for what in CallInput)

    def arrow(before: str, what: CallInput, after: CallState) -> str:
        return f"{before:<{left}} ── {what.value} {'─' * (over - len(what.value))}─► {after.value}"

    lines = [arrow(b.value, what, a) for (b, what), a in TRANSITIONS.items() if what is not CallInput.END]
    return "\n".join([*lines, arrow("any", CallInput.END, CallState.ENDED)])
