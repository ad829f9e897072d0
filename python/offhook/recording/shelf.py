"""Where recordings lie: `YYYY/MM/DD/CALL.wav` by the day of their calls (UTC), a JSON file with the facts beside each.

What is being written is hidden (`.CALL.wav.part`) and becomes visible, whole, by a rename. What a dead process left
behind is made whole, or goes, when the next one starts. All names are made of our own ids.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from offhook.recording import container
from offhook.recording.container import Format
from offhook.recording.error import RecordingError
from offhook.recording.transcript import TranscriptFormat

if TYPE_CHECKING:
    from offhook.recording.envelope import WrappingKey

Facts = dict[str, Any]
"""What the JSON file says of a recording; docs/guides/recording.md lists it."""

DELETED_IN_A_STEP = 200
"""Files that one step of a sweep deletes at most."""

_ID = re.compile(r"[0-9a-z]{26}")
_FILE = re.compile(r"([0-9a-z]{26})\.(wav|flac)(\.enc)?")
_PART = re.compile(r"\.([0-9a-z]{26})\.(wav|flac)(\.enc)?\.part")
_WORDS_PART = re.compile(r"\.([0-9a-z]{26})\.(jsonl|vtt)(\.enc)?\.part")
_OURS = re.compile(r"[0-9a-z]{26}\.(wav|flac|json|jsonl|vtt)\b")
_WORDS = ("vtt", "jsonl", "vtt.enc", "jsonl.enc")
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording on the shelf. `facts` are empty if their file is missing or broken."""

    call_id: str
    path: Path
    facts: Facts

    @property
    def is_encrypted(self) -> bool:
        """Whether it takes a key to hear it."""
        return self.path.suffix == ".enc"

    @property
    def transcript(self) -> Path | None:
        """The transcript that lies beside it."""
        found = (path for path in _words_of(self.path) if path.exists())
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Found:
    """What a start found of a dead process: calls whose recordings were made whole, removed, or left as they are."""

    recovered: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


class Shelf:
    """A directory of recordings. Methods block for the disk and raise OSError; several processes may read it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None

    # -- writing, by one gateway

    def open(self) -> None:
        """Make the directory, and take it for this process. Raises `RecordingError` (`recording_directory`)."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise RecordingError(
                f"another gateway records into {self.directory}",
                hint="give each its own recording.directory",
                code="recording_directory",
            ) from error
        except OSError as error:
            raise RecordingError(
                f"recordings can't be written to {self.directory}: {error.strerror}",
                hint="check recording.directory and its rights",
                code="recording_directory",
            ) from error

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def part(self, call_id: str, format: Format, *, sealed: bool) -> Path:
        """Where the recording of a call is written before it is whole."""
        assert _ID.fullmatch(call_id), "paths are made of our own ids"
        return self.directory / f".{call_id}.{format}{'.enc' if sealed else ''}.part"

    def place(self, part: Path, started_at: datetime) -> Path:
        """Where it goes once it is."""
        return self.directory / f"{started_at:%Y/%m/%d}" / part.name[1 : -len(".part")]

    def note(self, part: Path, facts: Facts) -> None:
        """Keep the facts of a recording that goes on, for whoever finds it after a crash."""
        _write(_notes_of(part), json.dumps(facts).encode())

    def note_transcript(self, part: Path, format: TranscriptFormat, words: bytes, key: "WrappingKey | None") -> None:
        """Keep the transcript of a recording that goes on; it is published with it. Sealed if a key is given."""
        call_id = part.name[1:].partition(".")[0]
        place = self.directory / f".{call_id}.{format}{'.enc' if key is not None else ''}.part"
        if key is not None:
            # Its library takes a tenth of a second to load.
            from offhook.recording.envelope import seal

            words = seal(call_id, format, words, key)
        _write(place, words, sync=False)

    def publish(self, part: Path, facts: Facts, key: "WrappingKey | None") -> Facts | None:
        """Make a part whole and visible; its facts, or None if there was no sound in it, and then it is gone.

        Raises `RecordingError`, and then the part stays as it is.
        """
        named = _PART.fullmatch(part.name)
        assert named is not None, "parts have names of our own"
        format, sealed = cast(Format, named[2]), bool(named[3])
        if not part.exists():
            self._forget(part)
            return None
        if sealed:
            # Its library takes a tenth of a second to load.
            from offhook.recording.envelope import complete_sealed

            # How much there is in one that broke off is known to who opens it.
            samples, rate = int(facts.get("samples") or 0) if facts["complete"] else 0, int(facts.get("rate") or 0)
            if not complete_sealed(part, key):
                self._forget(part)
                return None
        else:
            sound = container.complete(part, format)
            samples, rate = sound.samples, sound.rate
        if not samples and not sealed:
            self._forget(part)
            return None
        started_at = datetime.fromisoformat(facts["started_at"])
        place = self.place(part, started_at)
        self._make(place.parent)
        facts = {
            **facts,
            "file": str(place.relative_to(self.directory)),
            "duration_ms": samples * 1000 // rate if rate and samples else None,
            "samples": samples or None,
            "bytes": part.stat().st_size,
            "sha256": _digest(part),
        }
        if (words := self._publish_transcript(part, place)) is not None:
            facts["transcript"] = {**(facts.get("transcript") or {}), **words}
        _write(_facts_of(place), json.dumps(facts, indent=1).encode() + b"\n")
        # From here on it is there.
        part.rename(place)
        _sync(place.parent)
        _notes_of(part).unlink(missing_ok=True)
        return facts

    def recover(self, key: "WrappingKey | None") -> Found:
        """Bring what a dead process left behind to its end. What can't be (for want of its key) is left and told."""
        for draft in self.directory.glob(".*.tmp"):
            draft.unlink()
        recovered: list[str] = []
        removed: list[str] = []
        left: list[tuple[str, str]] = []
        for part in sorted(self.directory.glob(".*.part")):
            named = _PART.fullmatch(part.name)
            if named is None:
                continue
            facts = _read_facts(_notes_of(part))
            if "started_at" not in facts:
                facts["started_at"] = datetime.fromtimestamp(part.stat().st_mtime, UTC).isoformat()
            facts |= {"version": 1, "call_id": named[1], "format": named[2], "complete": False, "recovered": True}
            facts.setdefault("error", "the gateway ended before the call did")
            try:
                done = self.publish(part, facts, key)
            except (RecordingError, OSError) as error:
                left.append((named[1], str(error)))
                continue
            (recovered if done is not None else removed).append(named[1])
        for words in self.directory.glob(".*.part"):
            # Of a recording that is whole already, or never was.
            named = _WORDS_PART.fullmatch(words.name)
            if named is not None and not any(map(_PART.fullmatch, self._hidden_of(named[1]))):
                words.unlink()
        for notes in self.directory.glob(".*.json"):
            # Of recordings that never became a file.
            if not any(self.directory.glob(f"{notes.name.removesuffix('.json')}.*.part")):
                notes.unlink()
        return Found(tuple(recovered), tuple(removed), tuple(left))

    def sweep(self, keep_days: float, now: datetime) -> tuple[int, bool]:
        """Delete what is older than that: how many, and whether more is to be done. At most a step's worth."""
        limit = (now - timedelta(days=keep_days)).date()
        deleted = 0
        for day, directory in self._days():
            # A day goes when the last of its calls is old enough.
            if day >= limit:
                break
            for path in sorted(directory.iterdir()):
                if deleted >= DELETED_IN_A_STEP:
                    return deleted, True
                if _OURS.match(path.name):
                    path.unlink()
                    deleted += 1
            self._leave(directory)
        return deleted, False

    # -- reading, by anybody

    def all(self) -> Iterator[Stored]:
        """Every recording, oldest day first."""
        for _, directory in self._days():
            for path in sorted(directory.iterdir()):
                if (named := _FILE.fullmatch(path.name)) is not None:
                    yield Stored(named[1], path, _read_facts(_facts_of(path)))

    def find(self, id_or_part: str) -> Stored:
        """One by the id of its call, its beginning or its end. Raises `RecordingError`."""
        part = id_or_part.strip().lower()
        fits = [one for one in self._names() if part and (one[0].startswith(part) or one[0].endswith(part))]
        if len(fits) > 1:
            some = ", ".join(call_id for call_id, _ in fits[:5])
            hint = "give more of its letters"
            raise RecordingError(f"{id_or_part!r} fits more than one recording: {some}", hint=hint, code="ambiguous")
        if not fits:
            hint = "`offhook recordings list` shows what there is"
            raise RecordingError(f"there is no recording of call {id_or_part!r}", hint=hint, code="recording_missing")
        call_id, path = fits[0]
        return Stored(call_id, path, _read_facts(_facts_of(path)))

    def delete(self, stored: Stored) -> None:
        """Delete a recording, its transcript and its facts."""
        stored.path.unlink(missing_ok=True)
        for words in _words_of(stored.path):
            words.unlink(missing_ok=True)
        _facts_of(stored.path).unlink(missing_ok=True)
        self._leave(stored.path.parent)

    def _names(self) -> Iterator[tuple[str, Path]]:
        for _, directory in self._days():
            for path in sorted(directory.iterdir()):
                if (named := _FILE.fullmatch(path.name)) is not None:
                    yield named[1], path

    def _days(self) -> Iterator[tuple[date, Path]]:
        for directory in sorted(self.directory.glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]")):
            with contextlib.suppress(ValueError):
                yield date(*map(int, directory.parts[-3:])), directory

    def _make(self, directory: Path) -> None:
        """Make directories down from ours, each for us alone."""
        if directory != self.directory:
            self._make(directory.parent)
            directory.mkdir(mode=0o700, exist_ok=True)

    def _publish_transcript(self, part: Path, place: Path) -> Facts | None:
        """Bring the transcript to its place beside the recording's; what is to be said of it, None if there is none.

        It is told of, not raised, where that can't be: the sound is to be had all the same.
        """
        call_id = part.name[1:].partition(".")[0]
        try:
            for hidden in self._hidden_of(call_id):
                if _WORDS_PART.fullmatch(hidden):
                    (self.directory / hidden).rename(place.parent / hidden[1 : -len(".part")])
            for words in _words_of(place):
                if words.exists():
                    file = str(words.relative_to(self.directory))
                    return {"file": file, "bytes": words.stat().st_size, "sha256": _digest(words)}
        except OSError as error:
            return {"error": error.strerror}
        return None

    def _hidden_of(self, call_id: str) -> list[str]:
        return [path.name for path in self.directory.glob(f".{call_id}.*.part")]

    def _forget(self, part: Path) -> None:
        part.unlink(missing_ok=True)
        for hidden in self._hidden_of(part.name[1:].partition(".")[0]):
            if _WORDS_PART.fullmatch(hidden):
                (self.directory / hidden).unlink()
        _notes_of(part).unlink(missing_ok=True)

    def _leave(self, directory: Path) -> None:
        """Remove directories that are empty now, up to ours."""
        while directory != self.directory:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent


def export(stored: Stored, to: Path, key: "WrappingKey | None") -> None:
    """Write a recording in the clear, as a file that any player takes. Raises `RecordingError`, OSError.

    `to` appears whole or not at all, readable by its owner alone.
    """
    draft = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            content, pieces = _content(stored, key)
            for piece in pieces:
                out.write(piece)
        container.complete(draft, content)
        draft.rename(to)
    finally:
        draft.unlink(missing_ok=True)


def _content(stored: Stored, key: "WrappingKey | None") -> tuple[Format, Iterator[bytes]]:
    if stored.is_encrypted:
        from offhook.recording.envelope import open_sealed

        envelope, pieces = open_sealed(stored.path, key)
        return cast(Format, envelope.content), pieces
    return cast(Format, stored.path.suffix[1:]), _plain(stored.path)


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_READ):
            yield piece


def read_transcript(stored: Stored, key: "WrappingKey | None") -> str:
    """The transcript beside a recording, in the clear. Raises `RecordingError`, OSError."""
    path = stored.transcript
    if path is None:
        said = stored.facts.get("transcript") or {}
        silent = ", ".join(said.get("silent_agents") or ())
        hint = f"{silent} told no words" if silent else "recording.transcript in the configuration makes them"
        raise RecordingError(f"there is no transcript of call {stored.call_id}", hint=hint, code="recording_missing")
    if path.suffix != ".enc":
        return path.read_text("utf-8")
    from offhook.recording.envelope import open_sealed

    return b"".join(open_sealed(path, key)[1]).decode()


def beside(place: Path, format: TranscriptFormat) -> Path:
    """Where the transcript of a recording lies: its name, another ending. Encrypted if the recording is."""
    return place.with_name(f"{place.name.partition('.')[0]}.{format}{'.enc' if place.suffix == '.enc' else ''}")


def _words_of(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name.partition('.')[0]}.{ending}") for ending in _WORDS]


def _facts_of(path: Path) -> Path:
    return path.with_name(f"{path.name.partition('.')[0]}.json")


def _notes_of(part: Path) -> Path:
    return part.with_name(f".{part.name[1:].partition('.')[0]}.json")


def _read_facts(path: Path) -> Facts:
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _digest(path: Path) -> str:
    """SHA-256 of what is on the disk, which is sure to be there afterwards."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes, *, sync: bool = True) -> None:
    draft = path.with_name(f"{path.name}.tmp")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    draft.rename(path)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def utc(clock: Callable[[], float] = time.time) -> datetime:
    """Now, in UTC."""
    return datetime.fromtimestamp(clock(), UTC)
