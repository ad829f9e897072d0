"""Destinations that name somebody on a platform: each is short for an `[[agent]]`, on the trunk with that preset.

    destination = "vapi:front-desk"   ──►   destination = "agent:vapi-front-desk", and
                                            [[agent]] with that name, kind = "vapi", trunk = …, dial = "front-desk"

What such an agent needs beyond that is at its default, or of the environment; else the `[[agent]]` is written out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from offhook.config.lines import Path
from offhook.config.problems import Finding


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One of them: the agent's kind, its trunk's preset, what is set to who stands behind the colon, and the rest."""

    kind: str
    preset: str
    setting: str
    who: str
    may_be_empty: bool = False
    """Whether the number that was dialled does where nobody is named."""
    also: Mapping[str, Any] | None = None


SCHEMES: Mapping[str, _Scheme] = {
    "vapi": _Scheme("vapi", "vapi", "dial", "NAME"),
    "retell": _Scheme("retell", "retell", "agent_id", "AGENT_ID", also={"api_key": {"env": "RETELL_API_KEY"}}),
    "elevenlabs+sip": _Scheme("elevenlabs", "elevenlabs", "dial", "NUMBER", may_be_empty=True),
    "livekit+sip": _Scheme("livekit", "livekit", "dial", "NUMBER", may_be_empty=True),
    "openai+sip": _Scheme("openai-sip", "openai", "dial", "PROJECT"),
}
"""The platforms by the scheme of their destinations."""

# Where a destination is wrong there is none, and nothing else is to be told of that.
_NOWHERE = "wss://wrong.invalid/"

_WHO = re.compile(r"[A-Za-z0-9_.!~*'#+{}-]{0,128}")
_TRUNK = re.compile(r"trunk=([^&=]{1,64})")
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Expanded:
    """The file's raw tables with the agents written out; `origins` is where each of these comes from in the file."""

    data: dict[str, Any]
    origins: Mapping[Path, Path]
    findings: tuple[Finding, ...] = ()


def expand(data: Mapping[str, Any]) -> Expanded:
    """Write out the agents that destinations and fallbacks of routes name by their platform."""
    agents, routes = data.get("agent", ()), data.get("route", ())
    if not isinstance(agents, tuple) or not isinstance(routes, tuple):
        return Expanded(dict(data), {})
    made = _Made(data, agents)
    written = tuple(made.route(("route", index), route) for index, route in enumerate(routes))
    if not made.origins and not made.findings:
        return Expanded(dict(data), {})
    return Expanded({**data, "route": written, "agent": tuple(made.agents)}, made.origins, tuple(made.findings))


class _Made:
    """The agents so far, those of the file first."""

    def __init__(self, data: Mapping[str, Any], agents: tuple[Any, ...]) -> None:
        trunks = data.get("trunk", ())
        self._trunks = [trunk for trunk in trunks if isinstance(trunk, Mapping)] if isinstance(trunks, tuple) else []
        self._names = {str(agent.get("name")) for agent in agents if isinstance(agent, Mapping)}
        self._known: dict[str, str] = {}
        self.agents: list[Any] = list(agents)
        self.origins: dict[Path, Path] = {}
        self.findings: list[Finding] = []

    def route(self, path: Path, route: Any) -> Any:
        """The route, its destinations those of agents."""
        if not isinstance(route, Mapping):
            return route
        changed = dict(route)
        if "destination" in route:
            changed["destination"] = self._destination((*path, "destination"), route["destination"])
        if isinstance(fallbacks := route.get("fallback"), tuple):
            changed["fallback"] = tuple(
                {**one, "to": self._destination((*path, "fallback", number, "to"), one["to"])}
                if isinstance(one, Mapping) and "to" in one
                else one
                for number, one in enumerate(fallbacks)
            )
        return changed

    def _destination(self, path: Path, uri: Any) -> Any:
        name, colon, rest = uri.partition(":") if isinstance(uri, str) else ("", "", "")
        scheme = SCHEMES.get(name.lower())
        if not colon or scheme is None:
            return uri
        return self._known.get(f"{scheme.kind}:{rest}") or self._new(path, name.lower(), scheme, rest)

    def _new(self, path: Path, name: str, scheme: _Scheme, rest: str) -> str:
        wrong = list(self._wrong(path, name, scheme, rest))
        if wrong:
            self.findings += wrong
            return f"{_NOWHERE}{len(self.findings)}"
        who, _, query = rest.partition("?")
        said = _TRUNK.fullmatch(query)
        agent: dict[str, Any] = {
            "name": self._free_name(f"{scheme.kind}-{who}" if who else scheme.kind),
            "kind": scheme.kind,
            "trunk": said[1] if said is not None else self._lines(scheme)[0],
            **({scheme.setting: who} if who else {}),
            **(scheme.also or {}),
        }
        self.origins["agent", len(self.agents)] = path
        self.agents.append(agent)
        self._known[f"{scheme.kind}:{rest}"] = f"agent:{agent['name']}"
        return f"agent:{agent['name']}"

    def _wrong(self, path: Path, name: str, scheme: _Scheme, rest: str) -> Iterator[Finding]:
        who, question, query = rest.partition("?")
        form = f"{name}:{scheme.who}"
        if _WHO.fullmatch(who) is None:
            hint = f"write {form}, without // and @HOST: the host is that of the [[trunk]]"
            yield Finding(path, f"'{who[:80]}' is nobody on that platform", hint)
        elif not who and not scheme.may_be_empty:
            yield Finding(path, f"'{name}:' does not say whom to call there", f"write {form}")
        elif question and _TRUNK.fullmatch(query) is None:
            yield Finding(path, f"'?{query[:80]}' says nothing here", "only ?trunk=NAME may follow")
        elif not question and len(lines := self._lines(scheme)) != 1:
            if lines:
                message = f"'{form}' may go by each of the trunks {', '.join(lines)}"
                yield Finding(path, message, f"say which: {name}:{who}?trunk={lines[0]}")
            else:
                host = ', host = "SUBDOMAIN.sip.livekit.cloud"' if scheme.preset == "livekit" else ""
                table = f'name = "{scheme.preset}", preset = "{scheme.preset}"{host}, caller_id = "+NUMBER"'
                message = f"no trunk has preset '{scheme.preset}', by which '{name}:' is called"
                yield Finding(path, message, f"write a [[trunk]] with {table}; or say which one: {form}?trunk=NAME")

    def _lines(self, scheme: _Scheme) -> list[str]:
        """The trunks that lead to the platform."""
        found = []
        for trunk in self._trunks:
            preset = trunk.get("preset")
            if (preset.get("name") if isinstance(preset, Mapping) else preset) == scheme.preset:
                found.append(str(trunk.get("name", "")))
        return found

    def _free_name(self, wanted: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted)[: _LONGEST_NAME - 4].strip("-")
        number, name = 1, plain
        while name in self._names:
            number += 1
            name = f"{plain}-{number}"
        self._names.add(name)
        return name
