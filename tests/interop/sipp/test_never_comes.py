"""What never comes: the ACK, the PRACK, the answer to a BYE. It is asked for again at the RFC's pace, then no more."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import Check, Played, Player, Scenario
from tests.support import short_timers
from tests.support.gateway import Gateway, running_gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

T1 = 0.0625
"""An eighth of the RFC's: what takes 64 of them is over after four seconds."""

_TOML = """
[[trunk]]
name = "plain"
allow = ["127.0.0.1"]

[[trunk]]
name = "short"
allow = ["127.0.0.4"]
max_duration = 0.5

[[route]]
name = "early"
to = "early"
destination = "echo:"
early_media = "ringback:GB"

[[route]]
name = "echo"
to = "echo"
destination = "echo:"
"""


def doubling(times: int) -> list[float]:
    """What lies between so many copies (T1 and then twice as much each time), up to T2, which is 8 of T1."""
    return [min(T1 * 2**n, 8 * T1) for n in range(times)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(
        tmp_path_factory.mktemp("short-t1"), _TOML, program=(short_timers.__file__,), environ={"T1": str(T1)}
    ) as gateway:
        yield gateway


def all_played(gateway: Gateway, directory: Path) -> dict[str, Played]:
    """The flows, all at once, since each mostly waits."""
    answered = (
        Scenario("lost-ack")
        .invite()
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200)
        .expect_request("BYE", Check("ACK", "Reason"), within_ms=8_000)
        .answer()
    )
    refused = Scenario("lost-ack-of-404", to="nobody").invite().expect(100, optional=True).expect(404).pause(4_300)
    unanswered_bye = Scenario("unanswered-bye").set_up().expect_request("BYE").pause(4_300)
    unacknowledged = (
        Scenario("lost-prack", to="early", talks_over=True)
        .invite(headers=("Supported: 100rel",))
        .expect_reliable(183, Check("m=audio"))
        .expect(504, within_ms=8_000)
        .ack_refusal()
    )
    sipp, short = Player(directory, gateway.udp), Player(directory, gateway.udp, source="127.0.0.4")
    flows = {answered: sipp, refused: sipp, unanswered_bye: short, unacknowledged: sipp}
    running = [(flow.name, player, *player.start(flow)) for flow, player in flows.items()]
    found = {}
    for name, player, process, where in running:
        out, _ = process.communicate(timeout=50)
        found[name] = player.judge(process.returncode, out, where)
    return found


LATE = 0.35
"""Seconds: what a busy machine may add. Copies at an even pace would be 0.44 s beside it, and more or fewer of them."""


def gaps(played: Played, first_line: str) -> list[float]:
    times = [at for at, _ in played.received(first_line)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@undisturbed
def test_it_is_asked_for_again_at_the_pace_of_the_rfc_and_then_no_more(gateway: Gateway, tmp_path: Path) -> None:
    played = all_played(gateway, tmp_path)
    a_200_that_is_never_acknowledged(gateway, played["lost-ack"])
    a_refusal_that_is_never_acknowledged(gateway, played["lost-ack-of-404"])
    a_bye_that_is_never_answered(gateway, played["unanswered-bye"])
    a_183_that_no_prack_ever_acknowledges(gateway, played["lost-prack"])


def a_200_that_is_never_acknowledged(gateway: Gateway, flow: Played) -> None:
    # RFC 3261 13.3.1.4: T1 doubling to T2, for 64*T1.
    assert gaps(flow, "SIP/2.0 200 OK") == pytest.approx(doubling(10), abs=LATE)
    (answer, *_), (bye, *_) = flow.received("SIP/2.0 200 OK"), flow.received("BYE ")
    assert bye[0] - answer[0] == pytest.approx(64 * T1, abs=1.0)
    record = gateway.record(flow.call_id)
    assert (record["end_reason"], record["fault"]) == ("no_ack", "carrier")


def a_refusal_that_is_never_acknowledged(gateway: Gateway, flow: Played) -> None:
    # RFC 3261 17.2.1, timers G and H.
    assert gaps(flow, "SIP/2.0 404") == pytest.approx(doubling(10), abs=LATE)
    assert gateway.record(flow.call_id)["end_reason"] == "no_route"


def a_bye_that_is_never_answered(gateway: Gateway, flow: Played) -> None:
    # RFC 3261 17.1.2.2, timers E and F.
    assert gaps(flow, "BYE ") == pytest.approx(doubling(10), abs=LATE)
    assert len({re.search(r"branch=(\S+)", text)[1] for _, text in flow.received("BYE ")}) == 1  # type: ignore[index]
    assert gateway.record(flow.call_id)["end_reason"] == "max_duration"


def a_183_that_no_prack_ever_acknowledges(gateway: Gateway, flow: Played) -> None:
    # RFC 3262 section 3: T1 doubling without end, a 5xx after 64*T1; meanwhile the 200 is held back.
    assert gaps(flow, "SIP/2.0 183") == pytest.approx([T1 * 2**n for n in range(6)], abs=LATE)
    (rang, *_), (given_up, *_) = flow.received("SIP/2.0 183"), flow.received("SIP/2.0 504")
    assert given_up[0] - rang[0] == pytest.approx(64 * T1, abs=1.0)
    assert flow.received("SIP/2.0 200") == []
    record = gateway.record(flow.call_id)
    assert (record["end_reason"], record["sip_status"], record["answer_at"]) == ("no_prack", 504, None)
