"""The environment that the agents of PyPI live in, as a user of offhook would have it."""

import os
from pathlib import Path

from .gateway import REPOSITORY


def agents_python() -> Path:
    """Its interpreter: `OFFHOOK_AGENTS_PYTHON`, else the one that `make test` builds."""
    python = Path(os.environ.get("OFFHOOK_AGENTS_PYTHON") or REPOSITORY / ".venv" / "agents" / "bin" / "python")
    assert python.exists(), (
        f"{python} is missing: it is the environment with pipecat-ai, livekit-agents and openai-agents. "
        "`make test` builds it from tests/interop/agents.txt; OFFHOOK_AGENTS_PYTHON names another."
    )
    return python
