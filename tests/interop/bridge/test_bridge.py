"""Two real phones joined by the gateway: a call that goes on to one, and a transfer that the gateway does itself."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.interop.sipp.scenario import Check, Player, Scenario
from tests.support import tone as frames
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.sip_text import Heard, ok
from tests.support.transferring import TransferringAgent

pytestmark = pytest.mark.interop

PROVE = os.environ.get("OFFHOOK_PROVE") == "1"
NUMBER = "+14155550142"
_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
transfer_to = "*"

[[trunk]]
name = "carrier"
host = "127.0.0.1"
port = {port}
caller_id = "+14155550100"
dial_to = "+1415*"

[[route]]
name = "on"
to = "on"
destination = "tel:{number}"

[[route]]
name = "transfer"
to = "transfer"
destination = "ws://127.0.0.1:{agent}/"
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baresip]:
    """Whoever is called: takes every call, and says 660 Hz."""
    with Baresip(tmp_path_factory.mktemp("person") / "phone", tone(660, 60), answers=True, user=NUMBER) as phone:
        yield phone


@pytest.fixture(scope="module")
def agent() -> Iterator[TransferringAgent]:
    agent = TransferringAgent(f"tel:{NUMBER}", after=0.2)
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, person: Baresip, agent: TransferringAgent) -> Iterator[Gateway]:
    toml = _TOML.format(port=person.port, agent=agent.port, number=NUMBER)
    with running_gateway(tmp_path_factory.mktemp("gateway"), toml) as running:
        yield running


def test_a_baresip_is_put_through_to_another_and_both_are_heard(
    gateway: Gateway, person: Baresip, tmp_path: Path
) -> None:
    with Baresip(tmp_path / "caller", tone(440, 30)) as caller:
        call_id = caller.dial("on", gateway.udp)
        person.wait_for("CALL_ESTABLISHED")
        caller.hears(660)
        person.hears(440)
        caller.command("hangup")
        person.wait_for("CALL_CLOSED")
        first = gateway.record(call_id)
    second = wait_until(lambda: over(gateway, first["bridged_to"]), 30, "the second call does not end")
    assert (first["end_reason"], second["end_reason"]) == ("caller_hung_up", "partner_hung_up")
    assert (first["bridged_to"], second["bridged_from"]) == (second["call_id"], first["call_id"])
    assert first["destination"] == f"tel:{NUMBER}"
    shown = gateway.run("calls", "show", first["call_id"])
    assert second["call_id"] in shown


def over(gateway: Gateway, call_id: str) -> dict[str, Any] | None:
    """The record of a call once it has ended."""
    call: dict[str, Any] = gateway.show(call_id)["call"]
    return call if call["end_at"] else None


class _RefusesRefer(PhoneCall):
    """A phone that knows no REFER, or takes it and says nothing more."""

    status = "405 Method Not Allowed"

    def _answer(self, request: Heard) -> None:
        if request.method == "REFER":
            self.phone.send(ok(request).replace("200 OK", self.status, 1), self.gateway)
        else:
            super()._answer(request)


class _TakesReferInSilence(_RefusesRefer):
    status = "202 Accepted"


class _OldPhone(PlainPhone):
    call_type = _RefusesRefer


class _SilentPhone(PlainPhone):
    call_type = _TakesReferInSilence


@pytest.mark.parametrize("phones", [_OldPhone, _SilentPhone])
async def test_a_transfer_by_us_joins_the_caller_to_a_person(
    gateway: Gateway, person: Baresip, agent: TransferringAgent, phones: type[PlainPhone]
) -> None:
    async with phones.open() as phone:
        call = phone.dial(gateway.udp, "transfer", headers=("X-Timeout-Ms: 4000",))
        await call.answered()
        call.say(frames.lasting(440))
        await call.hears(660, frames=25)
        await asyncio.to_thread(person.wait_for, "CALL_ESTABLISHED")
        await asyncio.to_thread(person.hears, 440)
        person.command("hangup")
        await call.hung_up()
        record = await asyncio.to_thread(gateway.record, call.call_id)
        await asyncio.to_thread(person.wait_for, "CALL_CLOSED")
        sources = {packet.ssrc for packet in call.packets}
        missing = (call.packets[-1].sequence - call.packets[0].sequence + 1 - len(call.packets)) & 0xFFFF
    [result] = agent.transfers(call.call_id)
    assert (result["outcome"], result["way"]) == ("completed", "bridge")
    assert agent.end(call.call_id)["reason"] == "transferred"
    # For the caller it was one stream from first to last.
    assert len(sources) == 1
    assert missing == 0
    assert (record["end_reason"], record["transfer"]["way"]) == ("partner_hung_up", "bridge")


@pytest.mark.parametrize(
    "status", ["405 Method Not Allowed", "403 Forbidden", "501 Not Implemented", "603 Decline"][: 4 if PROVE else 1]
)
def test_sipp_refuses_the_refer_and_is_put_through(
    gateway: Gateway, person: Baresip, agent: TransferringAgent, status: str, tmp_path: Path
) -> None:
    call = (
        Scenario(f"bridge-{status[:3]}", to="transfer")
        .set_up()
        .expect_request("REFER", Check("Refer-To", "Refer-To", absent=True))
        .answer(status)
        .pause(3000)
        .tear_down()
    )
    call_id = Player(tmp_path, gateway.udp).play(call).call_id
    person.wait_for("CALL_ESTABLISHED")
    person.wait_for("CALL_CLOSED")
    record = gateway.record(call_id)
    [result] = agent.transfers(call_id)
    assert (result["outcome"], result["way"]) == ("completed", "bridge")
    assert (record["end_reason"], record["transfer"]["way"]) == ("caller_hung_up", "bridge")
