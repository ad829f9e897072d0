"""What a call of the phone came to, for people (lines of text) and for programs (one JSON object)."""

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from offhook.observe.printable import printable
from offhook.phone.finding import Finding, Milestone
from offhook.phone.outcome import Answered, Verdict, judge
from offhook.phone.recording import gaps_ms
from offhook.report.ladder import ladder
from offhook.report.page import heading, milliseconds, wrapped

_INTERVALS: dict[str, tuple[Milestone, Milestone, str]] = {
    "trying": ("invite", "trying", "INVITE sent → 100 Trying"),
    "ringing": ("invite", "ringing", "INVITE sent → ringing"),
    "early_media": ("invite", "early_media", "INVITE sent → sound before the answer"),
    "answer": ("invite", "answered", "INVITE sent → 200 OK"),
    "first_packet": ("answered", "first_packet", "200 OK → first audio packet"),
    "first_sound": ("answered", "first_sound", "200 OK → first sound heard"),
    "talked": ("answered", "ended", "200 OK → end of the call"),
}
_TONES = {"plain": "", "good": "green", "bad": "red", "quiet": "dim", "title": "bold"}


def verdict(finding: Finding) -> Verdict:
    """The outcome in words; where the call was answered, with what was wrong with its sound."""
    judged = judge(finding.outcome, with_password=finding.plan.user is not None)
    if not isinstance(finding.outcome, Answered):
        return judged
    but, hint = _sound_trouble(finding)
    return Verdict(judged.slug, judged.text, hint, good=True, but=but)


def lines(finding: Finding, width: int, recorded: str = "", *, messages: bool = False) -> Iterable[Text]:
    """The whole page. `recorded` names the file that the sound was written to."""
    judged = verdict(finding)
    mark, style = ("✔", "bold green") if judged.good else ("✘", "bold red")
    if judged.but:
        mark, style = "⚠", "bold yellow"
    yield from wrapped(f"{mark} ", printable(judged.text), width, style)
    if judged.but:
        yield from wrapped("  But: ", printable(judged.but), width, style)
    elif isinstance(finding.outcome, Answered):
        yield from wrapped("  ", _what_was_heard(finding), width)
    if judged.hint:
        yield from wrapped("  What to do: ", printable(judged.hint), width)
    if finding.timeline.entries:
        yield from heading("Ladder")
        near = f"phone {finding.local_signalling}".strip()
        far = finding.remote_signalling or finding.plan.uri.host
        for row in ladder(finding.timeline, width, caller=near, callee=far, kept_by="caller"):
            yield Text(row.text, style=_TONES[row.tone])
    yield from _set_up(finding)
    yield from _sound(finding, width)
    yield from _facts(finding, width, recorded)
    if messages:
        yield from _messages(finding)


def as_json(finding: Finding, recorded: str = "") -> dict[str, Any]:
    """The same for programs; times are milliseconds, None for what was never reached."""
    judged, gaps = verdict(finding), _gaps(finding)
    echo, audio = finding.echo, finding.audio
    return {
        "uri": str(finding.plan.uri),
        "verdict": {
            "slug": judged.slug,
            "answered": judged.good,
            "text": judged.text,
            "but": judged.but,
            "hint": judged.hint,
            "ended_by": finding.outcome.ended_by if isinstance(finding.outcome, Answered) else None,
            "sip_status": getattr(getattr(finding.outcome, "response", None), "status", None),
        },
        "intervals_ms": {name: finding.since(first, then) for name, (first, then, _) in _INTERVALS.items()},
        "heard": {
            "from": finding.heard_from or None,
            "sound_seconds": round(finding.heard_frames / 50, 2),
            "loudest_db": round(finding.heard_db, 1),
            "packet_gap_ms": None if gaps is None else dict(zip(("median", "p99", "longest"), gaps, strict=True)),
            "digits": finding.digits_heard,
        },
        "sent": {"digits": finding.digits_sent},
        "echo": None
        if echo is None
        else {
            "round_trip_ms": echo.round_trip_ms,
            "shortest_ms": echo.shortest_ms,
            "longest_ms": echo.longest_ms,
            "likeness": round(echo.likeness, 3),
            "places": echo.places,
        },
        "codec": None if audio is None else audio.codec,
        "encryption": None if audio is None else audio.crypto.suite if audio.crypto is not None else "none",
        "media": finding.stats,
        "addresses": {
            "transport": finding.transport,
            "local_signalling": finding.local_signalling,
            "remote_signalling": finding.remote_signalling,
            "local_media": finding.local_media,
            "remote_media": _address(audio.remote) if audio is not None and audio.remote else None,
        },
        "sip_call_id": finding.sip_call_id or None,
        "device": finding.device or None,
        "recorded": recorded or None,
        "timeline": finding.timeline.as_dict(),
    }


# What to say of the sound.


def _sound_trouble(finding: Finding) -> tuple[str, str]:
    """What was wrong with the sound of an answered call, and what to do; empty where nothing was."""
    stats, audio = finding.stats, finding.audio
    if audio is not None and audio.remote_hold:
        return "the far end held the call at its end, so it was not meant to hear us.", ""
    if not stats.get("received_packets"):
        if stats.get("received_wrong_payload_type"):
            return "audio came, but in a codec that was not agreed.", "The far end does not keep to its own SDP answer."
        asked = f"It was asked to send to {finding.local_media} (UDP). "
        return (
            "no audio packet ever came from the far end.",
            f"{asked}If that address can't be reached from there (NAT, firewall), call from a machine where it can, or "
            "set `nat = true` on the far end's [[trunk]].",
        )
    if finding.unreachable_media and finding.echo is not None:
        return "the far end's host refused some of our audio: for a while nothing listened there.", ""
    if finding.unreachable_media:
        return (
            "our audio never arrived: the far end's host refuses it.",
            "It names a port in its SDP that nothing listens on; the SDP line of the ladder shows which.",
        )
    if not finding.heard_frames:
        return "audio packets came, but all of them were silent.", "The far end answered and said nothing: see its log."
    received, lost = stats.get("received_packets", 0), stats.get("received_lost", 0)
    if lost > (received + lost) / 50:
        share = 100 * lost / (received + lost)
        return f"{share:.1f} % of the audio packets were lost on the way here.", "The network drops packets."
    remote = stats.get("remote_lost", 0)
    if remote > max(1, stats.get("sent_packets", 0)) / 50:
        return f"the far end reports {remote:,} of our audio packets lost.", "The network drops packets."
    return "", ""


def _what_was_heard(finding: Finding) -> str:
    sound = f"{finding.heard_frames / 50:.1f} s of sound heard"
    if finding.echo is not None:
        return f"{sound}, and what was said came back: an echo, {finding.echo.round_trip_ms:.0f} ms later."
    if finding.stats.get("rtcp_received") and finding.stats.get("remote_lost", 0) <= 0:
        return f"{sound}; the far end reports that ours arrives."
    return f"{sound}."


def _set_up(finding: Finding) -> Iterable[Text]:
    rows = [(text, finding.since(first, then)) for first, then, text in _INTERVALS.values()]
    if not any(passed is not None for _, passed in rows):
        return
    yield from heading("Times")
    for text, passed in rows:
        if passed is not None:
            yield Text(f"  {text:<32}{milliseconds(passed):>11}")


def _sound(finding: Finding, width: int) -> Iterable[Text]:
    stats = finding.stats
    if "answered" not in finding.milestones or not stats:
        return
    yield from heading("Sound")
    sent, silent = stats["sent_packets"], stats["sent_silence_packets"]
    keyed = f", {stats['sent_event_packets']:,} of DTMF" if stats["sent_event_packets"] else ""
    text = f"{_count(sent, 'packet')}: {stats['sent_audio_packets']:,} of sound{keyed}, {silent:,} filled with silence"
    yield from wrapped("  phone → far end   ", text, width)
    if stats["rtcp_received"]:
        text = f"far end reports {_lost(stats['remote_lost'], sent)}, jitter {stats['remote_jitter_us'] / 1000:.1f} ms"
        if stats["round_trip_us"]:
            text += f", network round trip {stats['round_trip_us'] / 1000:.1f} ms"
    else:
        text = "no RTCP report came back, so whether it arrived is unknown"
    yield from wrapped(" " * 20, text, width)
    received = stats["received_packets"]
    lost = _lost(stats["received_lost"], received + stats["received_lost"])
    text = f"{_count(received, 'packet')}, {lost}, jitter {stats['received_jitter_us'] / 1000:.1f} ms"
    for name, words in (("received_late", "too late"), ("received_wrong_payload_type", "in another codec")):
        if stats[name]:
            text += f", {stats[name]:,} {words}"
    yield from wrapped("  far end → phone   ", text, width)
    gaps = _gaps(finding)
    if gaps is not None:
        median, most, longest = gaps
        text = f"a frame every {median:.1f} ms; 99 % within {most:.1f} ms, longest gap {longest:.1f} ms"
        yield from wrapped(" " * 20, text, width)
    if received:
        text = f"{finding.heard_frames / 50:.1f} s with sound, loudest {finding.heard_db:.0f} dB"
        yield from wrapped(" " * 20, text, width)
    echo = finding.echo
    if echo is not None:
        text = (
            f"what came back is what was sent ({100 * echo.likeness:.0f} % alike), {echo.round_trip_ms:.1f} ms later "
            f"({echo.shortest_ms:.1f} to {echo.longest_ms:.1f} in {_count(echo.places, 'place')})"
        )
        yield from wrapped("  echo              ", text, width)
    if finding.plan.dtmf or finding.digits_heard:
        text = f"sent {finding.digits_sent or 'none'}, heard {printable(finding.digits_heard) or 'none'}"
        yield from wrapped("  DTMF              ", text, width)


def _facts(finding: Finding, width: int, recorded: str) -> Iterable[Text]:
    facts = []
    if finding.sip_call_id:
        ours = f"{finding.local_signalling} → " if finding.local_signalling else "to "
        way = f"{ours}{finding.remote_signalling} by {finding.transport.upper()}"
        facts.append(("SIP", f"{way}, Call-ID {finding.sip_call_id}"))
    if finding.audio is not None:
        where = _address(finding.audio.remote) if finding.audio.remote else "no address"
        crypto = finding.audio.crypto
        secured = f"encrypted with {crypto.suite}" if crypto is not None else "not encrypted"
        text = f"{finding.audio.codec}, {secured}, {finding.audio.ptime} ms, {finding.local_media} → {where}"
        if finding.heard_from and finding.heard_from != where:
            text += f"; what is heard comes from {finding.heard_from}"
        facts.append(("Media", text))
    if finding.device:
        facts.append(("Far end", printable(finding.device)[:200]))
    if recorded:
        facts.append(("Recording", f"{recorded} (left: sent, right: heard)"))
    if facts:
        yield from heading("Call")
    for name, text in facts:
        yield from wrapped(f"  {name:<11}", text, width)


def _messages(finding: Finding) -> Iterable[Text]:
    yield from heading("Messages")
    for entry in finding.timeline.entries:
        if entry.kind == "sip":
            towards = "from" if entry.fields.get("direction") == "in" else "to"
            yield Text(f"  {milliseconds(entry.at_ms)} {towards} {printable(str(entry.fields['remote']))}", "bold")
            text = str(entry.fields.get("text", "")).replace("\r\n", "\n").rstrip("\n")
            yield from (Text(f"    {line}") for line in printable(text, keep_lines=True).split("\n"))
            yield Text("")


def _gaps(finding: Finding) -> tuple[float, float, float] | None:
    return gaps_ms(finding.recording.arrivals) if finding.recording is not None else None


def _address(remote: tuple[str, int]) -> str:
    return f"[{remote[0]}]:{remote[1]}" if ":" in remote[0] else f"{remote[0]}:{remote[1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _lost(lost: int, of: int) -> str:
    return "none lost" if lost <= 0 else f"{lost:,} lost ({100 * lost / max(1, of):.1f} %)"
