"""Files that take long begin first, so that no worker is left alone with one at the end.

Those that compute are mixed with those that wait, so that they don't take the processors from each other.
"""

import pytest

LONGEST = (
    "talk/test_chromium.py",
    "phone/test_phone_sipp.py",
    "baresip/test_media.py",
    "pipecat/test_pipecat.py",
    "phone/test_phone_peers.py",
    "baresip/test_encrypted.py",
    "install/test_install.py",
    "recording/test_recordings.py",
    "dialling/test_by_baresip.py",
    "sipp/test_nothing_left.py",
    "mid_call/test_hold.py",
    "builtin/test_conversation.py",
    "registration/test_phones.py",
    "dialling/test_by_tls.py",
    "examine/test_others.py",
    "phone/test_phone_lines.py",
    "agent_sdk/test_gateway.py",
    "phone/test_encrypted.py",
    "agents/test_offhook.py",
    "builtin/test_by_baresip.py",
    "baresip/test_baresip.py",
    "failover/test_by_dns.py",
    "speech/test_offline.py",
    "workers/test_workers.py",
    "agent_sdk/test_readme.py",
    "agents/test_failures.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The others stay in the order in which chance has put them."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    path = str(item.path)
    return next((at for at, name in enumerate(LONGEST) if path.endswith(name)), len(LONGEST))
