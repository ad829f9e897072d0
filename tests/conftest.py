"""What holds for every test: it says of which kind it is, and a slow machine makes no property fail."""

import pytest
from hypothesis import HealthCheck, settings
from tests.support.played import summary

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many calls were played where tests count them: their reports come from other processes, too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    for line in summary(properties for report in reports for properties in report.user_properties):
        terminalreporter.write_line(line)
