"""Says in the summary which torture messages were read, so that a missing folder is never silent."""

import os

import pytest

FOLDERS = ("OFFHOOK_TORTURE_DIR", "OFFHOOK_SAMPLES_DIR")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write one line a folder."""
    for name in FOLDERS:
        folder = os.environ.get(name)
        said = f"raw files of {folder} were read" if folder else "is not set: only messages of our own were read"
        terminalreporter.write_line(f"{name}: {said}")
