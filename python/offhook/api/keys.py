"""Keys to the API: programs that have one may place calls. Only their hashes are known here."""

import hashlib
import hmac
from collections.abc import Mapping


class ApiKeys:
    """`hashes` are the SHA-256 of the keys in hexadecimal, by the name of each."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {name: known.lower().encode() for name, known in hashes.items()}

    def owner(self, token: str) -> str | None:
        """The name of the key, None if it is none. It takes as long whichever it is."""
        offered = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(offered, known):
                found = name
        return found
