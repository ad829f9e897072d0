"""Who has a key is known by its hash."""

import hashlib

import pytest

from offhook.api.keys import ApiKeys

pytestmark = pytest.mark.unit

KEY = "5f0c" * 16


def test_the_owner_of_a_key() -> None:
    keys = ApiKeys({"crm": hashlib.sha256(KEY.encode()).hexdigest().upper(), "shop": "00" * 32})
    assert keys.owner(KEY) == "crm"
    assert keys.owner(KEY + " ") is None
    assert keys.owner("") is None
    assert keys.owner(hashlib.sha256(KEY.encode()).hexdigest()) is None
    assert keys.owner("ünï\udcff") is None
