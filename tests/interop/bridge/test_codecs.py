"""Two real phones joined by the gateway, each with a codec of its own: both are heard, as loud as they spoke."""

import itertools
import json
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.baresip.phone import RATE, RATES, Baresip, tone
from tests.support.gateway import Gateway, media_ports, running_gateway

pytestmark = pytest.mark.interop

CODECS = ("PCMU", "PCMA", "G722", "opus")
PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
PAIRS = list(itertools.product(CODECS, CODECS)) if PROVE else [("opus", "G722"), ("PCMU", "opus"), ("G722", "PCMA")]
AT_ONCE = 3
CALLERS, CALLEES = 440, 660
AMPLITUDE = 9000.0
_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
codecs = ["opus", "G722", "PCMU", "PCMA"]
"""
_WAY = """
[[trunk]]
name = "to-{name}"
host = "127.0.0.1"
port = {port}
caller_id = "+14155550100"
codecs = ["opus", "G722", "PCMU", "PCMA"]
dial_to = "+1415*"

[[route]]
name = "on-{name}"
to = "{name}"
destination = "tel:+14155550142?trunk=to-{name}"
"""

Pair = tuple[str, str]


def name_of(pair: Pair) -> str:
    return "-".join(pair).lower()


@pytest.fixture(scope="module")
def callees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Pair, Baresip]]:
    """Who is called, by pair: takes every call, in the second codec alone."""
    home = tmp_path_factory.mktemp("callees")
    with ExitStack() as stack:
        yield {pair: stack.enter_context(_phone(home, pair, pair[1], CALLEES, answers=True)) for pair in PAIRS}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, callees: dict[Pair, Baresip]) -> Iterator[Gateway]:
    ways = (_WAY.format(name=name_of(pair), port=phone.port) for pair, phone in callees.items())
    # A port for each leg: baresip sends from another address than its SDP has, so no two may share one unheard.
    media = media_ports(4 * len(PAIRS) + 8)
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML + "".join(ways), media=media) as running:
        yield running


def _phone(home: Path, pair: Pair, codec: str, hz: float, *, answers: bool = False) -> Baresip:
    sound = tone(hz, 60, AMPLITUDE, rate=RATES.get(codec, RATE))
    return Baresip(home / name_of(pair), sound, codec=codec, answers=answers, user="+14155550142")


def test_tones_cross_a_bridge_both_ways_in_pairs_of_codecs(
    gateway: Gateway, callees: dict[Pair, Baresip], tmp_path: Path
) -> None:
    def talk(pair: Pair) -> tuple[str, list[int], list[int]]:
        with _phone(tmp_path, pair, pair[0], CALLERS) as caller:
            call_id = caller.dial(name_of(pair), gateway.udp)
            heard = caller.hears(CALLEES), callees[pair].hears(CALLERS)
            caller.command("hangup")
            caller.wait_for("CALL_CLOSED")
            return call_id, *heard

    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = dict(zip(PAIRS, pool.map(talk, PAIRS), strict=True))
    for pair, (call_id, by_caller, by_callee) in told.items():
        first = gateway.record(call_id)
        second = json.loads(gateway.run("calls", "show", first["bridged_to"], "--json"))["call"]
        assert (first["codec"], second["codec"]) == pair
        # A decibel more or less is the codecs' own; what is wrong by a factor is six.
        assert [abs(loudness(heard)) < 3.0 for heard in (by_caller, by_callee)] == [True, True], pair


def loudness(sound: Sequence[int]) -> float:
    """Decibels against the tone that was said."""
    return 20 * math.log10(math.sqrt(sum(one * one for one in sound) / len(sound)) / (AMPLITUDE / math.sqrt(2)))
