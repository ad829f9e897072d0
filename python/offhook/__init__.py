"""offhook: a self-hosted SIP gateway and trunk platform for voice AI.

`from offhook import Agent, Call, Turn` is the agent SDK. Every other path may move.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offhook.agent import (
        Agent,
        AgentError,
        Call,
        CallEnded,
        DialRefused,
        Digits,
        Gateway,
        HandedOver,
        History,
        Outcome,
        Said,
        Transferred,
        Turn,
    )

__all__ = [
    "Agent",
    "AgentError",
    "Call",
    "CallEnded",
    "DialRefused",
    "Digits",
    "Gateway",
    "HandedOver",
    "History",
    "Outcome",
    "Said",
    "Transferred",
    "Turn",
]


def __getattr__(name: str) -> Any:
    """The SDK, when somebody asks for it: the gateway has no use for it, and starts without it."""
    if name in __all__:
        import offhook.agent

        return getattr(offhook.agent, name)
    raise AttributeError(f"module 'offhook' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
