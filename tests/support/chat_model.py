"""A server of chat completions, as language models have them: it streams one answer, whatever it is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ANSWER = "Check-out is at noon. Anything else?"


class ChatModel(ThreadingHTTPServer):
    """It; what it was `asked` are the bodies of the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.asked: list[dict[str, Any]] = []

    @property
    def environ(self) -> dict[str, str]:
        """What leads OpenAI's client to it."""
        return {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://127.0.0.1:{self.server_port}/v1", "MODEL": "tiny"}


@contextmanager
def chat_model() -> Iterator[ChatModel]:
    """One that is served in a thread."""
    with ChatModel() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class _Request(BaseHTTPRequestHandler):
    server: ChatModel

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for text in ("Check", "-out is", " at noon. ", "Anything", " else?", None):
            choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}] if text else []
            piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None: ...
