"""The page at the end: the verdict first, on any width, and nothing of the far end's writes to the terminal."""

import json

import pytest
from rich.cells import cell_len

from offhook.ids import CallId
from offhook.phone import outcome as came
from offhook.phone.address import read_uri
from offhook.phone.echo import Echo
from offhook.phone.finding import Finding
from offhook.phone.page import as_json, lines, verdict
from offhook.phone.plan import Plan
from offhook.phone.recording import Recording
from offhook.report.timeline import Timeline
from offhook.sdp.terms import NegotiatedAudio

pytestmark = pytest.mark.unit

COUNTERS = dict.fromkeys(
    [
        *("sent_packets", "sent_audio_packets", "sent_silence_packets", "sent_event_packets", "received_packets"),
        *("received_lost", "received_late", "received_jitter_us", "received_wrong_payload_type"),
        *("rtcp_received", "remote_lost", "remote_jitter_us", "round_trip_us"),
    ],
    0,
)


def answered(**stats: int) -> Finding:
    timeline = Timeline(CallId("phone"), started=10.0)
    invite = b"INVITE sip:x@192.0.2.1 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"
    timeline.add_sip(10.0, "out", invite, transport="udp", remote="192.0.2.1:5060")
    timeline.add_sip(
        10.01, "in", b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n", transport="udp", remote="192.0.2.1:5060"
    )
    finding = Finding(Plan(read_uri("sip:x@192.0.2.1")), came.Answered("time"), timeline)
    finding.milestones = {"invite": 10.0, "answered": 10.01, "first_packet": 10.02, "ended": 30.0}
    finding.stats = {**COUNTERS, "sent_packets": 1000, "received_packets": 1000, **stats}
    finding.audio = NegotiatedAudio(
        "PCMU", 0, {0: "PCMU"}, 101, (101,), ("192.0.2.1", 6000), None, 20, True, True, False
    )
    finding.recording = Recording(10.01)
    finding.heard_frames, finding.heard_db, finding.heard_from = 700, -12.0, "192.0.2.1:6000"
    finding.local_signalling, finding.remote_signalling = "192.0.2.9:40000", "192.0.2.1:5060"
    finding.transport, finding.sip_call_id = "udp", "0123456789abcdef0123456789abcdef"
    finding.local_media, finding.device = "192.0.2.9:49152", "far\x1b[2J end"
    return finding


def page(finding: Finding, width: int = 80) -> str:
    return "\n".join(line.plain for line in lines(finding, width))


def test_the_verdict_comes_first() -> None:
    finding = answered(rtcp_received=1)
    first, second, *_ = page(finding).split("\n")
    assert first == "✔ Answered. The time was up, so the phone hung up."
    assert second.strip() == "14.0 s of sound heard; the far end reports that ours arrives."
    finding.echo = Echo(40.4, 40.0, 41.0, 0.99, 9)
    assert "an echo, 40 ms later." in page(finding).split("\n")[1]
    assert "99 % alike" in page(finding)


@pytest.mark.parametrize(
    ("stats", "heard", "but", "hint"),
    [
        ({"received_packets": 0}, 0, "no audio packet ever came", "asked to send to 192.0.2.9:49152"),
        ({"received_packets": 0, "received_wrong_payload_type": 9}, 0, "a codec that was not agreed", "own SDP"),
        ({}, 0, "all of them were silent", "its log"),
        ({"received_lost": 100}, 700, "9.1 % of the audio packets were lost", "network"),
        ({"rtcp_received": 1, "remote_lost": 50}, 700, "reports 50 of our audio packets lost", "network"),
    ],
)
def test_an_answer_with_bad_sound(stats: dict[str, int], heard: int, but: str, hint: str) -> None:
    finding = answered(**stats)
    finding.heard_frames = heard
    judged = verdict(finding)
    assert judged.good, "it was answered all the same"
    assert but in judged.but
    assert hint in judged.hint
    assert page(finding).startswith("⚠ ")


def test_audio_that_the_far_end_refused_never_arrived_unless_it_came_back() -> None:
    finding = answered()
    finding.unreachable_media = True
    assert verdict(finding).but == "our audio never arrived: the far end's host refuses it."
    finding.echo = Echo(40.4, 40.0, 41.0, 0.99, 9)
    assert verdict(finding).but == "the far end's host refused some of our audio: for a while nothing listened there."


@pytest.mark.parametrize("width", [60, 80, 110, 140])
def test_it_fits_the_terminal(width: int) -> None:
    finding = answered(rtcp_received=1, round_trip_us=900, sent_event_packets=20)
    finding.echo = Echo(40.4, 40.0, 41.0, 0.99, 9)
    for line in page(finding, width).split("\n"):
        assert cell_len(line) <= width, line


def test_the_far_end_does_not_write_to_the_terminal() -> None:
    assert "\x1b" not in page(answered())
    assert "far\\x1b[2J end" in page(answered())


def test_the_same_for_programs() -> None:
    finding = answered()
    finding.echo = Echo(40.4, 40.0, 41.0, 0.99, 9)
    found = json.loads(json.dumps(as_json(finding)))
    assert found["verdict"]["slug"] == "answered"
    assert found["verdict"]["ended_by"] == "time"
    assert found["intervals_ms"]["answer"] == pytest.approx(10)
    assert found["intervals_ms"]["trying"] is None
    assert found["echo"]["round_trip_ms"] == 40.4
    assert found["addresses"]["remote_media"] == "192.0.2.1:6000"


def test_a_call_that_never_left() -> None:
    finding = Finding(Plan(read_uri("sip:x@nosuch.example")), came.UnknownHost("nosuch.example"), Timeline(CallId("a")))
    assert page(finding).startswith("✘ There is no host nosuch.example")
    assert "Ladder" not in page(finding)
    assert as_json(finding)["media"] == {}
