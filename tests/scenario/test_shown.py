"""Who calls out show, and the headers that a wish and an agent give the INVITE, as the carrier has them."""

import pytest
from tests.support.carrier import CARRIER, CONFIG, OURS, CalledPhone, DiallingWorld
from tests.support.clock import in_virtual_time

pytestmark = pytest.mark.scenario


def config(settings: str) -> str:
    return CONFIG.replace(f'host = "{CARRIER}"', f'host = "{CARRIER}"\n{settings}')


async def called(world: DiallingWorld) -> CalledPhone:
    await world.pass_time(0.05)
    world.take_call()
    await world.pass_time(0.05)
    [phone] = world.carrier.calls
    return phone


@in_virtual_time
async def test_from_and_the_asserted_number_are_as_the_trunk_wants_them() -> None:
    settings = 'from_user = "alice"\nfrom_domain = "pbx.example.com"\nassert_identity = true'
    async with DiallingWorld(config(settings)) as world:
        await world.wish()
        request = (await called(world)).request
        assert str(request.from_.uri) == "sip:alice@pbx.example.com"
        assert request.headers.get("P-Asserted-Identity") == f"<sip:{OURS}@pbx.example.com>"
        assert request.headers.get("Privacy") is None


@pytest.mark.rfc(3323, "4.1.1.3")
@pytest.mark.parametrize(("settings", "private"), [('privacy = "id"', False), ("", True)])
@in_virtual_time
async def test_a_private_call_names_its_caller_to_the_trunk_alone(settings: str, private: bool) -> None:
    async with DiallingWorld(config(settings)) as world:
        await world.wish(private=private)
        request = (await called(world)).request
        assert str(request.from_.uri) == "sip:anonymous@anonymous.invalid"
        assert request.headers.get("Privacy") == "id"
        assert request.headers.get("P-Asserted-Identity") == f"<sip:{OURS}@{CARRIER}>"
        [contact] = request.contacts
        assert OURS not in str(contact), "nor may the Contact have the number"
        [record] = [line for line in world.wire.said if line["type"] == "ringing"]
        assert record["from_number"] == OURS, "our own agent knows whose line it is on"


@in_virtual_time
async def test_headers_of_the_wish_and_of_the_agent_are_in_the_invite() -> None:
    async with DiallingWorld() as world:
        await world.wish(headers=(("X-Campaign", "spring"),))
        await world.pass_time(0.05)
        world.wire.says(type="headers", headers={"X-Ticket": "4711", "X-Campaign": "of the agent"})
        phone = await called(world)
        sent = phone.request.headers
        assert sent.get("X-Ticket") == "4711"
        assert sent.get_all("X-Campaign") == ("spring",), "what the wish said is said once"
        phone.answer()
        await world.pass_time(1)
        phone.hang_up()
        await world.pass_time(40)
        world.assert_nothing_left()
