"""The agent SDK: a voice agent in Python, a client of the gateway like any other."""

from offhook.agent.agent import Agent
from offhook.agent.call import Call
from offhook.agent.caller import Claim, Diversion, EndCause, Identity, UserToUser
from offhook.agent.errors import AgentError, CallEnded, HoldFailed
from offhook.agent.events import (
    AnsweredBy,
    BargeIn,
    CallEvent,
    Digits,
    GreetingOver,
    HandedOver,
    Heard,
    Held,
    Interrupted,
    Key,
    Recording,
    RecordingState,
    Resumed,
    Said,
    SpeechEnded,
    SpeechStarted,
    Transferred,
    Turn,
    WantsFloor,
)
from offhook.agent.gateway import DialRefused, Gateway, Outcome, PlacedCall
from offhook.agent.history import History

__all__ = [
    "Agent",
    "AgentError",
    "AnsweredBy",
    "BargeIn",
    "Call",
    "CallEnded",
    "CallEvent",
    "Claim",
    "DialRefused",
    "Digits",
    "Diversion",
    "EndCause",
    "Gateway",
    "GreetingOver",
    "HandedOver",
    "Heard",
    "Held",
    "History",
    "HoldFailed",
    "Identity",
    "Interrupted",
    "Key",
    "Outcome",
    "PlacedCall",
    "Recording",
    "RecordingState",
    "Resumed",
    "Said",
    "SpeechEnded",
    "SpeechStarted",
    "Transferred",
    "Turn",
    "UserToUser",
    "WantsFloor",
]
