"""How speech sounds by codec and by what the network loses, rated by PESQ in virtual time: a table of `make sound`."""

import os
import time
from dataclasses import dataclass
from statistics import mean

import pytest
from tests.support.figures import Figures
from tests.support.lossy_line import Coding, LossyCall
from tests.support.speech import quality, speech

from offhook._media import NetworkConfig, OpusWishes

pytestmark = pytest.mark.scenario

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
SEEDS = range(1, 5) if PROVE else range(1, 2)
WIDE = 16_000
CODINGS = {
    "PCMU": Coding("PCMU"),
    "G.722": Coding("G722"),
    "Opus": Coding("opus", OpusWishes(fec=False)),
    "Opus with copies": Coding("opus", OpusWishes(fec=True)),
}
NETWORKS = [(0, 1), *((loss, burst) for burst in (1, 3) for loss in (1, 3, 5, 10, 20))] if PROVE else [(10, 1)]
"""Percent of the packets that are lost, and how many at a time on average."""


@dataclass(frozen=True, slots=True)
class Rated:
    """One way of coding on one network: PESQ of each seed, the mean share of packets lost, bits a second."""

    heard: list[float]
    lost: float
    bitrate: float


def rated(coding: Coding, network: NetworkConfig) -> Rated:
    """The same speech twice; the second is rated, when reports have told the encoder what is lost."""
    heard, lost, bitrates, said = [], [], [], speech(WIDE)
    for seed in SEEDS:
        call = LossyCall(coding, network, seed)
        call.say(said, WIDE)
        before = call.phone.stats()
        heard.append(quality(said, call.carry(said, WIDE), WIDE, heard_rate=coding.rate))
        after = call.phone.stats()
        lost.append(call.lost)
        packets = after.sent_packets - before.sent_packets
        bitrates.append((after.sent_bytes - before.sent_bytes) * 8 / (packets * 0.02))
    return Rated(heard, mean(lost), mean(bitrates))


@pytest.mark.parametrize(("loss", "burst"), NETWORKS)
def test_what_is_heard_of_speech(loss: int, burst: int) -> None:
    network = NetworkConfig(loss=loss / 100, burst=burst)
    found = {name: rated(coding, network) for name, coding in CODINGS.items()}
    mended = found["Opus with copies"]
    Figures().note(
        "Speech by codec and loss, wide band (PCMU has the lower half of it)",
        network=f"{loss} % lost{', 3 in a row' if burst > 1 else ''}" if loss else "clean",
        lost=f"{found['PCMU'].lost:.1%}", seeds=len(SEEDS),
        **{name: mean(rating.heard) for name, rating in found.items()},
        **{"its worst": min(mended.heard), "its kbit/s": mended.bitrate / 1_000},
    )  # fmt: skip
    if burst == 1:
        assert mean(mended.heard) >= 3.8, "what copies can bring back sounds good"
    plain = max(mean(found[name].heard) for name in CODINGS if name != "PCMU")
    assert mean(mended.heard) >= plain - 0.35, "copies take little where they don't help"
    assert mended.bitrate < 48_000, "still less than the 64 kbit/s of the others"


@pytest.mark.skipif(not PROVE, reason="a figure for the page: nothing to be judged by one short run")
@pytest.mark.parametrize("name", CODINGS)
def test_what_a_leg_costs(name: str) -> None:
    said = speech(WIDE)
    seconds = len(said) / WIDE
    costs = []
    for _ in range(5):
        call = LossyCall(CODINGS[name], NetworkConfig(), 1)
        call.gateway.play(said.tobytes(), WIDE)
        begin = time.process_time()
        call.say(said, WIDE)
        costs.append(1_000 * (time.process_time() - begin) / seconds / 2)
    Figures().note(
        "Processor time of a leg that speaks and hears, without sockets",
        codec=name, **{"ms of a call-second": min(costs), "legs to a core": round(100 / min(costs)) * 10},
    )  # fmt: skip
    assert min(costs) < 50, "a twentieth of a core is no price for a call"
