"""The bugs that `make prove` plants in the core still have their places."""

import pytest
from tests.planted_rust import BUGS, ROOT, Bug, spoiled

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_its_place_is_there_once(bug: Bug) -> None:
    source = (ROOT / bug.file).read_text()
    assert spoiled(source, bug) != source
