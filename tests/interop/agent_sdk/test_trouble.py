"""Two processes of one agent, as `offhook worker` runs them: one blocks its loop, and then it is killed."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.support.gateway import Gateway, python_path, running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.speech import write_wav
from tests.support.tone import decode, has_tone, is_silent, lasting

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

TOKEN = "a-token-of-the-tests"
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "front"
destination = "worker:front"
fallback = [{{ to = "echo:" }}]

[[agent]]
name = "front"
kind = "worker"
token = "{TOKEN}"
"""
AGENT = """
import os, signal, time
from offhook import Agent

agent = Agent("front", rate=8000)

@agent.on_call
async def on_call(call):
    await call.play("tone.wav")

@agent.on_dtmf
async def key(call, digit):
    if digit == "9":
        time.sleep(4)
    if digit == "8":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@asynccontextmanager
async def worker(folder: Path, gateway: Gateway) -> AsyncIterator[int]:
    """`offhook worker`; its process id."""
    command = [sys.executable, "-m", "offhook", "worker", "agent.py", "--url", gateway.http, "--token", TOKEN]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=os.environ | python_path())
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(gateway: Gateway, name: str, value: float, within: float = 60.0) -> None:
    """Wait until a metric of the agent has this value."""
    async with asyncio.timeout(within):
        while gateway.metric(name, agent="front") != value:  # noqa: ASYNC110  a process tells nobody
            await asyncio.sleep(0.05)


def went_on(call: PhoneCall, since: int) -> bool:
    """Whether the agent's sound had no gap: by the gateway's clock, whatever kept this machine."""
    came = [packet for packet in call.packets[since:] if packet.payload_type == 0]
    steps = {(after.timestamp - before.timestamp) & 0xFFFFFFFF for before, after in pairwise(came)}
    return steps == {160} and not any(is_silent(packet.payload) for packet in came)


def asked(gateway: Gateway, call: PhoneCall) -> int:
    """The process that was given the call in the end."""
    notes = [str(entry.get("note", "")) for entry in gateway.explained(call.call_id)["timeline"]["entries"]]
    return int([found[1] for note in notes if (found := re.search(r"worker \S+:(\d+) is asked", note))][-1])


def echoes(call: PhoneCall, since: int) -> bool:
    """Whether what the caller said came back."""
    return sum(has_tone(packet.payload, 600) for packet in call.packets[since:]) >= 20


async def test_what_is_said_goes_on_while_a_worker_blocks_and_only_its_own_calls_are_lost_with_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "agent.py").write_text(AGENT)
    write_wav(tmp_path / "tone.wav", np.array(decode(b"".join(lasting(700))), np.int16), 8_000)
    with running_gateway(tmp_path / "gateway", TOML) as gateway:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(worker(tmp_path, gateway))
            phone = await stack.enter_async_context(PlainPhone.open())
            await until(gateway, "offhook_workers", 2)
            calls = []
            for _ in range(4):
                calls.append(phone.dial(gateway.udp))
                await calls[-1].answered()
                await calls[-1].hears(700)
            before = [len(call.packets) for call in calls]
            calls[0].press("9")
            await until(gateway, "offhook_workers_stalled", 1)
            late = [phone.dial(gateway.udp) for _ in range(2)]
            for call in late:
                await call.answered()
            await until(gateway, "offhook_workers_stalled", 0)
            await asyncio.sleep(0.3)
            assert all(went_on(call, since) for call, since in zip(calls, before, strict=True))

            before = [len(call.packets) for call in calls]
            calls[0].press("8")
            await until(gateway, "offhook_workers", 1)
            for call in calls:
                call.say(lasting(600))
            begins = {call.call_id: since for call, since in zip(calls, before, strict=True)}
            async with asyncio.timeout(30):
                while sum(echoes(call, begins[call.call_id]) for call in calls) < 2:  # noqa: ASYNC110  by no event
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            saved = [call for call in calls if echoes(call, begins[call.call_id])]
            kept = [call for call in calls if call not in saved]
            assert (len(saved), len(kept)) == (2, 2), "the fallback has the calls of one worker"
            for call in kept:
                assert went_on(call, begins[call.call_id])
            for call in (*calls, *late):
                call.hang_up()
        of = {call.call_id: asked(gateway, call) for call in (*calls, *late)}
    assert len({of[call.call_id] for call in saved}) == len({of[call.call_id] for call in kept}) == 1
    assert {of[call.call_id] for call in late} == {of[kept[0].call_id]}, "new calls went to the other one"
