"""The timeline of one call: every SIP message, SDP decision, agent event and state, bounded and compact."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from offhook.errors import OffhookError
from offhook.ids import CallId

Kind = Literal["sip", "sdp", "agent", "media", "state", "note"]
KINDS: tuple[Kind, ...] = ("sip", "sdp", "agent", "media", "state", "note")

MAX_ENTRIES = 400
MAX_TEXT = 8_192
MAX_ALL_TEXT = 512 * 1024
_MAX_DECODED_BYTES = 64 * 1024 * 1024
_REPEAT_WINDOW = 12
_JSON = json.JSONEncoder(separators=(",", ":"))

_SECRET_HEADER = re.compile(r"(?im)^((?:proxy-)?authorization[ \t]*:[ \t]*)(\S*)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
SECRET_WORDS = ("token", "secret", "passw", "api-key", "api_key", "apikey", "credential", "cookie")
"""What the name of a header holds, in lower case, whose value is nobody else's to read."""

_NAMED_SECRET = re.compile(
    rf"(?im)^([\w.-]{{0,64}}(?:{'|'.join(SECRET_WORDS)})[\w.-]{{0,64}}[ \t]*:[ \t]*)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*"
)
# A line that no key can be read from may hold one all the same, so of its words only those stay that can't be a key.
_CRYPTO = re.compile(r"(?im)(?<![^\r\n])([ \t]*a=[ \t]*crypto[ \t]*:[ \t]*)([^\r\n]*)")
_CRYPTO_WORD = re.compile(r"[0-9]{1,9}|[A-Z0-9]{1,16}_[A-Z0-9_]{1,48}|(?:KDR|WSH)=[0-9]{1,9}")
_LIFETIME = re.compile(r"(?:\|[0-9^]{1,16})?(?:\|[0-9]{1,10}:[0-9]{1,4})?\Z")
_SECRET_KEY = re.compile(r"(?im)(inline:|(?<![^\r\n])k=)[^\s|;]+")


@dataclass(slots=True)
class Entry:
    """One thing that happened: `at_ms` after the start of the timeline, what, and the details of its kind.

    `repeats` counts identical messages that followed, the last of them at `repeated_ms`: retransmissions.
    """

    at_ms: float
    kind: Kind
    fields: dict[str, Any] = field(default_factory=dict)
    repeats: int = 0
    repeated_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """All of it as one flat mapping, fit for JSON."""
        found: dict[str, Any] = {"at_ms": self.at_ms, "kind": self.kind, **self.fields}
        if self.repeats:
            found["repeats"] = self.repeats
            found["repeated_ms"] = self.repeated_ms
        return found


class Timeline:
    """What happened in one call, in order. Past `limit` entries the middle is dropped and counted in `dropped`.

    The first three quarters of the limit and the last quarter are kept: how a call began and how it ended. SIP
    messages are kept whole up to 512 KiB together, after that their first lines only.
    """

    def __init__(self, call_id: CallId, limit: int = MAX_ENTRIES, *, started: float | None = None) -> None:
        assert limit >= 4, "a timeline keeps a beginning and an end"
        self.call_id = call_id
        self.started = started
        self.shows_digits = False
        """Whether it may say which keys are pressed."""
        self.dropped = 0
        self._first: list[Entry] = []
        self._first_limit = limit - limit // 4
        # Lists and no deques, whose first block alone is half a kilobyte in each call.
        self._last: list[Entry] = []
        self._last_limit = limit // 4
        self._recent_sip: list[Entry] = []
        self._text_left = MAX_ALL_TEXT

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What was kept, in order."""
        return (*self._first, *self._last)

    def add(self, kind: Kind, at: float, **fields: Any) -> Entry:
        """Add an entry at `at` (monotonic seconds). Fields hold what JSON can; texts are cut at 8,192 characters.

        `note` says it in words. `direction` makes an arrow of an agent's entry: "out" to the agent, "in" from it.
        Further fields stand behind the note; those that end in `_ms` are milliseconds.
        """
        if self.started is None:
            self.started = at
        entry = Entry(self._offset_ms(at), kind, {name: _plain(value) for name, value in fields.items()})
        if len(self._first) < self._first_limit:
            self._first.append(entry)
        else:
            self._last.append(entry)
            if len(self._last) > self._last_limit:
                del self._last[0]
                self.dropped += 1
        return entry

    def add_sip(
        self,
        at: float,
        direction: Literal["in", "out"],
        message: bytes,
        *,
        transport: str,
        remote: str,
        local: str = "",
    ) -> Entry:
        """Add a SIP message as it was on the wire (`remote` and `local` are `host:port`), with its secrets masked.

        One that is identical to a recent one of the same direction and peer is counted there as a repeat.
        """
        text = mask(message[: 4 * MAX_TEXT].decode("utf-8", "backslashreplace"))[:MAX_TEXT]
        for recent in self._recent_sip:
            known = recent.fields
            if (known["text"], known["direction"], known["remote"]) == (text, direction, remote):
                recent.repeats += 1
                recent.repeated_ms = self._offset_ms(at)
                return recent
        first_line = text.partition("\n")[0].rstrip("\r")
        self._text_left -= len(text)
        entry = self.add(
            "sip",
            at,
            direction=direction,
            first_line=first_line,
            cseq=_header(text, "cseq"),
            transport=transport,
            remote=remote,
            local=local,
            text=text if self._text_left >= 0 else first_line,
        )
        self._recent_sip.append(entry)
        del self._recent_sip[:-_REPEAT_WINDOW]
        return entry

    def _offset_ms(self, at: float) -> float:
        return round((at - (at if self.started is None else self.started)) * 1000, 2)

    def as_dict(self) -> dict[str, Any]:
        """The whole timeline, fit for JSON."""
        return {
            "call_id": self.call_id,
            "dropped": self.dropped,
            "entries": [entry.as_dict() for entry in self.entries],
        }

    def encode(self) -> bytes:
        """The timeline as compressed JSON."""
        return zlib.compress(_JSON.encode(self.as_dict()).encode("ascii"), 5)

    @classmethod
    def decode(cls, data: bytes) -> "Timeline":
        """Read what `encode` wrote; OffhookError with code `timeline_damaged` if it can't be read."""
        try:
            reader = zlib.decompressobj()
            text = reader.decompress(data, _MAX_DECODED_BYTES)
            if reader.unconsumed_tail:
                raise ValueError("it is larger than a timeline can be")
            stored = json.loads(text)
            entries = [_entry(item) for item in stored["entries"]]
            timeline = cls(CallId(str(stored["call_id"])), max(4, len(entries) * 2), started=0.0)
            timeline.dropped = int(stored["dropped"])
            timeline._first = entries
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OffhookError(f"the timeline can't be read: {error}", code="timeline_damaged") from error
        return timeline


def mask(message: str) -> str:
    """Take the secrets out of a SIP message: credentials, headers that are secret by name, keys of encrypted media."""
    if _has_no_secret(message):
        return message
    message = _SECRET_HEADER.sub(r"\1\2 ***", message)
    message = _NAMED_SECRET.sub(r"\1***", message)
    message = _CRYPTO.sub(lambda line: line[1] + " ".join(map(_without_key, line[2].split())), message)
    return _SECRET_KEY.sub(r"\1***", message)


_SIGNS = ("authorization", *SECRET_WORDS, "crypto", "inline:", "\nk=", "\rk=")


def _has_no_secret(message: str) -> bool:
    """Whether nothing can be in it for the patterns, which take longer than all the rest of writing a message down."""
    if not message.isascii():
        # There are letters that are an s, an i or a k to the patterns when case does not matter.
        return False
    text = "\n" + message.lower()
    return not any(sign in text for sign in _SIGNS)


def _without_key(word: str) -> str:
    """One word of an `a=crypto` line: itself if it can be no key, else the place of the key and its lifetime."""
    if _CRYPTO_WORD.fullmatch(word):
        return word
    if not word.lower().startswith("inline:"):
        return "***"
    lifetime = _LIFETIME.search(word)
    return f"inline:***{lifetime[0] if lifetime else ''}"


def _header(text: str, name: str) -> str:
    for line in text.split("\n"):
        title, colon, value = line.partition(":")
        if colon and title.strip().lower() == name:
            return value.strip()[:80]
        if not line.strip():
            break
    return ""


def _plain(value: Any) -> Any:
    """What JSON can hold, without lone surrogates, so that every reader takes the output."""
    if isinstance(value, str):
        if value.isascii():
            return value[:MAX_TEXT]
        return value[:MAX_TEXT].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(_plain(str(name))): _plain(item) for name, item in list(value.items())[:100]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:100]]
    return _plain(str(value))


def _entry(item: Mapping[str, Any]) -> Entry:
    own = ("at_ms", "kind", "repeats", "repeated_ms")
    details = {name: value for name, value in item.items() if name not in own}
    return Entry(float(item["at_ms"]), item["kind"], details, int(item.get("repeats", 0)), item.get("repeated_ms"))
