"""Line ends and escapes in every field that reaches a header of ours: no message gets a field that nobody meant."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.test_bridged import CONFIG as BRIDGING
from tests.scenario.test_bridged import BridgingWorld
from tests.scenario.test_calls_api import Api
from tests.scenario.test_dial_gate import LINE_ENDS
from tests.support.carrier import CALLEE, CARRIER, CONFIG, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, GATEWAY, OFFHOOK, World

from offhook.config.load import examine_text
from offhook.sip.uri import SipUri

pytestmark = pytest.mark.scenario

WISHES: dict[str, Any] = {
    "to": lambda evil: {"to": CALLEE + evil},
    "caller_id": lambda evil: {"caller_id": "+14155550100" + evil},
    "trunk": lambda evil: {"trunk": "out" + evil},
    "header value": lambda evil: {"headers": {"X-Queue": "sales" + evil}},
    "header name": lambda evil: {"headers": {"X-Queue" + evil: "sales"}},
    "user-to-user": lambda evil: {"headers": {"User-to-User": "6f6b;encoding=hex" + evil}},
    "data": lambda evil: {"data": {"order": "4711" + evil}},
}
SAYINGS: dict[str, Any] = {
    "header value": lambda evil: {"type": "headers", "headers": {"X-Queue": "sales" + evil}},
    "header name": lambda evil: {"type": "headers", "headers": {"X-Queue" + evil: "sales"}},
    "answer header": lambda evil: {"type": "headers", "headers": {"X-Queue": "sales" + evil}, "on": "answer"},
    "bye header": lambda evil: {"type": "headers", "headers": {"X-Queue": "sales" + evil}, "on": "bye"},
    "user-to-user": lambda evil: {"type": "headers", "headers": {"User-to-User": "6f6b;encoding=hex" + evil}},
    "transfer": lambda evil: {"type": "transfer", "target": "tel:+14155550142" + evil},
    "transfer to a URI": lambda evil: {"type": "transfer", "target": f"sip:desk{evil}@example.com"},
    "transfer headers": lambda evil: {"type": "transfer", "target": "2001", "headers": {"X-Queue": "sales" + evil}},
    "transfer data": lambda evil: {"type": "transfer", "target": "2001", "user_to_user": "6f6b" + evil},
    "end of the call": lambda evil: {"type": "hangup", "reason": "done" + evil},
    "refusal": lambda evil: {"type": "reject", "status": 486, "reason": "Busy" + evil},
}
SETTINGS = ("host", "from_user", "from_domain", "domain", "transfer_domain", "caller_id", "username")


def assert_clean(world: World) -> None:
    """No line of a message of ours begins with what an attacker wrote, and no field has its name."""
    for _, sender, message in world.network.log:
        if sender == GATEWAY:
            head = bytes(message).partition(b"\r\n\r\n")[0].decode()
            lines = head.replace("\r\n", "\n").splitlines()
            assert not [line for line in lines if line.startswith("X-Evil")], head
            assert message.headers.get("X-Evil") is None


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("field", WISHES)
@in_virtual_time
async def test_what_a_key_asks_for(field: str, opens: bool) -> None:
    """Neither with the gate nor, were it ever to err, behind it."""
    async with DiallingWorld(CONFIG.replace('host = "', 'dial_to = "+1415*"\nhost = "', 1), opens=opens) as world:
        api = Api(world)
        for evil in LINE_ENDS:
            wish = {"to": CALLEE, "agent": "bot", **WISHES[field](evil)}
            status, _ = await api.ask("POST", "/v1/calls", wish)
            if status == 201:
                await world.pass_time(0.05)
                world.take_call()
                await world.pass_time(0.05)
                world.carrier.calls[-1].refuse(486)
                await world.pass_time(0.1)
        assert_clean(world)
        placed = len(world.carrier.calls)
        assert placed == len(LINE_ENDS) if field == "data" else opens or placed < len(LINE_ENDS)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("field", SAYINGS)
@in_virtual_time
async def test_what_an_agent_says(field: str, answered: bool) -> None:
    async with World(OFFHOOK) as world:
        for evil in LINE_ENDS:
            call = await (world.place_answered() if answered else world.place())
            await world.pass_time(0.1)
            world.wire.says(**SAYINGS[field](evil))
            await world.pass_time(0.1)
            call.hang_up()
            await world.pass_time(1)
        assert len(world.network.log) > 4 * len(LINE_ENDS)
        assert_clean(world)


@pytest.mark.parametrize(("setting", "evil"), list(product(SETTINGS, LINE_ENDS[:3] + LINE_ENDS[6:11])))
def test_what_stands_in_the_configuration(setting: str, evil: str) -> None:
    value = {"host": CARRIER, "caller_id": "+14155550100"}.get(setting, "alice")
    escaped = "".join(f"\\u{ord(character):04x}" for character in value + evil)
    toml = CONFIG.replace(f'host = "{CARRIER}"', f'host = "{CARRIER}"\n{setting} = "{escaped}"')
    if setting in ("host", "caller_id"):
        toml = CONFIG.replace(f'host = "{CARRIER}"', f'host = "{escaped}"') if setting == "host" else CONFIG.replace(
            '"+14155550101"', f'"{escaped}"'
        )  # fmt: skip
    found = examine_text(toml, {}, file="f.toml", base=Path("/nowhere"), host_name="g")
    assert any(problem.path.startswith(f"trunk.out.{setting}") for problem in found.errors), found.errors


@pytest.mark.parametrize("identity", ["true", '"remote-party-id"'])
@pytest.mark.parametrize("asserted", [True, False])
@in_virtual_time
async def test_what_a_caller_is_called_whose_call_goes_on(identity: str, asserted: bool) -> None:
    """The callers' own names stand in our From then: escaped there as they came, or not at all."""
    passing = f'pass_caller = true\nassert_identity = {identity}\nhost = "{CARRIER}"'
    toml = BRIDGING.replace(f'host = "{CARRIER}"', passing).replace("allow = ", "trust_identity = true\nallow = ", 1)
    async with BridgingWorld(toml) as world:
        for evil, name in product(LINE_ENDS, ("+14155550199", "alice", "")):
            caller = SipUri(CALLER, None, name + evil)
            shown = (("P-Asserted-Identity", f'"x" <{caller}>'),) if asserted else ()
            call = await world.place(from_=f"<{caller}>", headers=shown)
            await world.pass_time(0.1)
            call.hang_up()
            await world.pass_time(1)
        assert_clean(world)
        assert len(world.carrier.calls) == len(LINE_ENDS) * 3, "the calls went on all the same"
