"""Content-Type and Accept (RFC 3261 sections 20.1 and 20.15)."""

from dataclasses import dataclass
from functools import lru_cache

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import NO_PARAMS, WSP, Params, excerpt, fail, is_token


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type or, in Accept, a range such as `application/*`. `type` and `subtype` are in lower case."""

    type: str
    subtype: str
    params: Params = NO_PARAMS

    def __post_init__(self) -> None:
        if not (is_token(self.type) and is_token(self.subtype)):
            raise LocalProtocolError("a media type is token/token")

    @classmethod
    @lru_cache(maxsize=128)
    def parse(cls, text: str) -> "MediaType":
        """Parse `type/subtype;params`, blanks allowed around each separator. The last 128 texts are kept."""
        head, semicolon, tail = text.partition(";")
        main, slash, sub = head.partition("/")
        main, sub = main.strip(WSP).lower(), sub.strip(WSP).lower()
        if not slash or not is_token(main) or not is_token(sub):
            fail(f"no media type: {excerpt(text)}")
        return cls(main, sub, Params.parse(semicolon + tail))

    @property
    def name(self) -> str:
        """`type/subtype` in lower case."""
        return f"{self.type}/{self.subtype}"

    def covers(self, name: str) -> bool:
        """Tell whether this range admits `name` (lower case, `type/subtype`); `q=0` admits nothing."""
        if (self.params.get("q") or "1").strip("0.") == "":
            return False
        main, _, sub = name.partition("/")
        return self.type in ("*", main) and self.subtype in ("*", sub)

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{self.params}"
