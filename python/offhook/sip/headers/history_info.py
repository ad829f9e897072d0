"""History-Info (RFC 7044): the addresses that a request was sent to one after the other, and why it went on."""

import re
from dataclasses import dataclass

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.grammar import excerpt, fail
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.headers.privacy import Privacy
from offhook.sip.headers.reason import Reason
from offhook.sip.uri import SipUri, TelUri

_INDEX = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,15}")


@dataclass(frozen=True, slots=True)
class HistoryInfo:
    """One entry. `index` gives its place in the tree of targets: (1, 1) came of (1,). () if it has none."""

    address: NameAddr
    index: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 <= number <= 9999 for number in self.index) or len(self.index) > 16:
            raise LocalProtocolError("an index is at most 16 numbers below 10,000")

    @classmethod
    def parse(cls, text: str) -> "HistoryInfo":
        """Parse one entry; a broken index is refused."""
        address = NameAddr.parse(text)
        index = address.params.get("index")
        if index is not None and _INDEX.fullmatch(index) is None:
            fail(f"no index of History-Info: {excerpt(index)}")
        return cls(address, _numbers(index))

    @property
    def cause(self) -> int | None:
        """The SIP status for which the request was sent here: the URI's `cause` parameter (RFC 4458)."""
        uri = self.address.uri
        said = uri.params.get("cause") if isinstance(uri, SipUri | TelUri) else None
        return int(said) if said and said.isascii() and said.isdigit() and len(said) == 3 else None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the request went on from here: the Reason that is escaped into the URI."""
        return tuple(reason for text in self._escaped("reason") if (reason := _reason(text)) is not None)

    @property
    def is_retargeted(self) -> bool:
        """Whether this entry is a new target of the call (`mp`), not another address of the one before it (`rc`)."""
        return "mp" in self.address.params

    @property
    def mapped_from(self) -> tuple[int, ...]:
        """The index of the entry that this one is a new target of, () if it does not say."""
        return _numbers(self.address.params.get("mp"))

    @property
    def is_same_user(self) -> bool:
        """Whether it is an address of the entry that it came of: a contact (`rc`), or the same one again (`np`)."""
        params = self.address.params
        return "rc" in params or "np" in params

    @property
    def is_private(self) -> bool:
        """Whether this entry must not be shown: a Privacy of `history`, `header` or `session` is escaped into it."""
        for text in self._escaped("privacy"):
            try:
                if not {"history", "header", "session", "user", "id"}.isdisjoint(Privacy.parse(text).values):
                    return True
            except RemoteProtocolError:
                return True
        return False

    def _escaped(self, name: str) -> list[str]:
        uri = self.address.uri
        headers = uri.headers if isinstance(uri, SipUri) else ()
        return [value for have, value in headers[:8] if have.lower() == name]

    def __str__(self) -> str:
        return str(self.address)


def _numbers(index: str | None) -> tuple[int, ...]:
    return tuple(map(int, index.split("."))) if index and _INDEX.fullmatch(index) is not None else ()


def _reason(text: str) -> Reason | None:
    try:
        return Reason.parse(text)
    except RemoteProtocolError:
        return None
