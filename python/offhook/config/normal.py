"""A configuration as it was understood: every default filled in, under the file's own names, without its secrets."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network

from offhook.config.presets.use import PresetUse
from offhook.config.schema import Config, Section
from offhook.config.secret import Secret
from offhook.config.values import HostPort, KeySource, Listen, PortRange
from offhook.route.destination_uri import AgentUri, CallUri, DialUri, EchoUri, OtherUri, WireUri, WorkerUri
from offhook.route.early_media import EarlyMedia
from offhook.route.pattern import Pattern


def normalised(config: Config) -> dict[str, object]:
    """The configuration as plain values for JSON. Settings that have no value are left out; paths are absolute."""
    shown: dict[str, object] = {
        "node": _section(config.node) | {"data_dir": str(config.data_dir)},
        "sip": _section(config.sip),
        "media": {"listen": list(config.media_listen)} | _section(config.media),
        "http": _section(config.http),
        "talk": _section(config.talk),
        "store": {"url": config.store_url},
        "recording": _section(config.recording),
        "limits": _section(config.limits),
    }
    entries: dict[str, tuple[Section, ...]] = {
        "trunk": config.trunks,
        "route": config.routes,
        "agent": config.agents,
        "key": config.keys,
    }
    return shown | {name: [_section(entry) for entry in sections] for name, sections in entries.items()}


def _section(section: Section) -> dict[str, object]:
    named = ((field.alias or name, getattr(section, name)) for name, field in type(section).model_fields.items())
    return {name: shown(value) for name, value in named if value is not None}


def shown(value: object) -> object:
    """One value of a setting as JSON has it; the queries of URLs and all secrets are masked."""
    match value:
        case None | str() | bool() | int() | float():
            return value
        case Section():
            return _section(value)
        case Mapping():
            return {str(name): shown(item) for name, item in value.items()}
        case tuple():
            return [shown(item) for item in value]
        case PresetUse(parameters=()):
            return value.name
        case PresetUse():
            return {"name": value.name, **dict(value.parameters)}
        case Secret():
            return f"({value.origin})" if value.origin.startswith("env ") else "(secret)"
        case KeySource():
            return f"(file {value.file})" if value.secret is None else shown(value.secret)
        case Listen(advertise=None):
            return value.uri
        case Listen():
            return {"uri": value.uri, "advertise": str(value.advertise)}
        case HostPort(port=0):
            # An advertised address without a port of its own.
            return value.host
        case HostPort() | EarlyMedia() | PortRange() | Pattern() | IPv4Network() | IPv6Network():
            return str(value)
        case DialUri():
            return str(value)
        case EchoUri() | AgentUri() | WorkerUri() | WireUri() | CallUri() | OtherUri():
            return value.redacted
        case _:
            raise AssertionError(f"a setting of type {type(value).__name__} has no form for people")
