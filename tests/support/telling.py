"""An agent that has headers sent with every call; `websockets` alone, from the protocol's page."""

import json
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from .threaded_agent import ThreadedAgent


class TellingAgent(ThreadedAgent):
    """Takes each call with headers and ends it at once with others. `told` has by Call-ID all that it was told."""

    def __init__(self) -> None:
        self.told: dict[str, list[dict[str, Any]]] = {}
        super().__init__()

    def _call(self, socket: ServerConnection) -> None:
        told: list[dict[str, Any]] = []

        def say(**message: Any) -> None:
            socket.send(json.dumps(message))

        try:
            for text in socket:
                if isinstance(text, bytes):
                    continue
                message = json.loads(text)
                told.append(message)
                match message["type"]:
                    case "ringing":
                        self.told[message["sip_call_id"]] = told
                        say(type="headers", headers={"X-Agent": "front-desk", "Via": "SIP/2.0/UDP evil"})
                        say(type="headers", headers={"X-Agent": "front-desk"})
                        say(type="headers", headers={"X-Ticket": "4711"}, on="answer")
                        say(type="ready")
                    case "start":
                        say(
                            type="headers",
                            headers={"X-Result": "Zürich", "User-to-User": "6f6b;encoding=hex"},
                            on="bye",
                        )
                        say(type="hangup", now=True)
        except ConnectionClosed:
            pass
