"""Via (RFC 3261 section 20.42) with `rport` (RFC 3581)."""

from dataclasses import dataclass, field, replace
from typing import Final

from offhook.errors import RemoteProtocolError
from offhook.sip.grammar import (
    BLANKS,
    NO_PARAMS,
    WSP,
    Params,
    check_host,
    check_token,
    excerpt,
    fail,
    is_token,
    join_host_port,
    parse_uint,
    split_host_port,
)

MAGIC_COOKIE: Final = "z9hG4bK"
"""What a branch of RFC 3261 begins with; one without it is matched by the rules of RFC 2543."""

_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class Via:
    """One hop: how and from where a request was sent. `transport` is in capitals, `host` without brackets."""

    transport: str
    host: str
    port: int | None = None
    params: Params = NO_PARAMS
    protocol: str = "SIP/2.0"
    _wire: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_host(self.host, self.port)
        check_token(self.transport, "transport of Via")
        _set(self, "transport", self.transport.upper())

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Parse one Via value. Raises RemoteProtocolError, also for a repeated or empty branch."""
        head, semicolon, tail = text.partition(";")
        params = Params.parse(semicolon + tail)
        via = cls._parse_head(head, params)
        if params.get("branch") == "" or params.count("branch") > 1:
            fail("Via with an empty or repeated branch")
        if rport := params.get("rport"):
            parse_uint(rport, 65535, "rport")
        _set(via, "_wire", text)
        return via

    @classmethod
    def salvage(cls, text: str) -> "Via | None":
        """Read what can be read of a broken Via: where to answer, and each sound parameter. None if nothing is."""
        head, _, tail = text.partition(";")
        items: list[tuple[str, str | None]] = []
        for piece in tail.partition(",")[0].split(";")[:16]:
            try:
                items.extend(Params.parse(";" + piece)._items)
            except RemoteProtocolError:
                continue
        try:
            return cls._parse_head(head.partition(",")[0], Params.from_wire(items))
        except RemoteProtocolError:
            return None

    @classmethod
    def _parse_head(cls, head: str, params: Params) -> "Via":
        if head.startswith("SIP/2.0/"):
            protocol = "SIP/2.0"
            rest = head[8:]
        else:
            pieces = head.split("/", 2)
            if len(pieces) != 3:
                fail(f"no Via: {excerpt(head)}")
            name, version, rest = pieces[0].strip(WSP), pieces[1].strip(WSP), pieces[2]
            if not (is_token(name) and is_token(version)):
                fail(f"no Via: {excerpt(head)}")
            protocol = f"{name.upper()}/{version}"
        transport, _, sent_by = rest.partition(" ")
        if not is_token(transport):
            transport, *others = BLANKS.split(rest.strip(WSP), maxsplit=1)
            sent_by = others[0] if others else ""
            if not is_token(transport):
                fail(f"no Via: {excerpt(head)}")
        host, port = split_host_port(sent_by.strip(WSP), "Via")
        via = cls.__new__(cls)
        _set(via, "transport", transport.upper())
        _set(via, "host", host)
        _set(via, "port", port)
        _set(via, "params", params)
        _set(via, "protocol", protocol)
        _set(via, "_wire", None)
        return via

    @property
    def branch(self) -> str | None:
        """The branch, None if there is none (RFC 2543)."""
        return self.params.get("branch")

    @property
    def has_magic_cookie(self) -> bool:
        """Whether the branch is a transaction id of RFC 3261: the cookie and something behind it."""
        branch = self.branch
        return branch is not None and len(branch) > 7 and branch[:7].lower() == "z9hg4bk"

    @property
    def received(self) -> str | None:
        """The source address that the next hop saw, without brackets."""
        value = self.params.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port that the next hop saw; None if it is absent or only asked for."""
        value = self.params.get("rport")
        return int(value) if value and value.isascii() and value.isdigit() and len(value) <= 5 else None

    @property
    def wants_rport(self) -> bool:
        """Whether `rport` is there, with or without a value (RFC 3581 section 4)."""
        return "rport" in self.params

    @property
    def sent_by(self) -> tuple[str, int]:
        """Host in lower case and port, the transport's default where none is given (5060, TLS 5061)."""
        default = 5061 if self.transport in ("TLS", "WSS") else 5060
        return self.host.lower(), default if self.port is None else self.port

    def stamped(self, host: str, port: int, *, force_rport: bool = False) -> "Via":
        """Return this Via as the receiver keeps it: `received` where it tells more, `rport` where asked for or forced.

        RFC 3261 section 18.2.1, RFC 3581 section 4. `host` has no brackets. A value of `received` or `rport` that
        the sender wrote himself is never believed.
        """
        params = self.params.without("received")
        if self.wants_rport or force_rport:
            params = params.replacing("rport", str(port)).replacing("received", host)
        elif host.lower() != self.host.lower():
            params = params.replacing("received", host)
        return self if params == self.params else replace(self, params=params)

    def __str__(self) -> str:
        if self._wire is not None:
            return self._wire
        return f"{self.protocol}/{self.transport} {join_host_port(self.host, self.port)}{self.params}"
