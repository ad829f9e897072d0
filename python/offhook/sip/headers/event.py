"""Event (RFC 6665): the package that a subscription is about, and which of several subscriptions."""

from dataclasses import dataclass

from offhook.sip.grammar import Params, check_token, excerpt, fail, is_token


@dataclass(frozen=True, slots=True)
class Event:
    """`package` in lower case, and the `id` parameter if there is one: for `refer` the REFER's CSeq number."""

    package: str
    id: str | None = None

    def __post_init__(self) -> None:
        check_token(self.package, "event package")
        if self.id is not None:
            check_token(self.id, "id of an event")

    @classmethod
    def parse(cls, text: str) -> "Event":
        """Parse the value; an `id` that is no token is refused."""
        head, semicolon, tail = text.partition(";")
        package = head.strip(" \t")
        if not is_token(package):
            fail(f"no Event: {excerpt(text)}")
        id = Params.parse(semicolon + tail).get("id") or None
        if id is not None and not is_token(id):
            fail(f"id of an Event is no token: {excerpt(id)}")
        return cls(package.lower(), id)

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"
