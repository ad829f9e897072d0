"""What the timeline of a call says of its session timer (RFC 4028)."""

from offhook.sip.events import SessionTimed


def words_of(event: SessionTimed) -> str:
    """One refresh, or the first agreement, in words."""
    if event.interval is None:
        return f"session timer: none any more, by the answer to {_whose(event)}"
    who = "we refresh" if event.by_us else "the caller's side refreshes"
    return f"session timer: {event.interval} s from {_whose(event)} on, {who}"


def _whose(event: SessionTimed) -> str:
    return f"our {event.method}" if event.ours else f"the caller's {event.method}"
