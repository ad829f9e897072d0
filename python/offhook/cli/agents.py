"""`offhook agents`: examine an agent's server before a caller does."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.status import Status

from offhook.errors import OffhookError

if TYPE_CHECKING:
    from offhook.examine.plan import Plan
    from offhook.route.destination_uri import WireUri

FAULTY = 1
NOT_REACHED = 2

app = typer.Typer(help="Agents behind a WebSocket: examine one.", no_args_is_help=True)


@app.callback()
def agents() -> None:
    """Agents behind a WebSocket: examine one."""


@app.command("test")
def examine_(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where it is: ws://, wss://, twilio+ws:// or twilio+wss://.")
    ],
    dialect: Annotated[
        Literal["offhook", "twilio"] | None, typer.Option(help="What it speaks, where the URL does not say so.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="OFFHOOK_AGENT_TOKEN", help="Sent as `Authorization: Bearer`.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="A further HTTP header, 'X-Name: value'; repeatable.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="The Origin header, for servers that ask for one.")] = None,
    say: Annotated[
        Path | None, typer.Option(help="A WAV file with what the caller says; by default a sentence in English.")
    ] = None,
    audio: Annotated[
        str, typer.Option(help="The audio that offhook's own dialect offers: pcm16/16000, pcmu/8000 and so on.")
    ] = "pcm16/16000",
    timeout: Annotated[float, typer.Option(min=1, max=120, help="Seconds that a caller waits for an answer.")] = 8.0,
    calls: Annotated[
        int, typer.Option(min=0, max=1000, help="How many calls are hung up at once: more find slower leaks.")
    ] = 6,
    no_barge_in: Annotated[
        bool, typer.Option("--no-barge-in", help="It is not meant to fall silent when the caller speaks.")
    ] = False,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Whom to trust over TLS, PEM; by default the system's CAs.")
    ] = None,
    no_tls_verify: Annotated[bool, typer.Option("--no-tls-verify", help="Over TLS, take any certificate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
) -> None:
    """Call an agent's server as the gateway would, and say what is wrong with it.

    Some ten calls in about a minute: an ordinary one, an interruption, two at once, some hung up at once. Needs no
    gateway and no configuration. Exit code 0 if no fault was found, 1 if there are faults, 2 if the server can't be
    reached.
    """
    from offhook.cli.version import offhook_version
    from offhook.examine.plan import Pace, Plan
    from offhook.phone.sound import load

    headers = [_header(line) for line in header or ()]
    if token is not None:
        headers.insert(0, ("Authorization", f"Bearer {token}"))
    encoding, rate = _audio(audio)
    plan = Plan(
        _uri(url, dialect),
        load("sentence" if say is None else str(say)),
        headers=tuple(headers),
        origin=origin,
        tls_verify=not no_tls_verify,
        tls_ca=None if tls_ca is None else str(tls_ca),
        encoding=encoding,
        sample_rate=rate,
        short_calls=calls,
        barge_in=not no_barge_in,
        user_agent=f"offhook/{offhook_version()}",
        pace=Pace(connect=timeout, answer=timeout),
    )
    raise typer.Exit(asyncio.run(_examine(plan, as_json=as_json)))


async def _examine(plan: "Plan", *, as_json: bool) -> int:
    from offhook.examine.judge import judge
    from offhook.examine.page import as_json as json_of
    from offhook.examine.page import lines
    from offhook.examine.scenes import examine
    from offhook.examine.socket import Unreached
    from offhook.report.page import WIDEST, console, print_line

    page = console()
    try:
        with _progress(page, quiet=as_json) as tell:
            logs = await examine(plan, tell)
    except Unreached as error:
        if as_json:
            failure = {"code": error.code, "message": str(error), "hint": error.hint}
            sys.stdout.write(json.dumps({"url": plan.uri.redacted, "good": False, "error": failure}, indent=2) + "\n")
        else:
            print(f"offhook: {error}", file=sys.stderr)
            if error.hint:
                print(f"  {error.hint}", file=sys.stderr)
        return NOT_REACHED
    verdict = judge(plan, logs)
    if as_json:
        sys.stdout.write(json.dumps(json_of(verdict), indent=2) + "\n")
    else:
        for line in lines(verdict, min(page.width, WIDEST)):
            print_line(page, line)
    return 0 if verdict.is_good else FAULTY


@contextlib.contextmanager
def _progress(page: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Say what is being done: on a terminal in one line that goes away, else a line each to standard error."""
    if page.is_terminal and not quiet:
        with Status("", console=page) as status:
            yield lambda words: status.update(words)
    else:
        yield lambda words: print(words, file=sys.stderr, flush=True)


def _uri(text: str, dialect: str | None) -> "WireUri":
    from offhook.route.destination_uri import DestinationUriError, WireUri, parse_destination

    plain = text.partition("+")[2] if text.partition(":")[0].count("+") == 1 else text
    try:
        uri = parse_destination(text if dialect is None else plain if dialect == "offhook" else f"{dialect}+{plain}")
    except DestinationUriError as error:
        raise OffhookError(f"{text}: {error}", hint=error.hint, code="agents_used_wrongly") from error
    if not isinstance(uri, WireUri):
        hint = "write ws://HOST:PORT/PATH, or twilio+ws://HOST:PORT/PATH for a bot that is made for Twilio"
        raise OffhookError(f"{text} is no agent behind a WebSocket", hint=hint, code="agents_used_wrongly")
    return uri


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip().replace("-", "").isalnum() or not value.strip().isprintable():
        raise typer.BadParameter(f"{line!r} is no header: write 'X-Name: value'", param_hint="--header")
    return name.strip(), value.strip()


def _audio(text: str) -> tuple[str, int]:
    from offhook.destination.dialect.offhook import FORMATS

    if text not in FORMATS:
        raise typer.BadParameter(f"one of {', '.join(FORMATS)}", param_hint="--audio")
    encoding, rate = text.split("/")
    return encoding, int(rate)
