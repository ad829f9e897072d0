"""An agent for calls that the gateway places, in a thread of its own; `websockets` alone, from the protocol's page."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from .gateway import wait_until
from .threaded_agent import ThreadedAgent
from .tone import tone

TOML = """
[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
"""
"""It as `bot` of a gateway that calls out; `agent` is its port. Who calls in hears an echo."""


@dataclass
class Talk:
    """One call as the agent had it; times are monotonic seconds."""

    ringing: dict[str, Any]
    at: dict[str, float] = field(default_factory=dict)
    heard: bytearray = field(default_factory=bytearray)
    """µ-law at 8 kHz."""
    end: dict[str, Any] | None = None


class DialledAgent(ThreadedAgent):
    """Takes every call, says a tone of 440 Hz from `start` on and hangs up when the `data` of the call say so.

    `data` of a call: `says`, the seconds of the tone, 3 by default; `hangs_up_after` seconds of the answer, or as soon
    as all of the tone was said.
    """

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        super().__init__()

    def of(self, call_id: str) -> Talk:
        """The talk of a call of the gateway, once it is known here."""

        def found() -> Talk | None:
            return next((talk for talk in self.talks if talk.ringing["call_id"] == call_id), None)

        talk = wait_until(found, 30, lambda: f"no talk of {call_id}")
        assert talk is not None, "waited for"
        return talk

    def _call(self, socket: ServerConnection) -> None:
        talk: Talk | None = None
        try:
            for text in socket:
                now = time.monotonic()
                if isinstance(text, bytes):
                    assert talk is not None
                    talk.at.setdefault("heard", now)
                    talk.heard += text
                    continue
                message = json.loads(text)
                match message["type"]:
                    case "ringing":
                        talk = Talk(message, {"ringing": now})
                        self.talks.append(talk)
                        socket.send(json.dumps({"type": "ready", "audio": {"encoding": "pcmu", "rate": 8000}}))
                    case "start":
                        assert talk is not None
                        talk.at["start"] = now
                        wishes = talk.ringing["data"]
                        if sound := b"".join(tone(440, float(wishes.get("says", 3.0)))):
                            socket.send(sound)
                        if "hangs_up_after" in wishes:
                            threading.Timer(float(wishes["hangs_up_after"]), _hang_up, [socket]).start()
                    case "end":
                        assert talk is not None
                        talk.end = message
        except ConnectionClosed:
            pass


def _hang_up(socket: ServerConnection) -> None:
    # Whoever was called may have been sooner.
    with suppress(ConnectionClosed):
        socket.send(json.dumps({"type": "hangup"}))
