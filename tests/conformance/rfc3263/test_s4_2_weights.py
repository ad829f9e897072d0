"""RFC 2782: servers by priority, and within one as often as their weight."""

import random
from collections import Counter

import pytest

from offhook.sip.locating import MAX_SERVERS, Srv, by_weight

pytestmark = [pytest.mark.conformance, pytest.mark.rfc(3263, "4.2")]

DRAWS = 4_000


def first_of(records: list[Srv]) -> Counter[str]:
    chance = random.Random(3263).random
    return Counter(by_weight(records, chance)[0].target for _ in range(DRAWS))


@pytest.mark.parametrize("weights", [(10, 30, 60), (1, 1), (1, 99), (65535, 65535, 1)])
def test_each_is_first_as_often_as_its_weight(weights: tuple[int, ...]) -> None:
    counts = first_of([Srv(10, weight, 5060, f"h{n}.test") for n, weight in enumerate(weights)])
    for number, weight in enumerate(weights):
        share = weight / sum(weights)
        deviation = (DRAWS * share * (1 - share)) ** 0.5
        assert abs(counts[f"h{number}.test"] - DRAWS * share) <= 4 * deviation + 1


def test_the_second_place_is_drawn_from_those_that_are_left() -> None:
    chance = random.Random(1).random
    records = [Srv(1, 80, 5060, "big.test"), Srv(1, 15, 5060, "mid.test"), Srv(1, 5, 5060, "small.test")]
    seconds = Counter(
        order[1].target for order in (by_weight(records, chance) for _ in range(DRAWS)) if order[0].target == "big.test"
    )
    assert 0.70 < seconds["mid.test"] / seconds.total() < 0.80


def test_without_any_weight_all_are_equal() -> None:
    counts = first_of([Srv(1, 0, 5060, f"h{n}.test") for n in range(4)])
    assert all(900 < count < 1_100 for count in counts.values())


def test_weight_0_among_others_is_as_good_as_never_first() -> None:
    counts = first_of([Srv(1, 0, 5060, "idle.test"), Srv(1, 100, 5060, "busy.test")])
    assert counts["idle.test"] == 0
    # Yet it is there when the other has failed.
    assert {
        record.target for record in by_weight([Srv(1, 0, 1, "idle.test"), Srv(1, 9, 1, "b.test")], lambda: 0.5)
    } == {
        "idle.test",
        "b.test",
    }


def test_no_weight_makes_up_for_a_priority() -> None:
    records = [Srv(20, 65535, 5060, "second.test"), Srv(10, 0, 5060, "first.test")]
    assert set(first_of(records)) == {"first.test"}


def test_the_root_as_target_says_that_there_is_no_such_service() -> None:
    assert by_weight([Srv(0, 0, 0, ".")], lambda: 0.0) == []


def test_a_thousand_servers_are_a_bounded_list() -> None:
    assert len(by_weight([Srv(1, 1, 5060, f"h{n}.test") for n in range(1_000)], lambda: 0.99)) == MAX_SERVERS
