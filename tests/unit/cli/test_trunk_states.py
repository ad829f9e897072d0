"""`offhook trunks list`: what is said of the addresses of a trunk."""

import pytest

from offhook.cli.trunk_states import _lines

pytestmark = pytest.mark.unit


def test_each_address_is_told_with_what_came_of_it() -> None:
    target = {"transport": "udp", "address": "198.51.100.1", "port": 5060, "since": 0, "why": "", "again_at": None}
    down = {"state": "down", "why": "no answer in 4 s", "again_at": 1_790_000_000_000, "address": "2001:db8::1"}
    targets = [{**target, "state": "up"}, {**target, **down}]
    lines = _lines({"name": "acme", "host": "sip.acme.test", "registration": None, "targets": targets})
    assert lines[0] == "acme: calls go to sip.acme.test"
    assert lines[1].startswith("  udp 198.51.100.1:5060 is up since ")
    assert lines[2].startswith("  udp [2001:db8::1]:5060 is down since ")
    assert ": no answer in 4 s; asked last until " in lines[2]


def test_a_trunk_with_phones_is_told_from_one_that_only_sends_calls() -> None:
    trunk = {"name": "desk", "host": None, "registration": None, "targets": []}
    assert _lines({**trunk, "phones": 2}) == ["desk: its phones register with us, `offhook phones` lists them"]
    assert _lines({**trunk, "phones": 0}) == ["desk: sends us calls"]
    assert _lines(trunk) == ["desk: sends us calls"], "a gateway that runs since before the upgrade"
