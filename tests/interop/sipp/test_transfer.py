"""Transfers by REFER as carriers and phone systems answer them: sipp is the caller's side and does what it is told."""

import pytest
from tests.interop.sipp.scenario import Check, Player, Scenario
from tests.support.gateway import Gateway
from tests.support.transferring import TARGET, TransferringAgent
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

SIPFRAG = "message/sipfrag;version=2.0"


def flow(name: str, *headers: str) -> Scenario:
    """A call that is answered, and the REFER that follows at once."""
    return (
        Scenario(f"transfer-{name}", to="transfer")
        .set_up(headers=headers)
        .expect_request(
            "REFER",
            Check(f"<{TARGET}>".replace("+", "[+]"), "Refer-To"),
            Check("<sip:transfer@", "Referred-By"),
            Check("<sip:offhook@", "Contact"),
        )
    )


def notify(scenario: Scenario, cseq: int, report: str, state: str = "active;expires=60") -> Scenario:
    """A report, and our answer to it."""
    return scenario.request(
        "NOTIFY",
        f"SIP/2.0 {report}\n",
        cseq=cseq,
        branch=f"notify{cseq}",
        headers=("Event: refer", f"Subscription-State: {state}"),
        kind=SIPFRAG,
    ).expect(200, routes=False)


@undisturbed
def test_refused(gateway: Gateway, sipp: Player, transferring_agent: TransferringAgent) -> None:
    call = flow("refused").answer("603 Decline").pause(100).tear_down()
    call_id = sipp.play(call).call_id
    record = gateway.record(call_id)
    [result] = transferring_agent.transfers(call_id)
    assert (result["outcome"], result["status"]) == ("refused", 603)
    assert "Twilio" in result["hint"]
    assert record["end_reason"] == "caller_hung_up"
    assert record["transfer"]["status"] == 603


@undisturbed
def test_challenged(gateway: Gateway, sipp: Player) -> None:
    call = flow("challenged").text(
        "SIP/2.0 401 Unauthorized",
        *("[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"),
        'WWW-Authenticate: Digest realm="carrier", nonce="5f3c", algorithm=MD5, qop="auth"',
        "Content-Length: 0",
        "",
    )
    proof = Check('Digest username="us".*realm="carrier".*response="[0-9a-f]{32}"', "Authorization")
    call = call.expect_request("REFER", proof).answer("202 Accepted")
    call = notify(call, 2, "200 OK", "terminated").expect_request("BYE").answer()
    assert gateway.record(sipp.play(call).call_id)["end_reason"] == "transferred"


@undisturbed
def test_202_then_200(gateway: Gateway, sipp: Player, transferring_agent: TransferringAgent) -> None:
    call = flow("completed").answer("202 Accepted")
    for cseq, report in ((2, "100 Trying"), (3, "180 Ringing")):
        notify(call, cseq, report)
    call = notify(call, 4, "200 OK", "terminated;reason=noresource").expect_request("BYE").answer()
    call_id = sipp.play(call).call_id
    shown = gateway.explained(call_id)
    assert shown["call"]["end_reason"] == "transferred"
    assert shown["call"]["transfer"]["outcome"] == "completed"
    assert transferring_agent.end(call_id)["reason"] == "transferred"
    ladder = gateway.run("calls", "show", shown["call"]["call_id"])
    assert "NOTIFY (180 Ringing)" in ladder
    assert f"REFER ({TARGET})" in ladder
    assert "Transfer" in ladder
    assert gateway.metric("offhook_transfers_total", trunk="plain", outcome="completed", way="refer") >= 1


@undisturbed
def test_202_then_503(gateway: Gateway, sipp: Player, transferring_agent: TransferringAgent) -> None:
    call = flow("then-503").answer("202 Accepted")
    call = notify(notify(call, 2, "100 Trying"), 3, "503 Service Unavailable", "terminated;reason=noresource")
    call_id = sipp.play(call.pause(100).tear_down(cseq=4)).call_id
    gateway.record(call_id)
    [result] = transferring_agent.transfers(call_id)
    assert (result["outcome"], result["status"]) == ("refused", 503)


@pytest.mark.parametrize("report", ["480 Temporarily Unavailable", "408 Request Timeout", "487 Request Terminated"])
@undisturbed
def test_nobody_answers_there(
    gateway: Gateway, sipp: Player, transferring_agent: TransferringAgent, report: str
) -> None:
    call = notify(flow(f"no-answer-{report[:3]}").answer("202 Accepted"), 2, "180 Ringing")
    call_id = sipp.play(notify(call, 3, report, "terminated").pause(50).tear_down(cseq=4)).call_id
    record = gateway.record(call_id)
    [result] = transferring_agent.transfers(call_id)
    assert (result["outcome"], result["status"]) == ("no_answer", int(report[:3]))
    assert record["end_reason"] == "caller_hung_up"


@undisturbed
def test_what_the_agent_sends_along(gateway: Gateway, sipp: Player) -> None:
    """Its headers on the REFER; call data for the target in Refer-To, where a SIP URI has room for it."""
    wishes = 'X-Wishes: {"X-Ticket": "4711", "User-to-User": "6f6b;encoding=hex"}'
    call = (
        Scenario("transfer-wishes", to="transfer")
        .set_up(headers=(wishes, "X-Target: sip:desk@example.com"))
        .expect_request(
            "REFER",
            Check("<sip:desk@example.com[?]User-to-User=6f6b%3Bencoding%3Dhex>", "Refer-To"),
            Check("4711", "X-Ticket"),
            Check("User-to-User:", absent=True),
        )
        .answer("202 Accepted")
    )
    call = notify(call, 2, "200 OK", "terminated").expect_request("BYE").answer()
    assert gateway.record(sipp.play(call).call_id)["transfer"]["target"] == "sip:desk@example.com"


@undisturbed
def test_a_peer_that_is_not_to_report(gateway: Gateway, sipp: Player) -> None:
    """`transfer_reports = false` (RFC 4488): we ask for none, and its BYE is what says that it is done."""
    sipp.source = "127.0.0.9"
    call = (
        Scenario("transfer-unreported", to="transfer")
        .set_up()
        .expect_request("REFER", Check("false", "Refer-Sub"), Check("norefersub", "Supported"))
        .answer("202 Accepted", headers=("Refer-Sub: false",))
        .pause(200)
        .tear_down()
    )
    record = gateway.record(sipp.play(call).call_id)
    assert record["end_reason"] == "transferred"
    assert (record["transfer"]["outcome"], record["transfer"]["confirmed"]) == ("completed", False)


@undisturbed
def test_no_notify(gateway: Gateway, sipp: Player, transferring_agent: TransferringAgent) -> None:
    call = flow("no-notify", "X-Timeout-Ms: 1000").answer("202 Accepted").pause(2500).tear_down()
    call_id = sipp.play(call).call_id
    record = gateway.record(call_id)
    [result] = transferring_agent.transfers(call_id)
    assert (result["outcome"], result["status"]) == ("timed_out", None)
    assert 900 <= record["transfer"]["duration_ms"] < 2500
    assert record["end_reason"] == "caller_hung_up"


@undisturbed
def test_bye_after_202(gateway: Gateway, sipp: Player) -> None:
    call = flow("bye-after-202").answer("202 Accepted").pause(50).tear_down()
    record = gateway.record(sipp.play(call).call_id)
    assert record["end_reason"] == "transferred"
    assert (record["transfer"]["outcome"], record["transfer"]["confirmed"]) == ("completed", False)


@undisturbed
def test_bye_before_the_last_notify(gateway: Gateway, sipp: Player) -> None:
    call = notify(flow("bye-while-ringing").answer("202 Accepted"), 2, "180 Ringing")
    record = gateway.record(sipp.play(call.tear_down(cseq=3)).call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert record["transfer"]["outcome"] == "caller_gone"


@undisturbed
def test_the_last_notify_behind_the_bye(gateway: Gateway, sipp: Player) -> None:
    call = notify(flow("notify-behind-bye").answer("202 Accepted"), 2, "180 Ringing")
    call = notify(call.tear_down(cseq=3), 4, "200 OK", "terminated;reason=noresource")
    record = gateway.record(sipp.play(call).call_id)
    assert record["end_reason"] == "transferred"
    assert record["transfer"]["confirmed"]


@undisturbed
def test_an_agent_that_leaves_at_once(gateway: Gateway, sipp: Player) -> None:
    call = notify(flow("agent-leaves", "X-Leaves: 1").answer("202 Accepted"), 2, "180 Ringing")
    call = notify(call.pause(300), 3, "200 OK", "terminated").expect_request("BYE").answer()
    assert gateway.record(sipp.play(call).call_id)["end_reason"] == "transferred"


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("other-package", ("Event: presence", "Subscription-State: active"), 489),
        ("other-refer", ("Event: refer;id=999999", "Subscription-State: active"), 481),
    ],
)
@undisturbed
def test_a_notify_about_something_else(
    gateway: Gateway, sipp: Player, name: str, headers: tuple[str, ...], status: int
) -> None:
    call = flow(name).answer("202 Accepted")
    call.request("NOTIFY", "SIP/2.0 200 OK\n", cseq=2, branch="notify2", headers=headers, kind=SIPFRAG)
    call = notify(call.expect(status, routes=False), 3, "486 Busy Here", "terminated").tear_down(cseq=4)
    assert gateway.record(sipp.play(call).call_id)["transfer"]["outcome"] == "busy"


@undisturbed
def test_a_refer_towards_us(gateway: Gateway, sipp: Player) -> None:
    call = (
        Scenario("refer-towards-us")
        .set_up()
        .request("REFER", cseq=2, branch="refer", headers=("Refer-To: <sip:premium@example.com>",))
        .expect(405, Check("NOTIFY", "Allow"), Check("REFER", "Allow", absent=True), routes=False)
        .pause(100)
        .tear_down(cseq=3)
    )
    shown = gateway.explained(sipp.play(call).call_id)
    assert "asks us to transfer the call to <sip:premium@example.com>: refused with 405" in str(shown["timeline"])
