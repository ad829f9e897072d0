"""Limits, draining, a second signal, and kill -9: what callers get and what the records say."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.interop.sipp.scenario import Check, Player, Scenario
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.plain_phone import PlainPhone

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "plain"
allow = ["127.0.0.1"]

[[route]]
name = "echo"
destination = "echo:"
"""

LIMITED = {
    "limit_calls": "[limits]\nmax_calls = 1\n" + _TOML,
    "limit_trunk_calls": _TOML.replace("[[route]]", "max_calls = 1\n[[route]]"),
    "limit_cps": "[limits]\nmax_cps = 0.1\n" + _TOML,
    "limit_trunk_cps": _TOML.replace("[[route]]", "max_cps = 0.1\n[[route]]"),
}


class Running:
    """A call of sipp that is up, until `hang_up`."""

    def __init__(self, sipp: Player, flow: Scenario) -> None:
        self._sipp = sipp
        self._process, self._where = sipp.start(flow)
        log = self._where / "messages.log"
        wait_until(lambda: log.exists() and "ACK sip:" in log.read_text(errors="replace"), 40, "the call is not up")

    @property
    def is_up(self) -> bool:
        """Whether it still goes on."""
        return self._process.poll() is None

    def ended(self) -> str:
        """Wait for its end; its Call-ID."""
        try:
            out, _ = self._process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
        return self._sipp.judge(self._process.returncode, out, self._where).call_id


@pytest.mark.parametrize("reason", LIMITED)
def test_above_a_limit(tmp_path: Path, reason: str) -> None:
    with running_gateway(tmp_path / "gateway", LIMITED[reason]) as gateway:
        sipp = Player(tmp_path, gateway.udp)
        running = Running(sipp, Scenario("first").set_up().expect_request("BYE").answer())
        flow = Scenario("refused").invite().expect(100, optional=True)
        flow.expect(503, Check("[1-9]", "Retry-After"), Check(reason, "Reason")).ack_refusal()
        record = gateway.record(sipp.play(flow).call_id)
        assert (record["end_reason"], record["sip_status"], record["fault"]) == (reason, 503, "operator")
        assert running.is_up
        gateway.terminate()
        wait_until(lambda: "gateway.draining" in gateway.said(), 40)
        gateway.terminate()
        running.ended()


async def test_while_it_drains_a_call_lives_on(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", _TOML)
    gateway.start()
    try:
        sipp = Player(tmp_path, gateway.udp)
        options = Scenario("options").request("OPTIONS", cseq=1, branch="only", within=False)
        refused = Scenario("late").invite().expect(100, optional=True).expect(503, Check("[1-9]", "Retry-After"))
        async with PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, "echo")
            await call.answered()
            gateway.terminate()
            await asyncio.to_thread(wait_until, lambda: "gateway.draining" in gateway.said(), 40)
            await asyncio.to_thread(sipp.play, options.expect(503, Check("[1-9]", "Retry-After")))
            late = await asyncio.to_thread(sipp.play, refused.ack_refusal())
            assert call.is_up
            call.hang_up()
            await asyncio.to_thread(wait_until, gateway.has_ended, 40, "its last call has ended and it still runs")
        assert gateway.record(late.call_id)["end_reason"] == "draining"
        assert gateway.record(call.call_id)["end_reason"] == "caller_hung_up"
    finally:
        gateway.kill()


def test_a_second_signal_hangs_up(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", _TOML)
    gateway.start()
    try:
        running = Running(Player(tmp_path, gateway.udp), Scenario("cut").set_up().expect_request("BYE").answer())
        gateway.terminate()
        wait_until(lambda: "gateway.draining" in gateway.said(), 40)
        gateway.terminate()
        call_id = running.ended()
        wait_until(gateway.has_ended, 40, "the second signal did not end it")
        record = gateway.record(call_id)
        assert (record["end_reason"], record["fault"]) == ("gateway_shutdown", "operator")
    finally:
        gateway.kill()


def test_after_a_kill_the_next_start_closes_the_record(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", _TOML)
    gateway.start()
    try:
        flow = Scenario("orphan").set_up().pause(600)
        running = Running(Player(tmp_path, gateway.udp), flow)
        wait_until(lambda: [call for call in gateway.calls() if call["answer_at"]], 40, "the answer is not written")
        gateway.kill()
        call_id = running.ended()
        gateway.start()
        record = gateway.record(call_id)
        assert (record["end_reason"], record["fault"]) == ("gateway_crashed", "offhook")
        assert record["end_at"] >= record["answer_at"]
        # The dialog is unknown to the new process, and its ports are free.
        sipp = Player(tmp_path, gateway.udp)
        uri = "sip:offhook@[remote_ip]:[remote_port]"
        sipp.play(Scenario("bye").request("BYE", cseq=2, branch="b", uri=uri, to_tag=";tag=old").expect(481))
        sipp.play(Scenario("after").set_up().tear_down())
    finally:
        gateway.kill()


def test_signals_are_those_of_a_service(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "gateway", _TOML) as gateway:
        os.kill(gateway.pid, signal.SIGINT)
        wait_until(gateway.has_ended, 40, "it has no calls and still runs")
