"""The key that a gateway leaves for the commands of its user."""

from pathlib import Path

import pytest

from offhook.api.local_key import FILE, LocalKey, own_url

pytestmark = pytest.mark.unit


def test_what_is_left_is_found_by_its_user_alone(tmp_path: Path) -> None:
    key = LocalKey("http://127.0.0.1:8080", LocalKey.new_token())
    key.leave(tmp_path / "data")
    assert LocalKey.find(tmp_path / "data") == key
    assert (tmp_path / "data" / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE]
    assert key.token not in repr(key)


def test_an_older_key_is_replaced_and_only_ones_own_is_taken_away(tmp_path: Path) -> None:
    old, new = (LocalKey("http://127.0.0.1:8080", LocalKey.new_token()) for _ in range(2))
    old.leave(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    new.leave(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    old.take_away(tmp_path)
    assert LocalKey.find(tmp_path) == new
    new.take_away(tmp_path)
    assert LocalKey.find(tmp_path) is None
    new.take_away(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"url": "http://x"}', "{", "\0"])
def test_a_broken_one_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert LocalKey.find(tmp_path) is None


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 80), "http://127.0.0.1:80"),
        (("0.0.0.0", 80), "http://127.0.0.1:80"),
        (("::", 80), "http://[::1]:80"),
        (("2001:db8::7", 80), "http://[2001:db8::7]:80"),
    ],
)
def test_a_listener_is_reached_from_its_own_machine(address: tuple[str, int], url: str) -> None:
    assert own_url(address) == url
    assert own_url(address, "ws") == url.replace("http", "ws")
