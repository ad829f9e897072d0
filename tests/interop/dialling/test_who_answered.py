"""Who has answered: a person who is talked to, and machines that are left a message after their beep.

Person and one machine are plain sockets; the other machine is baresip, with a greeting of Asterisk's.
"""

import asyncio
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.interop.baresip.phone import Baresip
from tests.interop.dialling.conftest import KEY
from tests.support.callees.voices import allison, voices_are_installed
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway as Running
from tests.support.gateway import running_gateway, wait_until
from tests.support.plain_callee import PlainCallee, callee, sdp
from tests.support.rtp_peer import RtpPeer
from tests.support.speech import speech, write_wav
from tests.support.tone import frames, has_tone, tone
from tests.support.undisturbed import undisturbed

from offhook import Gateway
from offhook.agent.gateway import PlacedCall

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "person"
host = "127.0.0.1"
port = {person}
caller_id = "+14155550100"
dial_to = "+1415*"

[[trunk]]
name = "machine"
host = "127.0.0.1"
port = {machine}
caller_id = "+14155550100"
dial_to = "+1415*"

[[trunk]]
name = "phone"
host = "127.0.0.1"
port = {phone}
caller_id = "+14155550100"
dial_to = "+1415*"

[[route]]
name = "all"
destination = "echo:"

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
detect = true
on_machine = "voicemail"
voicemail = "message.wav"

[[agent]]
name = "asked"
kind = "offhook"
url = "ws://127.0.0.1:{agent}/"
voicemail = "message.wav"

[[key]]
name = "crm"
sha256 = "{sha256}"
"""
_MESSAGE_HZ, _MESSAGE_S = 700.0, 1.0
_NUMBER = "+14155550142"


async def _picks_up(phone: PlainCallee, rtp: RtpPeer, gateway: Gateway, trunk: str) -> PlacedCall:
    call = await gateway.dial(_NUMBER, agent="bot", trunk=trunk)
    invite = await phone.gets("INVITE")
    port = re.search(r"m=audio (\d+) ", invite.body)
    assert port is not None
    rtp.target = ("127.0.0.1", int(port[1]))
    phone.answer(invite, "200 OK", sdp=sdp(rtp.address[1]))
    await phone.gets("ACK")
    return call


def _said(seconds: float) -> list[bytes]:
    """Somebody who speaks so long without a pause."""
    sound = speech(8_000)[4_400:]
    return frames(int(sample) for sample in sound[: round(seconds * 8_000)])


async def _person(phone: PlainCallee, gateway: Gateway) -> None:
    with RtpPeer() as rtp:
        call = await _picks_up(phone, rtp, gateway, "person")
        await rtp.talk([*tone(0, 0.3), *_said(0.5), *tone(0, 2.0)])
        assert (await call.outcome()).answered
        async with asyncio.timeout(30):
            await call._look()
            while (told := call.answered_by) is None:
                await rtp.talk(tone(0, 0.2))
                await call._look()
        assert told.who == "human"
        assert told.after_ms < 3_000
        assert any(has_tone(packet.payload, 440) for packet in rtp.packets), "the agent was heard at once"
        assert phone.of("BYE") == []
        await call.hang_up()
        await phone.gets("BYE")


async def _machine(phone: PlainCallee, gateway: Gateway) -> None:
    with RtpPeer() as rtp:
        call = await _picks_up(phone, rtp, gateway, "machine")
        await rtp.talk([*tone(0, 0.2), *_said(5.6), *tone(0, 0.4), *tone(1_000, 0.4)])
        beeped = len(rtp.packets)
        await rtp.talk(tone(0, 2.2))
        await phone.gets("BYE")
        assert await call.ended() == "message_left"
        assert call.answered_by is not None
        assert call.answered_by.who == "machine"
        before, after = rtp.packets[:beeped], rtp.packets[beeped:]
        assert not any(has_tone(packet.payload, _MESSAGE_HZ) for packet in before), "nothing before the beep has ended"
        heard = [packet for packet in after if has_tone(packet.payload, _MESSAGE_HZ)]
        assert 0.02 * len(heard) == pytest.approx(_MESSAGE_S, abs=0.1), "all of it"


def _greeting() -> list[int]:
    """What an answering machine says, and then listens."""
    voices_are_installed()
    pause = np.zeros(2_400)
    sound = np.concatenate([pause, allison("vm-intro"), pause, allison("beep"), np.zeros(8 * 8_000)])
    return [round(sample * 32_768) for sample in sound]


def _foreign_machine(phone: Baresip, running: Running) -> None:
    arguments = ("--agent", "asked", "--trunk", "phone", "--detect", "--on-machine", "voicemail", "--wait", "--json")
    call = json.loads(running.run("dial", _NUMBER, *arguments))
    closed = phone.wait_for("CALL_CLOSED")
    assert (call["answered_by"]["who"], call["end_reason"]) == ("machine", "message_left")
    running.record(str(closed["id"]))
    # By its beep, which is nowhere else in what it said: not by the silence behind it.
    sign = "takes a message from now on, after a beep of"
    wait_until(lambda: sign in str(running.show(call["call_id"])["timeline"]), 30, f"no {sign!r}")
    heard = np.array(phone.heard(), dtype=float)
    pieces = heard[: len(heard) // 160 * 160].reshape(-1, 160)
    spectrum = np.abs(np.fft.rfft(pieces * np.hanning(160), 800))
    loud = np.sqrt((pieces**2).mean(axis=1)) > 1_000
    message = np.flatnonzero(loud & (np.abs(spectrum.argmax(axis=1) * 10 - _MESSAGE_HZ) <= 20))
    assert 0.02 * len(message) == pytest.approx(_MESSAGE_S, abs=0.15), "all of it"
    assert message[-1] - message[0] < len(message) + 15, "at one go"


@undisturbed
async def test_a_person_is_talked_to_and_a_machine_hears_the_message_whole_after_its_beep(tmp_path: Path) -> None:
    when = np.arange(round(_MESSAGE_S * 8_000)) / 8_000
    write_wav(tmp_path / "message.wav", (8_000 * np.sin(2 * np.pi * _MESSAGE_HZ * when)).astype(np.int16), 8_000)
    agent = DialledAgent()
    try:
        async with callee("person") as person, callee("machine") as machine:
            with Baresip(tmp_path / "phone", _greeting(), answers=True, user=_NUMBER) as phone:
                sha256 = hashlib.sha256(KEY.encode()).hexdigest()
                ports = {"person": person.port, "machine": machine.port, "phone": phone.port, "agent": agent.port}
                with running_gateway(tmp_path, _TOML.format(**ports, sha256=sha256)) as running:
                    gateway = Gateway(running.http, key=KEY)
                    await asyncio.gather(
                        _person(person, gateway),
                        _machine(machine, gateway),
                        asyncio.to_thread(_foreign_machine, phone, running),
                    )
    finally:
        agent.close()
