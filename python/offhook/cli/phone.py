"""`offhook phone`: a test phone in the terminal."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from offhook.errors import OffhookError

if TYPE_CHECKING:
    from offhook.phone.plan import Plan

REFUSED = 1


Uri = Annotated[str, typer.Argument(metavar="URI", help="Whom to call: sip:hello@127.0.0.1, or only a host.")]
Play = Annotated[str, typer.Option(help="A WAV file, `sentence` (spoken), `tone`, `tone:HZ` or `silence`.")]
Once = Annotated[bool, typer.Option("--once", help="Say it once, not again whenever the far end has answered.")]
Record = Annotated[Path | None, typer.Option(help="Write a stereo WAV: left what was sent, right what was heard.")]
Dtmf = Annotated[str, typer.Option(help="Digits to send after the answer; a comma waits a second.")]
DtmfBy = Annotated[
    Literal["auto", "rfc4733", "info", "inband"],
    typer.Option(help="How digits leave. With 'info' and 'inband' no telephone-event is offered."),
]
Seconds = Annotated[float, typer.Option(min=0.1, max=86_400, help="How long to talk.")]
RingSeconds = Annotated[float, typer.Option(min=1, max=600, help="How long to let it ring.")]
Caller = Annotated[str, typer.Option("--from", help="Who calls: a number, a name, or a whole SIP address.")]
Header = Annotated[list[str] | None, typer.Option(help="A further SIP header, 'X-Name: value'; repeatable.")]
User = Annotated[str | None, typer.Option(help="The user name, where the far end asks for one.")]
Password = Annotated[str | None, typer.Option(envvar="OFFHOOK_PHONE_PASSWORD", help="Its password.", show_envvar=True)]
Codec = Annotated[str, typer.Option(help="What to offer, best first, by comma: opus, G722, PCMU, PCMA.")]
Srtp = Annotated[bool, typer.Option("--srtp", help="Insist on encrypted sound (SRTP, keys in SDP).")]
Transport = Annotated[Literal["udp", "tcp", "tls"] | None, typer.Option(help="How SIP travels; udp by default.")]
TlsCa = Annotated[Path | None, typer.Option(help="Whom to trust over TLS, PEM; by default the system's CAs.")]
TlsCertificate = Annotated[
    Path | None, typer.Option(help="A certificate to show over TLS, with its key in the same file, PEM.")
]
Listen = Annotated[
    str, typer.Option(metavar="ADDRESS[:PORT]", help="The local address; by default the one that leads there.")
]
Messages = Annotated[bool, typer.Option("--messages", "-m", help="Print the SIP messages whole, too.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")]


def phone(
    uri: Uri,
    play: Play = "sentence",
    once: Once = False,
    record: Record = None,
    dtmf: Dtmf = "",
    dtmf_by: DtmfBy = "auto",
    seconds: Seconds = 20.0,
    ring_seconds: RingSeconds = 60.0,
    caller: Caller = "",
    header: Header = None,
    user: User = None,
    password: Password = None,
    codec: Codec = "",
    srtp: Srtp = False,
    transport: Transport = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    listen: Listen = "",
    messages: Messages = False,
    as_json: Json = False,
) -> None:
    """Call a SIP address, speak, listen, and say how it went. Needs no configuration; Ctrl-C hangs up.

    Exit code 0 if the call was answered, 1 if not, 2 if it could not even be tried.
    """
    from offhook.phone.address import read_codecs, read_from, read_header, read_listen, read_uri
    from offhook.phone.plan import Plan, rate_of
    from offhook.phone.sound import check_recording, load

    if password is not None and user is None and "OFFHOOK_PHONE_PASSWORD" not in os.environ:
        raise typer.BadParameter("a password needs a user name: give --user too", param_hint="--password")
    codecs = read_codecs(codec)
    plan = Plan(
        read_uri(uri, transport),
        caller=caller,
        sound=load(play, rate_of(codecs)),
        repeat="once" if once else "on_and_on" if play.startswith("tone") else "in_turn",
        dtmf=_digits(dtmf),
        dtmf_by=dtmf_by,
        seconds=seconds,
        ring_seconds=ring_seconds,
        headers=tuple(map(read_header, header or ())),
        user=user,
        password=password,
        codecs=codecs,
        srtp=srtp,
        listen=read_listen(listen),
        tls_ca=tls_ca,
        tls_certificate=tls_certificate,
    )
    if caller:
        read_from(caller, plan.uri.host)
    if record is not None:
        check_recording(record)
    raise typer.Exit(asyncio.run(_call(plan, record, messages=messages, as_json=as_json)))


def _digits(text: str) -> str:
    digits = text.upper().replace(" ", "")
    if set(digits) - set("0123456789*#ABCD,"):
        raise typer.BadParameter("digits are 0-9 * # A-D, and commas that wait", param_hint="--dtmf")
    return digits


async def _call(plan: "Plan", record: Path | None, *, messages: bool, as_json: bool) -> int:
    try:
        from offhook.phone.call import Phone
    except ImportError as error:
        raise _without_core(error) from error
    from offhook.cli.version import offhook_version
    from offhook.phone.live import shown
    from offhook.phone.page import as_json as json_of
    from offhook.phone.page import lines, verdict
    from offhook.phone.sound import write_stereo
    from offhook.report.page import WIDEST, console, print_line

    page = console()
    test_phone, loop = Phone(plan, offhook_version()), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, test_phone.hang_up)
    async with contextlib.AsyncExitStack() as screen:
        if page.is_terminal and not as_json:
            await screen.enter_async_context(shown(test_phone, page))
        finding = await test_phone.call()
    recorded = ""
    if record is not None and finding.recording is not None:
        try:
            write_stereo(record, *finding.recording.level(), finding.recording.rate)
            recorded = str(record)
        except OSError as error:
            print(f"offhook: {record} can't be written: {error.strerror}", file=sys.stderr)
    if as_json:
        # ASCII only: nothing that the far end sent gets out of its string.
        sys.stdout.write(json.dumps(json_of(finding, recorded), indent=2) + "\n")
    else:
        for line in lines(finding, min(page.width, WIDEST), recorded, messages=messages):
            print_line(page, line)
    return 0 if verdict(finding).good else REFUSED


def _without_core(error: ImportError) -> Exception:
    if error.name != "offhook._media":
        return error
    return OffhookError(
        "the media core (offhook._media) is not built",
        code="extension_missing",
        hint="run `pip install .` in the project's folder with Rust installed, or install a wheel",
    )
