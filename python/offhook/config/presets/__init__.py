"""What is known about carriers, PBXs and platforms: one TOML file each, read when a trunk names it or is asked about.

A preset knows settings of a `[[trunk]]`, each with the page that says so and the day on which it was read. What stands
in the configuration itself wins. What a preset can't know and a trunk needs, it asks for by name (`need`).
"""

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Words = Annotated[str, StringConstraints(min_length=1, max_length=400)]
HOST = "{host}"
"""As a value of a fill: the `host` that the trunk has by then. Without one there is nothing to fill in."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fill(_Part):
    """A setting that the preset knows.

    `where` names parameters and the choices for which it holds; of several that hold, the last counts. `assumed` marks
    what no page of the vendor's own says; `note` why it is so.
    """

    setting: Words
    value: Any
    where: dict[str, str] = {}
    source: Words
    read: date
    assumed: bool = False
    note: str = ""


class Need(_Part):
    """A setting that the trunk has to have of its own: always, or as soon as calls go out by it.

    `pattern` is what it usually looks like, `*` for anything; another value is worth a warning that tells `otherwise`.
    """

    setting: Words
    say: Words
    calls_out: bool = False
    pattern: str = ""
    otherwise: str = ""


class Parameter(_Part):
    """A choice of the preset's own, such as the region; `choices` is each value with its meaning."""

    meaning: Words
    default: Words
    choices: dict[str, Words]


class Preset(_Part):
    """One preset. `verified` is `simulated`, or the day of calls with the real thing."""

    title: Words
    kind: Literal["carrier", "pbx", "platform"]
    guide: Words
    verified: Literal["simulated"] | date
    needs_name: str = ""
    """Why our TLS listener has to be told by a name; empty where it doesn't."""
    parameter: dict[str, Parameter] = {}
    fill: Annotated[tuple[Fill, ...], Field(min_length=1)]
    need: tuple[Need, ...] = ()

    def fills(self, parameters: dict[str, str]) -> dict[str, Fill]:
        """What is filled in with these parameters, by setting; the defaults stand for those that are missing."""
        chosen = {name: parameter.default for name, parameter in self.parameter.items()} | parameters
        holding = (fill for fill in self.fill if all(chosen.get(name) == want for name, want in fill.where.items()))
        return {fill.setting: fill for fill in holding}

    @property
    def read(self) -> tuple[date, date]:
        """The first and the last day on which a page was read for it."""
        days = [fill.read for fill in self.fill]
        return min(days), max(days)


@cache
def names() -> tuple[str, ...]:
    """The presets that there are, in the order of the alphabet."""
    found = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


@cache
def preset(name: str) -> Preset:
    """The preset of that name, which must be one of `names()`."""
    if name not in names():
        raise KeyError(name)
    return Preset.model_validate(tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")))
