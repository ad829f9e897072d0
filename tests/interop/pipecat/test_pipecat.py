"""The Pipecat bot of examples/, Pipecat itself unchanged from PyPI and started by its own runner, on the phone."""

import asyncio
import math
import os
import re
import struct
import subprocess
import time
import wave
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.agents_python import agents_python
from tests.support.gateway import REPOSITORY, Gateway, ports, running_gateway, wait_until
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.rtp_peer import Packet
from tests.support.tone import RATE, frames, has_tone, is_silent, share
from tests.support.undisturbed import undisturbed

from offhook.examine.check import Outcome
from offhook.examine.judge import judge
from offhook.examine.plan import Pace, Plan
from offhook.examine.scenes import examine
from offhook.phone.sound import load
from offhook.route.destination_uri import WireUri, parse_destination

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

PORT, GUARDED_PORT = ports(2), ports(2)
ORIGIN = "https://pbx.example"
CALLER, CALLED = "+14155550100", "+14155550123"
GREETING_HZ, KEY_HZ, LAST_HZ = 900, 700, 523
# Pipecat paces its sound by sleeping, so on a busy machine a chunk of it may be late; none may be lost. Were each of
# them late, it would be 37 of 75 frames.
LATE_CHUNKS = 10
RINGS, STRANGER, KNOWN = "+14155550124", "+14155550125", "+14155550126"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "bot"
to = "{CALLED}"
destination = "twilio+ws://127.0.0.1:{PORT}/ws"

[[route]]
name = "rings"
to = "{RINGS}"
destination = "twilio+ws://127.0.0.1:{PORT}/ws"
answer = "first-audio"

[[route]]
name = "stranger"
to = "{STRANGER}"
destination = "twilio+ws://127.0.0.1:{GUARDED_PORT}/ws"

[[route]]
name = "known"
to = "{KNOWN}"
destination = "agent:guarded"

[[agent]]
name = "guarded"
kind = "twilio"
url = "ws://127.0.0.1:{GUARDED_PORT}/ws"
origin = "{ORIGIN}"
"""


class Bot:
    """The bot's process, seen through its log."""

    def __init__(self, directory: Path, port: int, *arguments: str, account: bool = True) -> None:
        self.kept = directory / "kept"
        self.kept.mkdir()
        self.log = directory / "bot.log"
        greeting = directory / "greeting.wav"
        with wave.open(str(greeting), "wb") as writer:
            writer.setparams((1, 2, RATE, 0, "NONE", ""))
            writer.writeframes(sine(GREETING_HZ, 15.0))
        # As the guide has it: any account will do, and a region that does not exist keeps its last request at home.
        twilio = dict.fromkeys(
            ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_REGION", "TWILIO_EDGE") if account else (), "none"
        )
        command = [
            str(agents_python()), str(REPOSITORY / "examples" / "pipecat_bot.py"), "-t", "twilio",
            "--host", "127.0.0.1", "--port", str(port), "--greeting", str(greeting), "--keep", str(self.kept),
            *arguments,
        ]  # fmt: skip
        environ = {**os.environ, **twilio, "PYTHONUNBUFFERED": "1"}
        environ.pop("PYTHONPATH", None)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, cwd=directory
            )
        wait_until(lambda: self._process.poll() is not None or "Uvicorn running" in self.said(), 90, self.said)
        assert self._process.poll() is None, self.said()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    async def says(self, pattern: str, since: int, within: float = 30.0) -> re.Match[str]:
        """Wait for a line of its log, from that place on."""
        return await asyncio.to_thread(
            wait_until,
            lambda: re.search(rf"^.*{pattern}.*$", self.said()[since:], re.MULTILINE),
            within,
            lambda: f"no {pattern!r} in {self.said()[since:]}",
        )

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    running = Bot(tmp_path_factory.mktemp("bot"), PORT)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("pipecat"), TOML) as running:
        yield running


@undisturbed
async def test_facts_and_sound_both_ways(bot: Bot, gateway: Gateway) -> None:
    since, before = len(bot.said()), set(bot.kept.iterdir())
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, CALLED, caller=CALLER, headers=["X-Account: 77"])
        await call.answered()
        greeting = await call.hears(GREETING_HZ, frames=75)
        assert gaps(greeting) <= LATE_CHUNKS
        call.say(frames(pcm(sine(600, 1.0))))
        await call.hears(GREETING_HZ, frames=150)
        call.hang_up()
    told = await bot.says("call from (.*) to (.*), with (.*)", since)
    assert (told[1], told[2]) == (CALLER, CALLED)
    assert "'X-Account': '77'" in told[3]
    await bot.says("the caller is gone", since)
    record = gateway.record(call.call_id)
    assert record["end_reason"] == "caller_hung_up"

    def kept() -> Path | None:
        return next((path for path in set(bot.kept.iterdir()) - before if path.stat().st_size > 44), None)

    with wave.open(str(wait_until(kept, 30, "the bot kept nothing"))) as reader:
        heard = pcm(reader.readframes(reader.getnframes()))
    pieces = [heard[at : at + 160] for at in range(0, len(heard) - 159, 160)]
    said = sum(max(map(abs, piece)) > 1000 and share(piece, 600) > 0.9 for piece in pieces)
    assert 40 <= said <= 52, "each frame, once"


@undisturbed
async def test_speech_interrupts_the_bot_and_the_line_is_silent_at_once(bot: Bot, gateway: Gateway) -> None:
    since = len(bot.said())
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, CALLED)
        await call.answered()
        await call.hears(GREETING_HZ, frames=50)
        spoke_at = time.time()
        call.say(spoken())
        # The parrot says it back a moment after it was said: until then the line is silent.
        await call.rtp.until(lambda _: is_interrupted(call), within=30)
        interrupted = await bot.says("interrupted", since)
        at = datetime.strptime(interrupted[0][:23], "%Y-%m-%d %H:%M:%S.%f").timestamp()  # noqa: DTZ007
        last = [packet for packet in call.packets if has_tone(packet.payload, GREETING_HZ)][-1]
        times = f"silence {(last.at - spoke_at) * 1000:.0f} ms after speech, {(last.at - at) * 1000:.0f} after `clear`"
        print(times)
        # The greeting would go on for more than ten seconds.
        assert last.at - at < 1.0, times
        assert last.at - spoke_at < 5.0, times

        before = len(call.packets)
        await bot.says(r"the caller spoke for (\d\.\d) s", since)
        await call.rtp.until(lambda _: len(loud(call.packets[before:])) >= 40, within=30)
        assert not any(has_tone(packet.payload, GREETING_HZ) for packet in call.packets[before:]), "the old words again"
        call.hang_up()
    record = gateway.record(call.call_id)
    assert record["wire"]["received_clears"] >= 1


@undisturbed
async def test_an_examination_finds_nothing_wrong_with_the_bot(bot: Bot) -> None:
    # Shorter than a caller would be: it is real time that passes here.
    uri = parse_destination(f"twilio+ws://127.0.0.1:{PORT}/ws")
    assert isinstance(uri, WireUri)
    pace = Pace(listening=2.0, answer=5.0)
    plan = Plan(uri, load("sentence")[:24_000], pace=pace, short_calls=3)
    verdict = judge(plan, await examine(plan))
    found = {check.name: (check.outcome, check.found) for check in verdict.checks}
    print(*(f"{name}: {outcome.name} {said}" for name, (outcome, said) in found.items()), sep="\n")
    assert verdict.is_good, verdict.of(Outcome.FAULT)
    assert found["interruption"][0] is Outcome.GOOD, "Pipecat sends `clear`"
    assert found["marks"][0] is Outcome.NOTE, "and no marks"
    assert verdict.logs[1].clears


@undisturbed
async def test_keys_arrive_and_the_bot_hangs_up_after_its_last_word(bot: Bot, gateway: Gateway) -> None:
    since = len(bot.said())
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, CALLED)
        await call.answered()
        await call.hears(GREETING_HZ)
        # Speech ends the greeting, which the beep would else have to wait for.
        call.say(spoken())
        await call.rtp.until(lambda _: is_interrupted(call), within=30)
        call.press("5")
        await bot.says("key 5", since)
        await call.hears(KEY_HZ, frames=6)
        call.press("#")
        bye = await call.hung_up()
        assert 'text="agent_hung_up"' in bye.headers["reason"]
        last = [packet for packet in call.packets if has_tone(packet.payload, LAST_HZ)]
        assert 27 <= len(last) <= 30, "the last note of 600 ms, whole"
        assert gaps(last) <= LATE_CHUNKS
    await bot.says("key #", since)
    await bot.says("Failed to hang up Twilio call", since)
    record = gateway.record(call.call_id)
    assert (record["end_reason"], record["fault"]) == ("agent_hung_up", "none")
    assert "closed with 1000" in record["end_detail"]
    assert record["media"]["received_digits"] == 2


@undisturbed
async def test_the_phone_rings_until_the_bot_says_something(bot: Bot, gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, RINGS)
        await call.answered()
        assert call.statuses() == [100, 180, 200]
        await call.hears(GREETING_HZ, frames=25)
        call.hang_up()
    intervals = gateway.record(call.call_id)["intervals"]
    assert intervals["own"] < intervals["answer"] / 2, "building the bot took its time, and the caller heard ringing"
    assert intervals["greeting"] < 500, "the greeting was there when the call was answered"


async def test_a_bot_that_insists_on_an_origin_and_one_without_its_variables(gateway: Gateway, tmp_path: Path) -> None:
    guarded = await asyncio.to_thread(Bot, tmp_path, GUARDED_PORT, "--allowed-origins", ORIGIN, account=False)
    try:
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, STRANGER)
            assert (await call.final()).status == 480
            record = await asyncio.to_thread(gateway.record, call.call_id)
            assert record["end_reason"] == "agent_refused"
            assert "HTTP 403" in record["end_detail"]

            call = phone.dial(gateway.udp, KNOWN)
            await call.answered()
            await guarded.says("auto_hang_up is enabled but missing required parameters", 0)
            await call.hung_up()
            record = await asyncio.to_thread(gateway.record, call.call_id)
            assert record["end_reason"] == "agent_lost"
    finally:
        guarded.stop()


def is_interrupted(call: PhoneCall) -> bool:
    """Whether the greeting was heard, and then nothing of it for 300 ms."""
    tones = [at for at, packet in enumerate(call.packets) if has_tone(packet.payload, GREETING_HZ)]
    return bool(tones) and len(call.packets) - tones[-1] > 15


def loud(packets: list[Packet]) -> list[Packet]:
    return [packet for packet in packets if packet.payload_type == 0 and not is_silent(packet.payload)]


def gaps(packets: list[Packet]) -> int:
    """Places where packets of one sound do not follow each other."""
    return sum((later.sequence - earlier.sequence) % 65536 != 1 for earlier, later in pairwise(packets))


def spoken() -> list[bytes]:
    """A second of speech without a pause: the beginning of the gateway's own recorded prompt, as frames of µ-law."""
    path = REPOSITORY / "python" / "offhook" / "destination" / "prompts" / "welcome.wav"
    with wave.open(str(path)) as reader:
        samples = pcm(reader.readframes(round(1.25 * reader.getframerate())))
    return frames((left + right) // 2 for left, right in zip(samples[::2], samples[1::2], strict=False))


def sine(hz: float, seconds: float) -> bytes:
    """A tone as PCM16."""
    count = round(seconds * RATE)
    return struct.pack(f"<{count}h", *(round(8000 * math.sin(2 * math.pi * hz * n / RATE)) for n in range(count)))


def pcm(sound: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(sound) // 2}h", sound)
