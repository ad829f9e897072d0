"""Whether calls come about, last as long as they should, and end."""

from offhook.examine.call_log import CallLog
from offhook.examine.check import Check, Outcome
from offhook.examine.examination import Examination

_SLOW_TO_REACH_MS = 1_000.0
_GOOD_CLOSES = (1000, 1001, 1005)
_NEAR = 0.5
_QUIET_BEFORE = 0.8


def reached(of: Examination) -> Check:
    """Where the agent is and how long the way there takes."""
    there = of.talk.reached
    assert there is not None, "the first call was made"
    steps = f"TCP {there.tcp_ms:.0f}, upgrade {there.upgrade_ms:.0f}"
    if of.plan.uri.secure:
        steps = f"TCP {there.tcp_ms:.0f}, TLS {there.tls_ms:.0f}, upgrade {there.upgrade_ms:.0f}"
    found = f"{there.address} in {there.total_ms:.0f} ms (name {there.dns_ms:.0f}, {steps})"
    figures = {"total_ms": round(there.total_ms, 1), "upgrade_ms": round(there.upgrade_ms, 1)}
    if there.total_ms > _SLOW_TO_REACH_MS:
        advice = "the caller hears ringing meanwhile: accept the upgrade first, and load models before the first call"
        return Check("reached", Outcome.WARNING, found, advice, figures)
    return Check("reached", Outcome.GOOD, found, figures=figures)


def ready(of: Examination) -> Check | None:
    """Whether the agent takes an ordinary call; where the dialect doesn't ask it, only if it would not."""
    log = of.talk
    if log.dialect != "offhook":
        if log.is_answered:
            return None
        advice = "an exception in the agent before the call has begun? Its log at that moment says more"
        return Check("ready", Outcome.FAULT, f"it ended the call while it rang: {log.agent_end}", advice)
    if log.rejected:
        advice = "an ordinary call of a stranger was rejected: look why in the agent's log"
        return Check("ready", Outcome.FAULT, f"it rejected the call with {log.rejected}", advice)
    if log.ready_at is None or log.connected_at is None:
        how = f"; then {log.agent_end}" if log.agent_end is not None else ""
        advice = 'answer `ringing` with {"type": "ready"}; the gateway waits for it before the caller is answered'
        found = f"no `ready` came in {of.pace.ready:.0f} s{how}" if not how else f"no `ready` came{how}"
        return Check("ready", Outcome.FAULT, found, advice)
    took = (log.ready_at - log.connected_at) * 1000
    found, figures = f"`ready` after {took:.0f} ms, {log.format}", {"ready_ms": round(took, 1)}
    if took > of.pace.slow_ready * 1000:
        advice = "the caller hears ringing for so long: look things up after `ready`, or beforehand"
        return Check("ready", Outcome.WARNING, found, advice, figures)
    return Check("ready", Outcome.GOOD, found, figures=figures)


def stays(of: Examination) -> Check:
    """Whether it is the caller who ends the call."""
    notes = []
    for log in of.conversations:
        if log.scene == "again":
            continue
        if log.cut == "too_slow":
            advice = "read from the socket all the time, whatever else the agent does"
            found = f"in the {log.label} it did not read for 10 s: the gateway ends such a call (agent_too_slow)"
            return Check("stays", Outcome.FAULT, found, advice)
        end = log.agent_end
        if end is None or log.answered_at is None:
            continue
        lasted = end.at - log.answered_at
        after = f"{lasted:.1f} s after the start of the {log.label}"
        if lasted < 0.05:
            # It may even come before we have said `start`, which followed its own `ready`.
            after = f"as the {log.label} began"
        if not end.in_good_order:
            advice = "an exception in the agent, or a proxy's time limit: its log at that moment says more"
            return Check("stays", Outcome.FAULT, f"it was lost {after}: {end}", advice)
        if not _had_its_turn(of, log):
            advice = "the agent hangs up by closing: keep the connection open until the conversation is over"
            when = ", while the caller was speaking" if _is_speaking(log, end.at) else ""
            return Check("stays", Outcome.FAULT, f"it hung up {after}{when}: {end}", advice)
        notes.append(f"it hung up {after}: {end}")
    if notes:
        return Check("stays", Outcome.NOTE, notes[0])
    unread = sum(log.frames_unread for log in of.conversations)
    if unread:
        advice = "read from the socket all the time; what waits for too long is dropped, and recognised badly"
        return Check("stays", Outcome.WARNING, f"{unread} frames of the caller's sound were not read in time", advice)
    return Check("stays", Outcome.GOOD, f"{len(of.conversations)} conversations, each ended by the caller")


def hang_up(of: Examination) -> Check:
    """Whether the agent closes its end, and stops, when the caller hangs up."""
    ended = [log for log in of.logs if log.hung_up_at is not None and log.agent_end is None]
    if not ended:
        return Check("hang_up", Outcome.NOT_JUDGED, "no call got as far as that")
    kept = [log for log in ended if log.close_came_at is None and log.ended_at is None]
    if kept:
        late = sum(log.late_messages for log in kept)
        still = f", and {late} messages more came meanwhile" if late else ""
        found = (
            f"{len(kept)} of {len(ended)} calls were still open {of.pace.closing:.0f} s after the caller hung up{still}"
        )
        said = "`stop`" if of.talk.dialect == "twilio" else "`end`"
        advice = (
            f"read on while you speak: on {said} or the close stop all tasks of the call, answer the close and let the "
            "handler return"
        )
        return Check("hang_up", Outcome.FAULT, found, advice, {"open": len(kept), "late_messages": late})
    own = [log for log in ended if log.close_code is not None and log.close_code not in _GOOD_CLOSES]
    if own:
        found = f"{len(own)} of {len(ended)} calls ended with close code {own[0].close_code} when the caller hung up"
        advice = "an exception in the agent when the call ends: its log at that moment says more"
        return Check("hang_up", Outcome.WARNING, found, advice, {"close_code": own[0].close_code})
    took = sorted(
        ((log.close_came_at or log.ended_at or 0.0) - log.hung_up_at) * 1000
        for log in ended
        if log.hung_up_at is not None
    )
    found = f"{len(ended)} calls closed in {took[len(took) // 2]:.0f} ms, the slowest in {took[-1]:.0f} ms"
    figures = {"median_ms": round(took[len(took) // 2], 1), "slowest_ms": round(took[-1], 1)}
    if any(log.close_came_at is not None and log.ended_at is None for log in ended):
        advice = "the server answers the close and keeps the TCP connection: let the handler of the call return"
        return Check("hang_up", Outcome.WARNING, f"{found}, but a connection stayed open", advice, figures)
    return Check("hang_up", Outcome.GOOD, found, figures=figures)


def together(of: Examination) -> Check:
    """Whether two calls at once are two calls."""
    if of.pair is None:
        return Check("together", Outcome.NOT_JUDGED, "the two calls were not made")
    for log in of.pair:
        if log.unreached or log.rejected or not log.is_answered:
            why = log.unreached or (f"rejected with {log.rejected}" if log.rejected else "it was never ready")
            advice = "if it can only take one call, set max_calls = 1 in its [[agent]]; else look into its log"
            return Check("together", Outcome.FAULT, f"of two calls at once one did not come about: {why}", advice)
    talking, silent = of.pair
    mixed = _mixed(talking, silent)
    if mixed:
        advice = "keep everything that belongs to a call in an object of that call: queues, tasks, stream ids"
        return Check("together", Outcome.FAULT, mixed, advice)
    heard = [log for log in of.pair if log.playout.last_sound]
    if not heard:
        return Check("together", Outcome.NOT_JUDGED, "there was no sound in either of two calls at once")
    if len(heard) == 1 and of.talk.playout.last_sound and heard[0] is silent:
        advice = "keep everything that belongs to a call in an object of that call: queues, tasks, stream ids"
        return Check("together", Outcome.FAULT, "the caller who spoke heard nothing, the silent one did", advice)
    first = [log.first_sound(0.0) for log in of.pair]
    delays = [
        at - log.answered_at for at, log in zip(first, of.pair, strict=True) if at is not None and log.answered_at
    ]
    found = "each caller was heard and answered alone"
    alone = of.talk.first_sound()
    if delays and alone is not None and of.talk.answered_at is not None and not _spoke_first(of.talk, alone):
        usual = alone - of.talk.answered_at
        found += f"; first sound after {max(delays) * 1000:.0f} ms, alone after {usual * 1000:.0f} ms"
        greeted = [at for at, log in zip(first, of.pair, strict=True) if at is not None and not _spoke_first(log, at)]
        if len(greeted) == 2 and max(delays) > 2 * usual + 1.0:
            advice = "something is done one call after the other: look for what blocks the event loop, or for a lock"
            return Check("together", Outcome.WARNING, found, advice)
    return Check("together", Outcome.GOOD, found)


def again(of: Examination) -> Check:
    """Whether it goes on taking calls, after such as ended badly."""
    advice = "free whatever a call holds (a slot, a task, a session) in a `finally`, however the call ends"
    for number, log in enumerate(of.logs, 1):
        if log is of.talk or log.scene == "together":
            continue
        why = log.unreached or (f"it was rejected with {log.rejected}" if log.rejected else "")
        if not why and log.ready_at is None and log.hung_up_at is None and log.vanished_at is None:
            why = f"it was never ready{f': {log.agent_end}' if log.agent_end else ''}"
        if why:
            found = f"call {number} did not come about, though no other was up: {why}"
            return Check("again", Outcome.FAULT, found, advice, {"call": number})
        late = log.scene in ("short", "again")
        if late and log.agent_end is not None and not log.agent_end.in_good_order:
            found = f"it broke off in call {number} ({log.label}): {log.agent_end}"
            return Check("again", Outcome.FAULT, found, "look into its log at that moment", {"call": number})
    last = next(iter(of.scene("again")), None)
    found = f"{len(of.logs)} calls, {len(of.scene('short'))} of them hung up at once or lost"
    if last is not None and of.talk.playout.last_sound:
        if not last.playout.last_sound:
            return Check("again", Outcome.FAULT, f"after {found} it says nothing any more", advice)
        found += ", and the last was like the first"
    return Check("again", Outcome.GOOD, found)


def _had_its_turn(of: Examination, log: CallLog) -> bool:
    """Whether there was something like a conversation before the agent hung up: then it may have had its reasons."""
    if log.keys:
        return True
    answered = of.answered_after(log)
    return answered is not None and answered >= 0


def _is_speaking(log: CallLog, at: float) -> bool:
    return any(begin <= at < end for begin, end in log.speeches)


def _spoke_first(log: CallLog, sound_at: float) -> bool:
    """Whether the caller spoke before the agent did."""
    return bool(log.speeches) and log.speeches[0][0] <= sound_at


def _mixed(talking: CallLog, silent: CallLog) -> str:
    """What of one call came in the other; empty if nothing did."""
    for log, other in ((talking, silent), (silent, talking)):
        if other.stream_sid and other.stream_sid in log.other_streams:
            return f"{log.other_streams[other.stream_sid]} messages came with the streamSid of the other call"
    if not talking.speeches:
        return ""
    begin = talking.speeches[0][0]
    mine = [arrival for arrival in talking.arrivals if arrival.fingerprint is not None and arrival.at > begin]
    theirs = [arrival for arrival in silent.arrivals if arrival.fingerprint is not None and arrival.at > begin]
    if not theirs:
        return ""
    # The same greeting in both is no wonder; a new sound in both at the same moment is.
    start = theirs[0].at
    before = [arrival.at for arrival in silent.arrivals if arrival.fingerprint is not None and arrival.at <= begin]
    if before and start - before[-1] < _QUIET_BEFORE:
        return ""
    sounds = {arrival.fingerprint: arrival.at for arrival in mine}
    same = sum(1 for arrival in theirs if abs(sounds.get(arrival.fingerprint, arrival.at + 9.0) - arrival.at) < _NEAR)
    if same > len(theirs) / 2:
        return f"the silent caller heard what was said to the other: {same} of {len(theirs)} messages were the same"
    return ""
