"""What an engine needs of other packages: found by name, held to its checksum, or a plain word why it is not there."""

import hashlib
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from offhook.speech.errors import SpeechError

_LINES = {extra: f"pip install 'offhook[{extra}]'" for extra in ("agent", "agent-plus", "openai")}


def module(name: str, *, engine: str, extra: str) -> ModuleType:
    """The module `name`, which comes with the extra. Raises `SpeechError` (`speech_missing`) with the line to type."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing(engine, name.partition(".")[0], extra, error) from error


def folder(name: str, *, engine: str, extra: str) -> Path:
    """Where the package `name` is, without importing it. Raises as `module`."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise missing(engine, name, extra)
    return Path(found.submodule_search_locations[0])


def checked(path: Path, sha256: str, *, engine: str) -> bytes:
    """The file's bytes. Raises `SpeechError` (`speech_model_wrong`) where they are not those that were tested."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpeechError(
            f"{engine}: {path} can't be read: {error.strerror}",
            code="speech_model_wrong",
            hint="the package's version carries no model: install the one that the extra pins",
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SpeechError(
            f"{engine}: {path} is not the model that it should be (its SHA-256 differs)",
            code="speech_model_wrong",
            hint="install the version that the extra pins, or look who changed the file",
        )
    return data


def missing(engine: str, package: str, extra: str, error: ImportError | None = None) -> SpeechError:
    """The error for a package that is not there, or that doesn't load."""
    why = f": {error}" if error is not None and error.name != package else ""
    return SpeechError(
        f"the speech engine {engine!r} needs the package {package!r}, which is not installed{why}",
        code="speech_missing",
        hint=_LINES[extra],
    )
