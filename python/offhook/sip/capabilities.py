"""What we say that we can do, peer by peer: Allow and Supported (RFC 3261 sections 20.5 and 20.37)."""

from collections.abc import Sequence

from offhook.sip.session_core import HeaderList


class Capabilities:
    """The methods and extensions of a user agent.

    A peer may do without some extensions: its `unused_extensions`, if it has such an attribute, are neither offered to
    it nor taken from it.
    """

    __slots__ = ("_made", "_supported", "allow", "allow_header")

    def __init__(self, allow: Sequence[str], supported: Sequence[str]) -> None:
        self.allow = frozenset(allow)
        self.allow_header = ", ".join(allow)
        self._supported = tuple(supported)
        self._made: dict[frozenset[str], tuple[frozenset[str], HeaderList]] = {}

    def extensions(self, peer: object) -> frozenset[str]:
        """The option tags that are used with a peer."""
        return self._of(peer)[0]

    def headers(self, peer: object) -> HeaderList:
        """Allow and Supported, as a peer gets them."""
        return self._of(peer)[1]

    def _of(self, peer: object) -> tuple[frozenset[str], HeaderList]:
        unused: frozenset[str] = getattr(peer, "unused_extensions", None) or frozenset()
        made = self._made.get(unused)
        if made is None:
            # One for each set that the configuration has.
            left = [tag for tag in self._supported if tag not in unused]
            supported = (("Supported", ", ".join(left)),) if left else ()
            made = self._made[unused] = frozenset(left), (("Allow", self.allow_header), *supported)
        return made
