"""The build backend: maturin, after a plain word where Rust or a C compiler is missing.

maturin alone would try to download a Rust toolchain, which fails obscurely in a closed network.
"""

import os
import re
import shutil
import subprocess
import sys

import maturin as _maturin

RUST_MINIMUM = (1, 88)
"""The same as `rust-version` in Cargo.toml; the media core uses edition 2024 with let chains."""


def missing_tools() -> list[str]:
    """Name what the build lacks, one plain sentence each; empty when all is there."""
    problems = []
    wanted = ".".join(map(str, RUST_MINIMUM))
    cargo, rustc = shutil.which("cargo"), shutil.which("rustc")
    if cargo is None or rustc is None:
        problems.append(
            f"Rust is missing: the media core needs Rust {wanted} or newer to build. Install it from https://rustup.rs "
            "or your distribution, or install a wheel (`make wheel` on a machine with Rust), which needs none."
        )
    else:
        said = subprocess.run([rustc, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
        found = re.match(r"rustc (\d+)\.(\d+)", said)
        if found and (int(found[1]), int(found[2])) < RUST_MINIMUM:
            problems.append(f"Rust {found[1]}.{found[2]} is too old: {wanted} or newer is needed (`rustup update`).")
    compiler = os.environ.get("CC", "cc")
    if not any(shutil.which(name) for name in (compiler.split()[0], "gcc", "clang")):
        problems.append("A C compiler is missing (for the TLS library): install gcc or clang, or set CC.")
    return problems


def _check() -> None:
    problems = missing_tools()
    if problems:
        sys.exit("\n".join(["", "offhook can't be built here:", *(f"  * {problem}" for problem in problems), ""]))


def get_requires_for_build_wheel(config_settings=None):
    _check()
    return []


def get_requires_for_build_editable(config_settings=None):
    _check()
    return []


def get_requires_for_build_sdist(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _check()
    return _maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _check()
    return _maturin.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    return _maturin.build_sdist(sdist_directory, config_settings)


if __name__ == "__main__":
    _check()
