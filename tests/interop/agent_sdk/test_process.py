"""`offhook worker` and `offhook init` as a user runs them."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.fake_gateway import FakeGateway, fake_gateway
from tests.support.gateway import python_path

from offhook.cli.agent_process import AgentProcess, agent_name

pytestmark = pytest.mark.interop

STAYING = """
from offhook import Agent
agent = Agent("front")

@agent.on_call
async def on_call(call):
    await call.wait_until_over()
"""
ENVIRON = {**os.environ, **python_path()}


def agent_file(folder: Path, text: str = STAYING) -> Path:
    path = folder / "agent.py"
    path.write_text(text)
    return path


@asynccontextmanager
async def offhook(*arguments: str | Path, **environ: str) -> AsyncIterator[Process]:
    """An `offhook` command; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "offhook", *map(str, arguments)], env=ENVIRON | environ, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> tuple[int | None, str]:
    """How it ended, and what it said."""
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


def worked() -> float:
    """Seconds of a processor that this process and those it waited for took, however many others wanted it, too."""
    return sum(os.times()[:4])


def settings(gateway: FakeGateway) -> dict[str, str]:
    return {"OFFHOOK_URL": gateway.url, "OFFHOOK_TOKEN": gateway.token}


async def test_a_signal_drains_a_worker(tmp_path: Path) -> None:
    async with fake_gateway() as gateway, offhook("worker", agent_file(tmp_path), **settings(gateway)) as process:
        await gateway.until(lambda: gateway.wires, 60, "worker")
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        process.send_signal(signal.SIGTERM)
        await gateway.until(lambda: {"type": "drain"} in gateway.wires[0].texts, what="drain")
        assert not call.of("hangup"), "a call that it has goes on"
        call.hang_up()
        code, said = await ended(process)
        assert code == 0, said
        assert "Traceback" not in said


async def test_a_second_signal_ends_its_calls(tmp_path: Path) -> None:
    async with fake_gateway() as gateway, offhook("worker", agent_file(tmp_path), **settings(gateway)) as process:
        await gateway.until(lambda: gateway.wires, 60, "worker")
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        process.send_signal(signal.SIGINT)
        await gateway.until(lambda: gateway.wires[0].texts, what="drain")
        process.send_signal(signal.SIGINT)
        code, said = await ended(process)
        assert (code, "Traceback" in said) == (0, False), said
        assert call.of("hangup") == [{"type": "hangup", "now": True}]


async def test_what_an_agent_prints_is_there_at_once(tmp_path: Path) -> None:
    path = agent_file(tmp_path, STAYING + 'print("loaded")\n')
    # As in a container that nobody has told otherwise.
    async with (
        fake_gateway() as gateway,
        offhook("worker", path, **settings(gateway), PYTHONUNBUFFERED="") as process,
        asyncio.timeout(60),
    ):
        assert process.stdout is not None
        while b"loaded" not in (line := await process.stdout.readline()):
            assert line, "it has ended"


@pytest.mark.parametrize(("handler", "signals"), [("await stays()", 2), ("asyncio.create_task(stays())", 1)])
async def test_what_does_not_let_itself_be_cancelled_is_named_and_left(
    handler: str, signals: int, tmp_path: Path
) -> None:
    path = agent_file(
        tmp_path,
        f"""
import asyncio
from offhook import Agent
agent = Agent("front")

async def stays():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@agent.on_call
async def on_call(call):
    {handler}
    await call.wait_until_over()
""",
    )
    async with fake_gateway() as gateway, offhook("worker", path, **settings(gateway)) as process:
        await gateway.until(lambda: gateway.wires, 60, "worker")
        call = gateway.wires[0].ring()
        await call.text("ready")
        call.start()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            await gateway.until(lambda: not gateway.wires or gateway.wires[0].texts, 60, "drain")
        call.hang_up()
        code, said = await ended(process)
        assert code == 1, said
        assert "not ended 5 s after a cancel: " in said
        assert f"stays ({path})" in said


async def test_what_stands_behind_an_agent_that_was_stopped_has_all_the_time_that_it_wants(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        f"{STAYING}\nimport time\nfrom offhook.agent import process\nprocess._PATIENCE = 0.5\n"
        "agent.run()\ntime.sleep(1.5)\nprint('cleaned up')\n"
    )
    async with fake_gateway() as gateway:
        program = await asyncio.create_subprocess_exec(
            *[sys.executable, path], env=ENVIRON | settings(gateway), stdout=PIPE, stderr=STDOUT
        )
        await gateway.until(lambda: gateway.wires, 60, "worker")
        program.send_signal(signal.SIGTERM)
        code, said = await ended(program)
        assert (code, "cleaned up" in said) == (0, True), said


async def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    async with fake_gateway() as gateway:
        path = agent_file(tmp_path)
        async with offhook("worker", path, OFFHOOK_URL=gateway.url, OFFHOOK_TOKEN="wrong") as process:
            code, said = await ended(process)
            assert code == 1
            assert said.splitlines()[-2:] == [
                "offhook: that token is none of ours",
                "  set OFFHOOK_TOKEN to one of the gateway's tokens for workers",
            ]
        nothing = agent_file(tmp_path, 'from offhook import Agent\nagent = Agent("front")\n')
        async with offhook("worker", nothing, **settings(gateway)) as process:
            code, said = await ended(process)
            assert (code, said.splitlines()[0]) == (1, "offhook: agent front does nothing")


async def test_a_worker_is_not_longer_there_than_who_started_it(tmp_path: Path) -> None:
    path = agent_file(tmp_path)
    async with fake_gateway() as gateway:
        starter = (
            "import os, subprocess, sys, time\n"
            "os.environ['OFFHOOK_WORKER_PARENT'] = str(os.getpid())\n"
            f"subprocess.Popen([sys.executable, '-m', 'offhook', 'worker', {str(path)!r}])\n"
            "time.sleep(60)\n"
        )
        parent = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, env=ENVIRON | settings(gateway))
        try:
            await gateway.until(lambda: gateway.wires, 60, "worker")
        finally:
            parent.kill()
            await parent.wait()
        await gateway.until(lambda: not gateway.wires, 60, "end of the worker")


async def test_an_agent_beside_a_gateway_is_started_again_when_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRON["PYTHONPATH"])
    path = agent_file(tmp_path)
    assert agent_name(path, ENVIRON) == "front"
    async with fake_gateway() as gateway, AgentProcess(path, gateway.url, gateway.token, reload=True):
        await gateway.until(lambda: gateway.wires, 60, "worker")
        old = gateway.wires[0]
        call = old.ring()
        await call.text("ready")
        call.start()
        path.write_text(STAYING.replace("wait_until_over()", "hang_up()"))
        await gateway.until(lambda: gateway.wires.get(0) not in (old, None), 60, "new worker")
        await gateway.until(lambda: {"type": "drain"} in old.texts, what="drain")
        assert not call.of("hangup"), "it goes on with the old one"
        new = gateway.wires[0].ring()
        await new.text("ready")
        new.start()
        await new.text("hangup")


async def test_an_agent_that_dies_at_once_is_said_to_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRON["PYTHONPATH"])
    async with AgentProcess(agent_file(tmp_path, "1 / 0\n"), "ws://127.0.0.1:1", "t", reload=False) as agent:
        async with asyncio.timeout(60):
            await agent.failed.wait()


def test_a_new_project_passes_its_own_test(tmp_path: Path) -> None:
    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=120
        )

    since = worked()
    made = run("offhook", "init", "front-desk")
    assert made.returncode == 0, made.stderr
    assert sorted(path.name for path in (tmp_path / "front-desk").iterdir()) == [
        "README.md",
        "agent.py",
        "test_agent.py",
    ]
    tested = run("pytest", "-q", "-p", "no:cacheprovider", "-p", "offhook.testing.plugin", "front-desk")
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout
    assert worked() - since < 120, "a newcomer waits for both together"
    lines = [line for line in (tmp_path / "front-desk/agent.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 20
    again = run("offhook", "init", "front-desk")
    assert again.returncode == 1
    assert "already" in again.stderr
    assert run("offhook", "init", "Front Desk!").returncode == 2
