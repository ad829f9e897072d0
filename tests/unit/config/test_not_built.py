import pytest

from offhook.config.not_built import NOT_BUILT
from offhook.config.problems import names_of
from offhook.config.schema import LISTS, SECTIONS, FallbackConfig

pytestmark = pytest.mark.unit


def test_every_line_is_about_a_setting_that_exists() -> None:
    for entry in NOT_BUILT:
        models = {**SECTIONS, **LISTS}
        model = models[str(entry.where[0])]
        names = [part for part in entry.where[1:] if part != "*"]
        if names[0] == "fallback":
            model, names = FallbackConfig, names[1:]
        assert names[0] in names_of(model), entry.where


def test_every_line_says_what_to_do() -> None:
    assert all(entry.feature and entry.instead for entry in NOT_BUILT)


@pytest.mark.parametrize("entry", NOT_BUILT, ids=lambda entry: ".".join(map(str, entry.where)))
def test_defaults_are_never_refused(entry: object) -> None:
    models = {**SECTIONS, **LISTS}
    where = entry.where  # type: ignore[attr-defined]
    model = models[where[0]]
    name = next(part for part in where[1:] if part != "*")
    field = next(f for attribute, f in model.model_fields.items() if name in (attribute, f.alias))
    if field.is_required() or name in ("fallback", "listen"):
        return
    values = field.default if where[-1] == "*" else (field.default,)
    assert not any(entry.refuses(value) for value in values)  # type: ignore[attr-defined]
