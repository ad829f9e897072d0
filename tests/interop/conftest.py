"""Files that take long begin first, so that no worker is left alone with one at the end."""

import pytest

LONGEST = (
    "install/test_install.py",
    "builtin/test_conversation.py",
    "speech/test_offline.py",
    "sipp/test_nothing_left.py",
    "sipp/test_life.py",
    "phone/test_phone_sipp.py",
    "sipp/test_repetitions.py",
    "phone/test_phone_peers.py",
    "agents/test_failures.py",
    "recording/test_recordings.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others stay in the order in which chance has put them."""
    items.sort(key=lambda item: next((at for at, name in enumerate(LONGEST) if str(item.path).endswith(name)), 99))
