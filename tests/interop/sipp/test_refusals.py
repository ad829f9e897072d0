"""What the gateway refuses, with the status that the RFC names, and what the record says of it."""

import contextlib
import re
import socket

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway, wait_until

pytestmark = pytest.mark.interop

G729 = OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 18").split("a=rtpmap:0")[0]
SAVP = (
    OFFER.replace("RTP/AVP", "RTP/SAVP")
    + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\n"
)
BROKEN = "v=0\no=sipp 1 1 IN IP4 [local_ip]\ns=-\nt=0 0\nm=audio many RTP/AVP 0\n"


@pytest.mark.parametrize(
    ("name", "body", "status", "reason", "fault"),
    [
        ("no-codec", G729, 488, "no_common_codec", "carrier"),
        ("srtp-only", SAVP, 488, "srtp_not_supported", "operator"),
        ("no-audio", OFFER.replace("m=audio", "m=video"), 488, "no_audio_offered", "carrier"),
        ("broken-sdp", BROKEN, 400, "bad_sdp", "carrier"),
    ],
)
def test_an_offer_that_cannot_be_answered(
    gateway: Gateway, sipp: Player, name: str, body: str, status: int, reason: str, fault: str
) -> None:
    flow = Scenario(name).invite(body).expect(100, optional=True).expect(status, Check("cause", "Reason")).ack_refusal()
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["sip_status"]) == (reason, status)
    assert record["answer_at"] is None


def test_an_extension_that_is_demanded(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("require-replaces")
        .invite(headers=("Require: 100rel, replaces",))
        .expect(420, Check("^ *replaces", "Unsupported"))
        .ack_refusal()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["sip_status"]) == ("unsupported_extension", 420)


def test_a_number_without_route(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("no-route", to="nobody").invite().expect(100, optional=True).expect(404).ack_refusal()
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["end_reason"], record["fault"]) == ("no_route", "operator")
    assert "echo" in record["end_detail"] or "slow" in record["end_detail"], "the nearest route is named"


@pytest.mark.parametrize(
    ("method", "status"),
    [("REGISTER", 405), ("SUBSCRIBE", 405), ("MESSAGE", 405), ("PUBLISH", 405), ("REFER", 405), ("DANCE", 501)],
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_method_that_is_not_served(gateway: Gateway, sipp: Player, method: str, status: int, transport: str) -> None:
    sipp.gateway = gateway.udp if transport == "udp" else gateway.tcp
    allow = Check("INVITE, ACK, CANCEL, BYE, OPTIONS, INFO", "Allow")
    flow = Scenario(f"{method.lower()}-{transport}").request(method, cseq=1, branch="only", within=False)
    sipp.play(flow.expect(status, allow), transport=transport)


def test_a_dialog_that_is_unknown(gateway: Gateway, sipp: Player) -> None:
    uri = "sip:offhook@[remote_ip]:[remote_port]"
    for method in ("BYE", "INFO", "INVITE", "UPDATE"):
        flow = Scenario(f"unknown-{method.lower()}")
        flow.request(method, cseq=7, branch="only", uri=uri, to_tag=";tag=nothing-here")
        flow.expect(481, routes=False)
        if method == "INVITE":
            flow.request("ACK", cseq=7, branch="only", uri=uri, to_tag=";tag=nothing-here")
        sipp.play(flow)


def test_a_bye_of_a_lower_number(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("old-bye")
        .invite(cseq=20)
        .expect(100, optional=True)
        .expect(180, optional=True)
        .expect(200)
        .ack(cseq=20)
        .bye(cseq=19)
        .expect(500, routes=False)
        .pause(200)
        .tear_down(cseq=21)
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert record["end_reason"] == "caller_hung_up"


def test_an_agent_that_says_no(gateway: Gateway, sipp: Player) -> None:
    flow = (
        Scenario("agent-refuses", to="refused")
        .invite()
        .expect(100)
        .expect(180, optional=True)
        .expect(480, Check("agent", "Reason"))
        .ack_refusal()
    )
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["sip_status"], record["fault"]) == (480, "agent")
    assert "403" in record["end_detail"]


def test_an_agent_that_never_gets_ready(gateway: Gateway, sipp: Player) -> None:
    # The agent's own connect_timeout of 1 s comes before the route's ring_timeout of 20 s.
    flow = Scenario("agent-late", to="unreachable").invite().expect(100).expect(180).expect(480).ack_refusal()
    record = gateway.record(sipp.play(flow).call_id)
    assert record["fault"] == "agent"
    assert record["end_reason"] in ("agent_late", "agent_unreachable")


# -- within a call


def test_another_tag_than_the_calls_is_481_and_the_call_goes_on(gateway: Gateway, sipp: Player) -> None:
    flow = Scenario("wrong-tags").set_up()
    for number, method in enumerate(("BYE", "INFO", "UPDATE"), 2):
        flow.request(method, cseq=number, branch=method, from_tag="nobody").expect(481, routes=False)
    flow.invite(cseq=5, branch="again", within=True).expect(100, optional=True).expect(200).ack(cseq=5)
    record = gateway.record(sipp.play(flow.tear_down(cseq=6)).call_id)
    assert record["end_reason"] == "caller_hung_up"


def test_who_has_seen_the_names_of_a_call_is_not_in_it(gateway: Gateway, sipp: Player) -> None:
    """A BYE with the right Call-ID, tags and number from another trunk's address, and from nobody's: no answer."""
    process, where = sipp.start(Scenario("overheard").set_up().pause(900).tear_down())

    def answered() -> str | None:
        log = where / "messages.log"
        found = (log.read_text(errors="replace") if log.exists() else "").split("\nACK ", 1)
        return found[1] if len(found) == 2 else None

    ack = wait_until(answered, 30)
    names = {name: re.search(rf"^{name}: (.*)$", ack, re.M)[1].strip() for name in ("From", "To", "Call-ID")}  # type: ignore[index]
    heard = {}
    for host in ("127.0.0.2", "127.0.0.99"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((host, 0))
            other.settimeout(0.15)
            lines = [
                f"BYE sip:offhook@{gateway.udp[0]}:{gateway.udp[1]} SIP/2.0",
                f"Via: SIP/2.0/UDP {host}:{other.getsockname()[1]};branch=z9hG4bK-overheard",
                "Max-Forwards: 70",
                *(f"{name}: {value}" for name, value in names.items()),
                "CSeq: 900 BYE",
                "Content-Length: 0",
            ]
            other.sendto("\r\n".join([*lines, "", ""]).encode(), gateway.udp)
            with contextlib.suppress(TimeoutError):
                heard[host] = other.recv(4096)
    out, _ = process.communicate(timeout=20)
    played = sipp.judge(process.returncode, out, where)
    assert heard == {}
    assert gateway.record(played.call_id)["end_reason"] == "caller_hung_up"
