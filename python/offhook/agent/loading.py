"""An agent from its file."""

import importlib.util
import sys
from pathlib import Path

from offhook.agent.agent import Agent
from offhook.agent.errors import AgentError

_MODULE = "__offhook_agent__"
_loading = False


def is_loading() -> bool:
    """Whether the file of an agent is being run by `load_agent` now."""
    return _loading


def load_agent(path: Path) -> Agent:
    """The `Agent` of a Python file: the one that there is, or the one called `agent`.

    The file is run as a module (not as `__main__`), with its folder first in the path of imports. Raises `AgentError`
    where there is no such file or no such agent, and whatever the file itself raises.
    """
    if not path.is_file():
        raise AgentError(f"there is no file {path}", hint="`offhook init DIR` writes one to begin with")
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise AgentError(f"{path} is no Python file", hint="its name has to end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    global _loading
    _loading = True
    try:
        spec.loader.exec_module(module)
    finally:
        _loading = False
    found = {name: value for name, value in vars(module).items() if isinstance(value, Agent)}
    if isinstance(agent := found.get("agent"), Agent):
        return agent
    if len(set(map(id, found.values()))) == 1:
        return next(iter(found.values()))
    names = ", ".join(found) or "none"
    raise AgentError(f"{path} should have one agent, and has {names}", hint='write `agent = Agent("front-desk")`')
