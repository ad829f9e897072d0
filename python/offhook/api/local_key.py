"""The key to this gateway's own API: a file that only its user can read.

A command on the gateway's machine finds there where the gateway listens and what opens it, so that nobody has to set a
password before the first question can be asked.
"""

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Self

FILE = "gateway.json"
"""Its name in the gateway's data directory."""


@dataclass(frozen=True, slots=True)
class LocalKey:
    """`url` is where this machine reaches the gateway, `token` what it has to send as `Authorization: Bearer …`."""

    url: str
    token: str = field(repr=False)

    @staticmethod
    def new_token() -> str:
        """A token that nobody guesses."""
        return secrets.token_urlsafe(32)

    @classmethod
    def find(cls, directory: Path) -> Self | None:
        """The key that a gateway has left in its data directory; None where there is none.

        Raises OSError where there is one that we may not read.
        """
        try:
            read = json.loads((directory / FILE).read_bytes())
            return cls(str(read["url"]), str(read["token"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None

    def leave(self, directory: Path) -> None:
        """Write it down for commands of this user. What the system refuses raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        draft = directory / f".{FILE}.{os.getpid()}"
        # Left over from a process of that number that was killed just here.
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"url": self.url, "token": self.token}, file)
        draft.replace(directory / FILE)

    def take_away(self, directory: Path) -> None:
        """Remove it, unless the key of another gateway is there by now."""
        with contextlib.suppress(OSError):
            if LocalKey.find(directory) == self:
                (directory / FILE).unlink()


def own_url(address: tuple[str, int], scheme: str = "http") -> str:
    """Where a process of this machine reaches a listener."""
    host, port = address
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
