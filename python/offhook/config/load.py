"""A file becomes a `Config`, or all of its problems at once."""

import re
import socket
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from offhook.config import certificates, hold_music, not_built, platform_uris, recordings, rules, sounds
from offhook.config.lines import Path as TomlPath
from offhook.config.lines import line_of, locate
from offhook.config.presets.use import Filled, fill_in
from offhook.config.problems import Finding, from_validation, in_words, unknown_key, without_secrets
from offhook.config.schema import (
    LISTS,
    SECTIONS,
    AgentConfig,
    Config,
    HttpConfig,
    KeyConfig,
    LimitsConfig,
    MediaConfig,
    NodeConfig,
    RecordingConfig,
    RouteConfig,
    Section,
    SipConfig,
    StoreConfig,
    TalkConfig,
    TrunkConfig,
)
from offhook.config.secret import Secret
from offhook.errors import ConfigError, ConfigProblem
from offhook.route.destination_uri import redact_query
from offhook.route.quoting import printable

S = TypeVar("S", bound=Section)

_SIP_FILES = ("tls_certificate", "tls_key", "tls_ca")
_TRUNK_FILES = ("tls_client_certificate", "tls_client_key")
_SOUND = "a table is missing only with an error"
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
MAX_FILE_BYTES = 4 * 1024 * 1024
DEFAULT_FILE = "offhook.toml"
LOOPBACK = ("127.0.0.0/8", "::1")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
LOCAL_TRUNK = "local"
"""The built-in trunk of a configuration without any `[[trunk]]`: this machine, with `--lan` private networks."""
LOCAL_CODECS = ("G722", "PCMU", "PCMA")
"""What the telephones of that trunk may speak: all that we do, the best first."""
WELCOME_ROUTE = "welcome"
"""The built-in route of that trunk, if there is no `[[route]]` either."""


@dataclass(slots=True)
class Examined:
    """What `examine` found: a configuration if there is no error, and in any case every problem and warning.

    `unreadable` is set if there was no text to check: no such file, or not ours to read.
    """

    config: Config | None = None
    unreadable: bool = False
    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


def default_file(environ: Mapping[str, str], directory: Path) -> Path | None:
    """The file that is meant when none is named: `$OFFHOOK_CONFIG`, else `offhook.toml` in `directory` if it exists."""
    if named := environ.get("OFFHOOK_CONFIG"):
        return Path(named)
    found = directory / DEFAULT_FILE
    return found if found.is_file() else None


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """The agent that `offhook run` starts beside the gateway: its name, and a token for its worker alone.

    `fallback` is the destination that gets the calls while it can't, where its route is the built-in one.
    """

    name: str
    token: str
    fallback: str = ""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    lan: bool = False,
    host_name: str | None = None,
    agent: LocalAgent | None = None,
    machine: tuple[str, ...] = (),
) -> Config:
    """Read and check a configuration file; None stands for the built-in configuration.

    `environ` gives the values of `{ env = … }`. `lan` widens the built-in trunk to private networks; `machine` are
    addresses of ours that it admits besides those of the loopback. `agent` is known as an `[[agent]]` of kind `worker`
    unless the file has one of that name, and gets the calls where there is no route.
    Raises `ConfigError` with every problem; nothing has been opened or started by then.
    """
    examined = examine(path, environ, lan=lan, host_name=host_name, agent=agent, machine=machine)
    if examined.config is None:
        raise ConfigError(examined.errors)
    return examined.config


def examine(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    lan: bool = False,
    host_name: str | None = None,
    agent: LocalAgent | None = None,
    machine: tuple[str, ...] = (),
) -> Examined:
    """Do what `load` does, and return problems and warnings instead of raising."""
    text = ""
    if path is not None:
        read = _read(path)
        if isinstance(read, ConfigProblem):
            return Examined(unreadable=True, errors=[read])
        text = read
    base = Path.cwd() if path is None else path.absolute().parent
    examined = examine_text(
        text,
        environ,
        file=str(path or ""),
        base=base,
        source=path,
        lan=lan,
        host_name=host_name,
        agent=agent,
        machine=machine,
    )
    config = examined.config
    if path is not None and config is not None and (warning := _readable_secrets(path, config, agent)) is not None:
        examined.warnings.append(warning)
        examined.config = replace(config, warnings=(*config.warnings, str(warning)))
    return examined


def examine_text(
    text: str,
    environ: Mapping[str, str],
    *,
    file: str,
    base: Path,
    source: Path | None = None,
    lan: bool = False,
    host_name: str | None = None,
    agent: LocalAgent | None = None,
    machine: tuple[str, ...] = (),
) -> Examined:
    """Check a configuration given as text. `file` names it in problems, relative paths in it start at `base`."""
    try:
        data = _frozen(tomllib.loads(text))
    except ValueError as error:
        # Besides its own error, tomllib lets that of int() through for a number of thousands of digits.
        return Examined(errors=[_syntax(error, file)])
    except RecursionError:
        return Examined(errors=[ConfigProblem("", "is nested too deep", file=file)])
    assert isinstance(data, dict), "a TOML text is a table"
    lines = locate(text)
    findings = _add_built_in(data, lan=lan, machine=machine, agent=agent)
    expanded = platform_uris.expand(data)
    # What is wrong with an agent that nobody wrote is told where it was named.
    lines |= {path: line for path, origin in expanded.origins.items() if (line := line_of(lines, origin)) is not None}
    findings += expanded.findings
    data, filled = fill_in(expanded.data)
    draft, node, store, wrong = _drafted(data, environ, filled)
    findings += wrong

    def problem(finding: Finding) -> ConfigProblem:
        line = line_of(lines, finding.path)
        # Names and values of the file stand in these texts.
        texts = (_dotted(finding.path, data), finding.message, finding.hint)
        path, message, hint = (printable(without_secrets(text), None) for text in texts)
        return ConfigProblem(path, message, hint=hint, line=line, file=file)

    errors = sorted((problem(finding) for finding in findings), key=lambda found: found.line or 0)
    warned = sorted((problem(finding) for finding in rules.warnings(draft)), key=lambda found: found.line or 0)
    if errors:
        return Examined(errors=errors, warnings=warned)
    assert node is not None and store is not None, _SOUND  # noqa: PT018  for the type checker
    config = _built(draft, node, store, base=base, source=source, host_name=host_name)
    config = replace(config, presets=filled)
    wrong_files, doubtful_files = _files(config)
    warned = sorted([*warned, *map(problem, doubtful_files)], key=lambda found: found.line or 0)
    if wrong_files:
        return Examined(errors=[problem(finding) for finding in wrong_files], warnings=warned)
    return Examined(replace(config, warnings=tuple(str(found) for found in warned)), warnings=warned)


def _add_built_in(
    data: dict[str, Any], *, lan: bool, machine: tuple[str, ...], agent: LocalAgent | None
) -> list[Finding]:
    """Put in what a file leaves to us: a trunk, a route, the agent that runs beside the gateway."""
    findings = []
    if lan and "trunk" in data:
        findings.append(
            Finding(("trunk",), "--lan widens the built-in trunk, but this file has its own", "leave out --lan")
        )
    if "trunk" not in data:
        allow = LOOPBACK + machine + (PRIVATE if lan else ())
        data["trunk"] = ({"name": LOCAL_TRUNK, "allow": allow, "codecs": LOCAL_CODECS},)
        if "route" not in data:
            data["route"] = ({"name": WELCOME_ROUTE, "trunk": LOCAL_TRUNK, **_leads_to(agent)},)
    if agent is not None:
        _add_agent(data, agent)
    return findings


def _files(config: Config) -> tuple[list[Finding], list[Finding]]:
    """What is wrong with the files that a configuration names, and what is doubtful."""
    wrong, doubtful = certificates.findings(config)
    return [*wrong, *recordings.findings(config), *sounds.findings(config), *hold_music.findings(config)], doubtful


def _drafted(
    data: Mapping[str, Any], environ: Mapping[str, str], filled: tuple[Filled, ...]
) -> tuple[rules.Draft, NodeConfig | None, StoreConfig | None, list[Finding]]:
    """Every table by its schema, and all that is wrong with them, alone and together."""
    reader = _Reader(data, environ)
    node = reader.table("node", NodeConfig)
    store = reader.table("store", StoreConfig)
    draft = rules.Draft(
        sip=reader.table("sip", SipConfig),
        media=reader.table("media", MediaConfig),
        http=reader.table("http", HttpConfig),
        talk=reader.table("talk", TalkConfig),
        recording=reader.table("recording", RecordingConfig),
        limits=reader.table("limits", LimitsConfig),
        trunks=reader.entries("trunk", TrunkConfig),
        routes=reader.entries("route", RouteConfig),
        agents=reader.entries("agent", AgentConfig),
        keys=reader.entries("key", KeyConfig),
        names={kind: reader.names(kind) for kind in LISTS},
        references=list(reader.references()),
        worker_agents=reader.worker_agents(),
        filled={preset.trunk: preset.settings for preset in filled},
    )
    reader.unknown_tables()
    findings = list(reader.findings)
    wrong = {finding.path for finding in findings}
    for path, value, entry in not_built.find(data):
        if path not in wrong:
            message = f"{_refused(path, value)} is refused, as it is not built yet: {entry.feature}"
            findings.append(Finding(path, message, entry.instead))
    findings += rules.errors(draft)
    if store is not None and store.url is not None and not any(f.path == ("store", "url") for f in findings):
        findings += _store_url(store.url)
    return draft, node, store, findings


def _built(
    draft: rules.Draft, node: NodeConfig, store: StoreConfig, *, base: Path, source: Path | None, host_name: str | None
) -> Config:
    """The configuration that a sound draft makes, its paths seen from `base`."""
    sip, media, http, limits, recording = draft.sip, draft.media, draft.http, draft.limits, draft.recording
    talk = draft.talk
    assert sip is not None and media is not None, _SOUND  # noqa: PT018  for the type checker
    assert http is not None and limits is not None and recording is not None, _SOUND  # noqa: PT018  likewise
    assert talk is not None, _SOUND
    if not node.name:
        node = node.model_copy(update={"name": host_name or socket.gethostname()})
    data_dir = base / node.data_dir
    return Config(
        node=node,
        sip=sip.model_copy(update={name: _path_at(base, getattr(sip, name)) for name in _SIP_FILES}),
        media=media,
        http=http,
        talk=talk,
        store=store,
        recording=_recording_at(base, data_dir, recording),
        limits=limits,
        trunks=tuple(_trunk_at(base, trunk) for trunk in draft.trunks.values()),
        routes=tuple(hold_music.at(base, _route_at(base, route)) for route in draft.routes.values()),
        agents=tuple(_agent_at(base, agent) for agent in draft.agents.values()),
        keys=tuple(draft.keys.values()),
        data_dir=data_dir,
        store_url=f"sqlite:///{base / store.url.removeprefix('sqlite:///') if store.url else data_dir / 'offhook.db'}",
        source=source,
    )


def _path_at(base: Path, path: str | None) -> str | None:
    return None if path is None else str(base / path)


def _recording_at(base: Path, data_dir: Path, recording: RecordingConfig) -> RecordingConfig:
    paths: dict[str, object] = {
        "directory": str(base / recording.directory if recording.directory else data_dir / "recordings")
    }
    if recording.announcement != "off":
        paths["announcement"] = str(base / recording.announcement)
    if recording.key is not None and recording.key.file is not None:
        paths["key"] = replace(recording.key, file=str(base / recording.key.file))
    return recording.model_copy(update=paths)


def _route_at(base: Path, route: RouteConfig) -> RouteConfig:
    early = sounds.seen_from(base, route.early_media)
    return route if early == route.early_media else route.model_copy(update={"early_media": early})


def _trunk_at(base: Path, trunk: TrunkConfig) -> TrunkConfig:
    files = {name: _path_at(base, getattr(trunk, name)) for name in _TRUNK_FILES}
    placed: TrunkConfig = hold_music.at(base, trunk.model_copy(update=files))
    return placed


def _agent_at(base: Path, agent: AgentConfig) -> AgentConfig:
    named = {"tls_ca": agent.tls_ca, "voicemail": agent.voicemail}
    return agent.model_copy(update={key: str(base / path) for key, path in named.items() if path is not None})


class _Reader:
    """Validates a file's tables one by one, so that a mistake in one doesn't hide those in the others."""

    def __init__(self, data: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.findings: list[Finding] = []
        self._data = data
        self._context = {"environ": environ}

    def table(self, name: str, model: type[S]) -> S | None:
        """The table `[name]`; its defaults if the file has none, None if it is wrong."""
        return self._valid((name,), self._data.get(name, {}), model)

    def entries(self, name: str, model: type[S]) -> dict[int, S]:
        """The valid ones of the tables `[[name]]`, by position."""
        entries = self._data.get(name, ())
        if not isinstance(entries, tuple):
            self.findings.append(Finding((name,), "is a list of tables", f"write [[{name}]] with a name in it"))
            return {}
        checked = ((index, self._valid((name, index), entry, model)) for index, entry in enumerate(entries))
        return {index: entry for index, entry in checked if entry is not None}

    def names(self, kind: str) -> list[tuple[int, str]]:
        """The names of the tables `[[kind]]`, right or wrong otherwise, with their positions."""
        entries = self._data.get(kind, ())
        if not isinstance(entries, tuple):
            # Written as [trunk.acme]: its names are meant, and references to them are right.
            return [(0, name) for name in entries] if isinstance(entries, Mapping) else []
        named = ((index, entry.get("name")) for index, entry in enumerate(entries) if isinstance(entry, Mapping))
        return [(index, name) for index, name in named if isinstance(name, str)]

    def references(self) -> Iterator[tuple[TomlPath, str, str]]:
        """The trunks and agents that others name, right or wrong otherwise: where, which kind and which name."""
        agents = self._data.get("agent", ())
        for index, agent in enumerate(agents if isinstance(agents, tuple) else ()):
            if isinstance(agent, Mapping) and isinstance(trunk := agent.get("trunk"), str):
                yield ("agent", index, "trunk"), "trunk", trunk
        routes = self._data.get("route", ())
        for index, route in enumerate(routes if isinstance(routes, tuple) else ()):
            if not isinstance(route, Mapping):
                continue
            if isinstance(trunk := route.get("trunk"), str):
                yield ("route", index, "trunk"), "trunk", trunk
            fallbacks = route.get("fallback", ())
            destinations: list[tuple[TomlPath, object]] = [(("route", index, "destination"), route.get("destination"))]
            for number, fallback in enumerate(fallbacks if isinstance(fallbacks, tuple) else ()):
                if isinstance(fallback, Mapping):
                    destinations.append((("route", index, "fallback", number, "to"), fallback.get("to")))
            allowed = route.get("hand_over_to", ())
            for number, uri in enumerate(allowed if isinstance(allowed, tuple) else (allowed,)):
                where: TomlPath = ("route", index, "hand_over_to")
                destinations.append(((*where, number) if isinstance(allowed, tuple) else where, uri))
            for path, uri in destinations:
                scheme, _, name = uri.partition(":") if isinstance(uri, str) else ("", "", "")
                if scheme.lower() in ("agent", "worker") and name and "*" not in name:
                    yield path, scheme.lower(), name

    def worker_agents(self) -> list[str]:
        """The names of the agents of kind `worker`, right or wrong otherwise."""
        entries = self._data.get("agent", ())
        tables = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, tuple) else []
        return [
            name for table in tables if table.get("kind") == "worker" and isinstance(name := table.get("name"), str)
        ]

    def unknown_tables(self) -> None:
        """Note what the file has at its top and the schema hasn't."""
        known = (*SECTIONS, *LISTS)
        self.findings += [unknown_key((key,), known) for key in self._data if key not in known]

    def _valid(self, path: TomlPath, value: object, model: type[S]) -> S | None:
        try:
            return model.model_validate(value, context=self._context)
        except ValidationError as error:
            details = error.errors()
            # A list whose items are wrong is not also "empty" for want of good ones.
            parents = {found["loc"][:-1] for found in details}
            real = [found for found in details if not (found["type"] == "too_short" and found["loc"] in parents)]
            self.findings += [from_validation(found, path, model) for found in real]
            return None


def _read(path: Path) -> str | ConfigProblem:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return ConfigProblem("", "there is no such file", file=str(path))
    except OSError as error:
        return ConfigProblem("", f"can't be read: {error.strerror}", file=str(path))
    if len(content) > MAX_FILE_BYTES:
        return ConfigProblem("", f"is larger than {MAX_FILE_BYTES} bytes", file=str(path))
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return ConfigProblem("", "is not UTF-8", line=line, file=str(path), hint="save it as UTF-8")


def _syntax(error: ValueError, file: str) -> ConfigProblem:
    # Before Python 3.14 the position is only in the sentence: "… (at line 3, column 5)" or "… (at end of document)".
    message, _, place = str(error).rpartition(" (at ")
    line = place.removeprefix("line ").partition(",")[0]
    said = message or str(error)
    if said == "Illegal character '\\n'":
        said = "the line ends inside of a string"
    where = "" if line.isdigit() else " at the end of the file"
    return ConfigProblem("", f"is not TOML: {said}{where}", line=int(line) if line.isdigit() else None, file=file)


def _frozen(value: object) -> Any:
    """Lists become tuples: settings don't change, and validation is strict about the difference."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _dotted(path: TomlPath, data: Mapping[str, Any]) -> str:
    """`trunk.acme.codecs[1]`: by name where an entry has one of its own, else by position."""
    if len(path) < 2 or path[0] not in LISTS or not isinstance(path[1], int):
        head, rest = "", path
    else:
        names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in data[path[0]]]
        name = names[path[1]]
        unique = isinstance(name, str) and bool(_PLAIN.fullmatch(name)) and names.count(name) == 1
        head, rest = f"{path[0]}.{name}" if unique else f"{path[0]}[{path[1]}]", path[2:]
    for part in rest:
        if isinstance(part, int):
            head += f"[{part}]"
        else:
            head += f"{'.' if head else ''}{part if _PLAIN.fullmatch(part) else repr(part)}"
    return head


def _refused(path: TomlPath, value: object) -> str:
    """The value that is refused, for a sentence; none that may hold a password."""
    if path[-1] == "password" or path == ("store", "url"):
        return "this"
    return in_words(redact_query(value) if isinstance(value, str) else value)


def _store_url(url: str) -> list[Finding]:
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql") or scheme.startswith("postgresql+"):
        return []
    if scheme != "sqlite" or not rest.startswith("/") or rest in ("/", "/:memory:") or "?" in rest:
        hint = "sqlite:///data/offhook.db, or with four slashes for an absolute path"
        return [Finding(("store", "url"), f"'{scheme}:…' is no place for records", hint)]
    return []


def _leads_to(agent: LocalAgent | None) -> dict[str, Any]:
    """Where the built-in route leads."""
    if agent is None:
        return {"destination": "echo:welcome"}
    fallback = {"fallback": ({"to": agent.fallback},)} if agent.fallback else {}
    return {"destination": f"worker:{agent.name}", **fallback}


def _add_agent(data: dict[str, Any], agent: LocalAgent) -> None:
    there = data.get("agent", ())
    if not isinstance(there, tuple):
        # Which is an error, and told as one.
        return
    if not any(isinstance(known, dict) and known.get("name") == agent.name for known in there):
        data["agent"] = (*there, {"name": agent.name, "kind": "worker", "token": agent.token})


def _readable_secrets(path: Path, config: Config, agent: LocalAgent | None) -> ConfigProblem | None:
    """A file with passwords in it, which others on this machine may read."""
    secrets = [trunk.inbound.password for trunk in config.trunks if trunk.inbound]
    secrets += [trunk.password for trunk in config.trunks if trunk.password is not None]
    secrets += [phone.password for trunk in config.trunks for phone in trunk.phones]
    secrets += [secret for agent in config.agents for secret in (agent.token, *agent.headers.values()) if secret]
    if config.talk.token is not None:
        secrets.append(config.talk.token)
    if agent is not None:
        # The token of this run stands in no file.
        secrets = [secret for secret in secrets if secret != Secret(agent.token)]
    if any(secret.origin == "file" for secret in secrets) and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        hint = f"chmod 600 {path}, or write {{ env = NAME }}"
        return ConfigProblem("", "holds secrets and can be read by other users", file=str(path), hint=hint)
    return None
