"""Each carrier and PBX calls us as its pages say: with its headers, its SDP, its transport and its habits."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.interop.presets.conftest import HOSTS, NAME, Line
from tests.support.edge import Edge, connected, listening

pytestmark = pytest.mark.interop

DIALLED = "+14155550100"
CALLER = "+12025550123"


@asynccontextmanager
async def edge(line: Line, name: str, **settings: Any) -> AsyncIterator[Edge]:
    """An edge over UDP."""
    async with listening(Edge(HOSTS[name], line.ports[name], line.gateway.udp, **settings)) as made:
        yield made


async def test_twilio_brings_its_call_sid_and_speaks_g711(line: Line) -> None:
    headers = (
        "X-Twilio-CallSid: CA00112233",
        "X-Twilio-AccountSid: AC44556677",
        f"Diversion: <sip:{DIALLED}@twilio.com>;reason=unconditional",
    )
    async with edge(line, "twilio", invite_headers=headers) as twilio:
        call = await twilio.call(DIALLED, f"sip:{CALLER}@acme.pstn.twilio.com")
        assert (call.final.what, call.final.codecs) == ("200", ["PCMU"])
        told = line.agent.talks[-1].ringing
        assert (told["trunk"], told["from_number"], told["to_number"]) == ("twilio", CALLER, DIALLED)
        assert told["headers"]["X-Twilio-CallSid"] == "CA00112233"
        assert told["diversions"][0]["number"] == DIALLED
        await call.hang_up()


async def test_twilio_on_a_secure_trunk_is_heard_over_tls_with_keys_alone(line: Line) -> None:
    secure = Edge(HOSTS["twilio-secure"], line.ports["twilio-secure"], line.gateway.tls, transport="tls", srtp=True)
    async with connected(secure, line.client(), NAME):
        call = await secure.call(DIALLED, f"sip:{CALLER}@acme.pstn.twilio.com")
        assert call.final.what == "200"
        assert call.final.is_encrypted
        assert "AES_CM_128_HMAC_SHA1_80" in call.final.body
        await call.hang_up()
        secure.srtp = False
        refused = await secure.call(DIALLED, f"sip:{CALLER}@acme.pstn.twilio.com")
        assert refused.final.what == "488"


async def test_telnyx_writes_compact_headers(line: Line) -> None:
    async with edge(line, "telnyx", compact=True, formats=("9", "0", "8", "18", "101")) as telnyx:
        call = await telnyx.call(DIALLED, f"sip:{CALLER}@sip.telnyx.com")
        assert (call.final.what, call.final.codecs) == ("200", ["G722"])
        assert line.agent.talks[-1].ringing["from_number"] == CALLER
        await call.hang_up()


async def test_plivo_refreshes_by_update_and_is_not_sent_what_it_does_not_take(line: Line) -> None:
    headers = ("X-PH-Campaign: spring", "Allow: ACK, BYE, CANCEL, INVITE, OPTIONS, REFER, UPDATE")
    async with edge(line, "plivo", invite_headers=headers) as plivo:
        call = await plivo.call(DIALLED, f"sip:{CALLER}@21467306465797919.zt.plivo.com")
        assert (call.final.what, call.final.codecs) == ("200", ["PCMU"])
        assert line.agent.talks[-1].ringing["headers"]["X-PH-Campaign"] == "spring"
        assert (await call.ask("UPDATE")).what == "200"
        await call.hang_up()
        assert {one.what for one in plivo.heard} & {"PRACK", "INFO", "NOTIFY", "SUBSCRIBE"} == set()


async def test_vobiz_may_write_indian_numbers_nationally(line: Line) -> None:
    async with edge(line, "vobiz", invite_headers=("X-VH-Leg: a",)) as vobiz:
        call = await vobiz.call("08071387149", "sip:09148223344@sip.vobiz.ai")
        assert (call.final.what, call.final.codecs) == ("200", ["PCMU"])
        told = line.agent.talks[-1].ringing
        assert (told["from_number"], told["to_number"]) == ("+919148223344", "+918071387149")
        assert told["headers"]["X-VH-Leg"] == "a"
        await call.hang_up()


TEAMS = (
    "Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, NOTIFY",
    "Supported: timer, histinfo, 100rel",
    "Session-Expires: 3600",
    "Min-SE: 300",
    f"P-Asserted-Identity: <sip:{CALLER}@sip.pstnhub.microsoft.com>",
    "History-Info: <sip:+14155550142@sip.pstnhub.microsoft.com;user=phone?Reason=SIP%3Bcause%3D302>;index=1",
    "X-MS-SBC-Host-Info: none",
)


@pytest.mark.parametrize("srtp", [True, False])
async def test_teams_finds_our_name_in_every_contact_and_has_its_media_encrypted(line: Line, srtp: bool) -> None:
    contact = "<sip:api-du-c-euwe.pstnhub.microsoft.com:443;transport=tls>"
    teams = Edge(
        HOSTS["teams"], line.ports["teams"], line.gateway.tls, transport="tls", srtp=srtp, contact=contact,
        formats=("9", "0", "8", "101"), invite_headers=TEAMS,
    )  # fmt: skip
    async with connected(teams, line.client(), NAME):
        teams.request("OPTIONS", f"sip:{NAME}:5061;transport=tls")
        options = await teams.gets("200")
        assert options.cseq.endswith("OPTIONS")
        call = await teams.call(DIALLED, "sip:anonymous@anonymous.invalid" if srtp else f"sip:{CALLER}@teams")
        if not srtp:
            assert call.final.what == "488"
            return
        assert (call.final.what, call.final.codecs, call.final.is_encrypted) == ("200", ["G722"], True)
        if not HOSTS["teams"].startswith("127."):
            assert re.match(rf"sip:([^@]*@)?{NAME}:", call.target), "Teams refuses addresses there"
        assert call.final.header("Session-Expires").startswith("3600")
        assert (await call.ask("OPTIONS")).what == "200"
        await call.hang_up()


async def test_teams_is_not_heard_over_udp(line: Line) -> None:
    async with edge(line, "teams") as teams:
        teams.request("OPTIONS", f"sip:{NAME}")
        before = len(line.agent.talks)
        teams.request("INVITE", f"sip:{DIALLED}@{NAME}", body=teams.sdp())
        assert (await teams.gets("403")).cseq.endswith("OPTIONS")
        assert (await teams.gets("403", 2)).cseq.endswith("INVITE")
        assert len(line.agent.talks) == before


async def test_cube_asks_by_options_offers_late_and_holds_by_an_address_of_zeros(line: Line) -> None:
    async with edge(line, "cisco-cube", invite_headers=("Supported: 100rel,timer,resource-priority,replaces",)) as cube:
        cube.request("OPTIONS", f"sip:{line.gateway.udp[0]}:{line.gateway.udp[1]}")
        assert (await cube.gets("200")).header("Allow") != ""
        call = await cube.call(DIALLED, f"sip:{CALLER}@{cube.host}", offer="", answer=cube.sdp())
        assert call.final.what == "200"
        assert set(call.final.codecs) == {"PCMU", "PCMA"}, "the offer is ours, and names what the preset has"
        held = await call.ask("INVITE", body=cube.sdp(way="sendonly", connection="0.0.0.0"))
        assert held.what == "200"
        assert "a=recvonly" in held.body or "a=inactive" in held.body
        resumed = await call.ask("INVITE", body=cube.sdp())
        assert resumed.what == "200"
        assert "a=recvonly" not in resumed.body
        await call.hang_up()


async def test_asterisk_qualifies_and_has_its_session_timer_kept(line: Line) -> None:
    headers = ("Supported: 100rel, timer, replaces, norefersub, histinfo", "Session-Expires: 1800", "Min-SE: 90")
    async with edge(line, "asterisk", invite_headers=headers, formats=("9", "0", "8", "101")) as asterisk:
        asterisk.request("OPTIONS", f"sip:{line.gateway.udp[0]}:{line.gateway.udp[1]}")
        assert (await asterisk.gets("200")).cseq.endswith("OPTIONS")
        call = await asterisk.call("7000", "sip:2001@asterisk")
        assert (call.final.what, call.final.codecs) == ("200", ["G722"])
        assert call.final.header("Session-Expires").startswith("1800;refresher=")
        assert line.agent.talks[-1].ringing["to_number"] == "7000"
        await call.hang_up()


async def test_freeswitch_names_its_gateway_in_the_contact(line: Line) -> None:
    contact = f"<sip:gw+offhook@{HOSTS['freeswitch']}:{line.ports['freeswitch']};transport=udp;gw=offhook>"
    headers = (
        f'Remote-Party-ID: "Desk" <sip:{CALLER}@freeswitch>;party=calling;screen=yes;privacy=off',
        "Session-Expires: 1800;refresher=uac",
        "Supported: timer, path, replaces",
        "X-FS-Support: update_display,send_info",
    )
    async with edge(line, "freeswitch", contact=contact, invite_headers=headers) as freeswitch:
        call = await freeswitch.call("7000", "sip:1001@freeswitch")
        assert (call.final.what, call.final.header("Session-Expires")) == ("200", "1800;refresher=uac")
        told = line.agent.talks[-1].ringing
        assert told["headers"]["X-FS-Support"] == "update_display,send_info"
        assert told["from_number"] == "1001", "Remote-Party-ID is believed with trust_identity alone"
        refreshed = await call.ask(
            "INVITE", "Session-Expires: 1800;refresher=uac", "Supported: timer", body=freeswitch.sdp()
        )
        assert refreshed.what == "200"
        await call.hang_up()
