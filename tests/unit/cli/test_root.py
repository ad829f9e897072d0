"""Whatever is typed, the command line answers in words and with the code that the documentation names."""

import sys
from collections.abc import Iterator

import pytest
import typer
from rich.text import Text
from typer.main import get_command

from offhook.cli.root import app, command

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["version"], 0, "offhook"),
        (["--version"], 0, "offhook 0.1"),
        (["--help"], 0, "Usage"),
        (["check", "/nowhere/offhook.toml"], 2, "there is no such file"),
        (["check", "--unknown"], 2, "No such option"),
        (["calls", "--limit", "many"], 2, "Invalid value"),
        (["nonsense"], 2, "No such command"),
        (["phone"], 2, "Missing argument"),
        (["phone", "tel:+14155550100"], 2, "write whom to ask for it: sip:+14155550100@HOST"),
        (["phone", "sips:a@example.net", "--transport", "udp"], 2, "never leaves by udp"),
        (["phone", "host", "--header", "no colon"], 2, "X-Name: value"),
        (["phone", "host", "--dtmf", "12x"], 2, "digits are"),
        (["phone", "host", "--codec", "speex"], 2, "choose of PCMU, PCMA"),
        (["phone", "host", "--play", "/nowhere/a.wav"], 2, "No such file"),
        (["phone", "host", "--record", "/nowhere/a.wav"], 2, "can't be written"),
        (["phone", "host", "--password", "x"], 2, "needs a user name"),
        (["worker"], 2, "Missing argument"),
        (["workers", "--config", "/nowhere/offhook.toml"], 1, "can't be read"),
        (["worker", "/nowhere/agent.py", "--describe"], 1, "offhook init DIR"),
        (["run", "--dev"], 2, "name its file"),
        (["init", "Front Desk!"], 2, "front-desk"),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["offhook", *arguments])
    assert command() == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert "Traceback" not in printed.err


def helps(found: typer.core.TyperCommand | typer.core.TyperGroup, path: str = "offhook") -> Iterator[tuple[str, str]]:
    """What a command and all below it say of themselves and of their options."""
    yield path, found.help or ""
    for param in found.params:
        yield f"{path} {param.name}", getattr(param, "help", None) or ""
    for name, below in getattr(found, "commands", {}).items():
        yield from helps(below, f"{path} {name}")


@pytest.mark.parametrize(("where", "text"), [found for found in helps(get_command(app)) if found[1]])
def test_a_help_page_loses_nothing_in_brackets(where: str, text: str) -> None:
    # What help pages show is read as markup: [[trunk]] would be gone.
    assert Text.from_markup(text).plain == text, where
