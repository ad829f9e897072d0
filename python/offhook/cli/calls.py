"""`offhook calls`: which calls there were, how one of them went, and who was turned away."""

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from offhook.call.verdict import AudioLine, agent_audio, audio, verdict
from offhook.cli.gateway_file import ConfigFile, GatewayFile
from offhook.destination.dialect.facts import EndCause
from offhook.ids import made_at
from offhook.observe.printable import printable
from offhook.report.ladder import ladder
from offhook.report.page import WIDEST, cell, console, heading, local_time, milliseconds, print_line, wrapped
from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow
from offhook.report.setup import INTERVALS, OWN_IN_WORDS
from offhook.report.timeline import Timeline
from offhook.store.base import CallFilter, StoredCall

if TYPE_CHECKING:
    from offhook.store.sqlite_reader import SqliteReader

NOT_FOUND = 1
USED_WRONGLY = 2

# The gateway gathers what it writes of its calls: a row follows its call by part of a second, later on a slow disk.
_JUST_BEGUN = 30.0
_WRITTEN_WITHIN = 5.0

app = typer.Typer(help="Calls: list them, explain one of them, see who was turned away.", invoke_without_command=True)

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON, all times in UTC milliseconds.")]
StoreUrl = Annotated[
    str | None, typer.Option("--store", help="The records themselves, such as sqlite:///data/offhook.db.")
]


@app.callback()
def calls(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    since: Annotated[
        str | None, typer.Option(help="Not older than this: 15m, 2h, 7d, 2026-11-22 or 2026-11-22T16:00.")
    ] = None,
    trunk: Annotated[str | None, typer.Option(help="Only calls of this trunk.")] = None,
    number: Annotated[
        str | None, typer.Option(help="Only calls whose caller or called number holds these digits.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only calls that ended so, such as media_timeout.")] = None,
    session: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the call with this Session-ID (RFC 7989), of either end.")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only calls that somebody has to do something about.")
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """List the latest calls, newest first. `offhook calls show last` explains the last one."""
    if context.invoked_subcommand is not None:
        # Both say where the records are; `show` and `refused` may have been given it here.
        context.obj = {"config": config, "store": store}
        return
    where = CallFilter(
        since=_since(since), trunk=trunk, number=number, end_reason=reason, failed=failed, session_id=session
    )
    found = _reader(config, store).calls(limit, where)
    if as_json:
        _print_json([record.as_dict() for record in found])
        return
    page = console()
    if not found:
        page.print("No calls yet." if where == CallFilter() else "No such calls.")
        return
    for line in _table(found, min(page.width, WIDEST)):
        print_line(page, line)


@app.command()
def show(
    context: typer.Context,
    call: Annotated[str, typer.Argument(metavar="ID", help="The id of a call, its beginning or its end; or `last`.")],
    messages: Annotated[bool, typer.Option("--messages", "-m", help="Print the SIP messages whole, too.")] = False,
    as_json: Json = False,
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """Explain one call: how it ended and why, its set-up, its audio both ways, and its ladder."""
    above = context.obj or {}
    reader = _reader(config or above.get("config"), store or above.get("store"))
    stored = reader.last_call() if call == "last" else _call(reader, call)
    if stored is None:
        word = "No calls yet." if call == "last" else f"No call {printable(call)}: `offhook calls` lists them."
        typer.echo(word, err=True)
        raise typer.Exit(NOT_FOUND)
    timeline = Timeline.decode(stored.timeline) if stored.timeline is not None else None
    if as_json:
        _print_json(_explained(stored, timeline))
        return
    page = console()
    for line in _explanation(stored, timeline, min(page.width, WIDEST), messages=messages):
        print_line(page, line)


@app.command()
def refused(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    as_json: Json = False,
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """List who was turned away before it became a call: by source and rule, newest first."""
    above = context.obj or {}
    rows = _reader(config or above.get("config"), store or above.get("store")).refused(limit)
    if as_json:
        _print_json([asdict(row) for row in rows])
        return
    page = console()
    if not rows:
        page.print("Nobody was turned away so far. Who knocks is shown within a minute.")
        return
    for line in _refusal_table(rows, min(page.width, WIDEST)):
        print_line(page, line)


def _call(reader: "SqliteReader", call: str) -> StoredCall | None:
    """A call of the records. One that has only just begun (`offhook dial` has told its id) is waited for."""
    made = made_at(call)
    waited_until = time.monotonic() + _WRITTEN_WITHIN
    while True:
        found = reader.call(call)
        if found is not None or made is None or abs(time.time() - made / 1000) > _JUST_BEGUN:
            return found
        if time.monotonic() > waited_until:
            return None
        time.sleep(0.05)


def _reader(config: Path | None, store: str | None) -> "SqliteReader":
    # The other commands of the command line don't wait for SQLAlchemy.
    from offhook.store.sqlite_reader import SqliteReader

    return SqliteReader(store or GatewayFile.read(config, hint="name the records with --store").store_url)


def _since(text: str | None) -> int | None:
    """A time ago or a local date and time, as UTC milliseconds."""
    if text is None:
        return None
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    if ago:
        seconds = int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[ago[2]]
        return int((time.time() - seconds) * 1000)
    try:
        return int(datetime.fromisoformat(text.strip()).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no time: write 15m, 2h, 7d or 2026-11-22T16:00") from None


def _print_json(value: Any) -> None:
    # ASCII only: no terminal code and no broken text of a caller's gets out of its string.
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


# The list.


def _table(records: Iterable[CallRecord], width: int) -> Iterable[Text]:
    wide = width >= 104
    spare = max(0, width - (110 if wide else 80))
    number = 15 + min(5, spare // 6)
    way = 24 + min(12, spare // 3) if wide else 0
    columns = [("ID", 6), ("WHEN", 12 if wide else 6), ("FROM", number), ("TO", number)]
    if wide:
        columns.append(("TRUNK → ROUTE", way))
    columns.append(("TALKED", 7))
    used = sum(size + 2 for _, size in columns)
    yield Text("  ".join(f"{title:<{size}}" for title, size in columns) + "  ENDED", style="bold")
    for record in records:
        judged = verdict(record)
        when = local_time(record.setup_at) if wide else _short_when(record.setup_at)
        cells = [record.call_id[-6:], when, record.from_number or "–", record.to_number or "–"]
        if wide:
            way_taken = (
                (record.destination, record.trunk) if record.direction == "outbound" else (record.trunk, record.route)
            )
            cells.append(" → ".join(part for part in way_taken if part) or "–")
        cells.append(_talked(record))
        line = Text("  ".join(cell(text, size) for text, (_, size) in zip(cells, columns, strict=True)))
        ended, style = _ended(record), "green" if judged.good else "red"
        if judged.but:
            ended, style = f"{ended} ⚠ {_short_warning(record)}", "yellow"
        line.append("  " + cell(ended, max(16, width - used)).rstrip(), style=style)
        yield line


def _short_warning(record: CallRecord) -> str:
    if not record.media.get("received_packets"):
        return "no caller audio"
    if not record.media.get("sent_audio_packets"):
        return "no agent audio"
    return "audio"


def _ended(record: CallRecord) -> str:
    if record.end_reason is not None:
        return record.end_reason
    return "talking" if record.was_answered else "ringing"


def _talked(record: CallRecord) -> str:
    if record.answer_at is None:
        return "–"
    return _duration((record.end_at or int(time.time() * 1000)) - record.answer_at)


def _refusal_table(rows: Sequence[RefusalRow], width: int) -> Iterable[Text]:
    longest = max((len(row.rule) for row in rows), default=0)
    columns = [("LAST", 12), ("SOURCE", 22), ("TIMES", 7), ("RULE", min(28, max(18, longest)))]
    used = sum(size + 2 for _, size in columns)
    yield Text("  ".join(f"{title:<{size}}" for title, size in columns) + "  WHAT", style="bold")
    for row in rows:
        source = f"{row.source} {row.transport}".strip()
        cells = [local_time(row.last_at), source, f"{row.count:,}", row.rule]
        line = Text("  ".join(cell(text, size) for text, (_, size) in zip(cells, columns, strict=True)))
        nearest = f" (nearest: {printable(row.nearest)})" if row.nearest else ""
        room = max(16, width - used - cell_len(nearest))
        line.append("  " + cell(row.value, room).rstrip() + nearest)
        yield line


# The explanation of one call.


def _explained(stored: StoredCall, timeline: Timeline | None) -> dict[str, Any]:
    record = stored.record
    return {
        "call": record.as_dict(),
        "verdict": asdict(verdict(record)),
        "audio": [asdict(line) for line in (*audio(record), *agent_audio(record))],
        "timeline": timeline.as_dict() if timeline is not None else None,
    }


def _explanation(stored: StoredCall, timeline: Timeline | None, width: int, *, messages: bool) -> Iterable[Text]:
    record = stored.record
    began = datetime.fromtimestamp(record.setup_at / 1000, UTC).astimezone()
    title = f"Call {printable(record.call_id)}"
    when = f"{began:%d %b %Y %H:%M:%S %Z}"
    yield Text(set_cell_size(title, max(len(title) + 2, width - len(when))) + when, style="bold")
    yield Text("")
    yield from _verdict(record, width)
    yield Text("")
    yield from _facts(record, width)
    yield from _set_up(record)
    yield from _audio(record, width)
    if timeline is None:
        yield from heading("Ladder")
        kept = "It is written when the call ends." if record.end_reason is None else "It was not kept for this call."
        yield Text(f"  {kept}", style="dim")
        return
    yield from heading("Ladder")
    tones = {"plain": "", "good": "green", "bad": "red", "quiet": "dim", "title": "bold"}
    for row in ladder(timeline, width, caller=_caller(record)):
        yield Text(row.text, style=tones[row.tone])
    if messages:
        yield from _messages(timeline)
    elif any(entry.kind == "sip" for entry in timeline.entries):
        yield Text("")
        yield Text(f"  offhook calls show {record.call_id[-6:]} --messages  prints the SIP messages whole", style="dim")


def _verdict(record: CallRecord, width: int) -> Iterable[Text]:
    judged = verdict(record)
    on = record.end_reason is None
    mark, style = ("●", "bold cyan") if on else ("✔", "bold green") if judged.good else ("✘", "bold red")
    if judged.but:
        mark, style = "⚠", "bold yellow"
    yield from wrapped(f"{mark} ", printable(judged.text), width, style)
    if judged.but:
        yield from wrapped("  But: ", printable(judged.but), width, style)
    if judged.detail:
        yield from wrapped("  ", printable(judged.detail), width)
    if judged.hint:
        yield from wrapped("  What to change: ", printable(judged.hint), width)


def _signalling(record: CallRecord) -> str:
    """Whom we spoke SIP with; nothing where nobody was called."""
    call_id = f"Call-ID {record.sip_call_id}" if record.sip_call_id else ""
    if not record.remote_signalling:
        return call_id
    tls = f" ({record.signalling_tls})" if record.signalling_tls else ""
    way = f"{record.remote_signalling} by {(record.transport or '?').upper()}{tls}"
    return ", ".join(part for part in (way, call_id) if part)


def _facts(record: CallRecord, width: int) -> Iterable[Text]:
    yield from _fact("From", record.from_number, width)
    yield from _fact("", _identity(record), width)
    yield from _fact("To", record.to_number, width)
    yield from _fact("Diverted by", _diversions(record), width)
    way = [
        f"trunk {record.trunk}" if record.trunk else "",
        f"route {record.route}" if record.route else "",
        record.destination or "",
    ]
    is_ours = record.direction == "outbound"
    yield from _fact("Way", " → ".join(part for part in (reversed(way) if is_ours else way) if part), width)
    if record.answer_at is not None:
        billed = f", {record.billable_seconds} s billable" if record.billable_seconds is not None else ""
        yield from _fact("Talked", f"{_talked(record)}{billed}", width)
    yield from _fact("SIP", _signalling(record), width)
    yield from _fact("Their reason", _causes(record), width)
    yield from _fact("Session-ID", record.session_id, width)
    if record.sip_status is not None:
        yield from _fact("Their answer" if is_ours else "Our answer", f"SIP {record.sip_status}", width)
    if record.codec:
        where = f", {'called party' if is_ours else 'caller'} {record.remote_media}" if record.remote_media else ""
        ours = f", offhook {record.local_media}" if record.local_media else ""
        secured = f", {record.encryption}" if record.encryption not in (None, "none") else ", not encrypted"
        yield from _fact("Codec", f"{record.codec}{secured}{where}{ours}", width)
    if record.session_interval is not None:
        times = {1: "once"}.get(record.session_refreshes or 0, f"{record.session_refreshes or 0} times")
        yield from _fact("Kept alive", f"every {record.session_interval} s at least, refreshed {times}", width)
    if record.recording:
        yield from _fact("Recording", _recording(record), width)
    yield from _fact("Joined to", record.bridged_to and f"call {record.bridged_to}, which goes on from here", width)
    yield from _fact("Placed for", record.bridged_from and f"call {record.bridged_from}, which it is joined to", width)
    for attempt in (*record.transfer.get("earlier", ()), record.transfer) if record.transfer else ():
        yield from _fact("Transfer", _transfer(attempt), width)
    if record.answered_by:
        yield from _fact("Answered by", _answered_by(record.answered_by), width)
    for attempt in (*record.hand_over.get("earlier", ()), record.hand_over) if record.hand_over else ():
        yield from _fact("Hand-over", _hand_over(attempt), width)
    for name, value in record.variables.items():
        yield from _fact("Variable", f"{name} = {value}", width)
    if record.user_agent:
        yield from _fact("Device", record.user_agent, width)


def _identity(record: CallRecord) -> str:
    """What came of the caller's identity beside From."""
    identity = record.claims.get("identity") or {}
    if identity.get("withheld"):
        return "the caller wants not to be known"
    others = [claim for claim in identity.get("claims", ()) if claim.get("header") != "From"]
    said = [f"{claim.get('header')} {claim.get('number')}" + _named_so(claim) for claim in others]
    if not said:
        return ""
    return f"{', '.join(said)} ({'believed' if identity.get('trusted') else 'a claim: trust_identity is off'})"


def _diversions(record: CallRecord) -> str:
    return ", then ".join(
        f"{one.get('number') or 'somebody unnamed'}{_named_so(one)} ({one.get('reason')})"
        for one in record.claims.get("diversions") or ()
    )


def _causes(record: CallRecord) -> str:
    """Why the caller's side ended it, where that is not the detail anyway."""
    said = ", ".join(str(EndCause(**cause)) for cause in record.claims.get("causes") or ())
    return "" if said == record.end_detail else said


def _named_so(one: Mapping[str, Any]) -> str:
    return f" “{one['name']}”" if one.get("name") else ""


def _recording(record: CallRecord) -> str:
    facts = record.recording
    said = [str(facts.get("file")), _duration(int(facts.get("duration_ms") or 0))]
    if facts.get("paused_ms"):
        said.append(f"paused for {_duration(int(facts.get('paused_ms') or 0))}")
    said.append("encrypted" if facts.get("key_id") else "not encrypted")
    if facts.get("dropped_frames"):
        said.append(f"{facts['dropped_frames']} frames lost to a slow disk")
    if facts.get("transcript"):
        said.append("with transcript")
    if facts.get("no_transcript_of"):
        said.append(f"without the words of {facts['no_transcript_of']}")
    if facts.get("error"):
        said.append(f"broken off: {facts['error']}")
    return ", ".join(said)


def _transfer(attempt: Mapping[str, Any]) -> str:
    outcome = str(attempt.get("outcome") or "under way").replace("_", " ")
    sure = "" if attempt.get("confirmed") or outcome != "completed" else ", unconfirmed"
    after = f" after {_duration(int(attempt['duration_ms']))}" if attempt.get("duration_ms") else ""
    why = f": {attempt['reason']}" if attempt.get("reason") else ""
    way = f", by call {attempt.get('call_id')}" if attempt.get("way") == "bridge" else ""
    return f"to {attempt.get('target')}, {outcome}{sure}{after}{way}{why}"


def _answered_by(told: Mapping[str, Any]) -> str:
    """Who answered a call out, how sure that is, and what told it."""
    sure = f" ({round(100 * told['confidence'])} % sure)" if "confidence" in told else ""
    return f"{told['who'].replace('_', ' ')}{sure}: {told['evidence']}"


def _hand_over(attempt: Mapping[str, Any]) -> str:
    outcome = str(attempt.get("outcome") or "under way").replace("_", " ")
    after = f" after {_duration(int(attempt['duration_ms']))}" if attempt.get("duration_ms") else ""
    why = f": {attempt['reason']}" if attempt.get("reason") else ""
    return f"from {attempt.get('by')} to {attempt.get('to')}, {outcome}{after}{why}"


def _fact(name: str, text: str | None, width: int) -> Iterable[Text]:
    if text:
        yield from wrapped(f"  {name:<13}", printable(text), width)


def _set_up(record: CallRecord) -> Iterable[Text]:
    if not record.intervals:
        return
    yield from heading("Set-up")
    words = {name: text for name, (_, _, text) in INTERVALS.items()}
    for name, text in words.items():
        value = record.intervals.get(name)
        if value is not None:
            yield Text(f"  {text:<52}{milliseconds(value):>11}")
        if name == "answer" and (own := record.intervals.get("own")) is not None:
            yield Text(f"    {OWN_IN_WORDS:<50}{milliseconds(own):>11}", style="dim")


def _audio(record: CallRecord, width: int) -> Iterable[Text]:
    lines: list[AudioLine] = [*audio(record), *agent_audio(record)]
    if not lines:
        return
    yield from heading("Audio")
    column = 2 + max(cell_len(line.way) for line in lines)
    for line in lines:
        style = "yellow" if line.warning else ""
        yield from wrapped(f"  {line.way:<{column}}", printable(line.text), width, style)
        if line.hint:
            yield from wrapped(" " * (column + 2), f"→ {line.hint}", width, "dim")


def _messages(timeline: Timeline) -> Iterable[Text]:
    yield from heading("Messages")
    for entry in timeline.entries:
        if entry.kind != "sip":
            continue
        towards = "from" if entry.fields.get("direction") == "in" else "to"
        remote = printable(str(entry.fields.get("remote", "")))
        yield Text(f"  {milliseconds(entry.at_ms)} {towards} {remote}", style="bold")
        text = str(entry.fields.get("text", "")).replace("\r\n", "\n").rstrip("\n")
        yield from (Text(f"    {line}") for line in printable(text, keep_lines=True).split("\n"))
        yield Text("")


def _caller(record: CallRecord) -> str:
    who = "trunk" if record.direction == "outbound" else "caller"
    return f"{who} {record.remote_signalling}" if record.remote_signalling else who


def _short_when(at: int) -> str:
    """The time of a call of today, the day of an older one."""
    began = datetime.fromtimestamp(at / 1000, UTC).astimezone()
    return f"{began:%H:%M}" if began.date() == datetime.now(UTC).astimezone().date() else f"{began:%d %b}"


def _duration(ms: int) -> str:
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
