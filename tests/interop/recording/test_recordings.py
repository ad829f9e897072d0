"""Recordings of a gateway in its own process, held against what a phone of plain sockets sent and heard."""

import asyncio
import base64
import itertools
import json
import resource
import subprocess
import time
import wave
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import agent_on
from tests.support.gateway import Gateway, ports, running_gateway, wait_until
from tests.support.nothing_left import PROVE
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import FRAME, LINEAR, decode, encode, lasting, tone
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PORT = ports(2)
KEY = base64.b64encode(bytes(range(32))).decode()
ROUTES = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "agent"
to = "+14155550123"
destination = "ws://127.0.0.1:{PORT}/agent"
record = true

[[route]]
name = "echo"
to = "+14155550111"
destination = "echo:"
record = true

[[route]]
name = "unrecorded"
destination = "echo:"
"""
ECHO = "+14155550111"
FRAME_MS = 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), ROUTES) as running:
        yield running


def shelf(gateway: Gateway) -> Path:
    return gateway.directory / "data" / "recordings"


def stored(gateway: Gateway, call: PhoneCall) -> tuple[dict[str, Any], Path]:
    """The record of a call and its recording, once that is there."""
    record = gateway.record(call.call_id)
    path = shelf(gateway) / record["recording"]["file"]
    wait_until(path.exists, 30, "no recording")
    return record, path


async def seen(condition: Callable[[], Any], what: str = "nothing came") -> Any:
    """Wait until the answer is true, while the phone goes on talking."""
    for _ in range(1500):
        if found := condition():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(what)


def sides(path: Path) -> tuple[list[int], list[int]]:
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, 8000)
        samples = array("h", sound.readframes(sound.getnframes()))
    return list(samples[::2]), list(samples[1::2])


def onsets(side: list[int]) -> list[int]:
    """Where sounds begin, in milliseconds: loud after 100 ms of quiet."""
    found, quiet = [], 8000
    for at, sample in enumerate(side):
        if abs(sample) > 1500:
            if quiet > 800:
                found.append(at // 8)
            quiet = 0
        else:
            quiet += 1
    return found


def silences(side: list[int]) -> Iterator[tuple[int, int]]:
    """Where nothing is but zeros, and for how many samples."""
    at = 0
    for silent, run in itertools.groupby(side, key=lambda sample: sample == 0):
        length = len(list(run))
        if silent:
            yield at, length
        at += length


def assert_said(said: bytes, side: list[int]) -> None:
    """What was said is there sample for sample, but for what a busy machine sent too late."""
    pieces = [said[at * FRAME : (at + 3) * FRAME] for at in range(5, 38, 3)]
    found = [place for piece in pieces if (place := place_of(decode(piece), side)) >= 0]
    assert len(found) >= 6
    assert found == sorted(found)


def place_of(part: list[int], side: list[int]) -> int:
    """Where these samples lie, exactly as they are; −1 if nowhere."""
    return array("h", side).tobytes().find(array("h", part).tobytes()) // 2


@undisturbed
async def test_each_side_is_what_the_phone_sent_and_heard(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.answered()
        assert (await bot.text("recording")) == {"type": "recording", "state": "on", "at_ms": 0}
        # Sound of which each piece is there once.
        said = encode(6000 * ((n * n * 7919 % 20011) / 10005 - 1) for n in range(40 * FRAME))
        call.say([said[at : at + FRAME] for at in range(0, len(said), FRAME)])
        await asyncio.sleep(0.5)
        answer = encode(5000 * ((n * n * 104729 % 30011) / 15005 - 1) for n in range(40 * FRAME))
        await bot.play([answer[at : at + FRAME] for at in range(0, len(answer), FRAME)])
        await seen(lambda: not call.waiting and any(packet.payload == answer[-FRAME:] for packet in call.packets))
        await asyncio.sleep(0.2)
        spoken = next(packet for packet in call.packets if packet.payload == answer[:FRAME])
        first = call.packets[0]
        call.hang_up()
        await bot.over()
    record, path = stored(gateway, call)
    left, right = sides(path)
    assert record["recording"]["dropped_frames"] == 0
    assert abs(len(left) / 8 - record["recording"]["duration_ms"]) <= 1
    heard = place_of([LINEAR[code] for code in answer[: 3 * FRAME]], right)
    assert heard >= 0, "what the phone heard, sample for sample"
    # By the timestamps of what left: the recording began with the answer, as RTP did, 0.5 s before.
    assert abs(heard - ((spoken.timestamp - first.timestamp) & 0xFFFFFFFF)) <= 10 * FRAME
    assert_said(answer, right)
    assert_said(said, left)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert (facts["complete"], facts["codec"], facts["channels"]) == (True, "PCMU", ["caller", "agent"])
    assert gateway.metric("offhook_recordings_total", ending="complete") >= 1
    assert "Recording" in gateway.run("calls", "show", record["call_id"])


@undisturbed
async def test_an_echo_lies_behind_what_it_repeats_on_the_same_clock(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, to=ECHO)
        await call.answered()
        for _ in range(3):
            call.say([*tone(700, 0.1), *[b"\xff" * FRAME] * 25])
        await seen(lambda: not call.waiting)
        await asyncio.sleep(0.4)
        call.hang_up()
        _, path = stored(gateway, call)
    left, right = (onsets(side) for side in sides(path))
    assert len(left) == len(right) == 3
    delays = [b - a for a, b in zip(left, right, strict=True)]
    # The packet that was being filled, the echo's own buffer of 20 ms and more, and what the machine adds.
    assert all(FRAME_MS <= delay <= 300 for delay in delays), delays
    gaps = [b - a for a, b in itertools.pairwise(left)]
    assert all(abs(gap - 600) <= 5 * FRAME_MS for gap in gaps), gaps


@undisturbed
async def test_what_an_agent_had_paused_was_never_recorded(gateway: Gateway) -> None:
    async with agent_on(PORT, "offhook") as agent, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp)
        bot = await agent.call()
        await bot.text("ringing")
        await bot.say(type="ready", audio={"encoding": "pcmu", "rate": 8000})
        await call.answered()
        call.say(tone(500, 10.0))
        await bot.play(tone(900, 10.0))
        await asyncio.sleep(1.0)
        await bot.say(type="record", action="pause")
        paused = await bot.text("recording", 2)
        await asyncio.sleep(1.0)
        await bot.say(type="record", action="resume")
        resumed = await bot.text("recording", 3)
        await asyncio.sleep(0.8)
        call.hang_up()
        await bot.over()
    assert (paused["state"], resumed["state"]) == ("paused", "on")
    record, path = stored(gateway, call)
    begin, end = (message["at_ms"] * 8 for message in (paused, resumed))
    for side in sides(path):
        start, length = max(silences(side), key=lambda found: found[1])
        assert abs(length - (end - begin)) <= 10 * FRAME
        # What came late, if the machine stood still before, lies late.
        assert -3 * FRAME <= start - begin <= 20 * FRAME
        assert max(map(abs, side[start - 2 * FRAME : start])) > 3000
        assert max(map(abs, side[start + length : start + length + 2 * FRAME])) > 3000
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["pauses"] == [{"from_ms": paused["at_ms"], "to_ms": resumed["at_ms"]}]
    assert record["recording"]["paused_ms"] == resumed["at_ms"] - paused["at_ms"]


async def test_calls_of_other_routes_are_not_recorded(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, to="+14155550177")
        await call.answered()
        await asyncio.sleep(0.3)
        call.hang_up()
    assert gateway.record(call.call_id)["recording"] == {}


async def test_a_full_disk_ends_the_recording_and_nothing_else(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, to=ECHO)
        await call.answered()
        parts = await seen(lambda: list(shelf(gateway).glob(".*.part")))
        # A limit on the size of files does what a full disk does, and to this one alone: nothing else grows so much.
        before = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (60_000, before[1]))
        try:
            await seen(lambda: not parts[0].exists(), "it did not end")
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, before)
        since = len(call.packets)
        call.say(lasting(800))
        await call.hears(800, frames=10, since=since)
        assert call.is_up
        call.hang_up()
        record, path = stored(gateway, call)
    assert "too large" in record["recording"]["error"]
    left, _ = sides(path)
    assert 8000 < len(left) <= 15_000, "what was written before is kept, and whole"
    assert gateway.metric("offhook_recordings_total", ending="incomplete") >= 1
    notes = [str(entry.get("note")) for entry in gateway.show(record["call_id"])["timeline"]["entries"]]
    assert any("the recording has failed" in note for note in notes), notes


@pytest.mark.parametrize(
    ("form", "key"), [("wav", ""), ("flac", ""), ("wav", KEY), ("flac", KEY)][:: 1 if PROVE else 3]
)
@undisturbed
async def test_a_gateway_that_is_killed_leaves_recordings_that_are_whole(tmp_path: Path, form: str, key: str) -> None:
    (tmp_path / "key").write_text(key)
    lines = f'[recording]\nformat = "{form}"\n' + ('key = { file = "key" }\n' if key else "")
    gateway = Gateway(tmp_path, lines + ROUTES)
    gateway.start()
    try:
        async with PlainPhone.open() as phone:
            dialled = time.monotonic()
            call = phone.dial(gateway.udp, to=ECHO)
            await call.answered()
            call.say([*[b"\xff" * FRAME] * 25, *_noise(8.0)])
            await asyncio.sleep(4.0)
            lasted = time.monotonic() - dialled
            gateway.kill()
        visible = [path for path in shelf(gateway).rglob("*.*") if not path.name.startswith(".")]
        assert visible == [], "nothing is there before it is whole"
        (part,) = shelf(gateway).glob(".*.part")
        assert key == "" or part.read_bytes().startswith(b"offhook recording 1\n")
        gateway.start()
        assert not list(shelf(gateway).glob(".*.part"))
        (listed,) = json.loads(gateway.run("recordings", "list", "--json"))
        assert (listed["recovered"], listed["complete"]) == (True, False)
        out = tmp_path / f"out.{form}"
        gateway.run("recordings", "export", listed["call_id"][-6:], "--output", str(out))
        seconds, said = _examined(out)
        # What is not written yet: half a second that waits, and a block of FLAC or a chunk of cipher text.
        assert (0.2 if key and form == "flac" else 1.5) < seconds <= lasted
        assert "Maximum amplitude" in said
        assert "WARN" not in said, said
        ended = gateway.record(call.call_id)
        assert ended["end_reason"] == "gateway_crashed"
    finally:
        gateway.stop()


def _examined(path: Path) -> tuple[float, str]:
    """The seconds that other people's program reads in a file, and what it says of them."""
    lasts = subprocess.run(["soxi", "-D", str(path)], capture_output=True, text=True, check=True)
    stated = subprocess.run(["sox", str(path), "--null", "stat"], capture_output=True, text=True, check=True)
    return float(lasts.stdout), stated.stderr


def _noise(seconds: float) -> list[bytes]:
    """Sound that no encoder makes small."""
    sound = encode(6000 * ((n * n * 7919 % 20011) / 10005 - 1) for n in range(round(seconds * 8000)))
    return [sound[at : at + FRAME] for at in range(0, len(sound) - FRAME + 1, FRAME)]


async def test_an_encrypted_recording_is_announced_exported_with_its_key_alone_and_deleted(tmp_path: Path) -> None:
    _announcement(tmp_path / "told.wav")
    (tmp_path / "key").write_text(bytes(range(32)).hex())
    (tmp_path / "other").write_text(bytes(32).hex())
    recording = '[recording]\nkey = { env = "RECORDING_KEY" }\nannouncement = "told.wav"\nkeep_days = 30\n'
    with running_gateway(tmp_path, recording + ROUTES, environ={"RECORDING_KEY": KEY}) as gateway:
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, to=ECHO)
            await call.answered()
            await call.hears(1000, frames=20)
            assert not list(shelf(gateway).glob(".*.part")), "not before it was said"
            await seen(lambda: list(shelf(gateway).glob(".*.part")))
            call.say(_noise(1.0))
            await asyncio.sleep(1.5)
            call.hang_up()
            record, path = stored(gateway, call)
        assert path.name == f"{record['call_id']}.wav.enc"
        frame = array("h", decode(_noise(0.1)[2])).tobytes()
        assert frame not in path.read_bytes()
        assert {file.stat().st_mode & 0o077 for file in shelf(gateway).rglob("*")} == {0}
        out = tmp_path / "out.wav"
        said = gateway.run("recordings", "export", record["call_id"], "-o", str(out), "--key-file", "other", code=1)
        assert said == ""
        assert not out.exists()
        gateway.run("recordings", "export", record["call_id"], "-o", str(out), "--key-file", "key")
        left, right = sides(out)
        assert len(left) / 8 == pytest.approx(record["recording"]["duration_ms"], abs=1)
        assert_said(b"".join(_noise(1.0)), left)
        assert max(map(abs, left)) > 1000 < max(map(abs, right))
        assert record["call_id"] in gateway.run("recordings", "list")
        gateway.run("recordings", "delete", record["call_id"])
        assert not path.exists()
        assert json.loads(gateway.run("recordings", "list", "--json")) == []
        assert gateway.show(record["call_id"])["call"]["recording"]["file"], "the record of the call stays"


def _announcement(path: Path) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(array("h", decode(b"".join(tone(1000, 1.0)))).tobytes())
