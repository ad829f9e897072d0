"""The small values that settings consist of, each read from its text once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import PlainValidator, ValidationInfo

from offhook.config.secret import Secret
from offhook.route.called_name import is_name
from offhook.route.destination_uri import (
    DestinationUri,
    DestinationUriError,
    DialUri,
    OtherUri,
    WireUri,
    parse_destination,
)
from offhook.route.early_media import EarlyMedia
from offhook.route.number import is_country
from offhook.route.pattern import Pattern
from offhook.route.trunk import Network
from offhook.sip.outgoing import is_ours

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
MAX_PATTERN_LENGTH = 128
MAX_ALTERNATIVES = 1000
_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~#$&^|")
_NO_USER = frozenset(' @<>"\\:;,?[]{}')
_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


class WrongValue(ValueError):
    """A setting's text can't be used: what is wrong with it, and what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def text_of(value: object) -> str:
    """The value, if it is a string of printable characters that is not empty."""
    if not isinstance(value, str):
        raise WrongValue("must be a string", "put it in quotes")
    if not value:
        raise WrongValue("must not be empty")
    if not value.isprintable():
        raise WrongValue("must not hold control characters")
    return value


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address of ours: an IP address or a name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listen:
    """One SIP listener. `advertise` is what peers outside `local_networks` are told instead of our own address."""

    transport: str
    host: str
    port: int
    advertise: HostPort | None = None

    @property
    def uri(self) -> str:
        """As written in the file."""
        return f"{self.transport}://{HostPort(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """UDP ports for media, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def pairs(self) -> int:
        """Even ports for RTP that have the odd one above them for RTCP. Calls share them."""
        return max(0, (self.last + 1 - (self.first + self.first % 2)) // 2)

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last


def split_host_port(text: str, default_port: int | None) -> HostPort:
    """Read `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise WrongValue(f"'{text}' is no address", "IPv6 is written [2001:db8::1]:5060")
        port = rest[1:]
        if _ip(host) is None:
            raise WrongValue(f"'{host}' is no IPv6 address")
    elif text.count(":") > 1:
        if _ip(text) is None:
            raise WrongValue(f"'{text}' is no address", "IPv6 is written [2001:db8::1]:5060")
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    return HostPort(_host(host), _port(port, text, default_port))


def _port(text: str, whole: str, default: int | None) -> int:
    if not text:
        if default is None:
            raise WrongValue(f"the port is missing in '{whole}'", f"write {whole.rstrip(':')}:PORT")
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise WrongValue(f"'{text}' is no port", "ports go from 1 to 65535; 0 lets the system choose")
    return int(text)


def _host(text: str) -> str:
    if (address := _ip(text)) is not None:
        return str(address)
    host = text.lower().rstrip(".")
    labels = host.split(".")
    good = host and set(host) <= _HOST and len(host) <= 253 and all(0 < len(label) <= 63 for label in labels)
    if not good or labels[-1].isdigit():
        raise WrongValue(f"'{text}' is neither an IP address nor a host name")
    return host


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether an address or name is of this machine alone."""
    address = _ip(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def ip_version(host: str) -> int | None:
    """4 or 6 for an IP address, None for a name."""
    address = _ip(host)
    return None if address is None else address.version


def read_listen(value: object) -> Listen:
    """Read a SIP listener: a URI, or a table of `uri` and `advertise`."""
    advertise: object = None
    if isinstance(value, dict):
        if unknown := sorted(set(value) - {"uri", "advertise"}):
            raise WrongValue(f"unknown setting '{unknown[0]}'", "a listener has uri and advertise")
        if "uri" not in value:
            raise WrongValue("uri is missing", 'write { uri = "udp://0.0.0.0:5060", advertise = "sip.example.net" }')
        advertise, value = value.get("advertise"), value["uri"]
    text = text_of(value)
    transport, separator, rest = text.partition("://")
    if not separator or transport not in DEFAULT_PORTS:
        raise WrongValue(f"'{text}' is no SIP listener", "write udp://0.0.0.0:5060 or tcp://[::]:5060")
    address = split_host_port(rest, DEFAULT_PORTS[transport])
    if _ip(address.host) is None:
        raise WrongValue(
            f"'{address.host}' is no IP address", "listeners need one: 0.0.0.0 is all of IPv4, [::] of IPv6"
        )
    told = None if advertise is None else read_advertised(text_of(advertise), address.port)
    return Listen(transport, address.host, address.port, told)


def read_advertised(text: str, default_port: int | None) -> HostPort:
    """Read an address that peers are to send to, so no wildcard and no multicast."""
    told = split_host_port(text, default_port)
    address = _ip(told.host)
    if address is not None and (address.is_unspecified or address.is_multicast):
        raise WrongValue(f"nobody can send to '{told.host}'", "write the address that your peers reach you by")
    return told


def _name_server(value: object) -> HostPort:
    read = split_host_port(text_of(value), 53)
    if _ip(read.host) is None:
        raise WrongValue(f"'{read.host}' is no IP address", "a name server has to be known by its address")
    return read


def _sip_advertise(value: object) -> HostPort | str:
    text = text_of(value)
    # Port 0 stands for "the listener's own", as it is not known here.
    return text if text == "auto" else read_advertised(text, 0)


def _media_advertise(value: object) -> tuple[str, ...] | str:
    return "auto" if value == "auto" else _one_a_family(value, _advertised_ip)


def _advertised_ip(text: str) -> str:
    address = _ip(text)
    if address is None:
        raise WrongValue(f"'{text}' is no IP address", "SDP carries addresses, not names or ports")
    return read_advertised(str(address), 0).host


def _media_listen(value: object) -> tuple[str, ...]:
    return _one_a_family(value, _listening_ip)


def _listening_ip(text: str) -> str:
    address = _ip(text.strip("[]"))
    if address is None:
        raise WrongValue(f"'{text}' is no IP address", "write for example 0.0.0.0, or :: for IPv6")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise WrongValue(f"'{text}' is IPv4 written as IPv6", f"write {address.ipv4_mapped}")
    return str(address)


def _one_a_family(value: object, read: Callable[[str], str]) -> tuple[str, ...]:
    """An address, or a list with one of IPv4 and one of IPv6."""
    texts = value if isinstance(value, tuple) else (value,)
    if not texts:
        raise WrongValue("must not be an empty list", 'write for example ["0.0.0.0", "::"]')
    addresses = tuple(read(text_of(text)) for text in texts)
    versions = [ip_version(address) for address in addresses]
    for version in (4, 6):
        if versions.count(version) > 1:
            raise WrongValue(f"has more than one IPv{version} address", "one of IPv4 and one of IPv6 at most")
    return addresses


def _http_listen(value: object) -> HostPort:
    return split_host_port(text_of(value), None)


def read_network(value: object) -> Network:
    """Read an address or a network in CIDR form, with no bits set behind the prefix."""
    text = text_of(value)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise WrongValue(f"'{text}' is no IP network", "write for example 198.51.100.0/24 or 203.0.113.7") from None
    address = _ip(text.partition("/")[0])
    if address is not None and address != network.network_address:
        raise WrongValue(f"'{text}' has bits set behind its prefix", f"write {network}, or {address} for that one host")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise WrongValue(f"'{text}' is IPv4 written as IPv6", "write the IPv4 network: both are then the same to us")
    return network


def _ports(value: object) -> PortRange:
    text = text_of(value)
    first, dash, last = (part.strip() for part in text.partition("-"))
    numbers = [part for part in (first, last) if part.isascii() and part.isdigit() and len(part) <= 5]
    if not dash or len(numbers) != 2:
        raise WrongValue(f"'{text}' is no range of ports", "write for example 40000-40999")
    span = PortRange(int(first), int(last))
    if span.first > span.last:
        raise WrongValue(f"the range '{text}' is upside down", f"write {last}-{first}")
    if span.first < 1024 or span.last > 65535:
        raise WrongValue(f"the range '{text}' leaves 1024-65535")
    if not span.pairs:
        hint = "it needs an even port for RTP and the odd one above it for RTCP, such as 40000-40011"
        raise WrongValue(f"the range '{text}' has no pair of ports", hint)
    return span


def _refuse(value: object) -> int | str:
    if value == "silence":
        return "silence"
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 699 or value in (401, 407):
        raise WrongValue(
            f"'{value}' is no way to refuse a stranger", '"silence", or a status from 400 to 699 but 401/407'
        )
    return value


def _session_timer(value: object) -> Literal["off", "accept"] | int:
    if value == "off" or value == "accept":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongValue(f"'{value}' is no session timer", '"accept", "off", or a number of seconds such as 1800')
    if not 90 <= value <= 86_400:
        raise WrongValue(f"a session timer can't be {value} s", "from 90 s, the least that RFC 4028 allows, to 86400")
    return value


def _domain(value: object) -> str:
    text = text_of(value)
    if ":" in text and _ip(text.strip("[]")) is None:
        raise WrongValue(
            f"'{text}' has more than a host", "write the host of the Request-URI alone, without sip: or port"
        )
    return _host(text.strip("[]"))


def _country(value: object) -> str:
    text = text_of(value)
    if not is_country(text):
        hint = f"write {text.upper()}" if is_country(text.upper()) else "two letters of ISO 3166, such as US, GB or IN"
        raise WrongValue(f"unknown country '{text}'", hint)
    return text


def _early_media(value: object) -> EarlyMedia:
    text = text_of(value)
    if text in ("off", "agent"):
        return EarlyMedia("agent" if text == "agent" else "off")
    source, colon, country = text.partition(":")
    if source == "ringback":
        return EarlyMedia("ringback", _country(country) if colon else "")
    if not text.lower().endswith(".wav"):
        hint = "off, ringback, ringback:COUNTRY, agent, or the path of a .wav file"
        raise WrongValue(f"unknown sound '{text}'", hint)
    return EarlyMedia("file", text)


def _number_patterns(value: object) -> tuple[Pattern, ...]:
    if isinstance(value, tuple):
        if not value:
            raise WrongValue("must not be an empty list", 'write "*" for everything')
        if len(value) > MAX_ALTERNATIVES:
            raise WrongValue(f"has more than {MAX_ALTERNATIVES} alternatives", "use a pattern such as +1415*")
        return tuple(_number_pattern(item) for item in value)
    return (_number_pattern(value),)


def _number_pattern(value: object) -> Pattern:
    text = _pattern_text(value)
    bare = "".join(c for c in text if c not in " ()-./")
    if bare != text and bare.lstrip("+").replace("*", "").isdigit():
        raise WrongValue(f"the number '{text}' has separators", f"write {bare}")
    if " " in text:
        raise WrongValue(f"the pattern '{text}' has a blank, which no number and no SIP user has")
    if text.startswith(("sip:", "sips:", "tel:")):
        raise WrongValue(f"the pattern '{text}' is a URI", "write its user part, such as +14155550100 or sales")
    return Pattern(text)


def _caller_ids(value: object) -> tuple[str, ...]:
    """One number or a list of them, as written; what they are depends on the trunk's country."""
    items = value if isinstance(value, tuple) else (value,)
    if len(items) > MAX_ALTERNATIVES:
        raise WrongValue(f"has more than {MAX_ALTERNATIVES} numbers")
    return tuple(dict.fromkeys(text_of(item) for item in items))


def _transfer_patterns(value: object) -> tuple[Pattern, ...]:
    """Where calls may be transferred to; an empty list is nowhere."""
    items = value if isinstance(value, tuple) else (value,)
    if len(items) > MAX_ALTERNATIVES:
        raise WrongValue(f"has more than {MAX_ALTERNATIVES} alternatives", "use a pattern such as +1415*")
    return tuple(_transfer_pattern(item) for item in items)


def _transfer_pattern(value: object) -> Pattern:
    text = _pattern_text(value)
    if text.startswith("tel:"):
        text = text.removeprefix("tel:")
    if text.startswith(("sip:", "sips:")):
        return Pattern(text)
    return _number_pattern(text)


def _number_prefix(value: object) -> str:
    text = text_of(value)
    if re.fullmatch(r"\+[0-9]{1,15}", text) is None and not is_name(text):
        hint = "write + and digits, such as +1 or +4479, or how extensions begin, such as 2"
        raise WrongValue(f"'{text}' is no prefix of numbers", hint)
    return text


def _listed_numbers(value: object) -> tuple[Pattern, ...]:
    """Numbers or patterns of such; an empty list is none."""
    return () if value == () else _number_patterns(value)


def _hand_over_patterns(value: object) -> tuple[Pattern, ...]:
    """Which agents a call may be handed over to; an empty list is nobody."""
    items = value if isinstance(value, tuple) else (value,)
    if len(items) > MAX_ALTERNATIVES:
        raise WrongValue(f"has more than {MAX_ALTERNATIVES} alternatives", "use a pattern such as agent:*")
    return tuple(_hand_over_pattern(item) for item in items)


def _hand_over_pattern(value: object) -> Pattern:
    text = text_of(value)
    if "*" in text:
        if text.partition(":")[0] not in ("agent", "worker", "echo", "*"):
            raise WrongValue(f"'{text}' has a star", "stars stand for agents of this file; list a WebSocket as it is")
        return Pattern(text)
    uri = _destination(text)
    if isinstance(uri, DialUri | OtherUri):
        hint = "people are reached by a transfer: list them in `transfer_to` of the [[trunk]]"
        raise WrongValue(f"calls are handed over to agents, and '{text.partition(':')[0]}:' is none", hint)
    return Pattern(str(uri))


def _header_pattern(value: object) -> Pattern:
    return Pattern(_pattern_text(value))


def _pattern_text(value: object) -> str:
    text = text_of(value)
    if len(text) > MAX_PATTERN_LENGTH:
        raise WrongValue(f"the pattern is longer than {MAX_PATTERN_LENGTH} characters")
    if text.count("*") > 4:
        raise WrongValue(f"the pattern '{text}' has more than 4 stars")
    return text


def _sip_user(value: object) -> str:
    text = text_of(value)
    if len(text) > 128 or set(text) & _NO_USER or not text.isascii():
        raise WrongValue(
            f"'{text}' is no user part of a SIP address", "letters, digits and . _ - +, without @ and host"
        )
    return text


def _assert_identity(value: object) -> bool | str:
    if isinstance(value, bool) or value in ("preferred", "remote-party-id"):
        return value
    raise WrongValue("must be true, false, preferred or remote-party-id", "true sends P-Asserted-Identity")


def _header_name(value: object) -> str:
    text = text_of(value)
    if not set(text) <= _TOKEN or "*" in text.rstrip("*"):
        raise WrongValue(f"'{text}' is no header name")
    return text


def _header_name_pattern(value: object) -> str:
    text = _header_name(value)
    if text.rstrip("*").lower() in ("authorization", "proxy-authorization", ""):
        hint = "passwords' digests stay here" if text.strip("*") else 'name headers, or a family such as "X-*"'
        raise WrongValue(f"'{text}' is not passed on", hint)
    return text


def _outgoing_header_name(value: object) -> str:
    text = _header_name(value)
    plain = text.rstrip("*").lower()
    if not plain:
        raise WrongValue(f"'{text}' is every header", 'name headers, or a family such as "X-*"')
    if text[-1] != "*" and is_ours(text):
        raise WrongValue(
            f"'{text}' is the gateway's own", "an agent may set X-* headers, User-to-User, Subject and such"
        )
    return text


def _exact_header_name(value: object) -> str:
    text = _header_name(value)
    if text.endswith("*"):
        raise WrongValue(f"the header name '{text}' has a star", "stars belong into the value")
    return text


def _destination(value: object) -> DestinationUri:
    try:
        return parse_destination(text_of(value))
    except DestinationUriError as error:
        raise WrongValue(str(error), error.hint) from error


def _wire_url(value: object) -> WireUri:
    text = text_of(value)
    scheme = text.partition(":")[0].lower()
    if scheme.rpartition("+")[2] in ("ws", "wss") and "+" in scheme:
        plain = text.partition("+")[2]
        raise WrongValue(f"'{scheme}:' names a dialect, which kind says already", f"write {plain}")
    if scheme not in ("ws", "wss"):
        raise WrongValue(f"'{text}' is no WebSocket URL", "write wss://HOST/PATH")
    parsed = _destination(text)
    assert isinstance(parsed, WireUri), "ws and wss are wires"
    return parsed


def _origin(value: object) -> str:
    text = text_of(value)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or text != f"{parts.scheme}://{parts.netloc}":
        raise WrongValue(f"'{text}' is no origin", "write https://HOST, with no path")
    return text


def _secret(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, dict):
        name = value.get("env")
        if set(value) != {"env"} or not isinstance(name, str) or not name:
            raise WrongValue("must be a string or { env = NAME }", 'write { env = "MY_SECRET" }')
        environ = (info.context or {}).get("environ", {})
        secret = environ.get(name)
        if not secret:
            state = "is empty" if secret == "" else "is not set"
            raise WrongValue(f"the environment variable {name} {state}", f"set {name} where offhook is started")
        return Secret(_header_safe(secret, f"the environment variable {name}"), f"env {name}")
    if not isinstance(value, str):
        raise WrongValue("must be a string or { env = NAME }", 'write { env = "MY_SECRET" }')
    return Secret(_header_safe(value, "the value"))


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a key comes from: the value of an environment variable, or a file."""

    secret: Secret | None = None
    file: str | None = None


def _key_source(value: object, info: ValidationInfo) -> KeySource:
    hint = 'write { env = "NAME" } or { file = "PATH" }'
    if not isinstance(value, dict) or len(value) != 1:
        # A key beside the files that it protects would protect them from nobody.
        raise WrongValue("must be { env = NAME } or { file = PATH }", hint)
    if "file" in value:
        return KeySource(file=text_of(value["file"]))
    if "env" not in value:
        raise WrongValue("must be { env = NAME } or { file = PATH }", hint)
    return KeySource(secret=_secret(value, info))


def _header_secret(value: object, info: ValidationInfo) -> Secret:
    secret = _secret(value, info)
    if not secret.reveal().isascii():
        raise WrongValue("holds characters outside ASCII", "it travels in an HTTP header")
    return secret


def _header_safe(text: str, what: str) -> str:
    if not text:
        raise WrongValue("must not be empty")
    if not text.isprintable():
        raise WrongValue(f"{what} holds control characters", "a line end at its close is a frequent cause")
    return text


def _read(reader: Callable[..., Any]) -> PlainValidator:
    return PlainValidator(reader)


ListenValue = Annotated[Listen, _read(read_listen)]
NameServer = Annotated[HostPort, _read(_name_server)]
SipAdvertise = Annotated[HostPort | str, _read(_sip_advertise)]
MediaAdvertise = Annotated[tuple[str, ...] | str, _read(_media_advertise)]
MediaListen = Annotated[tuple[str, ...], _read(_media_listen)]
HttpListen = Annotated[HostPort, _read(_http_listen)]
NetworkValue = Annotated[Network, _read(read_network)]
Ports = Annotated[PortRange, _read(_ports)]
Refusal = Annotated[int | str, _read(_refuse)]
SessionTimerValue = Annotated[Literal["off", "accept"] | int, _read(_session_timer)]
AssertIdentityValue = Annotated[bool | Literal["preferred", "remote-party-id"], _read(_assert_identity)]
SipUser = Annotated[str, _read(_sip_user)]
Domain = Annotated[str, _read(_domain)]
Country = Annotated[str, _read(_country)]
EarlyMediaValue = Annotated[EarlyMedia, _read(_early_media)]
NumberPatterns = Annotated[tuple[Pattern, ...], _read(_number_patterns)]
CallerIds = Annotated[tuple[str, ...], _read(_caller_ids)]
TransferPatterns = Annotated[tuple[Pattern, ...], _read(_transfer_patterns)]
ListedNumbers = Annotated[tuple[Pattern, ...], _read(_listed_numbers)]
HandOverPatterns = Annotated[tuple[Pattern, ...], _read(_hand_over_patterns)]
NumberPrefix = Annotated[str, _read(_number_prefix)]
HeaderPattern = Annotated[Pattern, _read(_header_pattern)]
HeaderName = Annotated[str, _read(_exact_header_name)]
HeaderNamePattern = Annotated[str, _read(_header_name_pattern)]
OutgoingHeaderPattern = Annotated[str, _read(_outgoing_header_name)]
Destination = Annotated[DestinationUri, _read(_destination)]
WireUrl = Annotated[WireUri, _read(_wire_url)]
Origin = Annotated[str, _read(_origin)]
SecretValue = Annotated[Secret, _read(_secret)]
KeyValue = Annotated[KeySource, _read(_key_source)]
HeaderSecret = Annotated[Secret, _read(_header_secret)]
