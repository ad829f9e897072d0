"""`offhook version`."""

import platform
from importlib.metadata import PackageNotFoundError, version


def offhook_version() -> str:
    """The installed version, such as `0.1.0`; `unknown` when run from a tree that was never installed."""
    try:
        return version("offhook")
    except PackageNotFoundError:
        return "unknown"


def print_version() -> None:
    """Say which offhook this is, and on what it runs."""
    print(f"offhook {offhook_version()} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
