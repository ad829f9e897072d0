"""Replaces (RFC 3891): the dialog that a new INVITE takes over."""

import re
from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import Params, check_token, excerpt, fail, is_token

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f;,]")


@dataclass(frozen=True, slots=True)
class Replaces:
    """A dialog as its peer names it: `to_tag` is the local tag of the element that receives this."""

    sip_call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __post_init__(self) -> None:
        if not self.sip_call_id or _FORBIDDEN.search(self.sip_call_id) is not None:
            raise LocalProtocolError("a Call-ID has no blanks or separators")
        check_token(self.to_tag, "to-tag")
        check_token(self.from_tag, "from-tag")

    @classmethod
    def parse(cls, text: str) -> "Replaces":
        """Parse the value; both tags must be there exactly once."""
        head, semicolon, tail = text.partition(";")
        sip_call_id = head.strip(" \t")
        if not sip_call_id or _FORBIDDEN.search(sip_call_id) is not None:
            fail(f"no Replaces: {excerpt(text)}")
        params = Params.parse(semicolon + tail)
        tags = params.get("to-tag") or "", params.get("from-tag") or ""
        if not all(map(is_token, tags)) or params.count("to-tag") != 1 or params.count("from-tag") != 1:
            fail("Replaces needs one to-tag and one from-tag")
        return cls(sip_call_id, *tags, "early-only" in params)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.sip_call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"
