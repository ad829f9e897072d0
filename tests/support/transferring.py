"""An agent that transfers every call once it is answered; `websockets` alone, from the protocol's page."""

import json
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from .gateway import wait_until
from .threaded_agent import ThreadedAgent

TARGET = "tel:+14155550142"


class TransferringAgent(ThreadedAgent):
    """`told` has by Call-ID what it was told: `transferred`, and last `end`.

    Headers of the INVITE change what it does: `X-Target`, `X-Timeout-Ms`, `X-Wishes`, the headers that
    it wants on the REFER as JSON, and `X-Leaves`, which makes it close at once.
    """

    def __init__(self, target: str = TARGET, after: float = 0.0) -> None:
        self.target = target
        self.after = after
        """Seconds from the answer to the transfer."""
        self.told: dict[str, list[dict[str, Any]]] = {}
        super().__init__()

    def transfers(self, sip_call_id: str) -> list[dict[str, Any]]:
        """What became of the transfers of a call, once that is told."""
        return self._told_of(sip_call_id, "transferred")

    def end(self, sip_call_id: str) -> dict[str, Any]:
        """What it was told at the end of a call, once that has come."""
        return self._told_of(sip_call_id, "end")[-1]

    def _told_of(self, sip_call_id: str, kind: str) -> list[dict[str, Any]]:
        """It reads in a thread of its own, so what the record has already may still be on its way."""

        def found() -> list[dict[str, Any]]:
            return [message for message in self.told.get(sip_call_id, []) if message["type"] == kind]

        return wait_until(found, 30, lambda: f"no {kind!r} of {sip_call_id}: {self.told}")

    def _call(self, socket: ServerConnection) -> None:
        told: list[dict[str, Any]] = []
        headers: dict[str, str] = {}
        try:
            for text in socket:
                if isinstance(text, bytes):
                    continue
                message = json.loads(text)
                match message["type"]:
                    case "ringing":
                        self.told[message["sip_call_id"]] = told
                        headers = message["headers"]
                        socket.send(json.dumps({"type": "ready"}))
                    case "start":
                        transfer: dict[str, Any] = {"type": "transfer", "target": headers.get("X-Target", self.target)}
                        if "X-Timeout-Ms" in headers:
                            transfer["timeout_ms"] = int(headers["X-Timeout-Ms"])
                        if "X-Wishes" in headers:
                            transfer["headers"] = json.loads(headers["X-Wishes"])
                        time.sleep(self.after)
                        socket.send(json.dumps(transfer))
                        if "X-Leaves" in headers:
                            return
                    case "transferred" | "end":
                        told.append(message)
        except ConnectionClosed:
            pass
