"""Calls out: a program has its gateway call somebody, and learns what came of it."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from offhook.agent.caller import EndCause
from offhook.agent.errors import AgentError
from offhook.agent.events import AnsweredBy, answered_by

OnMachine = Literal["tell", "hang_up", "voicemail"]
"""What is done where a machine answers: the agent is told, the call ends, or a message is left after the beep."""

OutcomeKind = Literal["answered", "busy", "refused", "no_answer", "failed", "cancelled"]

_PATIENCE = 20.0
_WAIT = 30.0
_LONGEST_BODY = 1 << 20
_MOST_HEADERS = 100


class DialRefused(AgentError):
    """Nobody was called. `reason` is the slug of the rule or limit, `status` the HTTP status.

    `retry_after` are seconds, where it is a matter of time. `call_id` is the record of it, if there is one.
    """

    code = "dial_refused"

    def __init__(
        self, message: str, *, reason: str, status: int, hint: str = "", retry_after: float | None = None,
        call_id: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.call_id = call_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call out came to: `answered`, `busy`, `refused`, `no_answer`, `failed` or `cancelled`.

    `status` and `reason` are the trunk's final response, `q850` the cause by Q.850, `causes` what it gave as such.
    `end_reason` is a slug of docs/reference/end-reasons.md, empty of a call that was answered; `detail` says it in
    words.
    """

    kind: OutcomeKind
    status: int | None = None
    reason: str = ""
    q850: int | None = None
    causes: tuple[EndCause, ...] = ()
    end_reason: str = ""
    detail: str = ""
    hint: str = ""

    @property
    def answered(self) -> bool:
        """Whether somebody, or something, has answered."""
        return self.kind == "answered"


class PlacedCall:
    """A call that the gateway is placing. Its sound is the agent's; here it is watched, and ended."""

    def __init__(self, gateway: "Gateway", seen: Mapping[str, Any]) -> None:
        self._gateway = gateway
        self._seen = seen

    @property
    def id(self) -> str:
        """The gateway's id of it, the same as in its records and as the agent's `call.id`."""
        return str(self._seen["call_id"])

    @property
    def state(self) -> str:
        """How it stood when it was looked at last: `preparing`, `calling`, `ringing`, `answered` or `ended`."""
        return str(self._seen["state"])

    @property
    def trunk(self) -> str:
        """The trunk that it goes by."""
        return str(self._seen["trunk"])

    @property
    def from_number(self) -> str:
        """The number of ours that is shown, or the name."""
        return str(self._seen["from_number"])

    @property
    def to_number(self) -> str:
        """Who is called: E.164, or the extension or user name."""
        return str(self._seen["to_number"])

    @property
    def end_reason(self) -> str:
        """Why it ended, empty while it is on; a slug of docs/reference/end-reasons.md."""
        return str(self._seen["end_reason"] or "")

    @property
    def answered_by(self) -> AnsweredBy | None:
        """Who has answered, as it was known when the call was looked at last; None where nobody has asked for it."""
        told = self._seen.get("answered_by")
        return answered_by(told) if isinstance(told, dict) else None

    async def progress(self) -> str:
        """Wait until its state is another than `state`, and give that. Of one that has ended, at once."""
        before = self.state
        while self.state == before != "ended":
            await self._look(f"?wait={_WAIT:g}&since={before}")
        return self.state

    async def outcome(self) -> Outcome:
        """Wait for the answer, or for the end without one."""
        while self._seen["outcome"] is None:
            await self.progress()
        return _outcome(self._seen["outcome"])

    async def ended(self) -> str:
        """Wait until it is over; `end_reason`."""
        while self.state != "ended":
            await self.progress()
        return self.end_reason

    async def hang_up(self) -> None:
        """Give it up: CANCEL, or BYE once it is answered. Nothing happens to one that is over."""
        await self._gateway._ask("DELETE", f"/v1/calls/{self.id}")

    async def _look(self, query: str = "") -> None:
        self._seen = await self._gateway._ask("GET", f"/v1/calls/{self.id}{query}", patience=_WAIT + _PATIENCE)

    def __repr__(self) -> str:
        return f"<PlacedCall {self.id} to {self.to_number}, {self.state}>"


class Gateway:
    """A gateway that this program may have call somebody: its `http.listen`, and a `[[key]]` of its configuration."""

    def __init__(self, url: str, *, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AgentError(f"'{url}' is no gateway", hint="write http://HOST:PORT, as http.listen has it")
        self._host, self._secure = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._key = key

    async def dial(
        self,
        to: str,
        *,
        agent: str,
        trunk: str | None = None,
        caller_id: str | None = None,
        ring_timeout: float | None = None,
        max_duration: float | None = None,
        early_media: bool = False,
        record: bool = False,
        private: bool = False,
        detect: bool | OnMachine | None = None,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> PlacedCall:
        """Have `to` called for the `[[agent]]` of that name; returns while that is made ready, before anybody rings.

        It is a number, or an extension or user name (`201`, `alice`) that a trunk's `dial_to` lists.
        `data` is what the agent finds in `call.data`, `headers` are for the INVITE. With `private` the one called does
        not learn the number. With `detect` it is told who answers (`PlacedCall.answered_by`, and the agent), and where
        that is no person, done what its `[[agent]]` says, or `tell`, `hang_up` or `voicemail`. Times are seconds. Under
        one `idempotency_key` there is one call, however often this is tried. Raises `DialRefused` where nobody is
        called.
        """
        wish = {
            "to": to,
            "agent": agent,
            "trunk": trunk,
            "caller_id": caller_id,
            "ring_timeout": ring_timeout,
            "max_duration": max_duration,
            "early_media": early_media,
            "record": record,
            "private": private or None,
            "detect": {"on_machine": detect} if isinstance(detect, str) else detect,
            "headers": dict(headers or {}),
            "data": dict(data or {}),
        }
        said = {name: value for name, value in wish.items() if value is not None}
        extra = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        return PlacedCall(self, await self._ask("POST", "/v1/calls", said, extra))

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        patience: float = _PATIENCE,
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience):
                status, said, answer = await self._exchange(method, path, body, headers or {})
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            raise AgentError(
                f"the gateway at {self._host}:{self._port} does not answer: {error or type(error).__name__}",
                hint="check that it runs, and its http.listen",
            ) from error
        try:
            found = json.loads(answer) if answer else {}
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        if not 200 <= status < 300:
            wait = said.get("retry-after", "")
            raise DialRefused(
                str(found.get("message") or f"HTTP {status}"),
                reason=str(found.get("code") or ""),
                status=status,
                hint=str(found.get("hint") or ""),
                retry_after=float(wait) if wait.isdigit() else None,
                call_id=str(found.get("call_id") or ""),
            )
        return found

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers by small letters, body."""
        content = json.dumps(body).encode() if body is not None else b""
        fields = {
            "Host": f"{self._host}:{self._port}",
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
            **headers,
        }
        if any(character in value for value in fields.values() for character in "\r\n\0"):
            raise AgentError("a key has a line end in it", hint="a header is one line")
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        context = ssl.create_default_context() if self._secure else None
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
            await writer.drain()
            status = int((await reader.readline()).split(b" ")[1:2][0])
            said: dict[str, str] = {}
            while (line := await reader.readline()).strip() and len(said) < _MOST_HEADERS:
                name, _, value = line.decode("latin-1").partition(":")
                said[name.strip().lower()] = value.strip()
            length = said.get("content-length", "")
            if length.isdigit() and int(length) <= _LONGEST_BODY:
                return status, said, await reader.readexactly(int(length))
            return status, said, await reader.read(_LONGEST_BODY)
        except IndexError:
            raise ValueError("its answer is no HTTP") from None
        finally:
            writer.close()


def _outcome(seen: Mapping[str, Any]) -> Outcome:
    causes = tuple(
        EndCause(str(cause.get("protocol", "")), cause.get("cause"), str(cause.get("text", "")))
        for cause in seen.get("causes") or ()
    )
    return Outcome(
        seen["kind"],
        seen.get("status"),
        str(seen.get("reason") or ""),
        seen.get("q850"),
        causes,
        str(seen.get("end_reason") or ""),
        str(seen.get("detail") or ""),
        str(seen.get("hint") or ""),
    )
