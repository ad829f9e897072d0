from pathlib import Path

import pytest

from offhook.config.load import Examined, examine_text
from offhook.config.presets.use import PresetUse, read_use
from offhook.config.schema import TrunkConfig
from offhook.config.values import WrongValue

pytestmark = pytest.mark.unit


def examined(trunk: str) -> Examined:
    text = f'[[trunk]]\nname = "t"\n{trunk}\n[[route]]\nname = "r"\ndestination = "echo:"\n'
    return examine_text(text, {}, file="f.toml", base=Path("/nowhere"), host_name="g")


def trunk(text: str) -> TrunkConfig:
    found = examined(text)
    assert found.config is not None, [str(problem) for problem in found.errors]
    return found.config.trunks[0]


def test_a_preset_fills_in_what_the_trunk_does_not_say() -> None:
    found = trunk('preset = "twilio"')
    assert "54.172.60.0/30" in [str(network) for network in found.allow]
    assert [str(network) for network in found.media_allow] == ["168.86.128.0/18"]
    assert found.codecs == ("PCMU", "PCMA")


def test_what_the_trunk_says_wins() -> None:
    found = trunk('preset = "twilio"\nallow = ["192.0.2.1"]\ncodecs = ["PCMA"]')
    assert [str(network) for network in found.allow] == ["192.0.2.1/32"]
    assert found.codecs == ("PCMA",)


def test_the_configuration_knows_which_settings_came_from_it() -> None:
    config = examined('preset = "twilio"\ncodecs = ["PCMA"]').config
    assert config is not None
    (filled,) = config.presets
    assert (filled.trunk, filled.use) == ("t", PresetUse("twilio"))
    assert "allow" in filled.settings
    assert "codecs" not in filled.settings


def test_the_host_of_the_trunk_stands_in_what_depends_on_it() -> None:
    calling = 'host = "acme.zt.plivo.com"\ncaller_id = "+14155550100"\ndial_to = "+1415*"'
    assert trunk(f'preset = "plivo"\n{calling}').transfer_domain == "acme.zt.plivo.com"
    assert trunk('preset = "plivo"').transfer_domain is None


def test_a_host_that_is_missing_is_asked_for_only_to_call_out() -> None:
    told = examined('preset = "twilio"\ncaller_id = "+14155550100"\ndial_to = "+1415*"').errors
    assert any(
        problem.message == "preset 'twilio' can't know host, and this trunk needs it"
        and "pstn.twilio.com" in problem.hint
        for problem in told
    )
    assert examined('preset = "twilio"').errors == []


def test_a_host_of_another_form_is_warned_about() -> None:
    found = examined('preset = "twilio"\nhost = "sip.example.com"\ncaller_id = "+14155550100"\ndial_to = "+1415*"')
    (warning,) = found.warnings
    assert (warning.path, warning.line) == ("trunk.t.host", 4)
    assert "NAME.pstn.twilio.com" in warning.message


@pytest.mark.parametrize("preset", ['"telnyx"', '{ name = "plivo", secure = true }'])
def test_what_it_knows_of_calls_out_is_no_fault_of_a_trunk_that_only_sends_us_calls(preset: str) -> None:
    found = examined(f"preset = {preset}")
    assert [str(problem) for problem in found.errors if "asks for TLS" not in problem.message] == []
    assert [str(warning) for warning in found.warnings if "host" in warning.message] == []


def test_a_trunk_that_calls_out_by_the_host_of_its_preset_still_needs_a_number_to_show() -> None:
    assert any("no caller_id" in problem.message for problem in examined('preset = "telnyx"\ndial_to = "+1*"').errors)


def test_parameters_choose() -> None:
    text = 'preset = { name = "twilio", secure = true }'
    assert any("asks for TLS" in problem.message for problem in examined(text).errors), "it fills in tls = required"
    assert read_use({"name": "twilio", "secure": True}) == PresetUse("twilio", (("secure", "yes"),))


@pytest.mark.parametrize(
    ("value", "says", "hint"),
    [
        ("twillio", "there is no preset 'twillio'", "did you mean 'twilio'?"),
        ({"secure": "yes"}, "is a preset without a name", "name ="),
        ({"name": "twilio", "edge": "dublin"}, "preset 'twilio' has no parameter 'edge'", "known: secure"),
        ({"name": "twilio", "secure": "maybe"}, "'maybe' is no secure of preset 'twilio'", "known: no, yes"),
        ({"name": "twilio", "secure": 7}, "7 is no secure of preset 'twilio'", "known: no, yes"),
        ({"name": "twilio", "secure": {}}, "is no secure of preset", "known: no, yes"),
        (7, "must be a string", "quotes"),
        ({"name": "../secret"}, "there is no preset '../secret'", "known:"),
    ],
)
def test_a_preset_that_is_none_is_told(value: object, says: str, hint: str) -> None:
    with pytest.raises(WrongValue) as raised:
        read_use(value)
    assert says in str(raised.value)
    assert hint in raised.value.hint


def test_it_is_told_once_with_its_line() -> None:
    (problem,) = examined('preset = "twillio"\nallow = ["192.0.2.1"]').errors
    assert (problem.path, problem.line) == ("trunk.t.preset", 3)
