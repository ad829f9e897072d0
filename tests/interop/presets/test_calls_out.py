"""We call each carrier and PBX, and its edge refuses what the real one refuses."""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.interop.presets.conftest import HOSTS, KEY, NAME, Line
from tests.support.edge import Edge, Judge, Said, listening

from offhook import Gateway

pytestmark = pytest.mark.interop

NUMBER = "+14155550142"
PLUS = re.compile(r"sip:\+\d{8,15}@")


def user_of(text: str) -> str:
    found = re.search(r"sips?:([^@>;]*)@", text)
    return found[1] if found else ""


CHALLENGE = '407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm="{realm}", nonce="n0", algorithm=MD5'


def proven(invite: Said, realm: str) -> bool:
    """Whether the password of the conftest was proven, by RFC 2617's digest without qop."""
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', invite.header("Proxy-Authorization")))
    if not given:
        return False

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ours = md5(f"gw:{realm}:not-a-secret")
    return given["response"] == md5(f"{ours}:n0:{md5('INVITE:' + given['uri'])}")


def twilio(invite: Said) -> str:
    """E.164 with its plus, G.711."""
    if not PLUS.match(invite.uri) or not PLUS.search(invite.header("From")):
        return "404 Not Found"
    return "" if {"PCMU", "PCMA"} & set(invite.codecs) else "488 Not Acceptable Here"


def twilio_secure(invite: Said) -> str:
    return twilio(invite) or ("" if invite.is_encrypted else "488 Not Acceptable Here")


def telnyx(invite: Said) -> str:
    """Credentials, a caller of the account, a codec of the connection."""
    if not proven(invite, "sip.telnyx.com"):
        return CHALLENGE.format(realm="sip.telnyx.com")
    if user_of(invite.header("From")) != "+14155550100":
        return "403 Caller Origination Number is Invalid"
    return "" if {"PCMU", "PCMA", "G722"} & set(invite.codecs) else "488 Not Acceptable Here"


def plivo(invite: Said) -> str:
    """G.711 alone, and telephone events."""
    if not {"PCMU", "PCMA"} & set(invite.codecs) or "telephone-event/8000" not in invite.body:
        return "488 Not Acceptable Here"
    return "" if PLUS.match(invite.uri) else "404 Not Found"


def vobiz(invite: Said) -> str:
    """A caller that the account owns, in E.164, who proves the trunk's password."""
    if not proven(invite, "sip.vobiz.ai"):
        return CHALLENGE.format(realm="sip.vobiz.ai")
    return "" if user_of(invite.header("From")) == "+918071387149" else "403 Forbidden"


def teams(invite: Said) -> str:
    """The paired name in From and Contact, a plus, SRTP, a codec that it has."""
    if f"@{NAME}" not in invite.header("From") or not re.search(rf"sip:([^@]*@)?{NAME}", invite.header("Contact")):
        return "403 Forbidden"
    if not PLUS.match(invite.uri):
        return "404 Not Found"
    return "" if invite.is_encrypted and {"G722", "PCMU", "PCMA"} & set(invite.codecs) else "488 Not Acceptable Here"


def pbx(invite: Said) -> str:
    """A number that the dial plan has."""
    return "" if user_of(invite.uri) == NUMBER else "404 Not Found"


EDGES: dict[str, tuple[Judge, dict[str, Any]]] = {
    "twilio": (twilio, {}),
    "twilio-secure": (twilio_secure, {"transport": "tls", "srtp": True}),
    "telnyx": (telnyx, {"compact": True}),
    "plivo": (plivo, {}),
    "vobiz": (vobiz, {}),
    "teams": (teams, {"transport": "tls", "srtp": True, "formats": ("9", "101")}),
    "cisco-cube": (pbx, {}),
    "asterisk": (pbx, {"formats": ("9", "0", "8", "101")}),
    "freeswitch": (pbx, {"contact": "<sip:gw+offhook@{host}:{port};transport=udp;gw=offhook>"}),
}


@asynccontextmanager
async def edge(line: Line, name: str) -> AsyncIterator[Edge]:
    judge, settings = EDGES[name]
    host, port = HOSTS[name], line.ports[name]
    filled = settings | {"contact": settings.get("contact", "").format(host=host, port=port)}
    made = Edge(host, port, line.gateway.udp, judge, **filled)
    server = line.server(host, asks=name == "teams") if made.transport == "tls" else None
    async with listening(made, server=server) as running:
        yield running


@pytest.mark.parametrize("name", EDGES)
async def test_it_takes_a_call_of_ours_and_our_bye(line: Line, name: str) -> None:
    number = "+919148223344" if name == "vobiz" else NUMBER
    async with edge(line, name) as theirs:
        gateway = Gateway(line.gateway.http, key=KEY)
        call = await gateway.dial(number, agent="bot", trunk=name)
        outcome = await call.outcome()
        assert outcome.answered, (outcome, [one.text for one in theirs.heard][:1])
        await call.hang_up()
        bye = await theirs.gets("BYE")
        invite = theirs.of("INVITE")[0]
        assert bye.uri == theirs.contact.strip("<>"), "the BYE goes to the Contact as it stands there"
        assert invite.header("Call-ID") == bye.header("Call-ID")
        assert invite.header("P-Asserted-Identity") == ""
        assert "Privacy" not in invite.text


async def test_teams_is_asked_by_options_that_say_our_name(line: Line) -> None:
    async with edge(line, "teams") as theirs:
        # The trunks with a mistake lead to the same edge, and ask it too.
        at = 1
        while f"@{NAME}>" not in (options := await theirs.gets("OPTIONS", at, within=40)).header("From"):
            at += 1
        if not HOSTS["teams"].startswith("127."):
            assert NAME in options.header("Contact")
            assert HOSTS["teams"] not in options.header("Contact")


@pytest.mark.parametrize(
    ("trunk", "name", "status", "kind"),
    [
        ("twilio-without-plus", "twilio", 404, "refused"),
        ("twilio-in-the-clear", "twilio-secure", 488, "failed"),
        ("plivo-wideband", "plivo", 488, "failed"),
        ("teams-another-name", "teams", 403, "refused"),
        ("teams-in-the-clear", "teams", 488, "failed"),
    ],
)
async def test_one_wrong_setting_and_it_says_no(line: Line, trunk: str, name: str, status: int, kind: str) -> None:
    async with edge(line, name) as theirs:
        call = await Gateway(line.gateway.http, key=KEY).dial(NUMBER, agent="bot", trunk=trunk)
        outcome = await call.outcome()
        assert (outcome.status, outcome.kind) == (status, kind)
        assert len(theirs.of("INVITE")) == 1, "what is refused so is not tried again unchanged"
