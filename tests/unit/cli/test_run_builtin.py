"""Which agent `offhook run` starts: the one that is named, the one in the box where nothing is, or none."""

from pathlib import Path

import pytest

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
