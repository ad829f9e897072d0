"""docs/reference/config.md, made from the schema by `make docs`."""

from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from offhook.config.lines import Path
from offhook.config.normal import shown
from offhook.config.not_built import NOT_BUILT
from offhook.config.presets.use import PresetUse
from offhook.config.schema import LISTS, SECTIONS, FallbackConfig, InboundConfig, PhoneConfig, Section
from offhook.config.secret import Secret
from offhook.config.values import KeySource, Listen
from offhook.route.pattern import ANY, Pattern

_HEAD = """# Configuration

<!-- Made from python/offhook/config/schema by `make docs`; edit there. -->

offhook reads one TOML file: the one named by `--config`, else by the variable `OFFHOOK_CONFIG`, else `offhook.toml` in
the working directory. The file is checked whole before anything starts, and `offhook check` does the same without
starting. Every problem is told at once, with its line. A name that is not on this page is an error, and so is a setting
whose feature is not built yet: nothing is ignored.

Without a file, and in a file without any `[[trunk]]`, there is a built-in trunk `local` that admits this machine
alone (with `--lan` the private networks too), in G.722, PCMU or PCMA. This machine is the loopback and the addresses
that it has towards other networks, from which some softphones call even `127.0.0.1`. If there is no `[[route]]`
either, its calls go to `echo:welcome`, a short prompt and then an echo test; without a file they go to the [built-in
agent](../guides/builtin-agent.md), where its packages are installed. A file with a `[[trunk]]` of its own has no
built-in parts.

Passwords, tokens and the values of an agent's headers are secrets: a string, or `{ env = "NAME" }` for the value of an
environment variable, which must be set. They are never printed. Times are seconds. A list of tables is written with
double brackets, once for each entry.

```toml
[[trunk]]
name = "acme"                                     # who may call, and how its calls are read
allow = ["198.51.100.0/24"]
country = "US"

[[route]]
name = "sales"                                    # which calls go where
trunk = "acme"
to = "+1415*"
destination = "agent:front-desk"
fallback = [{ on = ["refused", "late"], to = "echo:welcome" }]

[[agent]]
name = "front-desk"                               # how the agent is reached
kind = "twilio"
url = "wss://bot.example/media"
token = { env = "BOT_TOKEN" }
```

## Which trunk a call belongs to

1. A trunk is a candidate if the source address lies in its `allow`, or if it has no `allow` but an `inbound` password,
   `phones` or a `tls_name`. While we are registered with a trunk, the addresses of its registrar count as its `allow`.
2. A candidate with a `tls_name` drops out unless the client certificate proves that name; one with `tls = "required"`
   drops out unless the request came over TLS.
3. A candidate with a `domain` drops out if the Request-URI has another host.
4. Candidates that name the certificate go first, then those that name the domain; then the longest matching network
   wins.
5. If the winner has `inbound` or `phones`, the caller must prove user and password by digest. Between trunks that are
   equal so far, the user name decides.

Whoever fits no trunk is a stranger and gets what `limits.refuse` says. Two trunks that these rules can't tell apart are
refused when the file is read. `offhook routes test` shows the decision for a call that you describe.

## Which route a call takes

Routes are tried by `priority` (higher first), then in file order; the first whose conditions all fit is taken. A
number is compared in E.164, as read by the trunk's `country`, and as it was received. `*` stands for any characters,
also none.

## Destinations

| URI | where the call goes |
| --- | --- |
| `agent:NAME` | the `[[agent]]` of that name |
| `worker:NAME` | the same, of kind `worker` |
| `tel:NUMBER` | a person: a number, by a trunk whose `dial_to` lists it |
| `sip:USER@HOST` | a person at the trunk with that `host`, or a phone of the trunk with that name |
| `ws://…` `wss://…` | an agent's WebSocket, in offhook's own protocol (`offhook+ws://` is the same) |
| `twilio+ws://…` `twilio+wss://…` | an agent's WebSocket that speaks Twilio Media Streams |
| `echo:` | an echo test |
| `echo:welcome` | a short prompt, then the echo test |
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, model in SECTIONS.items():
        parts.append(_table(f"`[{name}]`", model, (name,)))
    for name, model in LISTS.items():
        parts.append(_table(f"`[[{name}]]`", model, (name, "*")))
        if name == "trunk":
            parts.append(_table("`inbound` of a trunk", InboundConfig, (name, "*", "inbound")))
            parts.append(_table("`phones` of a trunk", PhoneConfig, (name, "*", "phones", "*")))
        if name == "route":
            parts.append(_table("`fallback` of a route", FallbackConfig, (name, "*", "fallback", "*")))
    return "\n".join(parts)


def _table(title: str, model: type[Section], where: Path) -> str:
    rows = [
        f"\n## {title}\n",
        f"{model.__doc__}\n",
        "| setting | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        meaning = (field.description or "") + _not_built((*where, name))
        cells = (f"`{name}`", _words(field.annotation, field.metadata), _default(field), meaning)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _not_built(where: Path) -> str:
    features = [entry.feature for entry in NOT_BUILT if entry.where in (where, (*where, "*"))]
    return "".join(f" **Not built yet: {feature}.**" for feature in features)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return ""
    value = shown(field.default)
    if field.default == (ANY,):
        value = str(ANY)
    return _toml(value)


def _toml(value: object) -> str:
    match value:
        case "" | [] | {}:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case list():
            return "`[" + ", ".join(_toml(item).strip("`") for item in value) + "]`"
        case str():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"


def _words(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        parts = [part.metadata if isinstance(part, FieldInfo) else [part] for part in arguments[1:]]
        return _words(arguments[0], [item for items in parts for item in items])
    if origin is Literal:
        return ", ".join(_toml(value) for value in arguments)
    if (origin is tuple and arguments[0] in (Pattern, str)) or tuple[str, ...] in arguments:
        return "string, or list of strings"
    if origin is tuple and get_args(arguments[0])[:1] == (Listen,):
        return "list of strings or tables"
    if origin is tuple:
        inner = _words(arguments[0], [])
        return f"list of {inner}s" if inner in ("string", "table") else f"list of {inner}"
    if origin is dict:
        return "table of secrets" if "Secret" in str(arguments[1]) else "table of strings"
    present = [argument for argument in arguments if argument is not type(None)]
    if arguments and len(present) < len(arguments) and len(present) == 1:
        return _words(present[0], metadata)
    if annotation in (int, float):
        return ("whole number" if annotation is int else "number") + _bounds(metadata)
    if annotation is Secret:
        return "secret"
    if annotation is KeySource:
        return "table"
    if annotation is PresetUse:
        return "string or table"
    if set(arguments) == {int, str}:
        return "string or whole number"
    if bool in arguments or (int in arguments and any(get_origin(argument) is Literal for argument in arguments)):
        return ", ".join(_words(argument, []) for argument in arguments)
    if annotation is bool:
        return "true or false"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table"
    return "string"


def _bounds(metadata: list[Any]) -> str:
    low = next((item for item in metadata if isinstance(item, (Ge, Gt))), None)
    high = next((item.le for item in metadata if isinstance(item, Le)), None)
    if low is None:
        return ""
    bottom = f"from {low.ge}" if isinstance(low, Ge) else f"above {low.gt}"
    return f", {bottom} to {high}"
