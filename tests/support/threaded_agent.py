"""The server of an agent that speaks offhook.v1, in a thread of its own; `websockets` alone."""

import threading

from websockets.sync.server import ServerConnection, serve


class ThreadedAgent:
    """Listens on `port` of this machine from its making on; who derives from it says what becomes of a call."""

    def __init__(self) -> None:
        self._server = serve(self._call, "127.0.0.1", 0, subprotocols=["offhook.v1"])  # type: ignore[list-item]
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more calls."""
        self._server.shutdown()
        self._thread.join()

    def _call(self, socket: ServerConnection) -> None:
        raise NotImplementedError
