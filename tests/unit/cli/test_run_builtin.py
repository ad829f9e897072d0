"""Which agent `offhook run` starts: the one that is named, the one in the box where nothing is, or none."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from tests.support.clock import in_virtual_time

from offhook import builtin
from offhook.cli import run
from offhook.config.load import LocalAgent, load

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "agent_name", lambda path, environ: "mine")


def test_without_files_it_is_the_one_in_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "can_speak", lambda: True)
    script, agent = run._local_agent(None, None)
    assert script == builtin.SCRIPT
    assert builtin.SCRIPT.is_file()
    assert agent is not None
    [route] = load(None, {}, agent=agent).routes
    assert (route.destination.redacted, route.fallback[0].to.redacted) == ("worker:builtin", "echo:welcome")


def test_without_its_packages_the_echo_test_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "can_speak", lambda: False)
    assert run._local_agent(None, None) == (None, None)


def test_a_file_of_either_kind_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "can_speak", lambda: True)
    assert run._local_agent(None, Path("offhook.toml")) == (None, None)
    script, agent = run._local_agent(Path("mine.py"), None)
    assert script == Path("mine.py")
    assert isinstance(agent, LocalAgent)
    assert (agent.name, agent.fallback) == ("mine", "")


def test_packages_are_found_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin.importlib.util, "find_spec", lambda name: None if name == "hibari" else object())
    assert not builtin.can_speak()
    monkeypatch.setattr(builtin.importlib.util, "find_spec", lambda name: object())
    assert builtin.can_speak()


@in_virtual_time
async def test_it_says_that_it_is_ready_when_its_agent_is() -> None:
    said, asked = io.StringIO(), 0

    def is_ready() -> bool:
        nonlocal asked
        asked += 1
        assert "offhook is ready" not in said.getvalue()
        return asked > 100

    await run._tell_when_ready(Console(file=said), "offhook is ready.", "mine", is_ready)
    assert said.getvalue() == "offhook waits for the agent mine, which is being loaded …\noffhook is ready.\n"


@in_virtual_time
async def test_an_agent_that_is_there_soon_is_not_waited_for_in_words() -> None:
    said, looks = io.StringIO(), iter([False, False, True])
    await run._tell_when_ready(Console(file=said), "offhook is ready.", "mine", lambda: next(looks))
    assert said.getvalue() == "offhook is ready.\n"


def shown(markup: str) -> str:
    page = io.StringIO()
    Console(file=page, width=400, highlight=False).print(markup, soft_wrap=True)
    return page.getvalue()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            'allow = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]',
            "192.0.2.1/32, 192.0.2.2/32, 192.0.2.3/32, 1 more",
        ),
        ('inbound = { username = "carrier", password = "carrier-secret" }', "by password"),
        ('phones = [{ username = "alice", password = "alice-secret" }]', "by password"),
        ('host = "192.0.2.9"\nregister = true\nusername = "a"\npassword = "b-secret-b"', "by registration"),
        ('host = "192.0.2.9"\ncaller_id = "+14155550100"\ndial_to = "+1415*"', "calls out alone"),
    ],
)
def test_a_trunk_is_told_with_what_it_is_known_by(settings: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text(f'[[trunk]]\nname = "acme"\n{settings}\n\n[[route]]\nname = "main"\ndestination = "echo:"\n')
    assert run._sources(load(file, {}).trunks[0]) == said


def test_what_stands_in_brackets_is_shown_and_not_taken_for_a_colour(tmp_path: Path) -> None:
    file = tmp_path / "offhook.toml"
    file.write_text('[[trunk]]\nname = "pbx"\nallow = ["fd00::2"]\n\n[[route]]\nname = "main"\ndestination = "echo:"\n')
    gateway: Any = SimpleNamespace(
        listening=["udp://[fd00::1]:5060"],
        http_address=("[fd00::1]", 8080),
        call_capacity=1,
        unheard_capacity=1,
        tls_summary="",
        talk_link="http://[fd00::1]:8080/talk",
        sip_port=5060,
    )
    page = shown(run._banner(load(file, {}), gateway, None))
    assert "udp://[fd00::1]:5060" in page
    assert "http://[fd00::1]:8080/health/ready" in page
    assert "http://[fd00::1]:8080/talk" in page
    assert shown(run._warning("line 3: a [[trunk]] with it")) == "warning: line 3: a [[trunk]] with it\n"
