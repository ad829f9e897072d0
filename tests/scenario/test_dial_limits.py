"""Calls out against their limits: by trunk, agent and key; numbers, keys and limits in all combinations."""

import asyncio
from itertools import product
from typing import Any

import pytest
from tests.support.carrier import CALLEE, CARRIER, OURS, DiallingWorld, OpenGate
from tests.support.clock import in_virtual_time
from tests.support.world import OFFHOOK, World

from offhook.call.out.outcome import NotPlaced

pytestmark = pytest.mark.scenario


def config(*, trunk: str = "", agent: str = "", key: str = "") -> str:
    return (
        OFFHOOK
        + f"""
[[trunk]]
name = "out"
host = "{CARRIER}"
country = "US"
caller_id = "{OURS}"
dial_to = ["+1*", "+44*"]
media_timeout = 3600
rates = {{ "+1" = 0.1, "+1900" = 5, "+44" = 0.5 }}
{trunk}

[[agent]]
name = "bot"
kind = "offhook"
url = "ws://agent.example/voice"
{agent}

[[key]]
name = "crm"
sha256 = "{"0" * 64}"
{key}
"""
    )


class CountingWorld(DiallingWorld):
    """A gateway with the gate that its configuration makes, and a carrier."""

    def __init__(self, toml: str) -> None:
        self.gate = OpenGate()
        World.__init__(self, toml)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def limits(**settings: Any) -> str:
    return f"outbound = {{ {', '.join(f'{name} = {value}' for name, value in settings.items())} }}"


@in_virtual_time
async def test_so_many_calls_out_at_one_time_and_the_next_when_one_is_over() -> None:
    async with CountingWorld(config(key=limits(max_calls=2))) as world:
        for _ in range(2):
            _, phone = await world.talk(key="crm")
        refused = await world.wish(key="crm")
        assert isinstance(refused, NotPlaced)
        assert (refused.code, refused.retry_after) == ("limit_outbound_calls", 10)
        assert "key 'crm' has had its 2 calls at one time" in refused.outcome.detail
        # Whoever dials without that key has not used it up.
        await world.talk()
        phone.hang_up()
        await world.pass_time(1)
        await world.talk(key="crm")
        assert world.sample("offhook_dial_refused_total", way="dial", rule="limit_outbound_calls") == 1
        assert world.sample("offhook_dial_alarms_total", kind="key", limit="max_calls") == 1


@in_virtual_time
async def test_money_of_the_day_ends_the_call_before_it_is_exceeded() -> None:
    async with CountingWorld(config(trunk=limits(max_spend_per_day=1))) as world:
        call, phone = await world.talk("+442079460018")
        began = asyncio.get_running_loop().time()
        await world.pass_time(300)
        assert phone.bye is not None
        assert 119 < phone.at["bye"] - began < 120, "two minutes at 0.5 are paid"
        assert call.reason is not None
        assert call.reason.slug == "limit_outbound_spend"
        assert call.end_detail.startswith("trunk 'out' has had its 1 of money for the day (raise `outbound.max_spend_")
        assert "limit_outbound_spend" in (phone.bye.headers.get("Reason") or "")
        refused = await world.wish(CALLEE)
        assert isinstance(refused, NotPlaced)
        assert refused.code == "limit_outbound_spend"
        assert refused.retry_after is not None
        assert refused.retry_after > 3600
        near = world.signalling.gate.near_limits(asyncio.get_running_loop().time())
        assert near == ["trunk out: max_spend_per_day"]
        world.wall_offset += 86_400_000
        await world.talk(CALLEE)


@in_virtual_time
async def test_minutes_of_the_day_are_shared_by_the_calls_of_an_agent() -> None:
    async with CountingWorld(config(agent=limits(max_minutes_per_day=4))) as world:
        phones = [(await world.talk())[1] for _ in range(2)]
        await world.pass_time(110)
        assert [phone.bye for phone in phones] == [None, None]
        await world.pass_time(70)
        assert all(phone.bye is not None for phone in phones)
        assert {record.end_reason for record in world.records} == {"limit_outbound_minutes"}
        [detail] = {record.end_detail for record in world.records}
        assert detail is not None
        assert detail.startswith("agent 'bot' has had its 4 minutes of the day (raise `outbound.max_minutes_per_day`")
        assert sum(record.billable_seconds for record in world.records) <= 240 + 60


@in_virtual_time
async def test_where_money_is_limited_a_number_without_a_rate_is_not_called() -> None:
    toml = config(agent=limits(max_spend_per_day=1)).replace('"+44" = 0.5', '"+49" = 0.5')
    async with CountingWorld(toml) as world:
        refused = await world.wish("+442079460018")
        assert isinstance(refused, NotPlaced)
        assert (refused.code, refused.retry_after) == ("dial_no_rate", None)
        assert "`rates`" in refused.outcome.detail


@in_virtual_time
async def test_where_money_is_limited_an_extension_is_called_all_the_same() -> None:
    toml = config(trunk=limits(max_spend_per_day=1)).replace('"+44*"]', '"2*"]')
    async with CountingWorld(toml) as world:
        call, phone = await world.dial("201")
        phone.answer()
        await world.pass_time(130)
        phone.hang_up()
        await world.pass_time(40)
        assert call.decided.result().kind == "answered"
        assert world.records[0].end_reason == "callee_hung_up"
        assert world.signalling.gate.near_limits(asyncio.get_running_loop().time()) == []


NUMBERS = {
    CALLEE: "", "+442079460018": "", "+4930123456": "dial_not_listed", "+19005550142": "dial_premium",
    "1-900-555-0142": "dial_premium", "+448431234567": "dial_premium", "+881612345678": "dial_not_listed",
    "911": "dial_not_listed", "+1911": "dial_no_number",
}  # fmt: skip
RULES = {
    "": "",
    "max_calls = 1": "limit_outbound_calls",
    "max_cps = 1": "limit_outbound_cps",
    "max_spend_per_day = 0.15": "limit_outbound_spend",
}


@pytest.mark.parametrize("whose", ["trunk", "agent", "key"])
@in_virtual_time
async def test_the_matrix_of_numbers_keys_and_limits(whose: str) -> None:
    """The first call goes out if its number may be dialled; the second one if no limit of its own stands against it."""
    for (number, rule), (limit, over), key in product(NUMBERS.items(), RULES.items(), (None, "crm")):
        async with CountingWorld(config(**{whose: f"outbound = {{ {limit} }}"})) as world:
            codes = []
            for _ in range(2):
                placed = await world.wish(number, key=key)
                codes.append(placed.code if isinstance(placed, NotPlaced) else "")
            applies = whose != "key" or key == "crm"
            expensive = number.startswith("+44") and "spend" in limit and applies
            first = rule or (over if expensive else "")
            second = rule or (over if applies else "")
            assert codes == [first, second], (number, limit, key)
            await world.pass_time(0.1)
            assert len(world.carrier.calls) == 0, "the agent is not ready"
            assert len(world.engine.wires) == codes.count("")


@pytest.mark.parametrize("nasty", ["\r\nX-Evil: 1", "\n", "\x00", "%0d%0aX-Evil: 1", "\u2028X-Evil: 1", "\u0085X"])
@in_virtual_time
async def test_nothing_of_a_wish_breaks_out_of_its_header(nasty: str) -> None:
    async with CountingWorld(config()) as world:
        for wish in (
            {"to": CALLEE + nasty},
            {"to": nasty + CALLEE},
            {"caller_id": OURS + nasty},
            {"trunk": "out" + nasty},
        ):
            placed = await world.wish(**wish)
            if not isinstance(placed, NotPlaced):
                # What is left of it is the number alone.
                await world.pass_time(0.05)
                world.take_call()
                await world.pass_time(0.05)
                assert str(world.carrier.calls[-1].request.request_uri) == f"sip:{CALLEE}@{CARRIER}"
        for phone in world.carrier.calls:
            assert not [name for name, _ in phone.request.headers if "evil" in name.lower()]
