"""The `openssl` program as a peer: a TLS client or server that is not ours, with every option of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificates import Issued
from .gateway import wait_until

APT = "sudo apt-get install openssl"
OLD = ("-cipher", "DEFAULT:@SECLEVEL=0")
"""Lets OpenSSL speak what it would not by itself."""


def openssl() -> str:
    """The program; fails by name where it is missing."""
    found = shutil.which("openssl")
    assert found, f"openssl is missing: {APT}"
    return found


@contextmanager
def s_server(directory: Path, port: int, own: Issued, *options: str) -> Iterator[Path]:
    """`openssl s_server` on a port of loopback, with that certificate; the file that it prints into."""
    certificate, key = own.write(directory, "s_server")
    log = directory / "s_server.log"
    command = [
        openssl(), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate), "-key", str(key),
        "-naccept", "20", *options,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        wait_until(lambda: b"ACCEPT" in log.read_bytes(), 30, lambda: log.read_text(errors="replace"))
        yield log
    finally:
        process.kill()
        process.communicate()


class Client:
    """`openssl s_client` towards a gateway; what is written to it goes through TLS.

    Unless it is `quiet`, it says what it sees, and takes a line with `R` or `Q` alone as a command.
    """

    def __init__(self, address: tuple[str, int], *options: str, quiet: bool = True) -> None:
        how = ("-quiet",) if quiet else ()
        self._process = subprocess.Popen(
            [openssl(), "s_client", "-connect", f"{address[0]}:{address[1]}", *how, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else subprocess.STDOUT,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def write(self, data: bytes) -> None:
        """Send through TLS."""
        assert self._process.stdin is not None, "a pipe"
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def read_until(self, mark: bytes) -> bytes:
        """Read up to a mark."""
        assert self._process.stdout is not None, "a pipe"
        data = b""
        while mark not in data:
            byte = self._process.stdout.read(1)
            assert byte, f"it ended: {data.decode(errors='replace')}"
            data += byte
        return data

    def end(self, within: float = 40.0) -> str:
        """Wait until it has ended by itself, and give all that it said."""
        try:
            said, complained = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, complained = self._process.communicate()
            raise AssertionError(f"openssl s_client goes on: {said!r} {complained!r}") from None
        return (said + (complained or b"")).decode(errors="replace")
