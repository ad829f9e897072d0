"""Models that come in no package of ours: which there are, where they lie, whether they are what was tested.

`models.json` is the list. Each model is a directory of files, each held to its SHA-256; `offhook.speech.fetch` brings
them there. The directory is `$OFFHOOK_MODELS`, else `offhook/models` in the user's cache (`$XDG_CACHE_HOME`).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from offhook.speech.errors import SpeechError

State = Literal["there", "broken", "absent"]

# A name becomes a path: it is letters, digits and the marks between them, and no way out of its directory.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive (a wheel of the Python index) with some of a model's files in it."""

    url: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """What it is called where it lies."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. `parts` are the archives' members that it is put together of: archive's index, member."""

    name: str
    bytes: int
    sha256: str
    parts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it was tested. `use` says what it is for, and how an agent asks for it."""

    name: str
    use: str
    made_by: str
    licence: str
    archives: tuple[Archive, ...]
    files: tuple[ModelFile, ...]

    @property
    def download_bytes(self) -> int:
        """What has to be fetched."""
        return sum(archive.bytes for archive in self.archives)

    @property
    def bytes(self) -> int:
        """What it takes on the disk, once it is there."""
        return sum(file.bytes for file in self.files)


@cache
def catalogue() -> Mapping[str, Model]:
    """All models by name."""
    return read_catalogue(Path(__file__).with_name("models.json").read_bytes())


def read_catalogue(text: bytes) -> Mapping[str, Model]:
    """The models of a list like `models.json`. Raises ValueError, KeyError or TypeError where it is none."""
    return {name: _model(name, said) for name, said in json.loads(text).items()}


def named(name: str, models: Mapping[str, Model] | None = None) -> Model:
    """The model of this name. Raises `SpeechError` (`speech_refused`) with the names that there are."""
    known = catalogue() if models is None else models
    if name not in known:
        raise SpeechError(f"no model {name!r}", code="speech_refused", hint=f"known: {', '.join(known)}")
    return known[name]


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where models lie on this machine."""
    if own := environ.get("OFFHOOK_MODELS"):
        return Path(own).expanduser()
    shared = environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored, says the specification of these variables.
    return (Path(shared) if shared.startswith("/") else Path.home() / ".cache") / "offhook" / "models"


def state(model: Model, within: Path) -> State:
    """Whether it is there, as far as names and sizes tell."""
    if not (within / model.name).is_dir():
        return "absent"
    return "broken" if any(_size(within / model.name / file.name) != file.bytes for file in model.files) else "there"


def faults(model: Model, within: Path) -> Iterator[str]:
    """What is wrong with its files, each by its name; nothing if all are what was tested. Reads them whole."""
    for file in model.files:
        path = within / model.name / file.name
        try:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            yield f"{path}: {error.strerror}"
            continue
        if digest != file.sha256:
            yield f"{path} is not what was tested (its SHA-256 differs)"


def folder(name: str, *, engine: str) -> Path:
    """The directory of a model. Raises `SpeechError` (`speech_missing`) where it has not been pulled."""
    model, within = named(name), directory()
    if state(model, within) == "absent":
        raise SpeechError(
            f"the speech engine {engine!r} needs the model {name!r}, which is not in {within}",
            code="speech_missing",
            hint=f"offhook models pull {name} ({model.download_bytes / 1e6:.0f} MB, once)",
        )
    return within / name


def checked_folder(name: str, *, engine: str) -> Path:
    """The same, its files held to their checksums: reads them whole. Raises `speech_model_wrong`, too."""
    found = folder(name, engine=engine)
    for fault in faults(named(name), found.parent):
        hint = f"fetch it anew: offhook models pull {name}"
        raise SpeechError(f"{engine}: {fault}", code="speech_model_wrong", hint=hint)
    return found


def _model(name: str, said: dict[str, Any]) -> Model:
    archives = tuple(Archive(str(a["url"]), _count(a["bytes"]), _digest(a["sha256"])) for a in said["archives"])
    files = []
    for file in said["files"]:
        parts = tuple((int(archive), str(member)) for archive, member in file["parts"])
        if not all(0 <= archive < len(archives) for archive, _ in parts):
            raise ValueError(f"{name}: a part of {file['name']} is of no archive")
        files.append(ModelFile(_name(file["name"]), _count(file["bytes"]), _digest(file["sha256"]), parts))
    use, made_by, licence = (str(said[key]) for key in ("use", "made_by", "licence"))
    return Model(_name(name), use, made_by, licence, archives, tuple(files))


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or ".." in text:
        raise ValueError(f"{text!r} is no name of a file")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is no SHA-256")
    return text


def _count(number: int) -> int:
    if number < 0:
        raise ValueError("a size is not negative")
    return int(number)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
