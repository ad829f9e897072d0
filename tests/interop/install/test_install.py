"""The package as a user installs it: from a wheel where there is no Rust, from source, and beside agent frameworks."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.agents_python import agents_python
from tests.support.gateway import REPOSITORY

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def run(command: list[str], environ: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=dict(environ), cwd=directory, capture_output=True, text=True, timeout=580, check=False
    )


def environ(path: str) -> dict[str, str]:
    """This process's environment with another PATH, and without what would let our tree be found in another way."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OFFHOOK_CONFIG", "CC")}
    return {**kept, "PATH": path}


def built_already() -> Path | None:
    """The wheel that `make test` has built for the agents' environment, if nothing that is in one has changed since."""
    wheels = sorted((agents_python().parents[1] / "wheel").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        return None
    made = [REPOSITORY / name for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml", "README.md")]
    made += [path for folder in ("rust", "python", "tools") for path in (REPOSITORY / folder).rglob("*")]
    changed = [path for path in made if path.is_file() and path.suffix not in (".pyc", ".so")]
    return wheels[-1] if max(path.stat().st_mtime for path in changed) < wheels[-1].stat().st_mtime else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` makes."""
    found = built_already()
    if found is None:
        assert shutil.which("cargo"), "cargo is missing: install Rust from https://rustup.rs"
        out = tmp_path_factory.mktemp("wheel")
        built = run([sys.executable, "-m", "maturin", "build", "--release", "--out", str(out)], os.environ, REPOSITORY)
        assert built.returncode == 0, built.stderr
        (found,) = out.glob("*.whl")
    assert "-abi3-" in found.name, "one wheel for every Python from 3.11 on"
    return found


def test_a_wheel_runs_where_there_is_no_rust(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "env"
    venv.create(home)
    bin_ = home / "bin"
    without_rust = environ(str(bin_))
    pip = [sys.executable, "-m", "pip", "--python", str(bin_ / "python"), "install", "--quiet", "--no-compile"]
    done = run([*pip, str(wheel)], without_rust, tmp_path)
    assert done.returncode == 0, done.stderr

    said = run([str(bin_ / "offhook"), "version"], without_rust, tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("offhook ")

    (tmp_path / "offhook.toml").write_text(
        '[[trunk]]\nname = "acme"\nallow = ["192.0.2.0/24"]\n[[route]]\nname = "all"\ndestination = "echo:welcome"\n'
    )
    checked = run([str(bin_ / "offhook"), "check"], without_rust, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    # The core is in it, and so is what it needs from the package: the prompt.
    prompt = "from offhook import _media; from offhook.destination.echo import prompt; print(len(prompt('welcome')[0]))"
    loaded = run([str(bin_ / "python"), "-c", prompt], without_rust, tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) > 10_000


def tools(directory: Path, **programs: str | None) -> str:
    """A PATH with these programs alone: a shell script for each, or the system's own for None."""
    directory.mkdir()
    for name, script in programs.items():
        if script is None:
            found = shutil.which(name)
            assert found, name
            (directory / name).symlink_to(found)
        else:
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.parametrize(
    ("programs", "missing"),
    [
        ({"cc": None}, "Rust is missing"),
        ({"cc": None, "cargo": "/bin/false", "rustc": "echo 'rustc 1.70.0 (abc 2023-06-01)'"}, "Rust 1.70 is too old"),
        ({"cargo": "/bin/false", "rustc": "echo 'rustc 1.99.0 (abc 2026-06-01)'"}, "A C compiler is missing"),
    ],
)
def test_a_build_without_its_tools_says_plainly_what_is_missing(
    tmp_path: Path, programs: dict[str, str | None], missing: str
) -> None:
    path = tools(tmp_path / "bin", **programs)
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", str(REPOSITORY)]
    done = run([*command, "--wheel-dir", str(tmp_path / "out")], environ(path), tmp_path)
    assert done.returncode != 0
    assert "offhook can't be built here" in done.stdout + done.stderr
    assert missing in done.stdout + done.stderr


def test_it_installs_beside_the_frameworks_that_its_users_have(tmp_path: Path) -> None:
    python = str(agents_python())
    alone = environ(os.environ["PATH"])
    imports = "import offhook, offhook._media, pipecat, livekit.agents, agents; print(offhook.__file__)"
    loaded = run([python, "-c", imports], alone, tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert "site-packages" in loaded.stdout, "the installed package, not the tree"
    checked = run([python, "-m", "pip", "check"], alone, tmp_path)
    assert checked.returncode == 0, checked.stdout
    said = run([python, "-m", "offhook", "version"], alone, tmp_path)
    assert said.returncode == 0, said.stderr
