"""The gate's word on a call out: yes, by this trunk and as long as it lasts, or no and why."""

from dataclasses import dataclass
from typing import Protocol

from offhook.call.out.outbound import Permit
from offhook.call.out.wish import Wish
from offhook.ids import TrunkName
from offhook.route.trunk import Trunk


@dataclass(frozen=True, slots=True)
class Allowed:
    """The gate lets this number be dialled, by this trunk and under this number of ours."""

    trunk: Trunk
    number: str
    caller_id: str
    permit: Permit
    others: int = 0
    """How many other trunks might be taken instead."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The gate says no: `slug` is its rule, `hint` what would allow it, `retry_after` seconds where it is a limit."""

    slug: str
    why: str
    hint: str = ""
    retry_after: int | None = None
    trunk: TrunkName | None = None
    """The trunk that it is said of, one of the configuration: whoever asks may name any other."""


class Gatekeeper(Protocol):
    """Stands before everything that dials."""

    def judge(self, wish: Wish, now: float, without: frozenset[TrunkName] = frozenset()) -> Allowed | Denied:
        """Whether this may be dialled now, by none of the trunks `without`; an `Allowed` counts until its release."""
