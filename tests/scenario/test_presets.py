"""What a preset fills in, as the other side of a call sees it."""

import pytest
from tests.support.carrier import CARRIER
from tests.support.clock import in_virtual_time
from tests.support.world import OFFHOOK, World

pytestmark = pytest.mark.scenario


@pytest.mark.parametrize("name", ["telnyx", "plivo", "vobiz", "cisco-cube", "asterisk", "freeswitch"])
@in_virtual_time
async def test_a_transfer_names_the_number_at_the_host_of_the_trunk(name: str) -> None:
    toml = OFFHOOK.replace(
        'name = "acme"', f'name = "acme"\npreset = "{name}"\nhost = "{CARRIER}"\ncaller_id = "+14155550100"'
    )
    async with World(toml) as world:
        call = await world.place_answered()
        world.wire.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(0.1)
        [refer] = call.refers
        assert refer.headers.get("Refer-To") == f"<sip:+14155550142@{CARRIER};user=phone>"


@in_virtual_time
async def test_twilio_has_numbers_as_tel_for_a_sip_uri_is_an_endpoint_to_it() -> None:
    settings = f'name = "acme"\npreset = "twilio"\nhost = "{CARRIER}"\ncaller_id = "+14155550100"'
    async with World(OFFHOOK.replace('name = "acme"', settings)) as world:
        call = await world.place_answered()
        world.wire.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(0.1)
        assert [refer.headers.get("Refer-To") for refer in call.refers] == ["<tel:+14155550142>"]


@in_virtual_time
async def test_a_pbx_that_insists_on_replacing_a_call_of_ours_hears_that_we_do_not() -> None:
    """Attended transfers of Asterisk and FreeSWITCH end in such an INVITE; without Require it is a call like any."""
    toml = OFFHOOK.replace('name = "acme"', 'name = "acme"\npreset = "asterisk"')
    async with World(toml) as world:
        replacing = ("Replaces", "other@asterisk;to-tag=a;from-tag=b")
        call = await world.place(headers=[replacing, ("Require", "replaces")])
        assert call.statuses[-1] == 420
        assert (await world.place_answered(headers=[replacing])).is_answered
