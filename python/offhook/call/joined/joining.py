"""What a call out has of the call that it is placed for, and will be joined to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from offhook.destination.base import Destination, DestinationListener
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.route.destination_uri import DestinationUri


@dataclass(frozen=True, slots=True)
class Joining:
    """The first of two calls that are to be joined, as the second one needs it.

    `make` makes the second call's destination, which is the first call. `beside` is the leg whose media thread both
    share. `max_forwards` is what is left of its hops, `session_uuid` the id of its caller (RFC 7989). `caller` is who
    called, as records have it, `dialled` whom. `agent` is the one that has asked for the second call, if one did, which
    its limits count it for; `setting` is the list of the trunk `trunk` that the target was found in already, or `agent`
    where an `[[agent]]` of the configuration is who is called. One that `is_local` is an extension there, or a phone
    that registers with us. One that `is_transfer` was counted as such before, for the trunk, the agent and the key.
    """

    call_id: CallId
    make: Callable[[DestinationListener], Destination]
    beside: RtpLeg
    max_forwards: int
    session_uuid: str
    caller: str
    dialled: str
    agent: DestinationUri | None = None
    trunk: str | None = None
    setting: Literal["dial_to", "transfer_to", "agent"] = "dial_to"
    is_local: bool = False
    is_transfer: bool = False

    @property
    def is_withheld(self) -> bool:
        """Whether the caller wants not to be known."""
        return self.caller in ("", "anonymous")
