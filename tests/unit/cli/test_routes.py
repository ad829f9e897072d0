import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offhook.cli.routes import app

pytestmark = pytest.mark.unit

runner = CliRunner()

FILE = """
[[trunk]]
name = "acme"
allow = ["198.51.100.0/29"]
domain = "acme.sip.example.net"
country = "US"

[[route]]
name = "vip"
to = "+1212*"
destination = "echo:"

[[route]]
name = "sales"
trunk = "acme"
to = "+1415*"
headers = { X-Queue = "sales" }
destination = "agent:front-desk"
fallback = [{ on = ["late"], to = "wss://other.example/?token=do-not-print" }]

[[agent]]
name = "front-desk"
kind = "twilio"
url = "wss://bot.example/media?token=do-not-print"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OFFHOOK_CONFIG", raising=False)
    (tmp_path / "offhook.toml").write_text(FILE)
    return tmp_path


def ask(*arguments: str) -> tuple[int, list[str]]:
    result = runner.invoke(app, ["test", *arguments])
    assert "do-not-print" not in result.output
    return result.exit_code, result.output.splitlines()


def test_every_step_of_a_call_that_goes_through(here: Path) -> None:
    status, lines = ask(
        "--to", "sip:4155550100@acme.sip.example.net:5060;transport=udp", "--from", "sip:2125550100@198.51.100.2",
        "--source", "198.51.100.2", "--header", "X-Queue: sales",
    )  # fmt: skip
    assert status == 0
    assert lines == [
        "source  yes  198.51.100.2 (udp) is trunk 'acme': allow 198.51.100.0/29, domain acme.sip.example.net",
        "to           '4155550100' is +14155550100 by country US",
        "from         '2125550100' is +12125550100 by country US",
        "route   no   'vip': to is '+14155550100', not '+1212*'",
        "route   yes  'sales' fits",
        "goes to agent:front-desk (twilio, wss://bot.example/media?…) by route 'sales'",
        "answered when-ready, 20 s to get ready",
        "on late: wss://other.example/?…",
        "(limits are not part of this test)",
    ]


def test_a_call_without_its_header(here: Path) -> None:
    status, lines = ask("--to", "+14155550100", "--source", "198.51.100.2", "--domain", "acme.sip.example.net")
    assert status == 1
    assert lines[-1] == (
        "refused: no_route: no route fits; nearest is 'sales': headers.X-Queue is '(absent)', not 'sales'"
    )


def test_a_source_just_outside(here: Path) -> None:
    status, lines = ask("--to", "+14155550100", "--source", "198.51.100.8")
    assert status == 1
    assert lines[-1] == "refused: no_trunk: source 198.51.100.8 (udp) is not in trunk 'acme' allow 198.51.100.0/29"


def test_a_domain_that_was_forgotten(here: Path) -> None:
    status, lines = ask("--to", "+14155550100", "--source", "198.51.100.1")
    assert status == 1
    assert lines[-1].endswith("is not its domain 'acme.sip.example.net' (--domain gives the host)")


def test_json_for_programs(here: Path) -> None:
    status, lines = ask(
        "--to", "+12125550100", "--source", "198.51.100.2", "--domain", "acme.sip.example.net", "--json"
    )
    answer = json.loads("\n".join(lines))
    assert status == 0
    assert (answer["ok"], answer["code"], answer["trunk"], answer["route"], answer["destination"]) == (
        True, None, "acme", "vip", "echo:",
    )  # fmt: skip
    assert [step["subject"] for step in answer["steps"]] == ["source", "to", "from", "route"]
    status, lines = ask("--to", "1", "--source", "203.0.113.1", "--json")
    answer = json.loads("\n".join(lines))
    assert (status, answer["ok"], answer["code"]) == (1, False, "no_trunk")


def test_without_a_file_the_built_in_configuration_is_asked(here: Path) -> None:
    (here / "offhook.toml").unlink()
    assert ask("--to", "100")[0] == 0
    assert ask("--to", "100", "--source", "192.168.1.7")[0] == 1
    assert ask("--to", "100", "--source", "192.168.1.7", "--lan")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--to", "1", "--source", "localhost"],
        ["--to", "1", "--header", "no colon"],
        ["--to", "1", "--transport", "sctp"],
        ["--to", "1", "--config", "none.toml"],
    ],
)
def test_wrong_questions(here: Path, arguments: list[str]) -> None:
    assert ask(*arguments)[0] == 2


def test_an_asserted_identity_counts_where_its_trunk_is_trusted_with_it(here: Path) -> None:
    question = (
        "--to", "sip:4155550100@acme.sip.example.net", "--from", "sip:4155550199@h", "--source", "198.51.100.2",
        "--header", "P-Asserted-Identity: <tel:+12125550142>", "--header", "X-Queue: sales",
    )  # fmt: skip
    assert ask(*question)[1][2] == "from         '4155550199' is +14155550199 by country US"
    (here / "offhook.toml").write_text(FILE.replace("[[trunk]]", "[[trunk]]\ntrust_identity = true", 1))
    assert ask(*question)[1][2] == "from         '+12125550142' is +12125550142"
    assert ask(*question, "--header", "Privacy: id")[1][2] == "from         '+12125550142' is a withheld number"
