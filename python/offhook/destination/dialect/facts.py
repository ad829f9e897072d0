"""What an agent is told about a call, whatever the dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from offhook.ids import CallId

MAX_HEADERS = 32
"""SIP headers that an agent is told at most."""

MAX_VALUE = 1024
"""Characters of any one value that an agent is told; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One call as its agent sees it.

    `from_number` and `to_number` are E.164 where they could be read so, else as the trunk wrote them. `headers` are the
    SIP headers that the route hands on, by the name under which the agent gets them. `barge_in` is the route's, `auto`
    if it leaves that to the agent's utterances.
    """

    call_id: CallId
    from_number: str
    to_number: str
    trunk: str = ""
    route: str = ""
    display_name: str = ""
    sip_call_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    barge_in: str = "auto"

    def clean_headers(self) -> dict[str, str]:
        """The first headers, cut and made safe for JSON."""
        return {clean(name): clean(value) for name, value in list(self.headers.items())[:MAX_HEADERS]}


def clean(text: str, limit: int = MAX_VALUE) -> str:
    """Text from the wire as valid Unicode of bounded length; a lone surrogate or a byte that is no UTF-8 is U+FFFD."""
    return text[:limit].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
