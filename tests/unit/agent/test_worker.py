"""Where the gateway is, and when to try again."""

import pytest

from offhook.agent.errors import AgentError
from offhook.agent.process import settings
from offhook.agent.worker import Backoff, Gateway

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/worker"),
        ("http://gateway:8080/", "ws://gateway:8080/v1/worker"),
        ("https://gateway.example", "wss://gateway.example/v1/worker"),
        ("wss://proxy.example/phones/v1/worker", "wss://proxy.example/phones/v1/worker"),
    ],
)
def test_addresses(url: str, dialled: str) -> None:
    assert Gateway.of(url, "t").at() == dialled
    assert Gateway.of(url, "t").at(session="a b", connection=1) == f"{dialled}?session=a+b&connection=1"


@pytest.mark.parametrize("url", ["", "gateway:8080", "sip:a@b", "ws://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(AgentError, match="no address of a gateway"):
        Gateway.of(url, "t")


def test_settings_come_from_the_environment_where_none_are_given() -> None:
    environ = {"OFFHOOK_URL": "ws://a", "OFFHOOK_TOKEN": "t"}
    assert settings(None, None, environ) == Gateway("ws://a/v1/worker", "t")
    assert settings("ws://b", "u", environ) == Gateway("ws://b/v1/worker", "u")
    assert settings(None, None, {}) == Gateway("ws://127.0.0.1:8080/v1/worker", "")


def test_tries_come_less_often_and_never_all_at_once() -> None:
    most, least = Backoff(lambda: 1.0), Backoff(lambda: 0.0)
    assert [most.next() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert [least.next() for _ in range(8)] == [0.125, 0.25, 0.5, 1, 2, 4, 5, 5]
    most.reset()
    assert most.next() == 0.25
