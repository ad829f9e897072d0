"""Headers both ways through a whole gateway: identity, diversions, data and reasons in, the agent's own out."""

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import CALLER, OFFHOOK, PhoneCall, World, sdp

from offhook.sip.message import Request

pytestmark = pytest.mark.scenario

ASSERTED = [("P-Asserted-Identity", '"Bob" <sip:+14155550142@carrier>, <tel:+14155550142>')]
TRUSTING = OFFHOOK.replace("allow =", "trust_identity = true\nallow =")


def requests(world: World, method: str) -> list[Request]:
    """What the gateway has sent."""
    return [
        message
        for _, host, message in world.network.log
        if host != CALLER and isinstance(message, Request) and message.method == method
    ]


def errors(world: World) -> list[dict[str, str]]:
    """What the agent was told that it may not say."""
    return [message for message in world.wire.said if message["type"] == "error"]


async def ringing(world: World, **options: object) -> tuple[PhoneCall, dict[str, object]]:
    """A call that rings at its agent, and what that is told."""
    call = await world.place(**options)  # type: ignore[arg-type]
    world.wire.accept()
    await world.pass_time(0.05)
    return call, world.wire.said[0]


# ---------------------------------------------------------------------- what the agent is told


@pytest.mark.rfc(3325, "9.1")
@in_virtual_time
async def test_an_identity_that_the_trunk_is_trusted_with_is_the_caller() -> None:
    async with World(TRUSTING) as world:
        call, told = await ringing(world, headers=ASSERTED)
        assert (told["from_number"], told["display_name"]) == ("+14155550142", "Bob")
        assert told["identity"] == {
            "source": "asserted",
            "trusted": True,
            "withheld": False,
            "privacy": [],
            "claims": [
                {"header": "From", "number": "+14155550199", "name": ""},
                {"header": "P-Asserted-Identity", "number": "+14155550142", "name": "Bob"},
                {"header": "P-Asserted-Identity", "number": "+14155550142", "name": ""},
            ],
        }
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert record.from_number == "+14155550142"
        assert record.claims["identity"] == told["identity"]


@pytest.mark.rfc(3325, "8")
@in_virtual_time
async def test_of_any_other_trunk_it_is_a_claim_beside_the_caller() -> None:
    async with World(OFFHOOK) as world:
        _, told = await ringing(world, headers=ASSERTED)
        assert told["from_number"] == "+14155550199"
        identity = told["identity"]
        assert isinstance(identity, dict)
        assert (identity["source"], identity["trusted"], len(identity["claims"])) == ("from", False, 3)


@pytest.mark.rfc(3323, "4.2")
@pytest.mark.parametrize("config", [OFFHOOK, TRUSTING])
@in_virtual_time
async def test_of_a_caller_who_is_withheld_nobody_learns_the_number(config: str) -> None:
    """Neither the agent, whatever headers its route passes on, nor the record; and no route can be aimed at it."""
    routed = config.replace("[[route]]", '[[route]]\nname = "bob"\nfrom = "+1415*"\ndestination = "echo:"\n\n[[route]]')
    passing = routed.replace("allow =", 'pass_headers = ["P-*", "From", "Contact", "Remote-*", "X-*"]\nallow =')
    async with World(passing) as world:
        call, told = await ringing(
            world,
            headers=[*ASSERTED, ("Privacy", "id"), ("X-Queue", "sales")],
            from_=f'"Bob" <sip:+14155550199@{CALLER}>',
        )
        assert (told["from_number"], told["display_name"], told["route"]) == ("anonymous", "", "all")
        assert told["headers"] == {"X-Queue": "sales"}
        assert told["identity"] == {
            "source": "asserted" if config is TRUSTING else "from",
            "trusted": config is TRUSTING,
            "withheld": True,
            "privacy": ["id"],
            "claims": [],
        }
        assert "4155550" not in str({name: value for name, value in told.items() if name != "to_number"})
        call.hang_up()
        await world.pass_time(1)
        [record] = world.records
        assert record.from_number == "anonymous"
        assert "41555501" not in str(record.claims)


@pytest.mark.rfc(5806)
@in_virtual_time
async def test_a_call_that_was_sent_on_has_its_first_number_and_a_route_for_it() -> None:
    routed = OFFHOOK.replace(
        "[[route]]",
        '[[route]]\nname = "of-the-shop"\nheaders = { Diversion = "+14155550142" }\n'
        'destination = "ws://agent.example/shop"\n\n[[route]]',
    )
    async with World(routed) as world:
        diversions = [
            ("Diversion", "<sip:+14155550143@carrier>;reason=no-answer"),
            ("Diversion", '"Shop" <tel:+1-415-555-0142>;reason=user-busy;counter=2'),
        ]
        call, told = await ringing(world, headers=diversions)
        assert told["route"] == "of-the-shop"
        assert told["diversions"] == [
            {"number": "+14155550142", "name": "Shop", "reason": "user-busy", "counter": 2, "header": "Diversion"},
            {"number": "+14155550143", "name": "", "reason": "no-answer", "counter": 1, "header": "Diversion"},
        ]
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].claims["diversions"] == told["diversions"]


@pytest.mark.rfc(7433, "4.1")
@in_virtual_time
async def test_data_of_the_callers_application_reaches_the_agent() -> None:
    async with World(OFFHOOK) as world:
        _, told = await ringing(
            world,
            headers=[
                ("User-to-User", "047469636b6574;encoding=hex;purpose=isdn-uui;content=isdn-uui"),
                ("User-to-User", f"{'ab' * 129};encoding=hex, zz;encoding=hex"),
                ("Require", "uui"),
            ],
        )
        assert told["user_to_user"] == [
            {"hex": "047469636b6574", "text": "ticket", "purpose": "isdn-uui", "content": "isdn-uui"},
            {"hex": "ab" * 129, "text": None, "purpose": "", "content": ""},
        ]


@in_virtual_time
async def test_livekit_sip_358_headers_do_not_reach_the_agent() -> None:
    """A route says which, in place of its trunk; names have no case."""
    async with World(OFFHOOK.replace('name = "all"', 'name = "all"\npass_headers = ["x-crm-*", "Subject"]')) as world:
        _, told = await ringing(
            world, headers=[("X-CRM-Id", "7"), ("X-Other", "1"), ("s", "table for two"), ("x-crm-note", "späť")]
        )
        assert told["headers"] == {"X-CRM-Id": "7", "Subject": "table for two", "x-crm-note": "späť"}


@in_virtual_time
async def test_livekit_sip_251_an_invite_with_an_unusual_header_is_dropped() -> None:
    """Whatever stands in fields on which nothing depends, the call rings and its agent is told what can be read."""
    odd = [
        ("P-Asserted-Identity", "<sip:"),
        ("Remote-Party-ID", '"open'),
        ("Diversion", "<<sip:a@b>>, ,"),
        ("History-Info", "<sip:a@b>;index=1.1.x"),
        ("User-to-User", "zz;encoding=hex"),
        ("Session-ID", "none of your business"),
        ("Reason", "=;;"),
        ("X-" + "y" * 100, "a" * 100),
        ("P-Charging-Vector", "icid-value=\x22"),
    ]
    async with World(OFFHOOK) as world:
        call, told = await ringing(world, headers=odd)
        assert call.statuses == [180]
        assert (told["from_number"], told["diversions"], told["user_to_user"]) == ("+14155550199", [], [])


# ---------------------------------------------------------------------- what the agent has us say


@in_virtual_time
async def test_livekit_sip_220_results_in_the_headers_of_the_bye() -> None:
    async with World(OFFHOOK) as world:
        call, told = await ringing(world)
        assert told["agent_headers"] == ["X-*", "User-to-User"]
        world.wire.says(type="headers", headers={"X-Agent": "front-desk"})
        world.wire.says(type="headers", headers={"X-Ticket": "4711"}, on="answer")
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        assert call.response is not None
        assert call.response.headers.get_all("X-Agent") == ("front-desk",)
        assert call.response.headers.get_all("X-Ticket") == ("4711",)
        world.wire.says(type="headers", headers={"X-Result": "booked", "User-to-User": "6f6b;encoding=hex"}, on="bye")
        world.wire.says(type="headers", headers={"X-Agent": None})
        world.wire.says(type="hangup", now=True)
        await world.pass_time(0.05)
        assert call.bye is not None
        assert call.bye.headers.get_all("X-Result") == ("booked",)
        assert call.bye.headers.get_all("User-to-User") == ("6f6b;encoding=hex",)
        assert {"X-Agent", "X-Ticket"} & {name for name, _ in call.bye.headers} == set()
        assert [(r.protocol, r.cause, r.text) for r in call.bye.reasons] == [
            ("Q.850", 16, "agent_hung_up"),
            ("SIP", 200, "agent_hung_up"),
        ]
        assert errors(world) == []


@in_virtual_time
async def test_livekit_sip_237_headers_on_requests_within_the_call() -> None:
    async with World(OFFHOOK) as world:
        call, _ = await ringing(world)
        world.wire.says(type="headers", headers={"X-Crm": "7", "User-to-User": "37;encoding=hex"})
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        session = world.switchboard._by_dialog.popitem()[1].leg.session
        world.stack.perform(lambda now: session.reinvite(sdp(), now=now))
        world.stack.perform(lambda now: session.ask("INFO", now=now))
        await world.pass_time(0.05)
        for method in ("INVITE", "INFO"):
            (sent,) = requests(world, method)
            assert sent.headers.get_all("X-Crm") == ("7",)
            assert sent.headers.get_all("User-to-User") == ("37;encoding=hex",)
        assert all("X-Crm" not in ack.headers for ack in requests(world, "ACK"))
        call.hang_up()
        await world.pass_time(1)


@in_virtual_time
async def test_a_refusal_has_the_agents_headers_too() -> None:
    async with World(OFFHOOK) as world:
        call, _ = await ringing(world)
        world.wire.says(type="headers", headers={"X-Why": "closed"}, on="answer")
        world.wire.says(type="reject", status=480)
        await world.pass_time(0.05)
        assert call.response is not None
        assert (call.response.status, call.response.headers.get("X-Why")) == (480, "closed")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Via": "SIP/2.0/UDP evil"}, "Via is the gateway's own header"),
        ({"m": "<sip:evil>"}, "m is the gateway's own header"),
        ({"P-Asserted-Identity": "<sip:a@b>"}, "P-Asserted-Identity is the gateway's own header"),
        ({"P-Charge-Info": "<sip:a@b>"}, "P-Charge-Info is the gateway's own header"),
        ({"X-A": "7\u2028X-B: 8"}, "the value of X-A holds a line end or control character"),
        ({"Content-Disposition": "x"}, "Content-Disposition is the gateway's own header"),
        ({"X-A": "b\r\nVia: c"}, "the value of X-A holds a line end or control character"),
        ({"X-A": "b\nc"}, "the value of X-A holds a line end or control character"),
        ({"X-A": "\x00"}, "the value of X-A holds a line end or control character"),
        ({"X-A": "\ud800"}, "the value of X-A is no Unicode text"),
        ({"X-A": " "}, "the value of X-A is empty"),
        ({"X-A": "x" * 2049}, "the value of X-A is longer than 2048 bytes"),
        ({"X-A: b": "c"}, "is no header name"),
        ({"X-A\r\nVia": "c"}, "is no header name"),
        ({"X-" + "a" * 63: "c"}, "is no header name of at most 64 characters"),
        ({"Subject": "c"}, "Subject is not among the headers that the agent may set (X-*, User-to-User)"),
        ({"User-to-User": "zz;encoding=hex"}, "the value of User-to-User is none"),
        ({f"X-{number}": "c" for number in range(17)}, "more than 16 headers"),
        ({f"X-{number}": "c" * 2000 for number in range(3)}, "more than 4096 bytes of headers"),
    ],
)
@in_virtual_time
async def test_what_an_agent_may_not_set_is_refused_whole_and_says_why(headers: dict[str, str], why: str) -> None:
    async with World(OFFHOOK) as world:
        call, _ = await ringing(world)
        world.wire.says(type="headers", headers={"X-Fine": "1"} | headers if len(headers) == 1 else headers)
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        (error,) = errors(world)
        assert error["code"] == "bad_header"
        assert why in error["message"]
        assert call.response is not None
        assert not any(name.startswith("X-") for name, _ in call.response.headers)
        assert len(call.response.vias) == 1


@pytest.mark.parametrize(
    "message", [{}, {"headers": []}, {"headers": {"X-A": 1}}, {"headers": {"X-A": "b"}, "on": "ack"}]
)
@in_virtual_time
async def test_a_message_that_is_none_gets_bad_field(message: dict[str, object]) -> None:
    async with World(OFFHOOK) as world:
        await ringing(world)
        world.wire.says(type="headers", **message)
        await world.pass_time(0.05)
        assert [error["code"] for error in errors(world)] == ["bad_field"]


@in_virtual_time
async def test_a_route_may_allow_more_or_nothing() -> None:
    for allowed, refused in (('["Subject", "X-Crm-*"]', 1), ("[]", 3)):
        async with World(OFFHOOK.replace('name = "all"', f'name = "all"\nagent_headers = {allowed}')) as world:
            await ringing(world)
            for name in ("Subject", "X-Crm-Id", "X-Other"):
                world.wire.says(type="headers", headers={name: "1"})
            await world.pass_time(0.05)
            assert len(errors(world)) == refused


@in_virtual_time
async def test_what_a_lost_agent_has_set_is_not_said_for_the_one_that_follows() -> None:
    fallback = OFFHOOK + 'fallback = [{ on = ["lost"], to = "ws://other.example/" }]\n'
    async with World(fallback) as world:
        call, _ = await ringing(world)
        world.wire.says(type="headers", headers={"X-Result": "half done"})
        world.wire.says(type="ready")
        await world.pass_time(0.05)
        world.wire.ends(1011)
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        world.wire.says(type="hangup", now=True)
        await world.pass_time(0.05)
        assert call.bye is not None
        assert "X-Result" not in call.bye.headers


# ---------------------------------------------------------------------- why it ended


@pytest.mark.rfc(3326, "2")
@in_virtual_time
async def test_livekit_sip_294_the_reason_of_the_end_is_empty() -> None:
    """What the caller's network gives as its reason is in the record, and the agent is told."""
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        reasons = (("Reason", 'Q.850;cause=31;text="Normal, unspecified"'), ("Reason", "SIP;cause=200"))
        world.caller.stack.perform(lambda now: call.session.hang_up(reasons, now=now))
        await world.pass_time(1)
        causes = [
            {"protocol": "Q.850", "cause": 31, "text": "Normal, unspecified"},
            {"protocol": "SIP", "cause": 200, "text": ""},
        ]
        assert world.wire.said[-1] == {"type": "end", "reason": "caller_hung_up", "text": "", "causes": causes}
        [record] = world.records
        assert record.claims["causes"] == causes
        assert record.end_detail == "Q.850 31 (Normal, unspecified), SIP 200"


@pytest.mark.rfc(3326, "3.1")
@in_virtual_time
async def test_a_call_that_was_taken_elsewhere_is_told_from_one_given_up() -> None:
    async with World(OFFHOOK) as world:
        call, _ = await ringing(world)
        reason = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)
        world.caller.stack.perform(lambda now: call.session.hang_up(reason, now=now))
        await world.pass_time(1)
        [record] = world.records
        assert (record.end_reason, record.end_detail) == ("caller_cancelled", "SIP 200 (Call completed elsewhere)")


@pytest.mark.rfc(6432, "2")
@in_virtual_time
async def test_livekit_2937_every_refusal_is_a_400() -> None:
    """Each refusal has the status that fits, and a Reason that says which of the causes of that status it is."""
    async with World(OFFHOOK + 'to = "+14155550100"\n') as world:
        refused = {}
        for name, options in {
            "no_route": {"to": "sip:+14155550177@192.0.2.2"},
            "no_common_codec": {"offer": sdp(codecs=("18 G729/8000",), dtmf=None)},
            "bad_sdp": {"offer": b"v=1\r\n"},
        }.items():
            call = await world.place(**options)  # type: ignore[arg-type]
            assert call.response is not None
            refused[name] = (call.response.status, [(r.protocol, r.cause, r.text) for r in call.response.reasons])
        assert refused == {
            "no_route": (404, [("Q.850", 1, "no_route")]),
            "no_common_codec": (488, [("Q.850", 88, "no_common_codec")]),
            "bad_sdp": (400, [("Q.850", 111, "bad_sdp")]),
        }


@pytest.mark.rfc(7989, "6")
@in_virtual_time
async def test_the_session_id_is_in_record_and_facts() -> None:
    async with World(OFFHOOK) as world:
        call, told = await ringing(world)
        ours = call.session.letterhead.session_id
        assert told["session_id"] == str(ours.reversed)
        call.hang_up()
        await world.pass_time(1)
        assert world.records[0].session_id == str(ours.reversed)
        refused = await world.place(headers=[("Require", "nothing")])
        assert world.records[-1].session_id == str(refused.session.letterhead.session_id.reversed)
        assert world.records[-1].q850 == 29


@pytest.mark.rfc(7989, "6")
@in_virtual_time
async def test_whatever_the_gateway_says_in_a_call_has_the_one_session_id() -> None:
    """Reliable 1xx and their PRACKs, refreshes, INFO, re-INVITEs both ways, a transfer and its end."""
    config = OFFHOOK.replace("allow =", "session_timer = 90\nmedia_timeout = 600\nallow =")
    async with World(config) as world:
        call, _ = await ringing(world, headers=[("Require", "100rel")])
        world.wire.says(type="ready")
        await world.pass_time(1)
        assert call.is_answered
        call.reinvite(sdp(version=2))
        await world.pass_time(1)
        call.info("application/dtmf", b"5")
        await world.pass_time(60)
        world.wire.says(type="transfer", target="tel:+14155550142")
        await world.pass_time(5)
        world.wire.says(type="hangup", now=True)
        await world.pass_time(40)
        said = [message for _, host, message in world.network.log if host != CALLER]
        kinds = {m.method if isinstance(m, Request) else f"{m.status} {m.cseq.method}" for m in said}
        assert {"100 INVITE", "180 INVITE", "200 PRACK", "200 INVITE", "200 INFO", "REFER", "BYE"} <= kinds
        assert kinds & {"UPDATE", "INVITE"}, "a refresh"
        [record] = world.records
        assert {tuple(m.headers.get_all("Session-ID")) for m in said} == {(record.session_id,)}
