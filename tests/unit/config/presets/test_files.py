"""Every preset file is whole: its settings exist, its values are right, its pages are dated, its guide is there."""

import re
from itertools import product
from pathlib import Path

import pytest

from offhook.config.load import examine_text
from offhook.config.presets import HOST, Preset, names, preset
from offhook.config.problems import names_of
from offhook.config.schema import TrunkConfig

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]
HOST_OF_OURS = "peer.example"
OURS = {
    "host": f'host = "{HOST_OF_OURS}"',
    "allow": 'allow = ["192.0.2.0/24"]',
    "username": 'username = "alice"\npassword = "not-a-secret"',
    "password": "",
    "country": 'country = "IN"',
    "from_domain": 'from_domain = "sbc.example.com"',
}
"""What a user writes for what a preset can't know."""


def combinations(found: Preset) -> list[dict[str, str]]:
    choices = [[(name, choice) for choice in parameter.choices] for name, parameter in found.parameter.items()]
    return [dict(chosen) for chosen in product(*choices)]


def written(name: str, parameters: dict[str, str], *, needs: bool = True) -> str:
    """A file with a trunk of that preset, and with what it asks for."""
    table = ", ".join([f'name = "{name}"', *(f'{key} = "{value}"' for key, value in parameters.items())])
    needed = [OURS[need.setting] for need in preset(name).need] if needs else []
    return "\n".join([
        "[sip]",
        'listen = ["udp://0.0.0.0:5060", { uri = "tls://0.0.0.0:5061", advertise = "sbc.example.com" }]',
        'tls_certificate = "cert.pem"',
        "[[trunk]]",
        'name = "t"',
        f"preset = {{ {table} }}",
        'caller_id = "+14155550100"',
        'dial_to = "+1415*"',
        *needed,
        "[[route]]",
        'name = "r"',
        'destination = "echo:"',
    ])  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_setting_is_one_of_a_trunk_and_every_condition_a_choice(name: str) -> None:
    found = preset(name)
    for fill in found.fill:
        assert fill.setting in names_of(TrunkConfig), fill.setting
        for key, choice in fill.where.items():
            assert choice in found.parameter[key].choices, (fill.setting, key, choice)
    for parameter in found.parameter.values():
        assert parameter.default in parameter.choices
    for need in found.need:
        assert need.setting in names_of(TrunkConfig), need.setting


@pytest.mark.parametrize("name", names())
def test_every_combination_of_parameters_makes_a_trunk(name: str) -> None:
    for parameters in combinations(preset(name)):
        found = examine_text(written(name, parameters), {}, file="f.toml", base=Path("/nowhere"), host_name="g")
        # Certificates are files, and there are none here.
        wrong = [str(problem) for problem in found.errors if "tls_certificate" not in problem.path]
        assert wrong == [], parameters


@pytest.mark.parametrize("name", names())
def test_what_it_cannot_know_is_asked_for(name: str) -> None:
    found = preset(name)
    told = examine_text(written(name, {}, needs=False), {}, file="f.toml", base=Path("/nowhere"), host_name="g")
    missing = {need.setting for need in found.need} - set(found.fills({}))
    for setting in missing:
        assert any(f"can't know {setting}" in problem.message for problem in told.errors), setting


@pytest.mark.parametrize("name", names())
def test_its_guide_exists_and_says_what_is_not_verified(name: str) -> None:
    found = preset(name)
    guide = ROOT / found.guide
    assert guide.is_file(), found.guide
    text = guide.read_text(encoding="utf-8")
    assert f'preset = "{name}"' in text or f'name = "{name}"' in text
    if found.verified == "simulated":
        assert "Not verified live" in text


@pytest.mark.parametrize("name", names())
def test_the_configurations_of_its_guide_are_right(name: str) -> None:
    text = (ROOT / preset(name).guide).read_text(encoding="utf-8")
    environ = dict.fromkeys(re.findall(r'env = "(\w+)"', text), "not-a-secret-in-a-test")
    environ |= {name: "whsec_" + "bm90LWEtc2VjcmV0" * 2 for name in environ if name.endswith("WEBHOOK_SECRET")}
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        # As it stands: whoever copies it has only to set the secrets, and to bring the certificates.
        found = examine_text(block, environ, file="f.toml", base=Path("/nowhere"), host_name="g")
        assert [str(problem) for problem in found.errors if ".tls_" not in f".{problem.path}"] == [], block
        expected = ("there is no [[route]]", "webhook comes from the internet")
        doubts = [str(one) for one in found.warnings if not any(text in one.message for text in expected)]
        assert doubts == [], block


@pytest.mark.parametrize("name", names())
def test_every_value_has_a_page_or_is_called_an_assumption(name: str) -> None:
    for fill in preset(name).fill:
        assert fill.assumed or fill.source.startswith(("https://", "http://", "RFC ")), fill.setting
        assert not fill.assumed or fill.note, f"{fill.setting}: an assumption says why"
        assert fill.value is not None
        assert fill.value != HOST or fill.setting in ("transfer_domain", "from_domain", "domain")
