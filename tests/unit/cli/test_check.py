import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from offhook.cli.check import check

pytestmark = pytest.mark.unit

app = typer.Typer()
app.command()(check)
runner = CliRunner()

GOOD = '[[trunk]]\nname = "acme"\nallow = ["198.51.100.0/24"]\n[[route]]\nname = "r"\ndestination = "echo:"\n'
BAD = GOOD.replace("echo:", "agent:bot").replace("allow", "alow")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OFFHOOK_CONFIG", raising=False)
    return tmp_path


def test_a_good_file(here: Path) -> None:
    (here / "f.toml").write_text(GOOD)
    result = runner.invoke(app, ["f.toml"])
    assert (result.exit_code, result.output) == (0, "f.toml: good (1 trunk, 1 route, 0 agents)\n")


def test_a_bad_file_names_every_line(here: Path) -> None:
    (here / "f.toml").write_text(BAD)
    result = runner.invoke(app, ["f.toml"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "f.toml:3: trunk.acme.alow: unknown setting (did you mean 'allow'?)",
        "f.toml:6: route.r.destination: no agent is called 'bot' (there is no [[agent]])",
        "f.toml: 2 problems, would not start",
    ]


def test_what_a_preset_filled_in_is_told(here: Path) -> None:
    (here / "f.toml").write_text(GOOD.replace("allow", 'preset = "twilio"\nallow'))
    lines = runner.invoke(app, ["f.toml"]).output.splitlines()
    filled = ["media_allow", "codecs", "number_format"]
    assert lines[0] == f"trunk acme: preset twilio (simulated) filled in {', '.join(filled)}", "allow is the file's own"
    (told,) = json.loads(runner.invoke(app, ["f.toml", "--json"]).output)["presets"]
    assert (told["trunk"], told["preset"], told["verified"]) == ("acme", "twilio", "simulated")
    assert told["settings"] == filled


def test_no_file_is_wrong_use(here: Path) -> None:
    result = runner.invoke(app, ["none.toml"])
    assert result.exit_code == 2
    assert result.output.splitlines()[0] == "none.toml: there is no such file"


def test_warnings_do_not_refuse(here: Path) -> None:
    (here / "f.toml").write_text(GOOD.partition("[[route]]")[0])
    result = runner.invoke(app, ["f.toml"])
    assert result.exit_code == 0
    assert "[warning]" in result.output


def test_which_file_is_meant(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner.invoke(app, []).output.startswith("built-in configuration: good")
    (here / "offhook.toml").write_text(GOOD)
    assert runner.invoke(app, []).output.startswith("offhook.toml: good")
    (here / "other.toml").write_text(BAD)
    monkeypatch.setenv("OFFHOOK_CONFIG", "other.toml")
    assert runner.invoke(app, []).exit_code == 1


def test_json_for_programs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "f.toml").write_text(BAD)
    result = json.loads(runner.invoke(app, ["f.toml", "--json"]).output)
    assert result["ok"] is False
    assert result["config"] is None
    assert result["problems"][0] == {
        "code": "config_invalid",
        "message": "unknown setting",
        "hint": "did you mean 'allow'?",
        "field": "trunk.acme.alow",
        "line": 3,
    }
    monkeypatch.setenv("TOKEN", "do-not-print")
    agent = '[[agent]]\nname = "bot"\nkind = "twilio"\nurl = "wss://bot/"\ntoken = { env = "TOKEN" }\n'
    (here / "f.toml").write_text(GOOD + agent)
    output = runner.invoke(app, ["f.toml", "--json"]).output
    assert json.loads(output)["config"]["agent"][0]["token"] == "(env TOKEN)"
    assert "do-not-print" not in output
