"""Keys of foreign phones, in each way that they have: one event a press, and the tone of both sides goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.interop.mid_call import line, phones
from tests.interop.mid_call.line import BEFORE, talking
from tests.interop.mid_call.phones import PHONES, TwinklePhone, twinkle
from tests.support.agent import Agent
from tests.support.gateway import Gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

EVENTS, INFO, TONES = "as telephone event", "by INFO", "by its tones"
WAYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "baresip-events": ("baresip", {}, EVENTS),
    "linphone-events": ("linphone", {"lines": "use_rfc2833=1\nuse_info=0"}, EVENTS),
    "linphone-info": ("linphone", {"lines": "use_rfc2833=0\nuse_info=1"}, INFO),
    "twinkle-events": ("twinkle", {"dtmf": "rfc2833"}, EVENTS),
    "twinkle-info": ("twinkle", {"dtmf": "info"}, INFO),
    "twinkle-tones": ("twinkle", {"dtmf": "inband"}, TONES),
}
KEYS = "159#"


@pytest.mark.parametrize("way", WAYS)
@undisturbed
async def test_each_key_is_one_event(gateway: Gateway, agent: Agent, tmp_path: Path, way: str) -> None:
    name, settings, told = WAYS[way]
    with PHONES[name](tmp_path / name, **settings) as phone:
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "keys", gateway.udp))
        async with talking(agent) as agents_end:
            await dialled
            await agents_end.hears(phones.HZ)
            pressing = asyncio.create_task(asyncio.to_thread(phone.press, KEYS))
            await agents_end.call.text("dtmf", len(KEYS))
            await pressing
            await agents_end.hears(phones.HZ)
            await asyncio.to_thread(phone.hears, line.HZ)
            await asyncio.to_thread(phone.hang_up)
            await agents_end.call.over()
        assert "".join(key.body["digit"] for key in agents_end.call.of("dtmf")) == KEYS
        sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    shown = gateway.explained(sip_call_id)
    pressed = [entry for entry in shown["timeline"]["entries"] if "DTMF digit" in str(entry.get("note"))]
    assert [(entry["note"], entry["digit"]) for entry in pressed] == [(f"DTMF digit {told}", key) for key in KEYS]
    assert shown["call"]["media"]["received_double_digits"] == 0


@undisturbed
async def test_a_phone_that_insists_on_prack_and_holds_by_an_address_of_zeros(
    gateway: Gateway, agent: Agent, tmp_path: Path
) -> None:
    with twinkle(tmp_path / "twinkle", hold="rfc2543", reliable="required") as phone:
        assert isinstance(phone, TwinklePhone)
        dialled = asyncio.create_task(asyncio.to_thread(phone.dial, "sounds", gateway.udp))
        async with talking(agent, ready=lambda: asyncio.to_thread(phone.hears, BEFORE, 30.0)) as agents_end:
            await dialled
            await asyncio.gather(asyncio.to_thread(phone.hears, line.HZ), agents_end.hears(phones.HZ))
            await asyncio.to_thread(phone.hold)
            assert (await agents_end.call.text("held"))["by"] == "caller"
            await asyncio.gather(asyncio.to_thread(phone.hears_nothing), agents_end.hears_nothing())
            await asyncio.to_thread(phone.resume)
            await asyncio.gather(asyncio.to_thread(phone.hears, line.HZ), agents_end.hears(phones.HZ))
            await agents_end.call.say(type="dtmf", digits=KEYS)
            await asyncio.to_thread(phone.phone.says, r"(?s)" + ".*".join(f"DTMF detected: {key}" for key in KEYS))
            await asyncio.to_thread(phone.hang_up)
            sip_call_id = agents_end.call.of("ringing")[0].body["sip_call_id"]
    messages = [str(entry.get("text")) for entry in gateway.explained(sip_call_id)["timeline"]["entries"]]
    assert [message for message in messages if message.startswith("PRACK ")]
    assert len([message for message in messages if "c=IN IP4 0.0.0.0" in message]) == 1
