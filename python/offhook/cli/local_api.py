"""The API of the gateway that runs on this machine, as its commands ask it: with the key in its data directory."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from offhook.api.local_key import FILE, LocalKey
from offhook.errors import OffhookError

PATIENCE = 5.0
"""Seconds that an answer may take, unless it was asked to wait."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its HTTP status, and its body if that is JSON."""

    status: int
    body: Any

    @property
    def is_good(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300


class LocalApi:
    """A gateway of this machine. What is not answered raises `OffhookError` (`gateway_not_running`)."""

    def __init__(self, key: LocalKey, data_dir: Path) -> None:
        self._key = key
        self._data_dir = data_dir

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """The gateway that keeps its data there. Raises `OffhookError` where none does."""
        try:
            key = LocalKey.find(data_dir)
        except OSError as error:
            raise OffhookError(
                f"{data_dir / FILE} can't be read: {error.strerror}", hint="run this as the user of the gateway",
                code="not_readable",
            ) from error  # fmt: skip
        if key is None:
            raise OffhookError(
                f"no gateway runs with its data in {data_dir}",
                hint="start it with `offhook run`, or name its file with --config",
                code="gateway_not_running",
            )
        return cls(key, data_dir)

    def get(self, path: str) -> Any:
        """What it answers to a question that the holder of its key may ask."""
        reply = self.ask("GET", path)
        if reply.status != http.client.OK:
            raise self._no_gateway(reply.status)
        return reply.body

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> Reply:
        """Ask it for something; a refusal is a reply, too, but not one of our key: that is another gateway's."""
        connection = http.client.HTTPConnection(urlsplit(self._key.url).netloc, timeout=patience)
        asked = {"Authorization": f"Bearer {self._key.token}", **(headers or {})}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, asked)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise OffhookError(
                f"the gateway that was at {self._key.url} does not answer: {error or type(error).__name__}",
                hint="it may have been killed: start it again with `offhook run`",
                code="gateway_not_running",
            ) from error
        finally:
            connection.close()
        if answer.status == http.client.UNAUTHORIZED:
            raise self._no_gateway(answer.status)
        try:
            return Reply(answer.status, json.loads(said) if said else None)
        except ValueError:
            raise self._no_gateway(answer.status) from None

    def _no_gateway(self, status: int) -> OffhookError:
        return OffhookError(
            f"what answers at {self._key.url} is not the gateway with its data in {self._data_dir} (HTTP {status})",
            hint="start it again with `offhook run`, or name its file with --config",
            code="gateway_not_running",
        )
