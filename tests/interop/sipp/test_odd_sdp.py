"""Offers that no textbook has, from a real peer over real sockets: 200 or 488, and the next call is as good as any."""

import pytest
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway

pytestmark = pytest.mark.interop

HEAD = "".join(f"{line}\n" for line in OFFER.splitlines()[:5])
EVENTS = "a=rtpmap:101 telephone-event/8000"

TAKEN = {
    "types-out-of-range": HEAD + "m=audio [media_port] RTP/AVP 128 65535 4294967296 0\na=rtpmap:4294967296 x/1\n",
    "fmtp-before-rtpmap": HEAD + f"m=audio [media_port] RTP/AVP 0 101\na=fmtp:101 0-15\n{EVENTS}\n",
    "rtpmap-on-no-line": HEAD + "m=audio [media_port] RTP/AVP 0\na=rtpmap:96 opus/48000/2\n",
    "ptime-0": OFFER + "a=ptime:0\n",
    "ptime-5000": OFFER + "a=ptime:5000\na=maxptime:4294967295\n",
    "64-codecs": HEAD + f"m=audio [media_port] RTP/AVP {' '.join(map(str, range(64)))}\n",
    "200-candidates": OFFER + "".join(f"a=candidate:{n} 1 UDP {n} 192.0.2.1 4000 typ host\n" for n in range(200)),
    "ice-and-bundle": OFFER.replace("m=audio", "a=group:BUNDLE 0\nm=audio") + "a=mid:0\na=ice-ufrag:x\n",
}

REFUSED = {
    "clock-0": HEAD + "m=audio [media_port] RTP/AVP 96\na=rtpmap:96 PCMU/0\n",
    "100-lines": HEAD + "m=audio [media_port] RTP/AVP 0\n" * 100,
    "1000-attributes": OFFER + "".join(f"a=x:{n}\n" for n in range(1000)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_answered(gateway: Gateway, sipp: Player, name: str) -> None:
    # A body as large as some of these travels by TCP (RFC 3261 section 18.1.1).
    sipp.gateway = gateway.tcp
    flow = Scenario(f"odd-{name}").set_up(Check("m=audio [0-9]+ RTP/AVP 0"), body=TAKEN[name]).pause(100).tear_down()
    record = gateway.record(sipp.play(flow, transport="tcp").call_id)
    assert (record["end_reason"], record["codec"]) == ("caller_hung_up", "PCMU")
    assert record["media"]["sent_packets"] > 0


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_nothing_else_happens(gateway: Gateway, sipp: Player, name: str) -> None:
    sipp.gateway = gateway.tcp
    flow = Scenario(f"odd-{name}").invite(REFUSED[name]).expect(100, optional=True).expect(488).ack_refusal()
    record = gateway.record(sipp.play(flow, transport="tcp").call_id)
    assert record["sip_status"] == 488
    assert record["end_detail"]


def test_ipv4_in_sdp_over_ipv6_signalling(gateway: Gateway, sipp: Player) -> None:
    """Signalling takes the one way, media the other; each has the address of its own version."""
    sipp.gateway, sipp.source = gateway.ipv6, "::1"
    offer = OFFER.replace("c=IN IP[media_ip_type] [media_ip]", "c=IN IP4 127.0.0.1")
    flow = Scenario("mixed").set_up(Check("c=IN IP4 127.0.0.1"), body=offer).pause(100).tear_down()
    record = gateway.record(sipp.play(flow).call_id)
    assert (record["media_family"], record["remote_signalling"].startswith("[::1]")) == (4, True)
    assert record["media"]["sent_packets"] > 0


def test_ipv6_in_sdp(gateway: Gateway, sipp: Player) -> None:
    sipp.gateway, sipp.source = gateway.ipv6, "::1"
    flow = Scenario("ipv6").set_up(Check("c=IN IP6 ::1")).pause(100).tear_down()
    record = gateway.record(sipp.play(flow).call_id)
    assert record["media_family"] == 6
    assert record["media"]["sent_packets"] > 0
