"""What holds for every test: it says of which kind it is, and a slow machine makes no property fail."""

import pytest
from hypothesis import HealthCheck, settings

# What `pip install` would have named to pytest.
pytest_plugins = ["offhook.testing.plugin"]

KINDS = {"unit", "conformance", "scenario", "interop", "soak"}

# A busy machine generates examples slowly; that says nothing about what is tested.
settings.register_profile("offhook", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("offhook")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse to run while a module does not declare its kind."""
    kindless = sorted({item.location[0] for item in items if not KINDS & {mark.name for mark in item.iter_markers()}})
    if kindless:
        names = "\n  ".join(kindless)
        raise pytest.UsageError(f"no kind declared (pytestmark = pytest.mark.unit, …) in\n  {names}")
