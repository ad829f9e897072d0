"""Calls out by the SDK, from another process than the agent's, with a key; sipp is the carrier."""

import asyncio
from pathlib import Path

import pytest
from tests.interop.dialling.conftest import KEY, Carrier
from tests.interop.dialling.test_by_sipp import NUMBER, again, callee
from tests.interop.sipp.scenario import OFFER, Player
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway as Running
from tests.support.gateway import ports

from offhook import AgentError, DialRefused, Gateway

pytestmark = pytest.mark.interop


def test_a_call_that_is_answered_and_given_up(
    gateway: Running, sipp: Player, carrier: Carrier, agent: DialledAgent, tmp_path: Path
) -> None:
    flow = callee("sdk").answer("180 Ringing", tag="callee").pause(800)
    flow = again(flow, "200 OK", "callee", body=OFFER).expect_request("ACK").expect_request("BYE").answer("200 OK")
    process, where = sipp.start(flow, own_port=carrier.udp)

    async def placed() -> tuple[str, list[str]]:
        call = await Gateway(gateway.http, key=KEY).dial(
            NUMBER, agent="bot", trunk="udp", data={"order": "4711"}, idempotency_key="one"
        )
        again = await Gateway(gateway.http, key=KEY).dial(
            NUMBER, agent="bot", trunk="udp", data={"order": "4711"}, idempotency_key="one"
        )
        assert again.id == call.id
        states = [call.state]
        while call.state != "answered":
            states.append(await call.progress())
        outcome = await call.outcome()
        assert (outcome.answered, outcome.status, outcome.q850) == (True, 200, 16)
        await call.hang_up()
        assert await call.ended() == "ended_by_request"
        return call.id, states

    call_id, states = asyncio.run(placed())
    out, _ = process.communicate(timeout=40)
    sipp.judge(process.returncode, out, where)
    assert states[0] == "preparing"
    assert states[-2:] == ["ringing", "answered"]
    assert agent.of(call_id).ringing["data"] == {"order": "4711"}


def test_a_busy_line_is_a_value_and_a_refusal_an_exception(gateway: Running, sipp: Player, carrier: Carrier) -> None:
    flow = callee("sdk-busy").answer("486 Busy Here", tag="callee").expect_request("ACK")
    process, where = sipp.start(flow, own_port=carrier.udp)

    async def placed() -> None:
        ours = Gateway(gateway.http, key=KEY)
        call = await ours.dial(NUMBER, agent="bot", trunk="udp")
        outcome = await call.outcome()
        assert (outcome.kind, outcome.status, outcome.reason, outcome.q850) == ("busy", 486, "Busy Here", 17)
        assert (outcome.end_reason, call.state, call.end_reason) == ("callee_busy", "ended", "callee_busy")
        with pytest.raises(DialRefused) as refused:
            await ours.dial("+442079460018", agent="bot", trunk="udp")
        assert (refused.value.reason, refused.value.status) == ("dial_not_listed", 403)
        with pytest.raises(DialRefused) as unknown:
            await Gateway(gateway.http, key="guessed").dial(NUMBER, agent="bot")
        assert unknown.value.reason == "wrong_token"
        with pytest.raises(AgentError, match="does not answer"):
            await Gateway(f"http://127.0.0.1:{ports(1)}", key=KEY).dial(NUMBER, agent="bot")

    asyncio.run(placed())
    out, _ = process.communicate(timeout=40)
    sipp.judge(process.returncode, out, where)
