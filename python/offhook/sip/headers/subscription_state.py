"""Subscription-State (RFC 6665 section 4.1.3): how a subscription stands, and why it ended."""

from dataclasses import dataclass

from offhook.errors import LocalProtocolError
from offhook.sip.grammar import Params, check_token, excerpt, fail, is_token, parse_delta_seconds


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """`state` and `reason` in lower case; `expires` and `retry_after` are seconds, None where absent or unreadable."""

    state: str
    reason: str | None = None
    expires: int | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        check_token(self.state, "state of a subscription")
        if self.reason is not None:
            check_token(self.reason, "reason of a subscription's end")
        if min(self.expires or 0, self.retry_after or 0) < 0:
            raise LocalProtocolError("seconds below zero")

    @classmethod
    def parse(cls, text: str) -> "SubscriptionState":
        """Parse the value. States and reasons that no RFC knows are kept: they count as `active` and as none."""
        head, semicolon, tail = text.partition(";")
        state = head.strip(" \t")
        if not is_token(state):
            fail(f"no Subscription-State: {excerpt(text)}")
        params = Params.parse(semicolon + tail)
        reason = params.get("reason") or ""
        return cls(
            state.lower(),
            reason.lower() if is_token(reason) else None,
            _seconds(params.get("expires")),
            _seconds(params.get("retry-after")),
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more is told under this subscription."""
        return self.state == "terminated"

    def __str__(self) -> str:
        fields = (("reason", self.reason), ("expires", self.expires), ("retry-after", self.retry_after))
        return self.state + "".join(f";{name}={value}" for name, value in fields if value is not None)


def _seconds(text: str | None) -> int | None:
    return parse_delta_seconds(text, "seconds") if text and text.isascii() and text.isdigit() else None
