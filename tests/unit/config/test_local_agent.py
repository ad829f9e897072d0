"""The agent that `offhook run AGENT.py` starts beside the gateway, in the configuration."""

from pathlib import Path

import pytest

from offhook.config.load import LocalAgent, examine_text, load

pytestmark = pytest.mark.unit

FRONT = LocalAgent("front-desk", "a-token-of-this-run-alone")


def examined(text: str, agent: LocalAgent = FRONT) -> "tuple[list[str], list[tuple[str, str | None]]]":
    """Where the routes lead, and the agents with their tokens."""
    found = examine_text(text, {}, file="offhook.toml", base=Path.cwd(), agent=agent)
    assert found.config is not None, found.errors
    routes = [str(route.destination.redacted) for route in found.config.routes]
    return routes, [(known.name, known.token and known.token.reveal()) for known in found.config.agents]


def test_without_a_file_it_gets_the_calls() -> None:
    config = load(None, {}, agent=FRONT)
    assert [route.destination.redacted for route in config.routes] == ["worker:front-desk"]
    [agent] = config.agents
    assert (agent.name, agent.kind) == ("front-desk", "worker")


def test_its_fallback_gets_the_calls_that_it_can_not_take() -> None:
    config = load(None, {}, agent=LocalAgent("builtin", FRONT.token, fallback="echo:welcome"))
    [route] = config.routes
    assert route.destination.redacted == "worker:builtin"
    assert [fallback.to.redacted for fallback in route.fallback] == ["echo:welcome"]


def test_the_routes_of_a_file_stay_as_they_are() -> None:
    routes, agents = examined(
        '[[trunk]]\nname = "t"\nallow = ["127.0.0.1"]\n[[route]]\nname = "r"\ndestination = "echo:"\n'
    )
    assert routes == ["echo:"]
    assert agents == [("front-desk", FRONT.token)]


def test_an_agent_of_the_file_keeps_its_token() -> None:
    own = "another-token-that-is-in-the-file"
    _, agents = examined(f'[[agent]]\nname = "front-desk"\nkind = "worker"\ntoken = "{own}"\n')
    assert agents == [("front-desk", own)]


def test_the_token_of_a_run_makes_no_secret_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "offhook.toml"
    path.write_text('[http]\nlisten = "127.0.0.1:8081"\n')
    path.chmod(0o644)
    assert load(path, {}, agent=FRONT).warnings == ()
    path.write_text('[[agent]]\nname = "front-desk"\nkind = "worker"\ntoken = "another-token-that-is-in-the-file"\n')
    assert "holds secrets" in str(load(path, {}, agent=FRONT).warnings)


def test_a_wrong_table_is_an_error_as_ever() -> None:
    found = examine_text("agent = 5\n", {}, file="offhook.toml", base=Path.cwd(), agent=FRONT)
    assert found.config is None
    assert "agent" in str(found.errors[0])
