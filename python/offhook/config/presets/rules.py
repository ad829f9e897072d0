"""What a preset asks of the trunk that names it."""

from collections.abc import Collection, Iterator

from offhook.config.lines import Path
from offhook.config.presets import Need
from offhook.config.problems import Finding
from offhook.config.schema import SipConfig, TrunkConfig
from offhook.config.values import HostPort, ip_version
from offhook.route.pattern import Pattern


def errors(path: Path, trunk: TrunkConfig, sip: SipConfig | None) -> Iterator[Finding]:
    """Tell what is missing that the preset can't know."""
    use = trunk.preset
    if use is None:
        return
    for need in _missing(trunk):
        yield Finding(path, f"preset '{use.name}' can't know {need.setting}, and this trunk needs it", need.say)
    if use.preset.needs_name and sip is not None and not _told_by_name(sip):
        hint = 'sip.listen = [{ uri = "tls://0.0.0.0:5061", advertise = "sbc.example.com" }]'
        message = f"preset '{use.name}' needs a TLS listener that is told by its name: {use.preset.needs_name}"
        yield Finding((*path, "preset"), message, hint)


def missing(trunk: TrunkConfig) -> frozenset[str]:
    """The settings that `errors` tells to be missing: what follows from that need not be told, too."""
    return frozenset(need.setting for need in _missing(trunk))


def warnings(path: Path, trunk: TrunkConfig, filled: Collection[str]) -> Iterator[Finding]:
    """Tell what the trunk has of its own and hardly can have meant."""
    use = trunk.preset
    if use is None:
        return
    for need in use.preset.need:
        value = getattr(trunk, need.setting)
        if isinstance(value, str) and need.setting not in filled and not _usual(need, value):
            message = f"'{value}' is no {need.pattern.replace('*', 'NAME')}, as preset '{use.name}' knows it"
            yield Finding((*path, need.setting), message, need.otherwise or need.say)


def _missing(trunk: TrunkConfig) -> list[Need]:
    needs = trunk.preset.preset.need if trunk.preset is not None else ()
    asked = [need for need in needs if _calls_out(trunk) or not need.calls_out]
    return [need for need in asked if getattr(trunk, need.setting) in (None, ())]


def _calls_out(trunk: TrunkConfig) -> bool:
    return bool(trunk.dial_to) or trunk.refer == "accept"


def _usual(need: Need, value: str) -> bool:
    return not need.pattern or Pattern(need.pattern).matches(value)


def _told_by_name(sip: SipConfig) -> bool:
    """Whether a TLS listener gives peers a name; `sip.advertise` stands in for those without their own."""
    told = [
        listen.advertise or (sip.advertise if isinstance(sip.advertise, HostPort) else HostPort(listen.host, 0))
        for listen in sip.listen
        if listen.transport == "tls"
    ]
    return any(ip_version(address.host) is None for address in told)
