"""`offhook recordings`: list what was recorded, write or show one in the clear, delete one.

The gateway may run meanwhile.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from offhook.cli.gateway_file import ConfigFile, GatewayFile
from offhook.config.recordings import key_in, key_of
from offhook.config.schema import RecordingConfig
from offhook.errors import OffhookError
from offhook.observe.printable import printable
from offhook.recording.shelf import Shelf, Stored, export, read_transcript
from offhook.report.page import console, print_line

if TYPE_CHECKING:
    from offhook.recording.envelope import WrappingKey

app = typer.Typer(help="Recordings of calls: list them, write one in the clear, delete one.", no_args_is_help=True)

Directory = Annotated[Path | None, typer.Option("--directory", "-d", help="The directory of recordings itself.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File with the key that was set when the call was recorded.")
]
Call = Annotated[str, typer.Argument(metavar="CALL", help="The id of a call, its beginning or its end.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="At most so many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: the facts of each.")] = False,
    directory: Directory = None,
    config: ConfigFile = None,
) -> None:
    """List the latest recordings, newest first."""
    found = list(_shelf(directory, config).all())[::-1][:limit]
    if as_json:
        shown = [{"call_id": one.call_id, "path": str(one.path), **one.facts} for one in found]
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    page = console()
    if not found:
        page.print("No recordings yet. A route with record = true makes them.")
        return
    print_line(page, Text(f"{'CALL':<28}{'STARTED (UTC)':<21}{'LASTS':>9}  FILE", style="bold"))
    for one in found:
        print_line(page, Text(_line(one)))


@app.command("export")
def export_(
    call: Call,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; it must not exist.")] = None,
    key_file: KeyFile = None,
    directory: Directory = None,
    config: ConfigFile = None,
) -> None:
    """Write a recording in the clear, as a file that any player takes."""
    stored = _shelf(directory, config).find(call)
    target = to or Path(stored.path.name.removesuffix(".enc"))
    if target.exists():
        raise OffhookError(f"{target} exists", hint="name another file with --output", code="file_exists")
    key = _key(key_file, config) if stored.is_encrypted else None
    try:
        export(stored, target, key)
    except OSError as error:
        raise OffhookError(f"{target} can't be written: {error.strerror}", code="not_writable") from error
    typer.echo(str(target))
    if stored.facts and not stored.facts.get("complete"):
        typer.echo(f"It is not complete: {stored.facts.get('error') or 'its end is missing'}", err=True)


@app.command()
def transcript(
    call: Call,
    key_file: KeyFile = None,
    directory: Directory = None,
    config: ConfigFile = None,
) -> None:
    """Show the transcript of a recording, in the clear, as it lies there: JSON Lines or WebVTT."""
    stored = _shelf(directory, config).find(call)
    sealed = stored.transcript is not None and stored.transcript.suffix == ".enc"
    typer.echo(read_transcript(stored, _key(key_file, config) if sealed else None), nl=False)


@app.command()
def delete(
    calls: Annotated[list[str], typer.Argument(metavar="CALL...", help="Ids of calls, their beginnings or ends.")],
    directory: Directory = None,
    config: ConfigFile = None,
) -> None:
    """Delete the recordings of these calls and what lies beside them; the records of the calls stay."""
    shelf = _shelf(directory, config)
    # All are found before any is deleted: a letter too few deletes nothing.
    for stored in [shelf.find(call) for call in calls]:
        try:
            shelf.delete(stored)
        except OSError as error:
            raise OffhookError(f"{stored.path} can't be deleted: {error.strerror}", code="not_writable") from error
        typer.echo(f"deleted {stored.call_id}")


def _line(stored: Stored) -> str:
    facts = stored.facts
    lasts = f"{facts['duration_ms'] / 1000:.1f} s" if isinstance(facts.get("duration_ms"), int) else "?"
    said = [str(facts.get("file") or stored.path)]
    if stored.is_encrypted:
        said.append("encrypted")
    if not facts.get("complete"):
        said.append("not complete")
    if facts.get("dropped_frames"):
        said.append(f"{facts['dropped_frames']} frames lost")
    if stored.transcript is not None:
        said.append("with transcript")
    started = str(facts.get("started_at") or "?")[:19].replace("T", " ")
    return printable(f"{stored.call_id:<28}{started:<21}{lasts:>9}  {', '.join(said)}")


def _shelf(directory: Path | None, config: Path | None) -> Shelf:
    return Shelf(directory or _settings(config)[1])


def _key(file: Path | None, config: Path | None) -> "WrappingKey | None":
    # Its library takes a tenth of a second to load.
    from offhook.recording.envelope import WrappingKey

    source = None if file is not None else _settings(config)[0].key
    where = file or (source.file if source is not None else None) or "recording.key"
    try:
        if file is not None:
            return WrappingKey(key_in(file))
        return None if source is None else WrappingKey(key_of(source))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise OffhookError(f"{where} can't be used: {said}", code="recording_key_unreadable") from error


def _settings(config: Path | None, environ: Mapping[str, str] = os.environ) -> tuple[RecordingConfig, Path]:
    """`[recording]` of the configuration, its paths seen from the file, and where recordings are.

    Reads this section and `node.data_dir` only, so that it works without the gateway's other secrets.
    """
    file = GatewayFile.read(config, environ)
    try:
        recording = RecordingConfig.model_validate(file.tables.get("recording", {}), context={"environ": environ})
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(("recording", *map(str, said["loc"])))
        raise OffhookError(
            f"{file.path}: {where}: {said['msg']}", hint="see `offhook check`", code="config_bad"
        ) from None
    if recording.key is not None and recording.key.file is not None:
        recording = recording.model_copy(
            update={"key": replace(recording.key, file=str(file.base / recording.key.file))}
        )
    return recording, file.base / recording.directory if recording.directory else file.data_dir / "recordings"
