"""An agent that is talked into things: where its calls may not go they don't, and nothing breaks out of its header."""

import asyncio
from typing import Any

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import GATEWAY, OFFHOOK, World, notes

pytestmark = pytest.mark.scenario

GERMAN = OFFHOOK.replace('name = "acme"', 'name = "acme"\ncountry = "DE"')
LINE_ENDS = (
    "\r\nX-Evil: 1", "\rX-Evil: 1", "\nX-Evil: 1", "%0d%0aX-Evil: 1", "%0D%0AX-Evil:%201", "%250d%250aX-Evil: 1",
    "\u2028X-Evil: 1", "\u2029X-Evil: 1", "\u0085X-Evil: 1", "\x0bX-Evil: 1", "\x00X-Evil: 1", "嘊嘍X-Evil: 1",
)  # fmt: skip


def told(world: World) -> list[dict[str, Any]]:
    return [message for message in world.wire.said if message.get("type") == "transferred"]


@in_virtual_time
async def test_who_talks_the_agent_into_an_expensive_call_does_not_get_it() -> None:
    """Even where every number is listed: the record, the log of the call and the metric say which rule it was."""
    wanted = {
        "tel:+499001234567": "dial_premium",
        "0900 1234567": "dial_premium",
        "0049-900-1234567": "dial_premium",
        "tel:+49(0)9001234567": "dial_premium",
        "sip:009001234567@192.0.2.1": "dial_premium",
        "tel:1234567;phone-context=+49900": "dial_premium",
        "+8816123456789": "dial_premium",
        "sip:%2B8816123456789@192.0.2.1;user=phone": "dial_premium",
        "tel:110": "dial_emergency",
        "112": "dial_emergency",
        "0112": "dial_emergency",
        "sip:%31%31%32@192.0.2.1": "dial_emergency",
        "*31#112": "dial_emergency",
        "sip:desk@192.0.2.1;maddr=203.0.113.9": "target",
        "sip:4930@192.0.2.1?Replaces=a": "target",
        "tel:+4930123456;rn=+49900123456": "target",
    }
    async with World(GERMAN) as world:
        call = await world.place_answered()
        for target in wanted:
            world.wire.says(type="transfer", target=target)
            await world.pass_time(0.1)
        assert call.refers == []
        assert [message["outcome"] for message in told(world)] == ["refused"] * len(wanted)
        assert all(message["hint"] for message in told(world))
        assert 'premium_to = ["+499001234567"]' in told(world)[0]["hint"]
        # The caller is still with the agent, and may be handed over to who is listed.
        world.wire.says(type="transfer", target="tel:+4930123456")
        await world.pass_time(0.1)
        assert len(call.refers) == 1
        call.hang_up()
        await world.pass_time(40)
        [record] = world.records
        rules = [attempt["rule"] for attempt in record.transfer["earlier"]]
        assert rules == list(wanted.values())
        assert record.transfer["rule"] is None
        said = notes(world.timelines[0], "note")
        assert any("may cost many times" in line for line in said)
        for rule, times in (("dial_premium", 8), ("dial_emergency", 5), ("target", 3)):
            labels = {"way": "transfer", "rule": rule}
            assert world.metrics.registry.get_sample_value("offhook_dial_refused_total", labels) == times


@in_virtual_time
async def test_emergency_and_premium_numbers_that_are_configured_are_reached() -> None:
    toml = GERMAN.replace('name = "acme"', 'name = "acme"\nemergency_to = "112"\npremium_to = ["+49900*"]')
    for target, refer_to in (("112", "<sip:112@192.0.2.1:5060>"), ("0900 1234567", "<tel:+499001234567>")):
        async with World(toml) as world:
            call = await world.place_answered()
            world.wire.says(type="transfer", target="110")
            await world.pass_time(0.1)
            assert call.refers == []
            world.wire.says(type="transfer", target=target)
            await world.pass_time(0.1)
            assert [refer.headers.get("Refer-To") for refer in call.refers] == [refer_to]


@in_virtual_time
async def test_without_a_list_nobody_is_transferred() -> None:
    async with World(OFFHOOK.replace('transfer_to = "*"\n', "")) as world:
        call = await world.place_answered()
        for target in ("tel:+14155550142", "2001", "sip:desk@example.com", "sip:192.0.2.1"):
            world.wire.says(type="transfer", target=target)
            await world.pass_time(0.1)
        assert call.refers == []
        assert all("`transfer_to` of trunk 'acme' allows nothing" in message["hint"] for message in told(world))


@in_virtual_time
async def test_a_trunk_and_an_agent_have_their_transfers_a_day() -> None:
    """Whoever talks agents into it again and again gets no further than the limit, with an alarm on the way."""
    toml = (
        OFFHOOK.replace('name = "acme"', 'name = "acme"\noutbound = { max_transfers_per_day = 6 }')
        .replace('"ws://agent.example/voice?token=s3cret"', '"agent:desk"')
        .replace("[[route]]", "[[agent]]\nname = \"desk\"\nkind = \"offhook\"\nurl = \"ws://agent.example/\"\n"
                 "outbound = { max_transfers_per_day = 5 }\n[[route]]")
    )  # fmt: skip
    async with World(toml) as world:
        outcomes = []
        for _ in range(3):
            call = await world.place_answered()
            call.answers_refer = 603
            for _ in range(2):
                world.wire.says(type="transfer", target="tel:+14155550142")
                await world.pass_time(0.5)
                outcomes.append((len(call.refers), told(world)[-1]["reason"]))
            call.hang_up()
            await world.pass_time(1)
        assert [sent for sent, _ in outcomes] == [1, 2, 1, 2, 1, 1]
        assert outcomes[-1][1] == "agent 'desk' has had its 5 transfers of the day"
        await world.pass_time(40)
        assert world.records[-1].transfer["rule"] == "limit_transfers"
        page = world.metrics.registry
        counted = {"way": "transfer", "rule": "limit_transfers"}
        assert page.get_sample_value("offhook_dial_refused_total", counted) == 1
        for kind in ("trunk", "agent"):
            alarm = {"kind": kind, "limit": "max_transfers_per_day"}
            assert page.get_sample_value("offhook_dial_alarms_total", alarm) == 1
        near = world.signalling.gate.near_limits(asyncio.get_running_loop().time())
        assert near == ["trunk acme: max_transfers_per_day", "agent desk: max_transfers_per_day"]
        # The next day is another one.
        world.wall_offset += 86_400_000
        call = await world.place_answered()
        world.wire.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(0.1)
        assert len(call.refers) == 1


def wishes(nasty: str) -> list[dict[str, Any]]:
    """Messages of an agent with line ends in every field that reaches a header."""
    return [
        {"type": "transfer", "target": f"tel:+14155550142{nasty}"},
        {"type": "transfer", "target": f"tel:+14155550142;ext={nasty}"},
        {"type": "transfer", "target": f"tel:2001;phone-context=pbx.example{nasty}"},
        {"type": "transfer", "target": f"sip:desk{nasty}@example.com"},
        {"type": "transfer", "target": f"sip:desk@example.com{nasty}"},
        {"type": "transfer", "target": f"sip:desk@example.com;transport=tcp{nasty}"},
        {"type": "transfer", "target": f"sip:desk@example.com;gr={nasty}"},
        {"type": "transfer", "target": f"2001{nasty}"},
        {"type": "transfer", "target": f"{nasty}2001"},
        {"type": "transfer", "target": "tel:+14155550142", "headers": {"X-Ticket": f"7{nasty}"}},
        {"type": "transfer", "target": "tel:+14155550142", "headers": {f"X-Ticket{nasty}": "7"}},
        {"type": "transfer", "target": "sip:d@example.com", "headers": {"User-to-User": f"00{nasty};encoding=hex"}},
        {"type": "transfer", "target": "sip:d@example.com", "headers": {"User-to-User": f'"a{nasty}"'}},
        {"type": "headers", "headers": {"X-Ticket": f"7{nasty}"}, "on": "bye"},
        {"type": "headers", "headers": {f"X-Ticket{nasty}": "7"}},
        {"type": "hangup", "reason": f"done{nasty}"},
    ]


@pytest.mark.parametrize("nasty", LINE_ENDS, ids=ascii)
@in_virtual_time
async def test_no_field_of_an_agent_breaks_out_of_its_header(nasty: str) -> None:
    for wish in wishes(nasty):
        async with World(OFFHOOK) as world:
            call = await world.place_answered()
            world.wire.says(**wish)
            await world.pass_time(0.1)
            call.hang_up()
            await world.pass_time(1)
            nothing_came_through(world, wish)


@pytest.mark.parametrize("nasty", LINE_ENDS, ids=ascii)
@in_virtual_time
async def test_no_reason_of_a_rejection_breaks_out_of_its_header(nasty: str) -> None:
    async with World(OFFHOOK) as world:
        world.caller.call()
        await world.pass_time(0.1)
        world.wire.says(type="reject", status=486, reason=f"busy{nasty}")
        await world.pass_time(1)
        nothing_came_through(world, nasty)


@pytest.mark.parametrize("field", ["u", "f"])
@pytest.mark.parametrize("nasty", ["%0d%0aX-Evil:%201", "%0AX-Evil:1", "%00", "%e2%80%a8X"])
@in_virtual_time
async def test_what_a_caller_wrote_does_not_break_out_of_referred_by(nasty: str, field: str) -> None:
    async with World(OFFHOOK) as world:
        to = f"sip:+1415{nasty if field == 'u' else ''}@{GATEWAY}"
        call = world.caller.call(to, from_=f"<sip:a{nasty if field == 'f' else ''}@192.0.2.1>")
        await world.pass_time(0.1)
        world.wire.says(type="ready")
        await world.pass_time(0.1)
        world.wire.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(0.1)
        assert call.is_answered
        [refer] = call.refers
        assert nasty.lower() in (refer.headers.get("Referred-By") or "").lower() or field == "f"
        nothing_came_through(world, nasty)


def nothing_came_through(world: World, wish: object) -> None:
    """No message of the gateway has a header that nobody asked for, or a line end within one."""
    for _, sender, message in world.network.log:
        if sender == GATEWAY:
            names = [name for name, _ in message.headers]
            assert not any("evil" in name.lower() for name in names), wish
            values = "".join(value for _, value in message.headers)
            assert not set(values) & set("\r\n\x00\x0b\u0085\u2028\u2029"), (wish, values)
