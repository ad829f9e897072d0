"""An agent from its file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.agent.agent import Agent
from offhook.agent.errors import AgentError
from offhook.agent.loading import load_agent

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def written(path: Path, text: str) -> Path:
    path.write_text("from offhook import Agent\n" + text)
    return path


def test_the_only_agent_or_the_one_called_agent(tmp_path: Path) -> None:
    assert load_agent(written(tmp_path / "a.py", 'desk = Agent("desk")\nalso = desk\n')).name == "desk"
    assert load_agent(written(tmp_path / "b.py", 'agent = Agent("one")\nother = Agent("two")\n')).name == "one"
    (tmp_path / "names.py").write_text('NAME = "three"\n')
    assert load_agent(written(tmp_path / "c.py", "from names import NAME\na = Agent(NAME)\n")).name == "three"


@pytest.mark.parametrize(
    ("text", "said"), [("", "has none"), ('a = Agent("a")\nb = Agent("b")\n', "one agent, and has a, b")]
)
def test_which_agent_is_not_guessed(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=said):
        load_agent(written(tmp_path / "d.py", text))


def test_what_is_no_file_of_python_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="there is no file"):
        load_agent(tmp_path / "none.py")
    with pytest.raises(AgentError, match="no Python file"):
        load_agent(written(tmp_path / "agent.txt", ""))


def test_what_the_file_raises_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        load_agent(written(tmp_path / "e.py", "1 / 0\n"))


def test_a_file_that_runs_its_agent_is_told_how_to_leave_that_to_us(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="agent desk runs while its file is being loaded") as raised:
        load_agent(written(tmp_path / "f.py", 'agent = Agent("desk")\nagent.run()\n'))
    assert '__name__ == "__main__"' in raised.value.hint


@pytest.mark.parametrize("name", ["", "Front Desk", "-x", "a" * 64, None])
def test_a_name_that_no_route_could_say_is_refused(name: str) -> None:
    with pytest.raises(AgentError, match="can't be an agent's name"):
        Agent(name)
    assert Agent("Front-desk_2").name == "Front-desk_2"
