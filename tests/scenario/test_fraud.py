"""Every way out of a whole gateway, tried with every target and key that a fraudster would: what leaves is listed."""

import hashlib
import json
from itertools import product

import pytest
from tests.scenario.test_calls_api import KEY, OTHER, Api
from tests.scenario.test_referred import ReferringWorld
from tests.support.carrier import CARRIER, OURS, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, GATEWAY, OFFHOOK

from offhook.call.out.outcome import NotPlaced
from offhook.sip.message import Request
from offhook.sip.uri import SipUri

pytestmark = pytest.mark.scenario

LISTED = "+14155550142"
WRITTEN = (LISTED, "tel:+14155550142", "+1 (415) 555-0142", "4155550142", "001 14155550142".replace("001 ", "+"))
"""The listed number as people and programs write it."""

EVIL = (
    # others: another area, another country, none, too short, too long
    "+12125550142", "+442079460018", "+1415", "+1415555014200000", "+0014155550142", "14155550142 19005550142",
    # what costs, and what must not be called
    "+19005550142", "+1-900-555-0142", "9005550142", "0119005550142", "+8816123456789", "+88213300000", "+979123456789",
    "911", "112", "*67911", "9911", "+1911", "tel:911", "933",
    # patterns, and nothing
    "+1415*", "*", "+*", "", " ", "+", "anonymous", "alice", "2001", "*72",
    # other digits, other pluses, digits that vanish
    "\uff0b19005550142", "+\u0661\u0669\u0660\u06605550142", "+1\u200b9005550142", "+1415555014\u0032\u0301",
    "+1 900 FLOWERS",
    # URIs that lead elsewhere than they look
    f"sip:{LISTED}@evil.example", f"sip:{LISTED}@{CARRIER};maddr=203.0.113.9", f"sip:{LISTED}@{CARRIER}?Replaces=a",
    f"sip:%39%31%31@{CARRIER}", f"sips:+19005550142@{CARRIER}", f"sip:{LISTED}%40evil.example@{CARRIER}",
    f"sip:{LISTED}:secret@{CARRIER}:25", f"{LISTED}@evil.example", f"tel:{LISTED};rn=+19005550142",
    f"tel:{LISTED};phone-context=+1900", "tel:5550142;phone-context=+1900", f"{LISTED};ext=1;tgrp=evil",
    f"http://{LISTED}", "javascript:alert(1)", "file:///etc/passwd", "agent:bot",
    # headers, escapes, markup
    f"{LISTED}\r\nX-Evil: 1", f"{LISTED}\nX-Evil: 1", f"{LISTED}%0d%0aX-Evil: 1", f"{LISTED}\u2028X-Evil: 1",
    f"{LISTED}\x00", f"<sip:{LISTED}@evil.example>", f'"x" <sip:911@{CARRIER}>', f"{LISTED}, 911", f"{LISTED}&911",
    "+1415555014two", f"{LISTED}p911", f"{LISTED},911#", f"{LISTED}w911",
)  # fmt: skip

OPTIONS: tuple[dict[str, object], ...] = (
    {}, {"trunk": "acme"}, {"caller_id": "+19005550100"}, {"headers": {"X-A": "b\r\nX-Evil: 1"}},
)  # fmt: skip
"""What a key may ask for besides, the last two in vain."""

KEYS = {"crm": KEY, "shop": OTHER}

CONFIG = OFFHOOK.replace(
    'transfer_to = "*"',
    f"""host = "{CARRIER}"
country = "US"
caller_id = ["{OURS}"]
dial_to = "+1415*"
transfer_to = "+1415*"
refer = "accept"
refer_to = "+1415*"
""",
) + "".join(
    f'[[key]]\nname = "{name}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n{limit}\n'
    for (name, key), limit in zip(KEYS.items(), ("", "outbound = { max_calls = 1 }"), strict=True)
) + '[[agent]]\nname = "bot"\nkind = "offhook"\nurl = "ws://agent.example/voice"\n'  # fmt: skip


class FraudWorld(ReferringWorld):
    """The gateway with its real gate."""

    def __init__(self, config: str = CONFIG) -> None:
        DiallingWorld.__init__(self, config, opens=False)
        self.answers_notify = 200

    def left(self) -> list[str]:
        """What the gateway asked the network for: the users of its INVITEs, the targets of its REFERs."""
        found = []
        for _, sender, message in self.network.log:
            if sender != GATEWAY or not isinstance(message, Request):
                continue
            if message.method == "INVITE" and message.to.tag is None:
                assert isinstance(message.request_uri, SipUri)
                assert message.request_uri.host == CARRIER, message.request_uri
                found.append(message.request_uri.user or "")
            elif message.method == "REFER":
                found.append((message.headers.get("Refer-To") or "").strip("<>").removeprefix("tel:"))
        return found

    def assert_clean(self) -> None:
        """Nothing but the listed number was asked for, and no field was added to any message."""
        assert set(self.left()) <= {LISTED}
        for _, sender, message in self.network.log:
            assert sender != GATEWAY or message.headers.get("X-Evil") is None


@in_virtual_time
async def test_nothing_unlisted_is_dialled_whoever_asks() -> None:
    async with FraudWorld() as world:
        for to, key in product((*WRITTEN, *EVIL), (None, "crm", "shop")):
            placed = await world.wish(to, key=key)
            assert isinstance(placed, NotPlaced) or to.startswith(("tel:", *WRITTEN)), to
            if not isinstance(placed, NotPlaced):
                await world.pass_time(0.05)
                world.take_call()
                await world.pass_time(0.05)
                world.carrier.calls[-1].refuse(486)
                await world.pass_time(0.1)
        assert world.left().count(LISTED) >= len(WRITTEN) * 3, "and what is listed gets through, however it is written"
        world.assert_clean()


@in_virtual_time
async def test_nothing_unlisted_is_dialled_by_the_api_nor_more_than_a_key_may() -> None:
    async with FraudWorld() as world:
        api = Api(world)
        for (name, key), to in product(KEYS.items(), (*WRITTEN[:2], *EVIL)):
            for options in OPTIONS:
                status, said = await api.ask("POST", "/v1/calls", {"to": to, "agent": "bot", **options}, key=key)
                if status == 201:
                    assert to.startswith(("tel:", *WRITTEN)), to
                    assert options in OPTIONS[:2], "nor may it show a number that is not ours"
                elif to in WRITTEN and options in OPTIONS[:2]:
                    assert (name, status) == ("shop", 429), json.dumps(said)
        await world.pass_time(1)
        world.assert_clean()


@pytest.mark.parametrize("answers", [202, 603])
@in_virtual_time
async def test_an_agent_that_is_talked_into_it_transfers_nobody_elsewhere(answers: int) -> None:
    """By REFER, and where that is refused by a call of our own, which is plan B."""
    async with FraudWorld() as world:
        for first in range(0, len(EVIL), 15):
            call = await world.place_answered()
            call.answers_refer = answers
            before = len(world.left())
            for target in EVIL[first : first + 15]:
                world.wire.says(type="transfer", target=target)
                await world.pass_time(0.3)
            # And the one that is listed, so that the way was open all the time.
            world.wire.says(type="transfer", target="tel:+14155550142")
            await world.pass_time(0.3)
            assert len(world.left()) > before
            call.hang_up()
            await world.pass_time(1)
        world.assert_clean()


@in_virtual_time
async def test_the_other_side_refers_us_nowhere_else() -> None:
    async with FraudWorld() as world:
        call = await world.up()
        for target in EVIL:
            if target.isprintable() and target.isascii() and not set(target) & set('<>"'):
                status = await world.refer(call, f"<{target if ':' in target else f'tel:{target}'}>")
                assert status >= 400, target
                status = await world.refer(call, f"<sip:{target.partition(':')[2] or target}@{CALLER}>")
                assert status >= 400, target
        await world.pass_time(1)
        assert world.left() == []
        world.assert_clean()


@pytest.mark.parametrize("destination", ["tel:+19005550142", "tel:+12125550142", "tel:911", "sip:911@192.0.2.9"])
@pytest.mark.parametrize("place", ["destination", "fallback"])
@in_virtual_time
async def test_a_route_leads_nowhere_that_its_trunk_may_not_dial(destination: str, place: str) -> None:
    """A route is written by hand, and all the same it is judged as everything that dials."""
    toml = CONFIG.replace('destination = "ws://agent.example/voice?token=s3cret"', f'destination = "{destination}"')
    assert toml != CONFIG
    if place == "fallback":
        toml = CONFIG.replace(
            'destination = "ws://agent.example/voice?token=s3cret"',
            f'destination = "ws://agent.example/voice"\nfallback = [{{ to = "{destination}" }}]',
        )
    async with FraudWorld(toml) as world:
        await world.place()
        await world.pass_time(0.2)
        if place == "fallback":
            world.wire.refuse()
        await world.pass_time(40)
        assert world.left() == []


BY_US = CONFIG.replace('transfer_to = "+1415*"', 'transfer_to = "*"\ntransfer = "bridge"')
"""A trunk whose agents may transfer anywhere, by the gateway's own call."""


@pytest.mark.parametrize("target", ["*72*201", "#31#201", "*72", f"sips:desk@{CARRIER}", f"sip:*72201@{CARRIER}"])
@in_virtual_time
async def test_a_service_code_is_nobody_whom_the_gateway_calls(target: str) -> None:
    """Nor is an address that asks for more security than the trunk has."""
    async with FraudWorld(BY_US) as world:
        await world.place_answered()
        world.wire.says(type="transfer", target=target)
        await world.pass_time(1)
        assert world.left() == []
        told = [message for message in world.wire.said if message.get("type") == "transferred"]
        assert [message["outcome"] for message in told] == ["refused"]


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [("max_calls = 1", 0, "1 calls at one time"), ("max_transfers_per_day = 1", 1, "1 transfers of the day")],
)
@in_virtual_time
async def test_a_transfer_by_an_agent_counts_for_the_key_that_had_the_call_placed(
    limit: str, most: int, why: str
) -> None:
    async with FraudWorld(BY_US.replace("max_calls = 1", limit)) as world:
        await world.talk(key="shop")
        for number in range(2):
            world.wire.says(type="transfer", target=f"tel:{LISTED}")
            await world.pass_time(1)
            if number < most:
                world.carrier.calls[-1].refuse(486)
                await world.pass_time(1)
        assert len(world.carrier.calls) == 1 + most
        told = [message for message in world.wire.said if message.get("type") == "transferred"]
        assert [message["outcome"] for message in told] == ["busy"] * most + ["refused"] * (2 - most)
        assert why in json.dumps(told)


@pytest.mark.parametrize("whose", ["key", "agent", "trunk"])
@in_virtual_time
async def test_a_transfer_that_the_gateway_does_itself_is_one_call_a_second(whose: str) -> None:
    """Where one call a second may leave, a transfer is one: it must not stand in its own way."""
    once = "outbound = { max_cps = 1 }\n"
    config = BY_US.replace("outbound = { max_calls = 1 }", once if whose == "key" else "")
    config += once if whose == "agent" else ""
    config = config.replace('transfer = "bridge"', f'transfer = "bridge"\n{once if whose == "trunk" else ""}')
    async with FraudWorld(config) as world:
        await world.talk(key="shop")
        world.wire.says(type="transfer", target=f"tel:{LISTED}")
        await world.pass_time(0.5)
        assert len(world.carrier.calls) == 2
