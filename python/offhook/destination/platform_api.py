"""HTTP requests to the platforms' APIs: JSON out and in, bounded in time, size and number of tries.

The key is in no error, log or record; redirects are not followed, so that it goes nowhere else.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from offhook.errors import DestinationError
from offhook.observe.printable import printable

MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read."""

TRIES = 3
"""Requests for one thing: the first, and two more where the service could not be reached or was overloaded."""

_PAUSES = (0.2, 0.6)
"""Seconds before each further try: somebody is listening to the ringing tone."""

_OVERLOADED = frozenset({429, 500, 502, 503, 504})

_HINTS: Final[Mapping[int, str]] = {
    400: "it does not understand what the [[agent]] asks for: compare its settings with what the platform knows",
    401: "`api_key` of the [[agent]] is wrong, or was withdrawn",
    402: "the account there has to be paid for: look at its billing page",
    403: "`api_key` of the [[agent]] may not do this: it is of another project or has too few rights",
    404: "the platform knows no such thing: compare the ids of the [[agent]], and `api_url`",
    422: "the platform does not take what the [[agent]] asks for: compare its ids with those that it shows",
    429: "the account has as many calls or requests there as it may have",
}


@dataclass(frozen=True, slots=True)
class ApiSpec:
    """Where a platform's API is, and our key to it. `timeout` is seconds for one thing, all tries together."""

    url: str
    key: str
    timeout: float = 5.0

    def __repr__(self) -> str:
        return f"ApiSpec({self.url!r})"


class PlatformApi:
    """The connections to all platforms' APIs. Makes none before something is asked."""

    def __init__(self) -> None:
        self._http: ModuleType | None = None
        self._client: Any = None

    async def post(self, api: ApiSpec, path: str, body: Mapping[str, Any], *, tries: int = TRIES) -> bytes:
        """The body of a 2xx answer. Raises `DestinationError`: `agent_refused` with a hint, or `agent_unreachable`."""
        last: DestinationError | None = None
        try:
            async with asyncio.timeout(api.timeout):
                for attempt in range(tries):
                    if attempt:
                        await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES)) - 1])
                    try:
                        return await self._once(api, path, body)
                    except _AgainError as error:
                        last = error.said
        except TimeoutError:
            if last is None:
                raise DestinationError(
                    f"{_where(api, path)} said nothing within {api.timeout:g} s",
                    code="agent_unreachable",
                    hint="check the way from this machine to it: DNS, firewall, proxy",
                ) from None
        assert last is not None, "no try came back, and each that did not is told"
        raise last

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _once(self, api: ApiSpec, path: str, body: Mapping[str, Any]) -> bytes:
        client, http = await self._open()
        where, content = _where(api, path), json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
        try:
            async with client.stream("POST", api.url + path, content=content, headers=headers) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER:
                        raise DestinationError(f"{where} answered more than {MAX_ANSWER} bytes", code="agent_refused")
        except http.HTTPError as error:
            what = printable(str(error) or type(error).__name__)[:200]
            raise _AgainError(DestinationError(f"{where}: {what}", code="agent_unreachable")) from error
        status = int(response.status_code)
        if 200 <= status < 300:
            return bytes(answer)
        said = printable(_reason_in(bytes(answer)))[:200]
        message = f"{where} answered HTTP {status}" + (f": {said}" if said else "")
        refused = DestinationError(message, code="agent_refused", hint=_HINTS.get(status, ""))
        raise _AgainError(refused) if status in _OVERLOADED else refused

    async def _open(self) -> tuple[Any, ModuleType]:
        if self._http is None:
            # It takes a tenth of a second to load; a gateway without such agents goes without.
            self._http = await asyncio.to_thread(_module)
        if self._client is None:
            # Its own limits would be a request's; ours is around all tries.
            self._client = self._http.AsyncClient(timeout=None, follow_redirects=False)
        return self._client, self._http


class _AgainError(Exception):
    """This try failed in a way that the next may not."""

    def __init__(self, said: DestinationError) -> None:
        super().__init__(str(said))
        self.said = said


def _module() -> ModuleType:
    import httpx2

    return httpx2


def _where(api: ApiSpec, path: str) -> str:
    return f"{api.url}{path}"


def _reason_in(answer: bytes) -> str:
    """What an error's body says: `error.message`, `message` or `error_message` of JSON, else its text."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return answer[:400].decode("utf-8", "replace").strip()
    inner = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("error_message") or ""
    return inner if isinstance(inner, str) else ""
