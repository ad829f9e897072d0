"""Fields on which nothing depends: read as far as they can be read, bounded, and never a reason to refuse a message."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from offhook.errors import RemoteProtocolError
from offhook.sip.grammar import split_commas
from offhook.sip.headers.names import LISTS, header_key

if TYPE_CHECKING:
    from offhook.sip.message import Headers

MAX_READ: Final = 32
"""Lines of a field that are looked at, and values that are kept."""

T = TypeVar("T")


def readable(headers: "Headers", name: str, parse: Callable[[str], T], limit: int = MAX_READ) -> tuple[T, ...]:
    """The first values of a field that can be read, in their order; what can't is left out."""
    found: list[T] = []
    is_list = header_key(name) in LISTS
    for line in headers.get_all(name)[:MAX_READ]:
        try:
            texts = split_commas(line) if is_list else [line]
        except RemoteProtocolError:
            # A quote or bracket stays open: where the next value begins nobody knows.
            continue
        for text in texts:
            if len(found) >= limit:
                return tuple(found)
            try:
                found.append(parse(text))
            except RemoteProtocolError:
                continue
    return tuple(found)
