"""Settings whose feature does not exist yet: refused by name, never ignored. Building one deletes its line here.

The schema knows their names already, so that a file gets a true answer instead of "unknown setting".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from offhook.config.lines import Path
from offhook.route.destination_uri import DestinationUriError, OtherUri, parse_destination


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """Values of a setting that have no feature behind them. `where` is its path, `*` for any name or index."""

    where: Path
    refuses: Callable[[object], bool]
    feature: str
    instead: str


def _other_than(*built: object) -> Callable[[object], bool]:
    return lambda value: value not in built


def _websocket_listener(value: object) -> bool:
    uri = value.get("uri") if isinstance(value, Mapping) else value
    return isinstance(uri, str) and uri.partition("://")[0] in ("ws", "wss")


def _other_destination(value: object) -> bool:
    try:
        return isinstance(value, str) and isinstance(parse_destination(value), OtherUri)
    except DestinationUriError:
        return False


def _postgresql(value: object) -> bool:
    return isinstance(value, str) and value.partition(":")[0].partition("+")[0] in ("postgres", "postgresql")


_LISTEN_INSTEAD = "use tls://, tcp:// or udp://"
_DESTINATION_INSTEAD = (
    "use agent:NAME, worker:NAME, ws://, wss://, twilio+ws://, twilio+wss://, tel:, sip:, echo: or a platform's"
)

NOT_BUILT = (
    NotBuilt(("sip", "listen", "*"), _websocket_listener, "SIP over WebSocket", _LISTEN_INSTEAD),
    NotBuilt(("sip", "advertise"), lambda v: v == "auto", "finding our address by STUN", "write the address itself"),
    NotBuilt(("media", "advertise"), lambda v: v == "auto", "finding our address by STUN", "write the address itself"),
    NotBuilt(("store", "url"), _postgresql, "PostgreSQL", "use sqlite:///PATH"),
    NotBuilt(
        ("route", "*", "destination"),
        _other_destination,
        "destinations that are no agent, worker, WebSocket, number or echo",
        _DESTINATION_INSTEAD,
    ),
    NotBuilt(
        ("route", "*", "fallback", "*", "to"),
        _other_destination,
        "destinations that are no agent, worker, WebSocket, number or echo",
        _DESTINATION_INSTEAD,
    ),
    NotBuilt(("recording", "format"), _other_than("wav", "flac"), "recordings in Opus", "use flac or wav"),
    NotBuilt(
        ("agent", "*", "kind"),
        _other_than("offhook", "twilio", "worker", "livekit", "vapi", "retell", "elevenlabs", "openai-sip"),
        "agents of other kinds",
        "known: offhook, twilio, worker, livekit, vapi, retell, elevenlabs, openai-sip",
    ),
)


def find(data: Mapping[str, object]) -> Iterator[tuple[Path, object, NotBuilt]]:
    """Go through a file's raw values and yield each that stands in the table: where, what and its line."""
    for entry in NOT_BUILT:
        for path, value in _at(data, entry.where, ()):
            if entry.refuses(value):
                yield path, value, entry


def _at(data: object, where: Path, done: Path) -> Iterator[tuple[Path, object]]:
    if not where:
        yield done, data
        return
    head, rest = where[0], where[1:]
    if head == "*" and isinstance(data, (list, tuple)):
        for index, item in enumerate(data):
            yield from _at(item, rest, (*done, index))
    elif isinstance(data, Mapping) and head in data:
        yield from _at(data[head], rest, (*done, head))
