"""Transcripts of a gateway in its own process: there when the call is over, sealed, and after kill -9 too."""

import asyncio
import json
import wave
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.agent import AgentCall, agent_on
from tests.support.gateway import Gateway, ports, wait_until
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import tone

from offhook.recording.envelope import WrappingKey
from offhook.recording.shelf import Shelf, export, read_transcript

pytestmark = pytest.mark.interop

PORT = ports(1)
ROUTES = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "agent"
destination = "ws://127.0.0.1:{PORT}/agent"
record = true
"""
SECRET = "Tell nobody"
KEY = WrappingKey(bytes(range(32)))


def shelf(gateway: Gateway) -> Path:
    return gateway.directory / "data" / "recordings"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    (tmp_path / "key").write_text(bytes(range(32)).hex())
    return Gateway(tmp_path, '[recording]\nkey = { file = "key" }\ntranscript = "jsonl"\n' + ROUTES)


@asynccontextmanager
async def talk(gateway: Gateway) -> AsyncIterator[tuple[PhoneCall, AgentCall]]:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.answered()
        await bot.text("recording")
        yield call, bot


def assert_sealed(gateway: Gateway) -> None:
    for path in shelf(gateway).rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0


async def test_what_was_said_lies_sealed_beside_the_recording_and_goes_with_it(gateway: Gateway) -> None:
    gateway.start()
    try:
        async with talk(gateway) as (call, bot):
            await bot.play(tone(900, 0.5))
            await bot.say(type="transcript", who="agent", id="u1", text=SECRET, final=False)
            await call.hears(900, frames=20)
            await bot.say(type="transcript", who="agent", id="u1", text=f"{SECRET} the code 1234.")
            # Its answer says that what came before it was taken.
            await bot.say(type="record", action="resume")
            await bot.text("recording", 2)
            call.hang_up()
            await bot.over()
        record = gateway.record(call.call_id)
        words = shelf(gateway) / record["recording"]["transcript"]
        wait_until((shelf(gateway) / record["recording"]["file"]).exists, 30, "no recording")
        assert words.name == f"{record['call_id']}.jsonl.enc"
        assert_sealed(gateway)
        line = json.loads(gateway.run("recordings", "transcript", record["call_id"]))
        assert (line["who"], line["text"]) == ("agent", f"{SECRET} the code ####.")
        export(Shelf(shelf(gateway)).find(record["call_id"]), gateway.directory / "out.wav", KEY)
        with wave.open(str(gateway.directory / "out.wav")) as sound:
            right = array("h", sound.readframes(sound.getnframes()))[1::2]
        heard_ms = next(at for at, sample in enumerate(right) if abs(sample) > 1500) / 8
        # As the agent told of its sentence with its sound: that took a moment to come and to leave.
        assert abs(line["from_ms"] - heard_ms) <= 400
        gateway.run("recordings", "delete", record["call_id"])
        assert not words.exists()
    finally:
        gateway.stop()


async def test_what_had_been_said_when_the_gateway_was_killed_is_there(gateway: Gateway) -> None:
    gateway.start()
    try:
        async with talk(gateway) as (call, bot):
            call.say(tone(500, 4.0))
            await bot.say(type="transcript", who="caller", id="c1", text=SECRET, start_ms=0, end_ms=300)
            # A recording keeps all but its last seconds.
            await asyncio.sleep(3.0)
            gateway.kill()
        assert list(shelf(gateway).glob(".*.jsonl.enc.part"))
        assert_sealed(gateway)
        gateway.start()
        (stored,) = Shelf(shelf(gateway)).all()
        assert stored.facts["recovered"]
        line = json.loads(read_transcript(stored, KEY))
        assert line == {"from_ms": line["from_ms"], "to_ms": line["to_ms"], "who": "caller", "text": SECRET}
        assert not [path for path in shelf(gateway).iterdir() if path.suffix in (".part", ".tmp")]
    finally:
        gateway.stop()
