"""All that carriers write beside a call, as sipp sends it, and what our 200 and BYE say to it."""

import re

import pytest
from tests.interop.sipp.scenario import Check, Player, Scenario
from tests.support.gateway import Gateway
from tests.support.telling import TellingAgent

pytestmark = pytest.mark.interop

THEIRS = "47755a9de7794ba387653f2099600ef2"

CARRIERS = (
    'P-Asserted-Identity: "Zürich" <sip:+14155550142@carrier.example>, <tel:+1-415-555-0142>',
    "P-Preferred-Identity: <sip:+14155550143@carrier.example>",
    'Remote-Party-ID: "B" <sip:+14155550144@carrier.example>;party=calling;screen=yes;privacy=off',
    "Privacy: none",
    "Diversion: <sip:4155550146@carrier.example>;reason=no-answer;counter=1",
    'Diversion: "Shop" <sip:4155550145@carrier.example>;reason="user-busy"',
    "History-Info: <sip:4155550145@carrier.example?Reason=SIP%3Bcause%3D486>;index=1",
    "User-to-User: 047469636b6574;encoding=hex;purpose=isdn-uui;content=isdn-uui",
    f"Session-ID: {THEIRS};remote={'0' * 32}",
    "X-Queue: sales",
    "Require: uui",
)

GARBAGE = (
    "P-Asserted-Identity: <sip:",
    'Remote-Party-ID: "open',
    "Privacy: ;;",
    "Diversion: <<sip:a@b>>;reason",
    "History-Info: <sip:a@b>;index=1.x",
    "User-to-User: zz;encoding=hex",
    "Session-ID: none",
    "Reason: =;",
)


def test_all_of_them_in_and_the_agents_own_out(gateway: Gateway, sipp: Player, telling_agent: TellingAgent) -> None:
    sipp.source = "127.0.0.8"
    ours = f"^ *[0-9a-f]{{32}};remote={THEIRS}"
    flow = (
        Scenario("all-headers", to="headers")
        .invite(headers=CARRIERS)
        .expect(100, Check(ours, "Session-ID"), optional=True)
        .expect(180, Check(ours, "Session-ID"), optional=True)
        .expect(
            200,
            Check("front-desk", "X-Agent"),
            Check("4711", "X-Ticket"),
            Check("X-Result", absent=True),
            Check("evil", absent=True),
            Check("uui", "Supported"),
            Check(ours, "Session-ID"),
        )
        .ack()
        .expect_request(
            "BYE",
            Check("front-desk", "X-Agent"),
            Check("Zürich", "X-Result"),
            Check("6f6b;encoding=hex", "User-to-User"),
            Check("X-Ticket", absent=True),
            Check('Reason: Q.850;cause=16;text="agent_hung_up"'),
            Check('Reason: SIP;cause=200;text="agent_hung_up"'),
            Check(ours, "Session-ID"),
        )
        .answer()
    )
    played = sipp.play(flow)
    told = {message["type"]: message for message in telling_agent.told[played.call_id]}
    ringing, error = told["ringing"], told["error"]
    assert (ringing["from_number"], ringing["identity"]["source"]) == ("+14155550142", "asserted")
    assert ringing["display_name"] == "Zürich"
    assert [claim["header"] for claim in ringing["identity"]["claims"]] == [
        "From", "P-Asserted-Identity", "P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity",
    ]  # fmt: skip
    assert [(d["number"], d["name"], d["reason"]) for d in ringing["diversions"]] == [
        ("+14155550145", "Shop", "user-busy"),
        ("+14155550146", "", "no-answer"),
    ]
    assert ringing["user_to_user"][0]["text"] == "ticket"
    assert ringing["headers"]["X-Queue"] == "sales"
    assert error["code"] == "bad_header"
    record = gateway.record(played.call_id)
    assert record["claims"]["diversions"] == ringing["diversions"]
    # One id of ours in all messages of the call.
    pairs = set(re.findall(r"Session-ID: *(\S+)", "".join(text for _, way, text in played.messages if way == "in")))
    assert pairs == {record["session_id"]} == {ringing["session_id"]}
    [found] = gateway.calls("--session", THEIRS)
    assert found["call_id"] == record["call_id"]


def test_garbage_in_all_of_them_is_a_call_like_any_other(
    gateway: Gateway, sipp: Player, telling_agent: TellingAgent
) -> None:
    sipp.source = "127.0.0.8"
    flow = Scenario("garbage", to="headers").set_up(headers=GARBAGE).expect_request("BYE").answer()
    ringing = telling_agent.told[sipp.play(flow).call_id][0]
    # A wish for privacy that can't be read is one.
    assert (ringing["from_number"], ringing["identity"]["withheld"]) == ("anonymous", True)
    assert (ringing["diversions"], ringing["user_to_user"]) == ([], [])


def test_a_caller_who_says_why_it_gives_up(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("elsewhere", to="slow")
        .invite()
        .expect(100, optional=True)
        .expect(180)
        .cancel(headers=('Reason: SIP;cause=200;text="Call completed elsewhere"', "Reason: Q.850;cause=26"))
        .expect(200, routes=False)
        .expect(487, Check("Q.850;cause=16", "Reason"))
        .ack_refusal()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["end_detail"]) == (
        "caller_cancelled",
        "SIP 200 (Call completed elsewhere), Q.850 26",
    )
