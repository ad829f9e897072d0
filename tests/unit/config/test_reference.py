import tomllib
from pathlib import Path

import pytest

from offhook.config.load import examine_text
from offhook.config.problems import names_of
from offhook.config.reference import reference
from offhook.config.schema import LISTS, SECTIONS

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "config.md"


def test_the_page_is_current() -> None:
    hint = "run: make docs"
    assert PAGE.read_text() == reference(), hint


def test_every_setting_is_described() -> None:
    for model in (*SECTIONS.values(), *LISTS.values()):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
        for name in names_of(model):
            assert f"| `{name}` |" in reference()


def test_the_example_of_the_page_works() -> None:
    example = reference().partition("```toml\n")[2].partition("```")[0]
    assert tomllib.loads(example)
    found = examine_text(example, {"BOT_TOKEN": "x"}, file="example", base=Path("/"))
    assert not found.errors
    assert not found.warnings
