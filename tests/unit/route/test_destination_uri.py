import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.route.destination_uri import (
    OTHER_SCHEMES,
    AgentUri,
    DestinationUriError,
    EchoUri,
    OtherUri,
    WireUri,
    parse_destination,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo:", EchoUri()),
        ("ECHO:", EchoUri()),
        ("echo:welcome", EchoUri("welcome")),
        ("agent:front-desk", AgentUri("front-desk")),
        ("ws://bot/", WireUri("offhook", "ws://bot/", False, "bot", 80)),
        ("wss://bot.example", WireUri("offhook", "wss://bot.example", True, "bot.example", 443)),
        ("offhook+wss://bot:9000/a?b=c", WireUri("offhook", "wss://bot:9000/a?b=c", True, "bot", 9000)),
        ("twilio+ws://127.0.0.1:8765/ws", WireUri("twilio", "ws://127.0.0.1:8765/ws", False, "127.0.0.1", 8765)),
        ("twilio+wss://[2001:db8::1]/", WireUri("twilio", "wss://[2001:db8::1]/", True, "2001:db8::1", 443)),
    ],
)
def test_destinations(text: str, expected: object) -> None:
    assert parse_destination(text) == expected


@pytest.mark.parametrize("scheme", OTHER_SCHEMES)
def test_known_but_not_reachable(scheme: str) -> None:
    assert isinstance(parse_destination(f"{scheme}:x"), OtherUri)


@pytest.mark.parametrize(
    "text",
    ["", "x", "echo", "echo:nothing", "agent:", "ws:", "ws://", "ws:///path", "ws://:80/", "ws://h:0/", "ws://h:70000/",
     "ws://h:x/", "ws://u@h/", "ws://h/#", "ws://h/#f", "ws://h /", "ws://h/\r\nX: y", "ws://hé/", "http://h/",
     "ws://[::1/", "ws://h/" + "a" * 3000],
)  # fmt: skip
def test_what_is_no_destination(text: str) -> None:
    with pytest.raises(DestinationUriError):
        parse_destination(text)


def test_tokens_in_the_query_are_not_shown() -> None:
    uri = parse_destination("twilio+wss://bot.example/ws?token=secret&x=1")
    assert uri.redacted == "twilio+wss://bot.example/ws?…"
    assert str(uri) == "twilio+wss://bot.example/ws?token=secret&x=1"


@given(st.text(max_size=40) | st.text(alphabet="wsagentcho:/+[]@?#.0123456789", max_size=40))
def test_any_text_is_a_destination_or_one_kind_of_error(text: str) -> None:
    try:
        uri = parse_destination(text)
    except DestinationUriError:
        return
    assert parse_destination(str(uri)) == uri
