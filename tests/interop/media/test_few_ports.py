"""Many calls from one address share a dozen media ports, and none hears another.

Each caller says a tone of its own to the echo test and knows every frame of everybody's. `make test` runs it with fewer
calls, `make prove` (OFFHOOK_PROVE=1) with 200.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.crowd import Caller, Crowd
from tests.support.figures import Figures
from tests.support.gateway import Gateway, ports, running_gateway, wait_until
from tests.support.hosts import Internet

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
CALLS = 200 if PROVE else 48
SECONDS = 10.0 if PROVE else 2.0
WHOLE = 0.98 if PROVE else 0.8
"""Of what a caller says it hears this share at least; a machine that stands still loses some."""

TOML = """
[limits]
max_cps = 10000

[[trunk]]
name = "phones"
allow = ["{caller}"]
media_timeout = 5

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(params=[16, 12] if PROVE else [12])
def few(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Gateway, list[tuple[str, int]]]]:
    """A gateway with so many media ports, and its RTP ports, which are half of them."""
    count: int = request.param
    first = ports(count)
    media = f'ports = "{first}-{first + count - 1}"'
    with running_gateway(tmp_path / "gateway", TOML.format(caller="127.0.0.1"), media=media) as gateway:
        yield gateway, [(gateway.udp[0], port) for port in range(first, first + count, 2)]
    assert "fault" not in gateway.said(), gateway.said()
    assert "Traceback" not in gateway.said(), gateway.said()


Early = Sequence[tuple[str, int]]


def begin(crowd: Crowd, callers: Sequence[Caller], early: Sequence[Early], ports: Early) -> None:
    """Dial, a few milliseconds apart, and wait until all are answered. Each talks before that to its early ports."""
    for caller, before in zip(callers, early, strict=True):
        crowd.dial(caller, early=before)
        crowd.run(0.004)
    crowd.until(lambda: crowd.all_up(callers), "all are answered")
    for caller in callers:
        assert caller.target in ports, f"{caller.target} is none of the gateway's ports"


def listen(crowd: Crowd, callers: Sequence[Caller], predecessors: Sequence[Caller] = ()) -> None:
    """Let all talk for a while: each hears its own tone in whole, and no frame of another, now or before."""
    before = [(caller, caller.ears.own, caller.sent) for caller in callers]
    crowd.run(SECONDS)
    for caller, own, sent in before:
        said, heard = caller.sent - sent, caller.ears.own - own
        assert said > SECONDS * 20, "a machine that stands still proves nothing"
        assert heard >= WHOLE * said, f"{caller.voice.hz} Hz at {caller.port}: {heard} of {said}; {caller.ears}"
    nobody_else(callers, predecessors)


def nobody_else(callers: Sequence[Caller], predecessors: Sequence[Caller] = ()) -> None:
    """No caller has heard a frame of another, and hardly one that nobody sent.

    What was on its way to the caller who had the port before still comes there, from the port of that call.
    """
    before = {caller.source: caller.voice.number for caller in predecessors}
    for caller in callers:
        ears = caller.ears
        assert not ears.foreign, f"{caller.voice.hz} Hz at {caller.port} hears others: {ears}"
        assert set(ears.stray) <= {before.get(caller.source)}, f"{caller.voice.hz} Hz at {caller.port}: {ears}"
        assert ears.stray.total() <= 10, f"{caller.voice.hz} Hz at {caller.port}: {ears}"
        # Where the machine stood still, sound is concealed and joined.
        assert len(ears.odd) <= 2 + ears.own // 100, f"{caller.voice.hz} Hz at {caller.port}: {len(ears.odd)} frames"


def test_none_is_crossed(few: tuple[Gateway, list[tuple[str, int]]], figures: Figures) -> None:
    gateway, rtp_ports = few
    with Crowd(gateway.udp) as crowd:
        callers = [crowd.caller(number) for number in range(CALLS)]
        # They don't know yet which port will be their own, and talk to all of them.
        begin(crowd, callers, [rtp_ports] * CALLS, rtp_ports)
        assert {caller.target for caller in callers} == set(rtp_ports), "all ports are in use"
        listen(crowd, callers)
        moving, leaving, vanishing = (callers[number::4] for number in range(3))

        for caller in moving:
            crowd.move(caller)
            crowd.run(0.004)
        crowd.until(lambda: crowd.all_up(moving), "all have moved")
        listen(crowd, callers)

        # Some go without a word, and the next call comes from the same port while theirs is still there.
        crowd.vanish(vanishing)
        heirs = [crowd.caller(CALLS + number, caller.source) for number, caller in enumerate(vanishing)]
        begin(crowd, heirs, [rtp_ports] * len(heirs), rtp_ports)
        listen(crowd, [*heirs, *moving, *callers[3::4]], vanishing)

        # Others hang up but go on talking, and the next call comes from the same port.
        crowd.hang_up(leaving)
        crowd.until(lambda: all(caller.state == "over" for caller in leaving), "their calls are over")
        for caller in leaving:
            caller.talks = True
        followers = [crowd.caller(2 * CALLS + number, caller.source) for number, caller in enumerate(leaving)]
        # They too talk before they are answered, to all ports, and those before them still do.
        begin(crowd, followers, [rtp_ports] * len(followers), rtp_ports)
        crowd.run(1.0)
        for caller in leaving:
            caller.talks = False
        listen(crowd, [*followers, *heirs, *moving, *callers[3::4]], [*vanishing, *leaving])
        nobody_else(callers)

        there = [*followers, *heirs, *moving, *callers[3::4]]
        crowd.hang_up(there)
        crowd.until(lambda: all(caller.state == "over" for caller in there), "all are over")
    figures.note(
        "Calls from one address, each with a tone of its own", ports=2 * len(rtp_ports), calls_at_once=CALLS,
        calls=len(crowd.callers), moved=len(moving), vanished=len(vanishing), own_frames=crowd.heard("own"),
        frames_of_others=crowd.heard("foreign"),
    )  # fmt: skip
    reasons = wait_until(lambda: all_ended(gateway), 15, "not all calls have ended")
    assert reasons == {"caller_hung_up": len(there) + len(leaving), "media_timeout": len(vanishing)}


def all_ended(gateway: Gateway) -> Counter[str] | None:
    """Why the calls ended, once all have."""
    reasons = Counter(call["end_reason"] for call in gateway.calls())
    return None if None in reasons else reasons


def test_a_firewall_with_twelve_open_ports_is_enough(tmp_path: Path, figures: Figures) -> None:
    gateway_address, caller_address, wall = "198.51.100.1", "198.51.100.30", range(30_000, 30_012)
    with Internet() as internet:
        public = internet.host("gateway", f"{gateway_address}/24")
        callers_host = internet.host("callers", f"{caller_address}/24")
        public.open_only(f"5060, {wall[0]}-{wall[-1]}")
        gateway = Gateway(
            tmp_path / "gateway",
            TOML.format(caller=caller_address),
            sip=f'listen = ["udp://{gateway_address}:5060"]',
            media=f'listen = "{gateway_address}"\nports = "{wall[0]}-{wall[-1]}"',
        )
        with public, gateway:
            rtp_ports = [(gateway_address, port) for port in wall[::2]]
            with callers_host, Crowd((gateway_address, 5060), caller_address) as crowd:
                callers = [crowd.caller(number) for number in range(CALLS)]
                begin(crowd, callers, [rtp_ports] * CALLS, rtp_ports)
                listen(crowd, callers)
                crowd.hang_up(callers)
                crowd.until(lambda: all(caller.state == "over" for caller in callers), "all are over")
                own, foreign = crowd.heard("own"), crowd.heard("foreign")
        assert public.dropped() == 0, "the gateway needs no other port"
    figures.note(
        "Through a firewall", open_UDP_ports=len(wall), and_SIP=1, calls_at_once=CALLS, own_frames=own,
        frames_of_others=foreign,
    )  # fmt: skip
