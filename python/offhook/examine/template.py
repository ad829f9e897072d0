"""The messages of a dialect that Rust writes in the gateway, written here from the same description."""

import json
import re
from collections.abc import Mapping
from typing import Any

from offhook.destination.dialect.description import Json

_GAP = re.compile(r"\{\{|\}\}|\{(\w+)\}")


def fill(template: Json, values: Mapping[str, Any]) -> str:
    """A template of `Description.send` with its gaps filled, as JSON text. Names that are missing raise KeyError."""
    return json.dumps(_filled(template, values), ensure_ascii=False, separators=(",", ":"))


def is_numbered(template: Json) -> bool:
    """Whether the template has a gap for the running number of messages."""
    return "{sequence}" in json.dumps(template) or '{"$": "sequence"}' in json.dumps(template)


def _filled(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        return _GAP.sub(lambda gap: str(values[gap[1]]) if gap[1] else gap[0][0], part)
    if isinstance(part, Mapping):
        if part.keys() == {"$"}:
            return values[part["$"]]
        return {name: _filled(value, values) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [_filled(value, values) for value in part]
    return part
