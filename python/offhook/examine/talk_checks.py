"""Whether it holds a conversation: waits its turn, answers, falls silent, keeps track of what was heard."""

from offhook.examine.audio import BLOCK_MS
from offhook.examine.call_log import CallLog
from offhook.examine.check import Check, Figures, Outcome
from offhook.examine.examination import Examination

_SILENCE = 0.4
_LITTLE = 0.3
_TALKING_OVER = 0.4
_MUCH_STALE = 1.0
_REPROMPT = 1.0
_QUICK_ANSWER = 2.0


def before_start(of: Examination) -> Check:
    """Whether it says anything before it may."""
    start = "`start`" if of.talk.dialect == "twilio" else "`ready`"
    early = [log for log in of.logs if log.early]
    if not early:
        return Check("before_start", Outcome.GOOD, f"nothing came before {start}")
    kinds = ", ".join(f"`{kind}`" for kind in sorted({kind for log in early for kind in log.early}))
    count = sum(len(log.early) for log in early)
    found = f"{count} messages ({kinds}) came before {start}, in {len(early)} of {len(of.logs)} calls"
    if of.talk.dialect == "twilio":
        advice = "wait for `start`: the phone still rings, and only `start` has the streamSid that every message needs"
    else:
        advice = "send `ready` first: until then nobody has agreed on the audio, and the call may go elsewhere"
    return Check("before_start", Outcome.FAULT, found, advice, {"messages": count})


def in_time(of: Examination) -> Check:
    """How long the caller waits for the first sound."""
    pace = of.pace
    greeted = []
    for log in of.conversations:
        at = log.first_sound()
        if at is not None and log.answered_at is not None and not (log.speeches and log.speeches[0][0] <= at):
            greeted.append((at - log.answered_at, log))
    if not greeted and of.echo is not None:
        return Check("in_time", Outcome.NOTE, "it says back what it hears, and nothing before that")
    if not greeted:
        into = _into_the_caller(of.talk)
        if into is not None:
            return _late(into, "into the caller's sentence")
        return Check("in_time", Outcome.NOTE, "it waits for the caller to speak first")
    delays = sorted(delay for delay, _ in greeted)
    middle = delays[len(delays) // 2]
    figures = {"median_ms": round(middle * 1000), "slowest_ms": round(delays[-1] * 1000), "calls": len(delays)}
    if len(greeted) == 1 and of.pair is not None and greeted[0][1] is of.pair[1] and middle > pace.greeting:
        # Only the caller who never said a word was spoken to first: a late greeting, or a question into the silence.
        into = _into_the_caller(of.talk)
        first = of.talk.first_sound()
        alike = first is not None and abs(first - (of.talk.answered_at or 0.0) - middle) < _REPROMPT
        if into is None and not alike:
            return Check(
                "in_time", Outcome.NOTE, f"it waits for the caller to speak first, and asks after {middle:.1f} s"
            )
    found = f"first sound {middle * 1000:.0f} ms after the start"
    if len(delays) > 1:
        found += f" (median of {len(delays)} calls; the slowest {delays[-1] * 1000:.0f} ms)"
    if middle > pace.late_greeting:
        return _late(middle, "")
    if delays[-1] > pace.late_greeting or middle > pace.slow_greeting:
        advice = f"callers begin to wonder after {pace.slow_greeting:g} s: have the greeting ready before the call"
        return Check("in_time", Outcome.WARNING, found, advice, figures)
    return Check("in_time", Outcome.GOOD, found, figures=figures)


def answers(of: Examination) -> Check:
    """Whether it answers a spoken sentence, and how soon."""
    log, pace = of.talk, of.pace
    if not log.speeches:
        return Check("answers", Outcome.NOT_JUDGED, "the caller never got to speak")
    if of.echo is not None:
        found = f"it says back what it hears, {of.echo.round_trip_ms:.0f} ms later"
        return Check("answers", Outcome.GOOD, found, figures={"echo_ms": round(of.echo.round_trip_ms)})
    after = of.answered_after(log)
    if after is None:
        advice = "did it understand the sentence? --say FILE.wav says one that it must know, in its language"
        found = f"it said nothing in the {pace.answer:.0f} s after the caller's sentence"
        return Check("answers", Outcome.WARNING, found, advice)
    if after < 0:
        return Check("answers", Outcome.NOT_JUDGED, "it was speaking when the caller ended")
    found, figures = f"{after * 1000:.0f} ms after the caller's last word", {"answer_ms": round(after * 1000)}
    if _is_mute_after_interruption(of):
        advice = "after an interruption it must be ready for the next turn: look what it still waits for"
        found += f", but it said nothing more in the {pace.answer:.0f} s after it had been interrupted"
        return Check("answers", Outcome.FAULT, found, advice, figures)
    if after > pace.slow_answer:
        advice = "people answer in under a second: stream recognition, model and speech, each into the next"
        return Check("answers", Outcome.WARNING, found, advice, figures)
    if after > _QUICK_ANSWER:
        return Check("answers", Outcome.NOTE, found, figures=figures)
    return Check("answers", Outcome.GOOD, found, figures=figures)


def interruption(of: Examination) -> Check:
    """Whether it falls silent when the caller speaks."""
    log, pace = of.interrupt, of.pace
    if of.echo is not None:
        return Check("interruption", Outcome.NOT_JUDGED, "an echo has nothing of its own to say")
    if log is None or log.interrupted_at is None or not log.speeches:
        return Check("interruption", Outcome.NOT_JUDGED, "it said nothing that could be interrupted")
    began, ended = log.interrupted_at, log.speeches[-1][1]
    stopped = _silent_since(log, began, began + pace.speaking_over)
    cleared = next((at for at in log.clears if at >= began), None)
    figures: Figures = {
        "silent_after_ms": None if stopped is None else round((stopped - began) * 1000),
        "clear_after_ms": None if cleared is None else round((cleared - began) * 1000),
        "heard_while_caller_spoke_ms": round(log.playout.heard(began, ended) * 1000),
    }
    said = "" if cleared is None else f"; its `clear` came after {(cleared - began) * 1000:.0f} ms"
    by_itself = log.gateway_cleared_at is None or (cleared is not None and cleared <= log.gateway_cleared_at)
    if stopped is not None and by_itself:
        after = f"{max(0.0, stopped - began) * 1000:.0f} ms after the caller began to speak"
        found = f"silent {after}{said}"
        if cleared is None and log.ahead_then > _LITTLE:
            found = f"it had no more to say {after}, and sent no `clear`"
            advice = "let it greet with a longer sentence to see more" if of.plan.barge_in else ""
            return Check("interruption", Outcome.NOTE, found, advice, figures)
        return Check("interruption", Outcome.GOOD, found, figures=figures)
    if log.named_utterances and log.gateway_cleared_at is not None:
        return _left_to_the_gateway(log, log.gateway_cleared_at - began, figures)
    if log.gateway_cleared_at is not None:
        since = log.gateway_cleared_at + pace.letting_go
        more = log.playout.heard(since, ended)
        figures["heard_after_cleared_ms"] = round(more * 1000)
        if more < _TALKING_OVER * (ended - since):
            found = "it speaks on when the caller speaks, and stops when the gateway has dropped its sound (`cleared`)"
            advice = "send `clear` on `speech_started`: the gateway does it by itself only where its route says so"
            outcome = Outcome.WARNING if of.plan.barge_in else Outcome.NOTE
            return Check("interruption", outcome, found, advice, figures)
        found = f"it went on for {more:.1f} s after the gateway had dropped its sound and said so (`cleared`){said}"
        advice = "on `cleared` stop sending what belongs to that utterance, and cancel what makes more of it"
    else:
        heard = log.playout.heard(began, ended)
        found = f"it was heard for {heard:.1f} s of the {ended - began:.1f} s in which the caller spoke over it"
        found += ", and sent no `clear`" if cleared is None else f"{said}, but it went on sending the same"
        advice = (
            "when the caller speaks, cancel what makes and sends the utterance, then send `clear`"
            if cleared is not None or log.ahead_then < _LITTLE
            else f"send `clear` when the caller speaks: {log.ahead_then:.1f} s of its sound were queued to be played"
        )
    if not of.plan.barge_in:
        return Check("interruption", Outcome.NOTE, found, "", figures)
    return Check("interruption", Outcome.FAULT, found, advice, figures)


def _left_to_the_gateway(log: CallLog, after: float, figures: Figures) -> Check:
    """It names its utterances, so the gateway cuts them off; what still comes of them is dropped."""
    figures["sent_after_interrupted_ms"] = round(log.stale_seconds * 1000)
    found = f"the gateway cut its utterance off {after * 1000:.0f} ms after the caller began to speak"
    if log.stale_seconds > _MUCH_STALE:
        found += f", and it went on sending {log.stale_seconds:.1f} s of it"
        advice = "on `interrupted` stop sending that utterance, and cancel what makes more of it: nobody hears it"
        return Check("interruption", Outcome.WARNING, found, advice, figures)
    return Check("interruption", Outcome.GOOD, found, figures=figures)


def marks(of: Examination) -> Check:
    """Whether its marks can come back, and whether it goes on when they don't."""
    bad = [log.garbage["bad_mark"] for log in of.logs if "bad_mark" in log.garbage]
    if bad:
        found = f"{sum(one.count for one in bad)} marks that can never come back: {bad[0].what}"
        where = "mark.name" if of.talk.dialect == "twilio" else "name"
        return Check("marks", Outcome.FAULT, found, f"put the name of the mark into `{where}`, a text")
    asked = [mark for log in of.logs for mark in log.marks]
    told = [mark for mark in asked if mark.back_at is not None and not mark.dropped]
    figures = {"asked": len(asked), "told": len(told), "dropped": sum(mark.dropped for mark in asked)}
    if _is_mute_after_interruption(of) and of.talk.dialect == "offhook" and _lost_marks(of.interrupt):
        found = "it waits for ever for marks that an interruption dropped: it never spoke again"
        advice = "marks in the `marks` of `cleared` won't come as `mark`: take them from there as not heard"
        return Check("marks", Outcome.FAULT, found, advice, figures)
    if not asked:
        found = "it sends none, so it can't know what the caller has heard"
        advice = "send a mark after each sentence; it comes back when that has been played"
        return Check("marks", Outcome.NOTE, found, advice, figures)
    if len(asked) > 1 and all(mark.nothing_before for mark in asked):
        found = f"all of its {len(asked)} marks were sent before any sound, so they came back at once"
        advice = "a mark tells that the sound before it has been played: send it after the sound"
        return Check("marks", Outcome.WARNING, found, advice, figures)
    found = f"{len(asked)} asked for, {len(told)} told as played, {figures['dropped']} dropped by a clear"
    return Check("marks", Outcome.GOOD, found, figures=figures)


def digits(of: Examination) -> Check:
    """Whether a key press does any harm."""
    log = of.talk
    if not log.keys:
        return Check("digits", Outcome.NOT_JUDGED, "no key was pressed")
    at = log.keys[0]
    end = log.agent_end
    if end is not None and not end.in_good_order:
        found = f"it was lost {(end.at - at) * 1000:.0f} ms after the key 5: {end}"
        return Check("digits", Outcome.FAULT, found, "look into its log: does it know `dtmf` messages?")
    reacted = ["`clear`"] if any(cleared >= at for cleared in log.clears) else []
    reacted += ["sound"] if log.playout.sounds(at) else []
    found = f"5 was pressed: {' and '.join(reacted) or 'nothing'} came of it"
    return Check("digits", Outcome.GOOD, found)


def _late(seconds: float, where: str) -> Check:
    found = f"first sound {seconds:.1f} s after the start{f', {where}' if where else ''}"
    advice = "callers say hello into the silence or hang up: send the greeting with `start`, and make it beforehand"
    return Check("in_time", Outcome.FAULT, found, advice, {"median_ms": round(seconds * 1000)})


def _into_the_caller(log: CallLog) -> float | None:
    """When it first spoke, if that was in the middle of the caller's first sentence."""
    at = log.first_sound()
    if at is None or log.answered_at is None or not log.speeches:
        return None
    begin, end = log.speeches[0]
    return at - log.answered_at if begin <= at < end - _LITTLE else None


def _silent_since(log: CallLog, began: float, limit: float) -> float | None:
    """When the caller no longer heard the agent; None if the agent talked on beyond the limit.

    Speech has pauses, and a quick agent may begin its answer in a pause of the caller: what counts is how much of the
    rest of the caller's sentence the agent filled.
    """
    ended = log.speeches[-1][1]
    if log.playout.heard(limit, ended) > _TALKING_OVER * (ended - limit):
        return None
    last = began
    for at in log.playout.sounds(began, ended):
        if at - last > _SILENCE:
            break
        last = at + BLOCK_MS / 1000
    return min(last, limit)


def _is_mute_after_interruption(of: Examination) -> bool:
    """Whether it answered the caller in the ordinary call, and said no more once it had been interrupted."""
    log, usual = of.interrupt, of.answered_after(of.talk)
    if log is None or log.interrupted_at is None or log.agent_end is not None or log.cut:
        return False
    return usual is not None and usual >= 0 and of.answered_after(log) is None


def _lost_marks(log: CallLog | None) -> bool:
    return log is not None and any(mark.dropped for mark in log.marks)
