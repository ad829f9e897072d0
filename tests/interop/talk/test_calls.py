"""Calls of the talk page on a real gateway, spoken as its scripts do: they are calls like any others."""

import asyncio
import json
import math
from array import array
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.talker import Talker, asked, dial, link_of
from tests.support.undisturbed import undisturbed
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.interop

RATE = 16_000
TOML = """
[[trunk]]
name = "acme"
allow = ["198.51.100.0/24"]

[[route]]
name = "mirror"
trunk = "acme"
to = "+14155550123"
destination = "echo:"

[[route]]
name = "nobody"
trunk = "acme"
destination = "ws://127.0.0.1:9/none"

[talk]
max_calls = 2
"""


def tone(hz: float, seconds: float) -> bytes:
    count = round(seconds * RATE)
    return array("h", (round(8_000 * math.sin(2 * math.pi * hz * n / RATE)) for n in range(count))).tobytes()


def share(pcm: bytes, hz: float) -> float:
    """How much of a sound's power is in one tone."""
    samples = array("h", pcm)
    power = sum(sample * sample for sample in samples) or 1
    sine = sum(sample * math.sin(2 * math.pi * hz * n / RATE) for n, sample in enumerate(samples))
    cosine = sum(sample * math.cos(2 * math.pi * hz * n / RATE) for n, sample in enumerate(samples))
    return 2 * (sine * sine + cosine * cosine) / (len(samples) * power)


async def record(gateway: Gateway, call_id: str) -> dict[str, object]:
    """The record of a call that is over."""

    def found() -> dict[str, object] | None:
        return next((call for call in gateway.calls() if call["call_id"] == call_id and call["end_reason"]), None)

    return await asyncio.to_thread(wait_until, found, 30.0)


@undisturbed
async def test_a_call_is_one_like_any_other_though_no_trunk_lets_this_machine_call(tmp_path: Path) -> None:
    with running_gateway(tmp_path, TOML) as gateway:
        page, token = link_of(gateway)
        assert page == f"{gateway.http}/talk"
        talker = await Talker.call(gateway)
        assert (await talker.hears("calling"))["destination"] == "echo:"
        assert (await talker.hears("answered"))["codec"] == "G722"
        assert (await talker.hears("agent"))["uri"] == "echo:"
        await talker.speak(tone(440.0, 1.0) + tone(3_000.0, 1.0) + bytes(RATE))
        # Wideband both ways: above what a telephone line lets through.
        heard = bytes(talker.sound)
        loud = [heard[at : at + 3_200] for at in range(0, len(heard) - 3_200, 3_200)]
        assert max(share(piece, 440.0) for piece in loud) > 0.9
        assert max(share(piece, 3_000.0) for piece in loud) > 0.9
        await talker.press("5#")
        await talker.speak(bytes(2 * RATE))
        await talker.hang_up()
        ended = await talker.hears("ended")
        assert (ended["reason"], ended["fault"]) == ("caller_hung_up", "nobody")
        await talker.until(lambda: talker.close_code == 1000, "the connection is not closed")
        call = await record(gateway, ended["call_id"])
        assert (call["trunk"], call["route"], call["to_number"], call["codec"]) == (
            "@talk", "mirror", "+14155550123", "G722",
        )  # fmt: skip
        assert str(call["user_agent"]).startswith("offhook-talk/")
        timeline = json.dumps(gateway.show(ended["call_id"])["timeline"])
        assert timeline.count("DTMF digit") == 2
        assert gateway.metric("offhook_calls_total", trunk="@talk") == 1
        # The token is on the terminal, where the link is, and nowhere else.
        assert gateway.said().count(token) == 1


async def test_it_sounds_as_the_telephone_where_that_is_wanted(tmp_path: Path) -> None:
    with running_gateway(tmp_path, TOML) as gateway:
        talker = await Talker.call(gateway, line="telephone")
        assert (await talker.hears("answered"))["codec"] == "PCMU"
        await talker.close()


async def test_a_page_that_is_closed_ends_its_call_and_gives_its_place_back(tmp_path: Path) -> None:
    with running_gateway(tmp_path, TOML) as gateway:
        first, second = await Talker.call(gateway), await Talker.call(gateway)
        await first.hears("answered")
        await second.hears("answered")
        _, token = link_of(gateway)
        status, answer = await asyncio.to_thread(asked, gateway, {"choice": "route:mirror"}, token=token)
        assert (status, answer["code"]) == (503, "too_many_calls")
        first.socket.transport.abort()
        await second.close()

        def ended() -> bool:
            return [call["end_reason"] for call in gateway.calls()] == ["caller_hung_up"] * 2

        await asyncio.to_thread(wait_until, ended, 30.0)
        third = await Talker.call(gateway)
        await third.hears("answered")
        await third.close()


async def test_why_a_call_failed_is_said_in_words_with_what_to_change(tmp_path: Path) -> None:
    with running_gateway(tmp_path, TOML) as gateway:
        talker = await Talker.call(gateway, "route:nobody")
        ended = await talker.hears("ended")
        assert (ended["reason"], ended["fault"]) == ("agent_unreachable", "the agent")
        assert ended["text"].endswith(".")
        assert ended["hint"]
        assert "127.0.0.1:9" in ended["detail"]
        assert (await record(gateway, ended["call_id"]))["end_reason"] == "agent_unreachable"


async def test_without_token_ticket_or_our_own_page_there_is_no_call(tmp_path: Path) -> None:
    with running_gateway(tmp_path, TOML) as gateway:
        _, token = link_of(gateway)
        for wrong in (None, "wrong"):
            status, answer = await asyncio.to_thread(asked, gateway, token=wrong)
            assert (status, answer["code"]) == (401, "wrong_token")
        status, answer = await asyncio.to_thread(
            asked, gateway, {"choice": "route:mirror"}, token=token, headers={"Origin": "http://evil.example"}
        )
        assert (status, answer["code"]) == (403, "strange_origin")
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, "made-up")
        assert refused.value.response.status_code == 401
        _, answer = await asyncio.to_thread(asked, gateway, {"choice": "route:mirror"}, token=token)
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, answer["ticket"], origin="http://evil.example")
        assert refused.value.response.status_code == 403
        # That one was not used up by it, and is used up by this.
        talker = Talker(await dial(gateway, answer["ticket"], origin=gateway.http))
        await talker.hears("answered")
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, answer["ticket"])
        assert refused.value.response.status_code == 401
        await talker.close()
    # They are written from time to time, and at the end.
    refusals = gateway.run("calls", "refused")
    assert "talk_token" in refusals
    assert "talk_origin" in refusals


async def test_a_gateway_that_stops_says_so_and_a_page_that_is_off_is_not_there(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "on", TOML + "\n[limits]\ndrain_timeout = 0.2\n") as gateway:
        talker = await Talker.call(gateway)
        await talker.hears("answered")
        gateway.terminate()
        ended = await talker.hears("ended")
        assert ended["reason"] == "gateway_shutdown"
    with running_gateway(tmp_path / "off", TOML.replace("max_calls = 2", "enabled = false")) as gateway:
        assert "/talk" not in gateway.said()
        with pytest.raises(InvalidStatus) as refused:
            await dial(gateway, "any")
        assert refused.value.response.status_code == 404
