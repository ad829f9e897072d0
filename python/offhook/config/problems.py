"""What is wrong with a file, in words: validation errors become findings with a path, a sentence and a hint."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from offhook.config.lines import Path
from offhook.config.schema import LISTS, SECTIONS, Section
from offhook.config.values import WrongValue


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at `path`, the place in the file's own structure."""

    path: Path
    message: str
    hint: str = ""


_USER_INFO = re.compile(r"(?<=://)[^/\s'\"@]*@")
# Of a text that was cut within its user and password; a port is none.
_CUT_USER_INFO = re.compile(r"(://[^/\s'\"@:]*:)(?![0-9]*…)[^/\s'\"@]*…")
_SECRET_PARAMETER = re.compile(r"(?i)([?&][^=&\s'\"]*(?:token|secret|key|passw|auth|sig)[^=&\s'\"]*=)[^&\s'\"…]+")


def without_secrets(text: str) -> str:
    """What is said of a value that is wrong, without the passwords and tokens that a URL in it may hold."""
    text = _USER_INFO.sub("***@", text)
    text = _CUT_USER_INFO.sub(r"\1***…", text)
    return _SECRET_PARAMETER.sub(r"\1***", text)


def names_of(model: type[Section]) -> tuple[str, ...]:
    """The settings of a section as the file spells them."""
    return tuple(_fields(model))


def _fields(model: type[Section]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def nearest(word: str, known: Sequence[str], alike: float = 0.6) -> str | None:
    """The known name that is most like `word`, if one is (`alike` of 1 is the same but for capitals)."""
    lowered = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), lowered, n=1, cutoff=alike)
    return lowered[found[0]] if found else None


def unknown_key(path: Path, known: Sequence[str], *, section: str = "") -> Finding:
    """A name that this place doesn't have: the nearest one as hint, or the section in which it belongs."""
    key = str(path[-1])
    if (near := nearest(key, known)) is not None:
        return Finding(path, "unknown setting", f"did you mean '{near}'?")
    homes = [f"[{name}]" for name, model in SECTIONS.items() if key in names_of(model) and name != section]
    homes += [f"[[{name}]]" for name, model in LISTS.items() if key in names_of(model) and name != section]
    if homes:
        return Finding(path, "unknown setting here", f"it belongs to {' or '.join(homes)}")
    return Finding(path, "unknown setting", f"known here: {', '.join(known)}")


def from_validation(error: ErrorDetails, base: Path, model: type[Section]) -> Finding:
    """Turn one of pydantic's errors into a finding."""
    path = (*base, *(part for part in error["loc"] if part != "[key]"))
    context: Mapping[str, Any] = error.get("ctx", {})
    kind, value = error["type"], error["input"]
    match kind:
        case "value_error" if isinstance(context.get("error"), WrongValue):
            wrong: WrongValue = context["error"]
            return Finding(path, str(wrong), wrong.hint)
        case "missing":
            return Finding(path, "is required", "")
        case "extra_forbidden":
            return unknown_key(path, tuple(_fields_at(model, error["loc"][:-1])), section=str(base[0]))
        case "literal_error":
            return _not_one_of(path, value, str(context["expected"]))
        case "string_type":
            environment = isinstance(value, Mapping) and "env" in value
            hint = "only secrets are taken from the environment" if environment else "put it in quotes"
            return Finding(path, f"must be a string, not {in_words(value)}", hint)
        case "int_type" | "int_from_float":
            return Finding(path, f"must be a whole number, not {in_words(value)}")
        case "float_type" | "finite_number":
            return Finding(path, f"must be a number, not {in_words(value)}")
        case "bool_type":
            return Finding(path, f"must be true or false, not {in_words(value)}", "without quotes")
        case "tuple_type":
            return Finding(path, f"must be a list, not {in_words(value)}", "write it in [ ]")
        case "model_type" | "dict_type" | "model_attributes_type":
            needed = [name for name, field in _fields_at(model, error["loc"]).items() if field.is_required()]
            hint = f"write {{ {', '.join(f'{name} = …' for name in needed)} }}" if needed else ""
            return Finding(path, f"must be a table, not {in_words(value)}", hint)
        case "greater_than":
            return Finding(path, f"must be more than {context['gt']:g}, not {in_words(value)}")
        case "greater_than_equal":
            return Finding(path, f"must be at least {context['ge']:g}, not {in_words(value)}")
        case "less_than_equal":
            return Finding(path, f"must be at most {context['le']:g}, not {in_words(value)}")
        case "too_short":
            return Finding(path, "must not be empty")
        case "too_long":
            return Finding(path, f"has more than {context['max_length']} entries")
        case "string_too_short":
            return Finding(path, "must not be empty")
        case "string_too_long":
            return Finding(path, f"is longer than {context['max_length']} characters")
        case "string_pattern_mismatch":
            hint = "letters, digits, '_' and '-', at most 63, a letter or digit first"
            return Finding(path, f"{in_words(value)} can't be a name", hint)
        case _:
            return Finding(path, error["msg"])


def _fields_at(model: type[Section], loc: Sequence[int | str]) -> dict[str, FieldInfo]:
    """The settings of the table at `loc` inside of a section."""
    for part in loc:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        if field is not None:
            model = _model_in(field.annotation) or model
    return _fields(model)


def _model_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def _not_one_of(path: Path, value: object, expected: str) -> Finding:
    known = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
    # Short words for different things look alike (G722, G729), so only near misses count.
    near = nearest(value, known, 0.8) if isinstance(value, str) else None
    hint = f"did you mean '{near}'? " if near else ""
    return Finding(path, f"unknown value {in_words(value)}", f"{hint}known: {', '.join(known)}")


def in_words(value: object) -> str:
    """A raw value of the file as a sentence names it; long strings are cut, tables and lists only called so."""
    match value:
        case str():
            return f"'{value[:60]}…'" if len(value) > 60 else f"'{value}'"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a table"
        case _:
            return f"'{value}'"
