"""The ladder of a call: who said what to whom and when, as text for a terminal."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rich.cells import cell_len, set_cell_size

from offhook.observe.printable import printable
from offhook.report.timeline import Entry, Timeline

Tone = Literal["plain", "good", "bad", "quiet", "title"]

NARROWEST = 60
WIDEST_GAP = 46
WIDEST_GAP_OF_TWO = 58
SILENCE_MS = 2_000.0
"""A pause that long gets a line of its own, so that nobody reads over it."""

_TIME = 10
_REFER_TO = re.compile(r"(?im)^(?:refer-to|r)[ \t]*:([^\n]*)")
_ASCII = str.maketrans("│─►◄┄⋮×…→←·●", "|-><.:x~><.*")
_OWN_FIELDS = frozenset({"note", "event", "text", "state", "direction", "detail"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a ladder and how it is meant: for colours, where there are any."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Where the lifelines stand: caller, gateway and, if the call had one, agent."""

    gap: int
    agent: bool
    from_caller: str
    """The direction in the timeline of what the caller sent."""

    @property
    def gateway(self) -> int:
        return _TIME + 2 + self.gap + 1

    @property
    def width(self) -> int:
        return _TIME + 2 + (self.gap + 1) * (2 if self.agent else 1) + 1


def ladder(
    timeline: Timeline,
    width: int = 100,
    *,
    caller: str = "caller",
    callee: str = "offhook",
    kept_by: Literal["caller", "callee"] = "callee",
    ascii_only: bool = False,
) -> list[Row]:
    """Draw a timeline `width` columns wide (at least 60): time, caller, callee (the gateway) and, if it had one, agent.

    `kept_by` says whose "in" and "out" the timeline holds. Whatever came from the wire is made printable first.
    `ascii_only` draws without box characters.
    """
    width = max(NARROWEST, width)
    # What the media core tells of itself comes a little later than it was.
    entries = sorted(timeline.entries, key=lambda entry: entry.at_ms)
    agent = any(entry.kind == "agent" for entry in entries)
    # Two lifelines have the page to themselves, less what the name of the right one stands out.
    gap = min(WIDEST_GAP, (width - _TIME - 5) // 2) if agent else min(WIDEST_GAP_OF_TWO, width - _TIME - 8)
    lanes = _Lanes(gap, agent, "in" if kept_by == "callee" else "out")
    rows = [*_head(lanes, caller, callee)]
    before = None
    for entry in entries:
        if before is not None and entry.at_ms - before >= SILENCE_MS:
            pause = f"{_span(entry.at_ms - before)} later".center(lanes.gap)
            rows.append(Row(f"{'⋮':>{_TIME}}  │{pause}{_lines(lanes)[lanes.gap + 1 :]}", "quiet"))
        before = entry.at_ms
        rows += _entry(entry, lanes)
    if timeline.dropped:
        rows.append(Row(f"{'':{_TIME}}  {timeline.dropped} entries in the middle were not kept", "quiet"))
    if ascii_only:
        rows = [Row(row.text.translate(_ASCII).encode("ascii", "replace").decode(), row.tone) for row in rows]
    return rows


def _head(lanes: _Lanes, caller: str, callee: str) -> Iterator[Row]:
    callee = _fit(printable(callee), lanes.gap // 2 + 4)
    # The name of the callee ends four columns behind its lifeline, so that a long one stays on the page.
    begin = lanes.gateway + 4 - cell_len(callee)
    names = f"{'':{_TIME}}  {_fit(printable(caller), begin - _TIME - 3)}"
    names = set_cell_size(names, begin) + callee
    if lanes.agent:
        names = set_cell_size(names, lanes.width - 5) + "agent"
    yield Row(names, "title")
    yield Row(f"{'':{_TIME}}  {_lines(lanes)}", "quiet")


def _entry(entry: Entry, lanes: _Lanes) -> Iterator[Row]:
    fields = entry.fields
    match entry.kind:
        case "sip":
            label, tone = _sip_label(fields)
            if entry.repeats:
                label += f" ×{entry.repeats + 1}"
                last = f", last at {_span(entry.repeated_ms or entry.at_ms)}"
                label += last if cell_len(label + last) <= lanes.gap - 6 else ""
            arrow = _arrow(label, lanes.gap, right=fields.get("direction") == lanes.from_caller)
            tail = f"{' ' * lanes.gap}│" if lanes.agent else ""
            yield Row(f"{_clock(entry.at_ms)}  │{arrow}│{tail}", tone)
        case "agent":
            label, direction = _words(fields), fields.get("direction")
            if direction in ("in", "out") and cell_len(label) <= lanes.gap - 6:
                arrow = _arrow(label, lanes.gap, right=direction == "out")
                yield Row(f"{_clock(entry.at_ms)}  │{' ' * lanes.gap}│{arrow}│")
                return
            side = {"in": "← ", "out": "→ "}.get(str(direction), "· ")
            yield from _note(entry, side + label, lanes, left=False)
        case "sdp":
            yield from _note(entry, f"· SDP: {_words(fields)}", lanes, left=True)
        case "media":
            yield from _note(entry, f"· {_words(fields)}", lanes, left=True)
        case "state":
            yield from _note(entry, f"· state: {_words(fields)}", lanes, left=not lanes.agent)
        case _:
            yield from _note(entry, f"· {_words(fields)}", lanes, left=not lanes.agent)


def _note(entry: Entry, text: str, lanes: _Lanes, *, left: bool) -> Iterator[Row]:
    """A note between two lifelines: on the caller's side of the gateway or on the agent's."""
    room = lanes.gap - 2
    for number, line in enumerate(_wrap(text, room)):
        time = _clock(entry.at_ms) if number == 0 else " " * _TIME
        note, blank = f" {set_cell_size(line, room)} ", " " * lanes.gap
        sides = f"│{note}│" if left else f"│{blank}│{note}│"
        if left and lanes.agent:
            sides += f"{blank}│"
        yield Row(f"{time}  {sides}", "quiet" if entry.kind != "agent" else "plain")


def _sip_label(fields: dict[str, Any]) -> tuple[str, Tone]:
    """`INVITE (SDP)`, `REFER (tel:+1…)`, `NOTIFY (180 Ringing)` or `200 OK (INVITE)`: is that good or bad news?"""
    first = printable(str(fields.get("first_line", "")))
    text = str(fields.get("text", ""))
    has_sdp = "\nv=0" in text
    if not first.startswith("SIP/2.0 "):
        method = first.partition(" ")[0]
        about = _about_transfer(method, text)
        return method + (f" ({about})" if about else " (SDP)" if has_sdp else ""), "plain"
    status, _, reason = first.removeprefix("SIP/2.0 ").partition(" ")
    method = printable(str(fields.get("cseq", ""))).rpartition(" ")[2]
    inside = ", ".join(part for part in (method if method != "INVITE" else "", "SDP" if has_sdp else "") if part)
    label = f"{status} {reason}".strip() + (f" ({inside})" if inside else "")
    match status[:1]:
        case "1":
            return label, "plain"
        case "2":
            return label, "good"
        case _:
            # Being asked for a password, or told that a CANCEL worked, is no bad news.
            return label, "plain" if status in ("401", "407", "487") else "bad"


def _about_transfer(method: str, text: str) -> str:
    """Where a REFER wants somebody, and in the body of a NOTIFY how that is going."""
    if method == "REFER":
        found = _REFER_TO.search(text)
        return printable(found[1].strip("<> \t\r")[:60]) if found is not None else ""
    if method != "NOTIFY":
        return ""
    _, _, body = text.replace("\r\n", "\n").partition("\n\n")
    line = body.strip().partition("\n")[0]
    return printable(line[8:60]) if line.startswith("SIP/2.0 ") else ""


def _words(fields: dict[str, Any]) -> str:
    """What an entry says, and its further fields in brackets."""
    text = ": ".join(
        str(fields[name]) for name in ("event", "state", "note", "text", "detail") if fields.get(name) not in (None, "")
    )
    more = ", ".join(
        _named(name, value) for name, value in fields.items() if name not in _OWN_FIELDS and value is not None
    )
    return printable(f"{text} ({more})" if more else text)


def _named(name: str, value: Any) -> str:
    if name.endswith("_ms") and isinstance(value, int | float):
        return f"{name.removesuffix('_ms').replace('_', ' ')} {value:.4g} ms"
    return f"{name.replace('_', ' ')} {value}"


def _arrow(label: str, length: int, *, right: bool) -> str:
    label = f" {_fit(label, length - 6)} "
    rest = length - 1 - cell_len(label)
    if right:
        return f"──{label}{'─' * (rest - 2)}►"
    return f"◄{'─' * (rest - 2)}{label}──"


def _lines(lanes: _Lanes) -> str:
    return f"│{' ' * lanes.gap}│" + (f"{' ' * lanes.gap}│" if lanes.agent else "")


def _clock(at_ms: float) -> str:
    return f"{_span(at_ms):>{_TIME}}"


def _span(ms: float) -> str:
    """Milliseconds as people read them: `4.2 ms`, `3.21 s`, `2:05.3`, `1:02:05`."""
    if ms < 999.95:
        return f"{ms:.1f} ms"
    if ms < 59_995:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(ms / 1000, 60)
    if minutes < 60:
        return f"{int(minutes)}:{seconds:04.1f}"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{int(seconds):02}"


def _fit(text: str, length: int) -> str:
    return text if cell_len(text) <= length else set_cell_size(text, length - 1).rstrip() + "…"


def _wrap(text: str, length: int) -> Iterable[str]:
    """Break text into lines of at most `length` cells; further lines are set in by two."""
    line = ""
    for word in text.split(" "):
        while cell_len(word) > length - 2:
            room = length - cell_len(line) - (1 if line.strip() else 0)
            if room < 8:
                yield line
                line, room = "  ", length - 2
            part = _cut(word, room)
            word = word[len(part) :]
            line = f"{line} {part}" if line.strip() else line + part
            yield line
            line = "  "
        if cell_len(line) + 1 + cell_len(word) > length:
            yield line
            line = "  " + word
        else:
            line = f"{line} {word}" if line.strip() else line + word
    if line.strip():
        yield line


def _cut(word: str, cells: int) -> str:
    """The longest beginning of `word` that is at most `cells` wide, if it can be up to a mark that ends a part."""
    taken = 0
    for number, character in enumerate(word):
        taken += cell_len(character)
        if taken > cells:
            whole = word[: max(1, number)]
            break_at = max(whole.rfind(mark) for mark in "/.?&=@,;") + 1
            return whole[:break_at] if break_at > cells // 2 else whole
    return word
