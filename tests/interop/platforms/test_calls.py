"""A caller of a carrier speaks with an agent on each platform, whose edge judges our INVITE as its pages say."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.interop.platforms.conftest import PROJECT, SECRET, Ports, number_of
from tests.interop.platforms.edge import Edge, Line, Message, digest_is_right
from tests.interop.platforms.web import Asked, Web, post
from tests.support.certificates import authority
from tests.support.gateway import Gateway, wait_until
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import tone

from offhook.platform.webhook import sign

pytestmark = pytest.mark.interop

OK = "200 OK"


def tls(directory: Path) -> ssl.SSLContext:
    """An edge that proves to be localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*authority().issue("localhost").write(directory, "edge"))
    return context


@asynccontextmanager
async def called(gateway: Gateway, agent: str, *headers: str) -> AsyncIterator[PhoneCall]:
    """A call of the carrier to the number of an agent."""
    async with PlainPhone.open() as phone:
        yield phone.dial(gateway.udp, number_of(agent), caller="+14155550142", headers=headers)


async def spoken(call: PhoneCall, edge: Edge) -> None:
    """The caller's sound reaches the platform, and comes back."""
    before = edge.echoed
    call.say(tone(440, 40))
    await call.hears(440, 10)
    assert edge.echoed > before


async def record(gateway: Gateway, call: PhoneCall) -> dict[str, object]:
    """The record of the caller's call, once it is over."""
    return await asyncio.to_thread(gateway.record, call.call_id)


# -- LiveKit


class LiveKit:
    """Digest by 407, numbers as they are stored, refusals that are remembered, X- headers as attributes."""

    def __init__(self, *, numbers: tuple[str, ...] = (number_of("livekit"),), codecs: tuple[str, ...] = ()) -> None:
        self.edge = Edge(self._judge, codecs=codecs or ("PCMU", "PCMA", "G722"), refuses_methods=True)
        self._numbers = numbers
        self.attributes: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    async def _judge(self, line: Line, invite: Message) -> str:
        key = invite.header("Call-ID") + invite.header("From")
        if key in self._refused:
            return self._refused[key]
        if invite.user not in self._numbers:
            return self._remember(key, "404 Not Found")
        proof = invite.header("Proxy-Authorization")
        if not proof:
            challenge = 'Proxy-Authenticate: Digest realm="livekit", nonce="n1", algorithm=MD5'
            return f"407 Proxy Authentication Required\r\n{challenge}"
        if not digest_is_right(proof, "s3cret", "INVITE"):
            return self._remember(key, "401 Unauthorized")
        if "SAVP" in invite.sdp or not set(invite.codecs) & set(self.edge.codecs):
            return self._remember(key, "400 Bad Request")
        assert "100rel" not in invite.header("Require")
        assert "timer" not in invite.header("Require")
        self.attributes = {f"sip.h.{name}": value for name, value in invite.variables.items()}
        return OK

    def _remember(self, key: str, status: str) -> str:
        self._refused[key] = status
        return status


async def test_livekit_is_called_with_digest_and_x_headers_and_speaks(gateway: Gateway, places: Ports) -> None:
    livekit = LiveKit()
    # `headers` of its inbound trunk are in the 200.
    livekit.edge.answer_headers = ["X-Room: room_1"]
    async with livekit.edge.open(places.livekit), called(gateway, "livekit", "X-Customer: 4711") as call:
        answer = await call.final()
        assert answer.status == 200
        await spoken(call, livekit.edge)
        call.hang_up()
        record_ = await record(gateway, call)
        invite = livekit.edge.of("INVITE")[-1]
        assert invite.uri.startswith(f"sip:{number_of('livekit')}@localhost")
        assert (invite.codecs[:2], "telephone-event" in invite.codecs) == (["G722", "PCMU"], True)
        assert livekit.attributes["sip.h.x-caller-id"] == "+14155550142"
        assert livekit.attributes["sip.h.x-call-id"] == record_["call_id"]
        assert livekit.attributes["sip.h.x-customer"] == "4711"
        assert livekit.attributes["sip.h.x-line"] == "carrier"
    assert (record_["end_reason"], record_["destination"]) == ("caller_hung_up", "agent:livekit")
    assert record_["variables"] == {"Room": "room_1"}
    assert {one.what for one in livekit.edge.requests} == {"INVITE", "ACK", "BYE"}


async def test_what_livekit_refuses_goes_to_the_fallback_with_its_words_in_the_record(
    gateway: Gateway, places: Ports
) -> None:
    livekit = LiveKit(numbers=("+19995550100",))
    async with livekit.edge.open(places.livekit), called(gateway, "livekit") as call:
        assert (await call.final()).status == 200
        call.hang_up()
        record_ = await record(gateway, call)
    assert record_["destination"] == "echo:"
    assert "agent:livekit failed (callee_unknown)" in json.dumps(record_)
    assert len(livekit.edge.of("INVITE")) == 1


async def test_livekit_without_a_common_codec_is_asked_once(gateway: Gateway, places: Ports) -> None:
    livekit = LiveKit(codecs=("AMR-WB",))
    async with livekit.edge.open(places.livekit), called(gateway, "livekit") as call:
        await call.final()
        call.hang_up()
        await record(gateway, call)
    # One without and one with the digest, of the same Call-ID.
    assert len(livekit.edge.of("INVITE")) == 2


# -- Vapi


async def test_vapi_is_called_by_the_name_of_its_assistant_with_template_variables(
    gateway: Gateway, places: Ports
) -> None:
    async def judge(line: Line, invite: Message) -> str:
        return OK if invite.user == "front-desk" else "404 Not Found"

    edge = Edge(judge)
    async with edge.open(places.vapi), called(gateway, "vapi", "X-Name: Ada") as call:
        assert (await call.final()).status == 200
        await spoken(call, edge)
        # The assistant hangs up.
        edge.lines[0].request("BYE", "X-Outcome: booked", "X-Callback-Token: 5ec4e7")
        record_ = await record(gateway, call)
    variables = edge.of("INVITE")[0].variables
    assert variables["x-first_name"] == "Ada"
    assert variables["x-call_id"] == record_["call_id"]
    assert edge.of("INVITE")[0].codecs[:2] == ["PCMU", "PCMA"]
    assert record_["end_reason"] == "partner_hung_up"
    assert record_["variables"] == {"Outcome": "booked", "Callback-Token": "***"}
    shown = await asyncio.to_thread(gateway.run, "calls", "show", str(record_["call_id"]), "--messages")
    assert "Outcome = booked" in shown
    assert "5ec4e7" not in shown + gateway.said()


# -- Retell


class Retell:
    """An API that registers calls, and an edge that takes each of them once."""

    def __init__(self, status: int = 201) -> None:
        self.registered: dict[str, float] = {}
        self.api = Web(self._register)
        self.edge = Edge(self._judge, codecs=("G722", "PCMU", "PCMA"))
        self._status = status

    async def _register(self, asked: Asked) -> tuple[int, object]:
        if asked.headers.get("authorization") != "Bearer key-of-retell":
            return 401, {"status": "error", "message": "API key invalid"}
        if (asked.method, asked.path) != ("POST", "/v2/register-phone-call") or not asked.body.get("agent_id"):
            return 422, {"status": "error", "message": "no such path or agent"}
        if self._status != 201:
            return self._status, {"status": "error", "message": "Your trial is over"}
        call_id = f"call_{len(self.registered)}c4d"
        self.registered[call_id] = time.monotonic()
        return 201, {"call_type": "phone_call", "call_id": call_id, "call_status": "registered", **asked.body}

    async def _judge(self, line: Line, invite: Message) -> str:
        at = self.registered.pop(invite.user, None)
        return OK if at is not None and time.monotonic() - at < 300 else "404 Not Found"


async def test_retell_is_told_of_the_call_and_dialled_by_its_id(gateway: Gateway, places: Ports) -> None:
    retell = Retell()
    async with (
        retell.api.open(places.retell_api),
        retell.edge.open(places.retell),
        called(gateway, "retell", "X-Customer: 4711") as call,
    ):
        assert (await call.final()).status == 200
        await spoken(call, retell.edge)
        # A transfer that no list allows: what it says is kept all the same.
        refer_to = "<sip:+14155550188@127.0.0.1?X-Summary=wants%20a%20cake&X-Evil=1%0d%0aVia:%20x>"
        retell.edge.lines[0].request("REFER", f"Refer-To: {refer_to}", "X-Case: 4711")
        assert await asyncio.to_thread(wait_until, lambda: retell.edge.answers_to("REFER"), 10)
        call.hang_up()
        record_ = await record(gateway, call)
    assert record_["variables"] == {"Case": "4711", "Summary": "wants a cake"}
    body = retell.api.asked[0].body
    assert (body["agent_id"], body["direction"]) == ("agent_1", "inbound")
    assert (body["from_number"], body["to_number"]) == ("+14155550142", number_of("retell"))
    assert body["retell_llm_dynamic_variables"] == {"Customer": "4711"}
    assert body["metadata"] == {"offhook_call_id": record_["call_id"]}
    assert retell.edge.of("INVITE")[0].user == "call_0c4d"
    assert not retell.registered


async def test_an_account_that_retell_wants_paid_is_named_and_the_fallback_takes_the_call(
    gateway: Gateway, places: Ports
) -> None:
    retell, livekit = Retell(402), LiveKit(numbers=(number_of("retell"),))
    async with (
        retell.api.open(places.retell_api),
        retell.edge.open(places.retell),
        livekit.edge.open(places.livekit),
        called(gateway, "retell") as call,
    ):
        assert (await call.final()).status == 200
        call.hang_up()
        record_ = await record(gateway, call)
        told = await asyncio.to_thread(gateway.show, str(record_["call_id"]))
    assert not retell.edge.of("INVITE")
    assert record_["destination"] == "agent:livekit"
    assert "HTTP 402: Your trial is over" in json.dumps(told)
    assert "key-of-retell" not in json.dumps(told) + gateway.said()


# -- ElevenLabs


async def test_elevenlabs_is_called_over_tls_with_srtp_and_its_two_headers(
    gateway: Gateway, places: Ports, directory: Path
) -> None:
    async def judge(line: Line, invite: Message) -> str:
        if invite.user in ("", "sip") or invite.user != number_of("elevenlabs"):
            return "404 Not Found"
        return OK if invite.crypto else "400 Bad Request"

    edge = Edge(judge, ["X-Conversation: conv_1", "User-to-User: 7469;encoding=hex"], ("G722", "PCMU", "PCMA"))
    async with edge.open(places.elevenlabs, tls(directory)), called(gateway, "elevenlabs") as call:
        final = await call.final()
        assert final.status == 200
        await spoken(call, edge)
        call.hang_up()
        record_ = await record(gateway, call)
    assert record_["variables"] == {"Conversation": "conv_1", "User-to-User": "7469;encoding=hex"}
    invite = edge.of("INVITE")[0]
    names = [name for name, _ in invite.headers]
    assert {"X-CALL-ID", "X-CALLER-ID"} <= set(names)
    assert (invite.header("X-CALL-ID"), invite.header("X-CALLER-ID")) == (record_["call_id"], "+14155550142")
    assert "SIP/2.0/TLS" in invite.header("Via")


# -- OpenAI


class OpenAI:
    """A project: its edge, which asks the webhook, and the API that the webhook's owner answers by."""

    def __init__(self, gateway: Gateway, *, secret: bytes = SECRET) -> None:
        self.edge = Edge(self._judge)
        self.api = Web(self._answer)
        self._gateway, self._secret = gateway, secret
        self._decided: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answers: list[int] = []
        self.has_asked = asyncio.Event()

    async def ask(self, headers: list[tuple[str, str]], ident: str = "wh_1", *, live: bool = False) -> int:
        listed = [{"name": name, "value": value} for name, value in headers if "authorization" not in name.lower()]
        known = {"type": "sip", "session_id": "live_1"} if live else {"call_id": "rtc_1"}
        kind = "live.transport.incoming" if live else "realtime.call.incoming"
        data = {**known, "sip_headers": listed, "sip_media_security": "srtp"}
        event = {"object": "event", "id": "evt_1", "type": kind, "data": data}
        body, now = json.dumps(event).encode(), int(time.time())
        signed = {"webhook-id": ident, "webhook-timestamp": str(now)}
        signed["webhook-signature"] = sign(self._secret, ident, now, body)
        url = f"{self._gateway.http}/v1/webhooks/openai/openai"
        self.answers.append(await post(url, body, {"Content-Type": "application/json", **signed}))
        return self.answers[-1]

    async def _judge(self, line: Line, invite: Message) -> str:
        if invite.user != PROJECT:
            return "404 Not Found"
        assert "SIP/2.0/TLS" in invite.header("Via")
        if not invite.crypto:
            return "488 Not Acceptable Here"
        # One call is told of by both APIs, and the first accept decides.
        await self.ask(invite.headers, "wh_0", live=True)
        await self.ask(invite.headers)
        self.has_asked.set()
        return await self._decided

    async def _answer(self, asked: Asked) -> tuple[int, object]:
        if asked.headers.get("authorization") != "Bearer key-of-openai":
            return 401, {"error": {"message": "Incorrect API key provided"}}
        match asked.path.removeprefix("/v1/realtime/calls/rtc_1/"):
            case "accept" if asked.body.get("type") == "realtime":
                self._decided.set_result(OK)
                return 200, {}
            case "reject":
                if not self._decided.done():
                    self._decided.set_result(f"{asked.body.get('status_code', 603)} Decline")
                return 200, {}
            case "hangup":
                return 200, {}
        return 404, {"error": {"message": "no such call"}}


async def test_openai_asks_by_its_webhook_and_is_told_the_session(
    gateway: Gateway, places: Ports, directory: Path
) -> None:
    openai = OpenAI(gateway)
    async with (
        openai.api.open(places.openai_api),
        openai.edge.open(places.openai, tls(directory)),
        called(gateway, "openai") as call,
    ):
        assert (await call.final()).status == 200
        await spoken(call, openai.edge)
        assert await openai.ask(openai.edge.of("INVITE")[0].headers, "wh_2") == 204
        call.hang_up()
        record_ = await record(gateway, call)
    assert [asked.path for asked in openai.api.asked] == ["/v1/realtime/calls/rtc_1/accept"]
    assert openai.api.asked[0].body == {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "You answer the phone of a bakery.",
        "audio": {"output": {"voice": "marin"}},
    }
    assert record_["end_reason"] == "caller_hung_up"


async def test_a_webhook_that_is_not_openais_accepts_no_call(gateway: Gateway, places: Ports, directory: Path) -> None:
    openai = OpenAI(gateway, secret=b"y" * 32)
    async with (
        openai.api.open(places.openai_api),
        openai.edge.open(places.openai, tls(directory)),
        called(gateway, "openai") as call,
    ):
        await asyncio.wait_for(openai.has_asked.wait(), 30)
        call.cancel()
        await record(gateway, call)
    assert openai.answers == [401, 401]
    assert not openai.api.asked
    listed = await asyncio.to_thread(wait_until, lambda: "webhook_signature" in gateway.run("calls", "refused"), 40)
    assert listed


# -- a platform that calls out by us


async def test_a_platform_calls_whom_the_carriers_trunk_lists_and_nobody_else(gateway: Gateway, places: Ports) -> None:
    async def judge(line: Line, invite: Message) -> str:
        return OK

    carrier = Edge(judge)
    async with carrier.open(places.carrier), PlainPhone.open("127.0.0.9") as vapi:
        call = vapi.dial(gateway.udp, "+14155550300", caller="+14155550142")
        assert (await call.final()).status == 200
        await spoken(call, carrier)
        call.hang_up()
        assert (await record(gateway, call))["trunk"] == "vapi"
        for number in ("+14155550301", "+14155550302", "911"):
            refused = vapi.dial(gateway.udp, number, caller="+14155550142")
            assert (await refused.final()).status >= 400
    assert [one.user for one in carrier.of("INVITE")] == ["+14155550300"]
