"""The descriptions that Rust compiles are data, and those that its tests read are the ones that Python writes."""

from pathlib import Path

import pytest

from offhook.destination.dialect.description import Description
from offhook.destination.dialect.offhook import OFFHOOK
from offhook.destination.dialect.twilio import TWILIO

pytestmark = pytest.mark.unit

DIALECTS = Path(__file__).parents[4] / "rust" / "media" / "src" / "wire" / "dialects"


@pytest.mark.parametrize("description", [TWILIO, OFFHOOK], ids=lambda description: description.name)
def test_rust_tests_the_description_that_python_ships(description: Description) -> None:
    assert (DIALECTS / f"{description.name}.json").read_text() == description.to_json() + "\n"
