"""What a measurement ran on, and of which code."""

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    fields: dict[str, str] = {}
    for line in _output("lscpu").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    threads = fields.get("Thread(s) per core", "?")
    host = f", guest of {fields['Hypervisor vendor']}" if "Hypervisor vendor" in fields else ""
    return f"{fields.get('CPU(s)', '?')} × {fields.get('Model name', 'unknown')} ({threads} thread(s) a core{host})"


def _memory() -> str:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return f"{int(line.split()[1]) / 1024 / 1024:.0f} GiB"
    return "unknown"


@dataclass(frozen=True)
class Machine:
    """The facts that a reader needs to repeat a measurement."""

    processor: str
    memory: str
    kernel: str
    python: str
    rustc: str
    commit: str
    dirty: bool

    @classmethod
    def here(cls) -> "Machine":
        """This machine and this working copy."""
        return cls(
            processor=_processor(),
            memory=_memory(),
            kernel=platform.release(),
            python=f"{platform.python_implementation()} {platform.python_version()}",
            rustc=_output("rustc", "--version").removeprefix("rustc "),
            commit=_output("git", "rev-parse", "--short=10", "HEAD") or "unknown",
            dirty=bool(_output("git", "status", "--porcelain", "--untracked-files=no")),
        )
