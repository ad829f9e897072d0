"""`offhook dial`: have the gateway of this machine call somebody, and see what comes of it."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Annotated, Any, Literal, TypeAlias

import typer

from offhook.cli.gateway_file import ConfigFile, GatewayFile
from offhook.cli.local_api import LocalApi, Reply
from offhook.observe.printable import printable

_LOOK = 20.0
"""Seconds that one look waits for news."""

_DIAL_PATIENCE = 20.0

_TOLD_WITHIN = 10.0
"""Seconds after the answer by which it is mostly told who that was; silence and noise take the longest."""


_Until: TypeAlias = Literal["answered", "told", "ended"]
"""How far a call is watched: to its answer, until it is told who that was, or to its end."""


class Exit(IntEnum):
    """How the command ends, by what the call came to."""

    ANSWERED = 0
    FAILED = 1
    USED_WRONGLY = 2
    BUSY = 3
    REFUSED = 4
    NO_ANSWER = 5
    CANCELLED = 6


_EXITS = {
    "answered": Exit.ANSWERED,
    "busy": Exit.BUSY,
    "refused": Exit.REFUSED,
    "no_answer": Exit.NO_ANSWER,
    "cancelled": Exit.CANCELLED,
}


def dial(
    number: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER", help="Whom to call: +14155550100, or as it is dialled, or an extension or user name."
        ),
    ],
    agent: Annotated[str, typer.Option(help="Name of the agent, as the configuration has it, that the call is for.")],
    trunk: Annotated[
        str | None, typer.Option(help="Name of the trunk to call by; without it, the first that may.")
    ] = None,
    caller_id: Annotated[
        str | None, typer.Option(help="Which of the trunk's numbers is shown; without it, its first.")
    ] = None,
    ring_timeout: Annotated[float, typer.Option(min=1, max=300, help="Seconds that it may ring.")] = 60,
    max_duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which the call is ended; at most the trunk's own.")
    ] = None,
    early_media: Annotated[
        bool, typer.Option("--early-media", help="Let the agent hear what the network plays before the answer.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Record the call.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Keep the number from the one who is called.")] = False,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME: VALUE", help="A header of the INVITE, `X-Queue: sales`; repeatable."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="Something for the agent; may be repeated.")
    ] = None,
    detect: Annotated[
        bool | None,
        typer.Option(
            "--detect/--no-detect",
            help="Tell who answers: a person, a machine, a fax, a tone of the network. Without either, as the agent's "
            "or trunk's configuration says.",
            show_default=False,
        ),
    ] = None,
    on_machine: Annotated[
        str | None,
        typer.Option(help="Listen, and where no person answers: tell (the agent), hang_up or voicemail."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Stay until the call is over; Ctrl-C ends it. Without it, until the answer, with --detect until it is "
            "told who that was.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: the call as the API has it, once.")] = False,
    config: ConfigFile = None,
) -> None:
    """Call somebody and put an agent on the line. The agent is made ready first.

    Exit code 0 if the call was answered, 3 busy, 4 refused, 5 no answer, 6 given up (Ctrl-C), 1 if nobody could be
    asked, 2 if this was used wrongly.
    """
    if on_machine and detect is False:
        raise typer.BadParameter("nothing is done about a machine that nobody listens for", param_hint="--on-machine")
    wish = {
        "to": number,
        "agent": agent,
        "trunk": trunk,
        "caller_id": caller_id,
        "ring_timeout": ring_timeout,
        "max_duration": max_duration,
        "early_media": early_media,
        "record": record,
        "private": private or None,
        "headers": _headers(header or []) or None,
        "data": _data(data or []),
        "detect": {"on_machine": on_machine} if on_machine else detect,
    }
    wish = {name: value for name, value in wish.items() if value is not None}
    api = LocalApi.of(GatewayFile.read(config).data_dir)
    until: _Until = "ended" if wait else "told" if wish.get("detect") else "answered"
    raise typer.Exit(_place(api, wish, until, as_json))


def _place(api: LocalApi, wish: Mapping[str, Any], until: _Until, as_json: bool) -> Exit:
    """Have the call placed, watch it, and say what came of it."""
    reply = api.ask("POST", "/v1/calls", wish, patience=_DIAL_PATIENCE)
    if not reply.is_good:
        return _not_placed(reply, as_json)
    tell: Callable[[str], None] = (lambda line: None) if as_json else typer.echo
    call = _follow(api, reply.body, until, tell)
    if as_json:
        sys.stdout.write(json.dumps(call, indent=2) + "\n")
    outcome = call["outcome"]
    if outcome is None:
        return Exit.FAILED
    _tell_outcome(call, outcome, tell)
    return _EXITS.get(outcome["kind"], Exit.FAILED)


def _follow(api: LocalApi, call: dict[str, Any], until: _Until, tell: Callable[[str], None]) -> dict[str, Any]:
    """Watch a call until it is over, or has come as far as is enough. Ctrl-C gives it up and goes on watching."""
    tell(f"call {call['call_id']}: {call['to_number']} by {call['trunk']}, from {call['from_number']}")
    path, told, answerer = f"/v1/calls/{call['call_id']}", "", ""
    deadline = float("inf")
    while True:
        state = call["state"]
        if state != told and state in _STATES:
            tell(_STATES[state])
            if state == "answered" and until == "told":
                deadline = time.monotonic() + _TOLD_WITHIN
        told = state
        known = _answerer(call)
        if known not in ("", answerer):
            tell(known)
        answerer = known
        if state == "ended" or (state == "answered" and (until == "answered" or (until == "told" and known))):
            return call
        look = min(_LOOK, deadline - time.monotonic())
        if look <= 0:
            return call
        try:
            reply = api.ask("GET", f"{path}?wait={look:.1f}&since={state}", patience=look + 5)
        except KeyboardInterrupt:
            tell("hanging up")
            reply = api.ask("DELETE", path)
            until, deadline = "ended", float("inf")
            continue
        if not reply.is_good:
            return call
        call = reply.body


_STATES = {"preparing": "preparing the agent", "calling": "calling", "ringing": "ringing", "answered": "answered"}


def _tell_outcome(call: Mapping[str, Any], outcome: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    said = f" ({outcome['status']} {printable(outcome['reason'])})" if outcome["status"] else ""
    if outcome["kind"] != "answered":
        tell(f"{outcome['kind'].replace('_', ' ')}{said}: {printable(outcome['detail'])}")
        if outcome["hint"]:
            tell(f"  {outcome['hint']}")
        return
    if call["state"] == "ended":
        detail = f": {printable(call['end_detail'])}" if call["end_detail"] else ""
        tell(f"over, {call['end_reason']}{detail}")
    else:
        tell(f"the agent is on the line; `offhook calls show {call['call_id'][-6:]}` tells more once it is over")


def _answerer(call: Mapping[str, Any]) -> str:
    """Who has answered, in words; empty while nothing has been heard that tells it, or where nobody has."""
    answerer = call.get("answered_by")
    has_answered = call["outcome"] is not None and call["outcome"]["kind"] == "answered"
    if not answerer or not has_answered or not ("confidence" in answerer or call["state"] == "ended"):
        return ""
    return f"answered by {answerer['who'].replace('_', ' ')}: {printable(answerer['evidence'])}"


def _not_placed(reply: Reply, as_json: bool) -> Exit:
    """Nobody was called; why, in words."""
    body = reply.body if isinstance(reply.body, dict) else {}
    if as_json:
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
    else:
        typer.echo(f"nobody was called: {printable(str(body.get('message') or reply.status))}", err=True)
        if body.get("hint"):
            typer.echo(f"  {printable(str(body['hint']))}", err=True)
    return Exit.USED_WRONGLY if reply.status in (400, 404) else Exit.FAILED


def _data(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} has no NAME=VALUE", param_hint="--data")
        found[name] = value
    return found


def _headers(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter(f"{text!r} has no NAME: VALUE", param_hint="--header")
        found[name.strip()] = value.strip()
    return found
