import json

import pytest
from typer.testing import CliRunner

from offhook.cli.trunks import app
from offhook.config.presets import names

pytestmark = pytest.mark.unit

runner = CliRunner()


def test_all_presets_are_listed_with_how_they_were_verified() -> None:
    lines = runner.invoke(app, ["presets"]).output.splitlines()
    for name in names():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert "simulated, pages read 2026-" in line


def test_one_is_told_with_its_pages_and_their_days() -> None:
    out = runner.invoke(app, ["presets", "twilio"]).output
    assert "verified: simulated" in out
    assert "168.86.128.0/18" in out
    assert "https://www.twilio.com/docs/sip-trunking/ip-addresses, read 2026-11-23" in out
    assert "host (to call out): write the Termination SIP URI" in out
    assert "secure: Secure Trunking" in out


@pytest.mark.parametrize("name", names())
def test_json_has_all_of_it(name: str) -> None:
    told = json.loads(runner.invoke(app, ["presets", name, "--json"]).output)
    assert told["name"] == name
    assert told["verified"] == "simulated"
    assert all({"setting", "value", "source", "read"} <= set(fill) for fill in told["fill"])


def test_an_unknown_name_is_wrong_use() -> None:
    result = runner.invoke(app, ["presets", "acme"])
    assert result.exit_code == 2
    assert "there is no preset 'acme'" in result.output
