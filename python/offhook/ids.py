"""Identifiers with types of their own, so that a call's id can't be passed where a leg's is meant."""

import secrets
import time
from typing import NewType

CallId = NewType("CallId", str)
"""One call of ours, sortable by time. Not the SIP Call-ID, which is `sip_call_id` everywhere outside `sip/`."""

LegId = NewType("LegId", int)
"""One RTP leg of the media engine, unique within a process."""

WireId = NewType("WireId", int)
"""One agent connection of the media engine, unique within a process."""

RecordingId = NewType("RecordingId", int)
"""One recording of the media engine, unique within a process."""

MuxId = NewType("MuxId", int)
"""One connection of a worker, unique within a process."""

TrunkName = NewType("TrunkName", str)
"""The `name` of a `[[trunk]]`."""

RouteName = NewType("RouteName", str)
"""The `name` of a `[[route]]`."""


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_call_id() -> CallId:
    """Make an id of 26 characters whose order is the order of creation (48 bits of milliseconds, 80 of chance)."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return CallId("".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5)))


def made_at(call_id: str) -> int | None:
    """When an id of a call was made, in milliseconds since 1970, UTC; None of what is no whole id."""
    if len(call_id) != 26 or not set(call_id) <= set(_ALPHABET):
        return None
    return sum(_ALPHABET.index(letter) << 5 * place for place, letter in enumerate(reversed(call_id))) >> 80
