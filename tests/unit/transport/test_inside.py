"""A connection between two stacks of one process: a whole call on it, and what becomes of it at the end."""

import asyncio
import random
from typing import Any

import pytest

from offhook.sip import events as sip
from offhook.sip.effects import Target
from offhook.sip.screening import Admit, Drop
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.transport.driver import SipStack

pytestmark = pytest.mark.unit

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class NoNames:
    async def resolve(self, uri: SipUri) -> tuple[Target, ...]:
        return ()


class Side:
    def __init__(self, seed: int) -> None:
        self.events: list[Any] = []
        self.flows: list[int] = []

        def screen(request: Any, source: Any, user: str | None) -> Any:
            self.flows.append(source.flow)
            return Admit(self) if source.transport == "tcp" else Drop("strange")

        self.stack = SipStack(
            UserAgent(UserAgentConfig(), random.Random(seed), screen),
            [],
            resolver=NoNames(),
            on_event=lambda event, now: self.events.append(event),
            # What a stranger would run into is not asked of this connection.
            gate=lambda transport, remote: False,
        )

    async def told(self, kind: type) -> Any:
        for _ in range(200):
            if isinstance(self.events[-1] if self.events else None, kind):
                return self.events[-1]
            await asyncio.sleep(0)
        raise AssertionError(f"{kind.__name__} did not come: {self.events}")


async def test_a_call_is_placed_answered_and_ended_by_either_side() -> None:
    phone, gateway = Side(1), Side(2)
    await phone.stack.start()
    await gateway.stack.start()
    here, there = phone.stack.join(gateway.stack, HERE, THERE)
    uri = SipUri(THERE[0], user="hello")
    session = phone.stack.perform(
        lambda now: phone.stack.user_agent.invite(
            uri, "<sip:talk@127.0.0.1>", f"<{uri}>", SDP, now, target=Target("tcp", *THERE, flow=here)
        )
    )
    arrived = await gateway.told(sip.InviteReceived)
    assert (arrived.source.remote, arrived.source.local, arrived.source.flow) == (HERE, THERE, there)
    gateway.stack.perform(lambda now: arrived.session.answer(SDP, now=now))
    assert (await phone.told(sip.Answered)).session is session
    await gateway.told(sip.Acknowledged)
    gateway.stack.perform(lambda now: arrived.session.hang_up(now=now))
    await phone.told(sip.ByeReceived)
    await gateway.told(sip.HungUp)
    assert set(gateway.flows) == {there}
    await phone.stack.close()
    await gateway.stack.close()


async def test_when_one_side_closes_the_other_forgets_the_connection() -> None:
    phone, gateway = Side(1), Side(2)
    await phone.stack.start()
    await gateway.stack.start()
    phone.stack.join(gateway.stack, HERE, THERE)
    flows = [phone.stack._flows, gateway.stack._flows]
    assert [len(flow.connections) for flow in flows] == [1, 1]
    # Whoever counts connections means those of the network.
    assert (phone.stack.open_connections, gateway.stack.open_connections) == (0, 0)
    await phone.stack.close()
    await asyncio.sleep(0)
    assert [len(flow.connections) for flow in flows] == [0, 0]
    await gateway.stack.close()
