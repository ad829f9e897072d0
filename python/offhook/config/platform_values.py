"""Values of agents on platforms: where an API is, and variables with fields."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import PlainValidator

from offhook.config.values import WrongValue, is_loopback, text_of
from offhook.platform.variables import TemplateError, check_template

_VARIABLE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONGEST_TEXT = 1000


def _api_url(value: object) -> str:
    text = text_of(value).rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WrongValue(f"'{text}' is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise WrongValue(f"'{text}' is no address of an API", "write https://HOST, with a path if it has one")
    if parts.scheme == "http" and not is_loopback(host):
        raise WrongValue(f"'{text}' would send the key in the clear", "write https://")
    return text


def _variable_name(value: object) -> str:
    text = text_of(value)
    if _VARIABLE.fullmatch(text) is None:
        raise WrongValue(f"'{text}' is no name of a variable", "letters, digits, `_` and `-`, 60 at most")
    return text


def _variable_text(value: object) -> str:
    text = text_of(value)
    if not text or not text.isprintable() or len(text) > _LONGEST_TEXT:
        raise WrongValue(f"is no text of 1 to {_LONGEST_TEXT} printable characters")
    try:
        check_template(text)
    except TemplateError as error:
        raise WrongValue(str(error), error.hint) from error
    return text


ApiUrl = Annotated[str, PlainValidator(_api_url)]
VariableName = Annotated[str, PlainValidator(_variable_name)]
VariableText = Annotated[str, PlainValidator(_variable_text)]
