"""Presets in a configuration: what a trunk writes of one, and what that fills in before the trunk is checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import PlainValidator

from offhook.config.presets import HOST, Preset, names, preset
from offhook.config.values import WrongValue, text_of


@dataclass(frozen=True, slots=True)
class PresetUse:
    """A preset as a trunk names it: `"telnyx"`, or `{ name = "telnyx", region = "eu" }`."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def preset(self) -> Preset:
        """The preset itself."""
        return preset(self.name)

    def __str__(self) -> str:
        return ", ".join([self.name, *(f"{name} {value}" for name, value in self.parameters)])


@dataclass(frozen=True, slots=True)
class Filled:
    """What a trunk got from its preset: the settings, by the names of the file."""

    trunk: str
    use: PresetUse
    settings: tuple[str, ...]


def read_use(value: object) -> PresetUse:
    """Read what stands behind `preset =`; raises `WrongValue`."""
    table = value if isinstance(value, Mapping) else {"name": value}
    if "name" not in table:
        raise WrongValue("is a preset without a name", 'write { name = "telnyx", region = "eu" }')
    name = text_of(table["name"])
    if name not in names():
        near = get_close_matches(name.lower(), names(), n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise WrongValue(f"there is no preset '{name}'", f"{hint}known: {', '.join(names())}")
    known = preset(name).parameter
    parameters = []
    for key, given in table.items():
        if key == "name":
            continue
        if key not in known:
            has = f"known: {', '.join(known)}" if known else "it has none"
            raise WrongValue(f"preset '{name}' has no parameter '{key}'", has)
        chosen = {True: "yes", False: "no"}[given] if isinstance(given, bool) else given
        if not isinstance(chosen, str) or chosen not in known[key].choices:
            raise WrongValue(f"{chosen!r} is no {key} of preset '{name}'", f"known: {', '.join(known[key].choices)}")
        parameters.append((key, chosen))
    return PresetUse(name, tuple(parameters))


PresetValue = Annotated[PresetUse, PlainValidator(read_use)]


def fill_in(data: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Filled, ...]]:
    """A file's raw tables with what the presets of its trunks know, and what that was.

    A trunk whose `preset` is wrong stays as it is: its validation tells that.
    """
    trunks = data.get("trunk", ())
    if not isinstance(trunks, tuple):
        return dict(data), ()
    tables, filled = [], []
    for trunk in trunks:
        use = _use(trunk)
        if use is None:
            tables.append(trunk)
            continue
        found = {key: fill.value for key, fill in use.preset.fills(dict(use.parameters)).items() if key not in trunk}
        host = trunk.get("host", found.get("host"))
        found = {key: _lists(host if value == HOST else value) for key, value in found.items()}
        found = {key: value for key, value in found.items() if value is not None}
        tables.append({**trunk, **found})
        filled.append(Filled(str(trunk.get("name", "")), use, tuple(found)))
    return {**data, "trunk": tuple(tables)}, tuple(filled)


def _use(trunk: object) -> PresetUse | None:
    if not isinstance(trunk, Mapping) or trunk.get("preset") is None:
        return None
    try:
        return read_use(trunk["preset"])
    except WrongValue:
        return None


def _lists(value: object) -> object:
    """As a file's own values are kept: lists as tuples."""
    return tuple(_lists(item) for item in value) if isinstance(value, list) else value
