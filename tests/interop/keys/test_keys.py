"""Keys on a real gateway, in and out by all three ways; and who can find out which they were, in all that it writes."""

import asyncio
import json
import math
import urllib.request
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.interop.phone.callee import phone
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.key_tones import keys_in
from tests.support.sdk_worker import agent_table, working
from tests.support.undisturbed import undisturbed

from offhook.agent import Agent, Call

pytestmark = pytest.mark.interop

CARD = "49381762"
SHOWN, MASKED = "+14155550100", "+14155550199"
WAYS = {"rfc4733": "127.0.0.1", "inband": "127.0.0.1", "info": "127.0.0.2"}
"""How the phone presses keys, and the trunk's address by which the gateway answers in the same way."""

TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[trunk]]
name = "old"
allow = ["127.0.0.2"]
# baresip's RTP leaves from the address that the system chooses.
media_allow = ["127.0.0.1"]
dtmf = "info"

[[route]]
name = "front"
destination = "worker:front"
digits = "show"
record = true

[recording]
transcript = "jsonl"
transcript_digits = "keep"
{agent_table("front")}"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    listen = 'listen = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]'
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML, sip=listen) as running:
        yield running


def card_taker(took: dict[str, str]) -> Agent:
    """Takes a number and presses it back; where it is called as `MASKED`, with keys masked meanwhile."""
    agent = Agent("front")

    async def take(call: Call) -> None:
        digits = await call.collect_digits(len(CARD), first_timeout=30)
        took[call.sip_call_id] = digits.digits
        await call.send_dtmf(digits.digits, duration_ms=80, gap_ms=60)
        await asyncio.sleep(len(CARD) * 0.14 + 0.3)

    @agent.on_call
    async def on_call(call: Call) -> None:
        if call.to_number == MASKED:
            async with call.masked_digits():
                await take(call)
        else:
            await take(call)
        await call.hang_up()

    return agent


def called(gateway: Gateway, way: str, number: str) -> Any:
    host, port = gateway.udp
    options = ("--play", "silence", "--dtmf", CARD, "--dtmf-by", way, "--seconds", "30")
    return phone(f"sip:{number}@{host}:{port}", *options, "--listen", WAYS[way]).found


def sides(gateway: Gateway, record: dict[str, Any]) -> tuple[str, str]:
    """The keys that can be heard in a call's recording: the caller's, the agent's."""
    path = gateway.directory / "data" / "recordings" / record["recording"]["file"]
    wait_until(path.exists, 30, "no recording")
    with wave.open(str(path)) as sound:
        samples = array("h", sound.readframes(sound.getnframes()))
    return keys_in(samples[::2]), keys_in(samples[1::2])


def told_keys(timeline: dict[str, Any]) -> str:
    """The keys that a timeline tells."""
    return "".join(entry["digit"] for entry in timeline["entries"] if "digit" in entry)


@undisturbed
async def test_keys_by_every_way_and_masked_they_are_in_nothing_that_is_written(gateway: Gateway) -> None:
    took: dict[str, str] = {}
    async with working(card_taker(took), gateway):
        calls = [*((way, MASKED) for way in WAYS), ("inband", SHOWN), ("info", SHOWN)]
        phones = await asyncio.gather(*(asyncio.to_thread(called, gateway, way, number) for way, number in calls))

    def ended() -> dict[str, dict[str, Any]] | None:
        of = {record["sip_call_id"]: record for record in gateway.calls() if record["end_reason"]}
        return of if all(told["sip_call_id"] in of for told in phones) else None

    records = wait_until(ended, 30, "a call has no end")
    found = {}
    for place, told in zip(calls, phones, strict=True):
        record = found[place] = records[told["sip_call_id"]]
        assert took[told["sip_call_id"]] == told["heard"]["digits"] == CARD, (place, told["verdict"])
        media = record["media"]
        assert (media["received_digits"], media["sent_digits"]) == (len(CARD), len(CARD))
        assert media["received_double_digits"] == media["dropped_digits"] == 0

    # What is shown is found, or the search below would prove nothing.
    explained = gateway.show(found["info", SHOWN]["call_id"])
    assert told_keys(explained["timeline"]) == CARD
    assert "Signal=4" in json.dumps(explained)
    assert sides(gateway, found["inband", SHOWN]) == (CARD, CARD)

    for way in WAYS:
        assert_masked(gateway, found[way, MASKED])
    text = gateway.run("calls", "show", found["info", MASKED]["call_id"], "--messages")
    assert "not kept" in text
    assert "Signal" not in text
    with urllib.request.urlopen(f"{gateway.http}/metrics", timeout=20) as metrics:  # noqa: ASYNC210  the calls are over
        assert CARD.encode() not in metrics.read()
    for path in [gateway.log, *(path for path in (gateway.directory / "data").rglob("*") if path.is_file())]:
        assert CARD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_baresip_hears_the_keys_of_an_agent_as_events_and_by_info(
    gateway: Gateway, tmp_path: Path, host: str
) -> None:
    agent = Agent("front")
    loop, is_up = asyncio.get_running_loop(), asyncio.Event()

    @agent.on_call
    async def on_call(call: Call) -> None:
        await is_up.wait()
        await call.send_dtmf("19#", duration_ms=100)
        await asyncio.sleep(1)
        await call.hang_up()

    def talk() -> str:
        with Baresip(tmp_path / "phone", tone(440, 60), host=host) as caller:
            call_id = caller.dial("menu", gateway.udp)
            loop.call_soon_threadsafe(is_up.set)
            caller.wait_for("CALL_CLOSED")
            heard = [str(event.get("param")) for event in caller.events if event.get("type") == "CALL_DTMF_START"]
        assert gateway.record(call_id)["media"]["sent_digits"] == 3
        return "".join(heard)

    async with working(agent, gateway):
        assert await asyncio.to_thread(talk) == "19#"


def assert_masked(gateway: Gateway, record: dict[str, Any]) -> None:
    """That keys were pressed may be known, and nothing of which they were."""
    explained = gateway.show(record["call_id"])
    text = json.dumps(explained)
    assert CARD not in text
    assert "Signal" not in text
    assert told_keys(explained["timeline"]) == ""
    keys = [entry for entry in explained["timeline"]["entries"] if "DTMF digit" in entry.get("note", "")]
    assert len(keys) == len(CARD)
    assert sides(gateway, record) == ("", "")


def test_the_search_hears_20_ms_of_a_faint_key() -> None:
    rate = 8000
    pair = [0.05 * 32767 * (_sine(852, n, rate) + _sine(1336, n, rate)) / 2 for n in range(rate // 50)]
    assert keys_in([0] * 4000 + [round(sample) for sample in pair] + [0] * 4000) == "8"


def _sine(hz: float, n: int, rate: int) -> float:
    return math.sin(2 * math.pi * hz * n / rate)
