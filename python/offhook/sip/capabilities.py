"""What we say that we can do, peer by peer: Allow and Supported (RFC 3261 sections 20.5 and 20.37)."""

from collections.abc import Sequence
from dataclasses import dataclass

from offhook.sip.session_core import HeaderList

REFER: HeaderList = (("Allow-Events", "refer"),)
"""Said where REFER is served, besides its place in Allow (RFC 6665 section 8.2.2)."""


@dataclass(frozen=True, slots=True)
class Made:
    """What one peer is told, and held to."""

    allow: frozenset[str]
    allow_header: str
    extensions: frozenset[str]
    headers: HeaderList


class Capabilities:
    """The methods and extensions of a user agent.

    A peer may do without some extensions: its `unused_extensions`, if it has such an attribute, are neither offered to
    it nor taken from it. REFER is served to those whose `may_refer` is true, REGISTER to those that have `phones`.
    """

    __slots__ = ("_allow", "_made", "_supported")

    def __init__(self, allow: Sequence[str], supported: Sequence[str]) -> None:
        self._allow = tuple(allow)
        self._supported = tuple(supported)
        self._made: dict[tuple[frozenset[str], bool, bool], Made] = {}

    def extensions(self, peer: object) -> frozenset[str]:
        """The option tags that are used with a peer."""
        return self.of(peer).extensions

    def headers(self, peer: object) -> HeaderList:
        """Allow and Supported, as a peer gets them."""
        return self.of(peer).headers

    def of(self, peer: object) -> Made:
        """All of it."""
        unused: frozenset[str] = getattr(peer, "unused_extensions", None) or frozenset()
        may_refer = bool(getattr(peer, "may_refer", False))
        may_register = bool(getattr(peer, "phones", ()))
        made = self._made.get((unused, may_refer, may_register))
        if made is None:
            # One for each set that the configuration has.
            allow = (*self._allow, *(("REFER",) if may_refer else ()), *(("REGISTER",) if may_register else ()))
            tags = (*self._supported, *(("norefersub",) if may_refer else ()))
            left = [tag for tag in tags if tag not in unused]
            supported = (("Supported", ", ".join(left)),) if left else ()
            said = (("Allow", ", ".join(allow)), *supported, *(REFER if may_refer else ()))
            made = self._made[unused, may_refer, may_register] = Made(
                frozenset(allow), ", ".join(allow), frozenset(left), said
            )
        return made
