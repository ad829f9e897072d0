"""The agent in the box, which answers where nothing else was asked for.

`agent` is the whole of it, on the SDK as any other. Here is only what is known of it without loading it.
"""

import importlib.util
from pathlib import Path

NAME = "builtin"
"""The name of the agent."""

SCRIPT = Path(__file__).with_name("agent.py")
"""The file that `offhook worker` is given to run it."""


def can_speak() -> bool:
    """Whether the packages of the extra `agent` are there, without which it is no better than an echo test."""
    return all(importlib.util.find_spec(name) is not None for name in ("numpy", "onnxruntime", "hibari"))
