"""Who may use the page: the token, the page's origin, and tickets that are good once."""

import pytest

from offhook.talk.access import MAX_TICKETS, TICKET_SECONDS, Access
from offhook.talk.choices import Choice

pytestmark = pytest.mark.unit

CHOICE = Choice("route:all", "all", "echo:", "all")
HOST = "127.0.0.1:8080"


class Door:
    def __init__(self, *origins: str) -> None:
        self.now = 100.0
        self.refused: list[tuple[str, str]] = []
        self.access = Access(
            "the-token-of-this-run",
            origins,
            now=lambda: self.now,
            refused=lambda source, rule, why: self.refused.append((source, rule)),
        )

    def ask(
        self, token: str | None = "the-token-of-this-run", origin: str | None = None, host: str | None = HOST
    ) -> str:
        declined = self.access.judge("192.0.2.7", token, origin, host)
        return "" if declined is None else f"{declined.status.value} {declined.code}"


def test_the_token_lets_in_and_nothing_else_does() -> None:
    door = Door()
    assert door.ask() == ""
    for wrong in (None, "", "the-token-of-this-ru", "the-token-of-this-run ", "tökén", "\udcff"):
        assert door.ask(wrong) == "401 wrong_token"
    assert door.refused == [("192.0.2.7", "talk_token")] * 6


def test_ten_wrong_ones_in_a_minute_are_enough_even_before_the_right_one() -> None:
    door = Door()
    assert [door.ask("wrong") for _ in range(11)] == ["401 wrong_token"] * 10 + ["429 too_many_failures"]
    assert door.ask() == "429 too_many_failures"
    door.now += 61
    assert door.ask() == ""


def test_requests_without_a_token_lock_nobody_out() -> None:
    door = Door()
    assert [door.ask(None) for _ in range(20)] == ["401 wrong_token"] * 20
    assert door.ask() == ""


@pytest.mark.parametrize(
    ("origin", "host", "answer"),
    [
        (None, HOST, ""),
        ("http://127.0.0.1:8080", HOST, ""),
        ("https://Talk.Example.net", "talk.example.net", ""),
        ("https://proxy.example.net", HOST, ""),
        ("http://evil.example", HOST, "403 strange_origin"),
        ("http://127.0.0.1:9090", HOST, "403 strange_origin"),
        ("null", HOST, "403 strange_origin"),
        ("http://", "", "403 strange_origin"),
        ("file://127.0.0.1:8080", HOST, "403 strange_origin"),
        ("http://[", HOST, "403 strange_origin"),
        ("http://a]b", "a]b", ""),
        ("http://\u2100", HOST, "403 strange_origin"),
        ("http://127.0.0.1:8080/", HOST, "403 strange_origin"),
        ("http://127.0.0.1:8080@evil.example", HOST, "403 strange_origin"),
    ],
)
def test_a_page_of_somebody_else_gets_nothing(origin: str | None, host: str, answer: str) -> None:
    assert Door("https://proxy.example.net").ask(origin=origin, host=host) == answer


def test_a_ticket_is_for_one_call_and_not_for_long() -> None:
    door = Door()
    ticket = door.access.give_ticket(CHOICE, ("PCMU",))
    found = door.access.take_ticket(ticket)
    assert found is not None
    assert (found.choice, found.codecs) == (CHOICE, ("PCMU",))
    assert door.access.take_ticket(ticket) is None
    late = door.access.give_ticket(CHOICE, ("PCMU",))
    door.now += TICKET_SECONDS
    assert door.access.take_ticket(late) is None
    assert door.access.take_ticket("\udcff") is None


def test_tickets_that_nobody_takes_are_forgotten() -> None:
    door = Door()
    tickets = [door.access.give_ticket(CHOICE, ("PCMU",)) for _ in range(MAX_TICKETS + 1)]
    assert door.access.take_ticket(tickets[0]) is None
    assert door.access.take_ticket(tickets[1]) is not None
    assert door.access.take_ticket(tickets[-1]) is not None
