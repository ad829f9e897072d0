"""What to tell a person about a call: how it ended, how its audio went, and what to change."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from offhook.call.end_reason import EndReason, whose
from offhook.report.record import CallRecord

Counters = Mapping[str, int | float | str | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of what happened, `detail` as it was found, `hint` on what to change, and whether it ended well.

    A call can end well and have gone badly: then `but` says what was wrong with its audio, and `hint` is about that.
    """

    text: str
    detail: str
    hint: str
    good: bool
    but: str = ""


@dataclass(frozen=True, slots=True)
class AudioLine:
    """One way of the audio in plain words; `warning` if it is worth a look, with a `hint` on what to change."""

    way: str
    text: str
    warning: bool = False
    hint: str = ""


def verdict(record: CallRecord) -> Verdict:
    """Judge a call in one sentence."""
    if record.end_reason is None:
        state = "The call is on." if record.was_answered else "The call is being set up."
        return Verdict(state, record.end_detail, "", good=True)
    try:
        reason = EndReason.of(record.end_reason)
    except KeyError:
        return Verdict(f"The call ended: {record.end_reason}.", record.end_detail, "", good=False)
    said, detail = _worded(record, reason.text), _worded(record, record.end_detail)
    if reason.fault == "none":
        # The first warning is the gravest: the lines go from no audio at all down to what is worth a look.
        wrong = next((line for line in audio(record) if line.warning), None)
        if wrong is not None:
            return Verdict(said, detail, wrong.hint, good=True, but=wrong.text)
        return Verdict(said, detail, reason.hint, good=True)
    # A caller who gives up is nobody to be sent a bill for it.
    text = said if reason.fault == "caller" else f"{said} For {whose(reason.fault)} to fix."
    return Verdict(text, detail, _worded(record, reason.hint), good=False)


def audio(record: CallRecord) -> list[AudioLine]:
    """The counters of both ways in plain words; empty if there was no audio to speak of."""
    if not record.media or not _was_counted(record):
        return []
    lines = [*_from_caller(record.media, record.was_answered), *_to_caller(record.media, record.was_answered)]
    if holds := _number(record.media, "holds"):
        times = "once" if holds == 1 else f"{holds:,} times"
        lines.append(AudioLine("on hold", f"{times}, {_number(record.media, 'held_ms') / 1000:.1f} s in all"))
    underruns = _number(record.media, "playout_underruns")
    if underruns and (record.destination or "").startswith("echo:"):
        # There is no agent: what comes late into an echo came late from the caller.
        lines.append(AudioLine("", f"the echo waited for the caller’s packets {_count(underruns, 'time')}"))
    elif underruns:
        hint = "The agent’s audio comes in fits and starts: its speech is made slower than it is spoken."
        times = f"the agent’s speech ran dry in mid-sentence {_count(underruns, 'time')}"
        lines.append(AudioLine("", times, warning=True, hint=hint))
    return [_of(record, line) for line in lines]


def agent_audio(record: CallRecord) -> list[AudioLine]:
    """What went over the agent's connection, in plain words; empty if there was none."""
    wire = record.wire
    if not wire or not _was_counted(record):
        return []
    heard, spoken = _number(wire, "sent_audio_us") / 1e6, _number(wire, "received_audio_us") / 1e6
    lost = _number(wire, "sent_dropped_us") / 1e6
    said = _number(wire, "received_dropped_us") / 1e6
    lines = [AudioLine("offhook → agent", f"{heard:.1f} s of the caller’s audio sent to the agent")]
    if lost:
        lines[0] = AudioLine(
            "offhook → agent",
            f"{lines[0].text}, {lost:.1f} s dropped because the agent read too slowly",
            warning=True,
            hint=EndReason.AGENT_TOO_SLOW.hint,
        )
    if said:
        text = f"{spoken:.1f} s of speech received from the agent, {said:.1f} s more dropped as too far ahead"
        lines.append(AudioLine("agent → offhook", text, warning=True, hint=EndReason.AGENT_FLOOD.hint))
    elif not spoken and record.was_answered:
        hint = "The agent was connected and silent: look at its log."
        lines.append(AudioLine("agent → offhook", "the agent never sent any audio", warning=True, hint=hint))
    else:
        lines.append(AudioLine("agent → offhook", f"{spoken:.1f} s of speech received from the agent"))
    garbage = _number(wire, "received_garbage")
    if garbage:
        hint = "Check `kind` of the [[agent]]."
        text = f"{_count(garbage, 'message')} from the agent made no sense"
        lines.append(AudioLine("", text, warning=True, hint=hint))
    return [_of(record, line) for line in lines]


def _worded(record: CallRecord, text: str) -> str:
    """A text about a call that came to us; of one that went out the other side is the called party."""
    return re.sub(r"\bcaller\b", "called party", text) if record.direction == "outbound" else text


def _of(record: CallRecord, line: AudioLine) -> AudioLine:
    return replace(
        line, way=_worded(record, line.way), text=_worded(record, line.text), hint=_worded(record, line.hint)
    )


def _was_counted(record: CallRecord) -> bool:
    """Whether the counters are those of the whole call; until its end they stand as they were at the answer."""
    return record.end_reason not in (None, EndReason.GATEWAY_CRASHED.slug)


def _from_caller(media: Counters, answered: bool) -> Iterator[AudioLine]:
    way = "caller → offhook"
    received, sent = _number(media, "received_packets"), _number(media, "sent_packets")
    elsewhere = _number(media, "received_wrong_source")
    other_codec = _number(media, "received_wrong_payload_type")
    if not received:
        if not answered:
            return
        text = f"caller audio never arrived: 0 packets in, {sent:,} out"
        hint = "Open `media.ports` (UDP) in the firewall, and check that `media.advertise` is reachable from outside."
        if elsewhere:
            text += f"; {_count(elsewhere, 'packet')} came from an address that this call does not accept"
            hint = "The caller is behind NAT: set `nat = true` or `media_allow` on the [[trunk]]."
        elif other_codec:
            text += f"; {_count(other_codec, 'packet')} came in a codec that was not agreed"
            hint = "The sending side does not keep to its own SDP; show it the answer below."
        yield AudioLine(way, text, warning=True, hint=hint)
        return
    lost, late = _number(media, "received_lost"), _number(media, "received_late")
    jitter = _number(media, "received_jitter_us") / 1000
    share = 100 * lost / (received + lost)
    text = f"{_count(received, 'packet')}, {_lost(lost, share)}, jitter {jitter:.1f} ms"
    if late:
        text += f", {late:,} too late to be heard"
    bad = share >= 1 or late > received / 100
    hint = "The way from the caller loses or delays packets: a weak link, or a full one." if bad else ""
    yield AudioLine(way, text, warning=bad, hint=hint)
    if answered and "speech_ms" in media:
        spoken, noise = _number(media, "speech_ms") / 1000, _number(media, "noise_level")
        said = f"the caller spoke for {spoken:.1f} s" if spoken else "no speech in it"
        yield AudioLine("", said + (f", noise of the line -{noise} dBov" if noise else ""))
    if other_codec:
        text = f"{_count(other_codec, 'packet')} in a codec that was not agreed, left out"
        yield AudioLine("", text, warning=other_codec > received / 100)
    if elsewhere:
        text = f"{_count(elsewhere, 'packet')} from an address that this call does not accept, left out"
        yield AudioLine("", text, warning=elsewhere > received / 100)


def _to_caller(media: Counters, answered: bool) -> Iterator[AudioLine]:
    way = "offhook → caller"
    sent, speech = _number(media, "sent_packets"), _number(media, "sent_audio_packets")
    if not sent:
        if answered:
            hint = "The caller never named a usable address for its audio, or held the call throughout."
            yield AudioLine(way, "nothing was sent to the caller", warning=True, hint=hint)
        return
    text = f"{_count(sent, 'packet')}: {speech:,} with sound, {_number(media, 'sent_silence_packets'):,} silent"
    if music := _number(media, "sent_music_packets"):
        text += f", {music:,} of music on hold"
    if not speech and answered:
        hint = "The agent sent no audio, or the call ended before it spoke."
        yield AudioLine(way, f"{_count(sent, 'packet')}, all silent", warning=True, hint=hint)
    else:
        yield AudioLine(way, text)
    if _number(media, "rtcp_received"):
        lost = _number(media, "remote_lost")
        share = 100 * lost / max(1, sent)
        text = (
            f"the caller’s side reports {_lost(lost, share)}, jitter {_number(media, 'remote_jitter_us') / 1000:.1f} ms"
        )
        if _number(media, "round_trip_us"):
            text += f", round trip {_number(media, 'round_trip_us') / 1000:.0f} ms"
        yield AudioLine("", text, warning=share >= 1)


def _number(counters: Counters, name: str) -> int:
    value = counters.get(name)
    return int(value) if isinstance(value, int | float) else 0


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _lost(lost: int, share: float) -> str:
    return "none lost" if lost <= 0 else f"{lost:,} lost ({share:.1f} %)"
