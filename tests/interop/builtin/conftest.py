"""What the tests of the built-in agent share."""

import pytest
from tests.support.figures import Figures


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where figures are noted for the page."""
    return Figures()
