"""Destination URIs: where a call goes on, as a value."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from offhook.errors import OffhookError

MAX_URI_LENGTH = 2048
ECHO_NAMES = ("", "welcome")
"""`echo:` returns the caller's voice; `echo:welcome` says a short recorded prompt first."""

WIRE_SCHEMES = {
    "ws": "offhook",
    "wss": "offhook",
    "offhook+ws": "offhook",
    "offhook+wss": "offhook",
    "twilio+ws": "twilio",
    "twilio+wss": "twilio",
}
"""Scheme -> dialect of the WebSocket destinations that can be dialled."""

OTHER_SCHEMES = (
    "vobiz+ws", "vobiz+wss", "plivo+ws", "plivo+wss", "telnyx+ws", "telnyx+wss", "twilio+https",
    "sips", "vapi", "retell", "elevenlabs+sip", "livekit+sip", "openai+sip",
)  # fmt: skip
"""Schemes that have a meaning here but no implementation; the configuration refuses them by name.

Those of platforms it writes out as agents before it reads them (`config/platform_uris.py`); nobody else may name them.
"""


class DestinationUriError(OffhookError):
    """The text is no destination URI. The message says what is wrong, `hint` what to write."""

    code = "destination_uri_invalid"


@dataclass(frozen=True, slots=True)
class EchoUri:
    """`echo:` or `echo:NAME`: the gateway itself answers."""

    name: str = ""

    def __str__(self) -> str:
        return f"echo:{self.name}"

    @property
    def redacted(self) -> str:
        """The same: there is nothing to hide."""
        return str(self)


@dataclass(frozen=True, slots=True)
class AgentUri:
    """`agent:NAME`: an `[[agent]]` of the configuration."""

    name: str

    def __str__(self) -> str:
        return f"agent:{self.name}"

    @property
    def redacted(self) -> str:
        """The same: there is nothing to hide."""
        return str(self)


@dataclass(frozen=True, slots=True)
class WorkerUri:
    """`worker:NAME`: an `[[agent]]` of the configuration whose workers dial the gateway."""

    name: str

    def __str__(self) -> str:
        return f"worker:{self.name}"

    @property
    def redacted(self) -> str:
        """The same: there is nothing to hide."""
        return str(self)


@dataclass(frozen=True, slots=True)
class WireUri:
    """A WebSocket that the gateway dials: `url` is plain `ws://` or `wss://`, `dialect` what is spoken on it."""

    dialect: str
    url: str
    secure: bool
    host: str
    port: int

    def __str__(self) -> str:
        return self.url if self.dialect == "offhook" else f"{self.dialect}+{self.url}"

    @property
    def redacted(self) -> str:
        """For logs, records and terminals: the query, where tokens live, is left out."""
        return redact_query(str(self))


@dataclass(frozen=True, slots=True)
class DialUri:
    """`tel:NUMBER` or `sip:USER@HOST`: somebody whom the gateway calls, in a call of its own joined to this one.

    `to` is a number, an extension, or the whole SIP URI. `?trunk=NAME` behind it names the trunk; without, the gate
    chooses one of those that may.
    """

    to: str
    trunk: str | None = None

    def __str__(self) -> str:
        by = f"?trunk={self.trunk}" if self.trunk is not None else ""
        return f"{self.redacted}{by}"

    @property
    def redacted(self) -> str:
        """Who is called."""
        return self.to if self.to.startswith("sip:") else f"tel:{self.to}"


def host_of(to: str) -> str | None:
    """The host of `sip:USER@HOST[:PORT]`; None of a number or an extension."""
    if not to.startswith("sip:"):
        return None
    host = to.rpartition("@")[2]
    return host if host.endswith("]") else host.partition(":")[0] if host.count(":") == 1 else host


def user_of(to: str) -> str:
    """The user of `sip:USER@HOST`, or the number or extension itself."""
    return to.removeprefix("sip:").partition("@")[0] if to.startswith("sip:") else to


@dataclass(frozen=True, slots=True)
class CallUri:
    """`call:ID`: another call of this gateway, which this one was placed for. No configuration can name one."""

    call_id: str

    def __str__(self) -> str:
        return f"call:{self.call_id}"

    @property
    def redacted(self) -> str:
        """The same: there is nothing to hide."""
        return str(self)


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a known scheme (`OTHER_SCHEMES`) that cannot be reached; it never gets into a route table."""

    scheme: str
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def redacted(self) -> str:
        """The scheme and no more."""
        return f"{self.scheme}:…"


DestinationUri = EchoUri | AgentUri | WorkerUri | WireUri | DialUri | CallUri | OtherUri

_NUMBER = re.compile(r"\+?[0-9*#().-]{1,32}")
_SEPARATORS = re.compile(r"[().-]")
_SIP = re.compile(r"[\w.!~*'#+-]{1,128}@([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII)
_TRUNK = re.compile(r"trunk=([^&=]{1,64})")


def parse_destination(text: str) -> DestinationUri:
    """Read a destination URI; raises `DestinationUriError` with what to write instead."""
    if len(text) > MAX_URI_LENGTH:
        raise DestinationUriError(f"the URI is longer than {MAX_URI_LENGTH} characters")
    if any(not "!" <= c <= "~" for c in text):
        raise DestinationUriError(
            "the URI holds a blank, a control character or a character outside ASCII",
            hint="write such characters as %XX",
        )
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon:
        hint = f"an agent of this file is written agent:{text}" if text else "write for example echo: or agent:NAME"
        raise DestinationUriError(f"'{text}' is no URI", hint=hint)
    if scheme == "echo":
        if rest not in ECHO_NAMES:
            raise DestinationUriError(f"no echo test is called '{rest}'", hint="known: echo: and echo:welcome")
        return EchoUri(rest)
    if scheme == "agent":
        if not rest:
            raise DestinationUriError("the agent's name is missing", hint="write agent:NAME")
        return AgentUri(rest)
    if scheme == "worker":
        if not rest:
            raise DestinationUriError("the agent's name is missing", hint="write worker:NAME")
        return WorkerUri(rest)
    if scheme in ("tel", "sip"):
        return _dialled(scheme, rest)
    if dialect := WIRE_SCHEMES.get(scheme):
        return _wire(dialect, scheme.rpartition("+")[2], rest)
    if scheme in OTHER_SCHEMES:
        return OtherUri(scheme, text)
    hint = "known: echo, agent, worker, ws, wss, twilio+ws, twilio+wss, tel, sip"
    if scheme in ("http", "https"):
        hint = "an agent's WebSocket is written wss://, or twilio+wss:// for Twilio Media Streams"
    raise DestinationUriError(f"unknown kind of destination '{scheme}:'", hint=hint)


def _dialled(scheme: str, rest: str) -> DialUri:
    who, question, query = rest.partition("?")
    trunk = _TRUNK.fullmatch(query) if question else None
    if question and trunk is None:
        raise DestinationUriError(f"'?{query[:80]}' says nothing here", hint="only ?trunk=NAME may follow")
    name = trunk.group(1) if trunk is not None else None
    if scheme == "tel":
        if _NUMBER.fullmatch(who) is None or not any("0" <= c <= "9" for c in who):
            raise DestinationUriError(f"'{who[:80]}' is no number", hint="write for example tel:+14155550100")
        return DialUri(_SEPARATORS.sub("", who), name)
    if _SIP.fullmatch(who) is None:
        hint = "write sip:USER@HOST, with HOST as the `host` of a [[trunk]] and no parameters behind it"
        raise DestinationUriError(f"'sip:{who[:80]}' can't be called", hint=hint)
    user, _, host = who.rpartition("@")
    return DialUri(f"sip:{user}@{host.lower()}", name)


def redact_query(url: str) -> str:
    """Return `url` with its query replaced by an ellipsis."""
    head, question, _ = url.partition("?")
    return f"{head}?…" if question else url


def _wire(dialect: str, scheme: str, rest: str) -> WireUri:
    if not rest.startswith("//"):
        raise DestinationUriError(f"'{scheme}:' needs a host", hint=f"write {scheme}://HOST/PATH")
    try:
        parts: SplitResult = urlsplit(f"{scheme}:{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DestinationUriError(f"the host or port is wrong: {error}") from error
    if not host:
        raise DestinationUriError("the host is missing", hint=f"write {scheme}://HOST/PATH")
    if port == 0:
        raise DestinationUriError("port 0 cannot be dialled")
    if "@" in parts.netloc:
        raise DestinationUriError(
            "user and password do not belong into the URL",
            hint="give the [[agent]] a token, or an Authorization header",
        )
    if parts.fragment or rest.endswith("#"):
        raise DestinationUriError("a WebSocket URL has no #fragment (RFC 6455 section 3)")
    secure = scheme == "wss"
    return WireUri(dialect, f"{scheme}:{rest}", secure, host, port or (443 if secure else 80))
