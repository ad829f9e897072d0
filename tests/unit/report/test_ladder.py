"""A ladder fits the terminal, tells everything in order, and is drawn as people draw it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from offhook.ids import CallId
from offhook.report.ladder import ladder
from offhook.report.timeline import KINDS, Timeline

pytestmark = pytest.mark.unit


def message(first_line: str, cseq: str, *, sdp: bool = False) -> bytes:
    body = "v=0\r\n" if sdp else ""
    return f"{first_line}\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nCSeq: {cseq}\r\n\r\n{body}".encode()


def sip(timeline: Timeline, at: float, direction: str, data: bytes) -> None:
    timeline.add_sip(at, direction, data, transport="udp", remote="192.0.2.1:5060")  # type: ignore[arg-type]


def call_with_an_agent() -> Timeline:
    timeline = Timeline(CallId("a"), started=0.0)
    sip(timeline, 0.0, "in", message("INVITE sip:100@gw SIP/2.0", "1 INVITE", sdp=True))
    sip(timeline, 0.0004, "out", message("SIP/2.0 100 Trying", "1 INVITE"))
    timeline.add("sdp", 0.001, note="line 1 (audio): PCMU chosen, the caller’s order")
    timeline.add("agent", 0.0015, note="preparing ws://127.0.0.1:8765/media")
    timeline.add("agent", 0.003, note="connected", direction="in", dns_ms=1.25)
    sip(timeline, 0.004, "out", message("SIP/2.0 200 OK", "1 INVITE", sdp=True))
    sip(timeline, 0.504, "out", message("SIP/2.0 200 OK", "1 INVITE", sdp=True))
    sip(timeline, 0.52, "in", message("ACK sip:gw SIP/2.0", "1 ACK"))
    timeline.add("media", 0.53, note="first RTP")
    sip(timeline, 65.3, "in", message("BYE sip:gw SIP/2.0", "2 BYE"))
    sip(timeline, 65.3002, "out", message("SIP/2.0 200 OK", "2 BYE"))
    timeline.add("state", 65.31, note="ended")
    return timeline


DRAWN = """\
            192.0.2.1:5060                offhook                         agent
            │                                │                                │
    0.0 ms  │── INVITE (SDP) ───────────────►│                                │
    0.4 ms  │◄───────────────── 100 Trying ──│                                │
    1.0 ms  │ · SDP: line 1 (audio): PCMU    │                                │
            │   chosen, the caller’s order   │                                │
    1.5 ms  │                                │ · preparing                    │
            │                                │   ws://127.0.0.1:8765/media    │
    3.0 ms  │                                │◄──── connected (dns 1.25 ms) ──│
    4.0 ms  │◄──────────── 200 OK (SDP) ×2 ──│                                │
  520.0 ms  │── ACK ────────────────────────►│                                │
  530.0 ms  │ · first RTP                    │                                │
         ⋮  │          1:04.8 later          │                                │
    1:05.3  │── BYE ────────────────────────►│                                │
    1:05.3  │◄─────────────── 200 OK (BYE) ──│                                │
    1:05.3  │                                │ · state: ended                 │"""


def test_a_call_at_80_columns() -> None:
    rows = ladder(call_with_an_agent(), 80, caller="192.0.2.1:5060")
    assert "\n".join(row.text for row in rows) == DRAWN
    tones = {row.text.split("── ")[-1].split(" ")[0]: row.tone for row in rows}
    assert tones["INVITE"] == "plain"


def test_what_was_told_late_stands_where_it_belongs() -> None:
    timeline = call_with_an_agent()
    timeline.add("media", 0.51, note="first packet")
    lines = [row.text for row in ladder(timeline, 80)]
    late = next(number for number, line in enumerate(lines) if "first packet" in line)
    assert "ACK" in lines[late + 1]
    assert "520.0 ms" in lines[late + 1]


def test_a_refusal_is_bad_news_and_a_challenge_is_not() -> None:
    timeline = Timeline(CallId("a"), started=0.0)
    for status, tone in [("488 Not Acceptable Here", "bad"), ("401 Unauthorized", "plain"), ("200 OK", "good")]:
        sip(timeline, 0.0, "out", message(f"SIP/2.0 {status}", "1 INVITE"))
        assert ladder(timeline)[-1].tone == tone


def test_a_transfer_says_where_to_and_how_it_is_going() -> None:
    timeline = Timeline(CallId("a"), started=0.0)
    sip(timeline, 0.0, "out", b"REFER sip:a SIP/2.0\r\nRefer-To: <tel:+14155550142>\r\nCSeq: 2 REFER\r\n\r\n")
    report = b"NOTIFY sip:a SIP/2.0\r\nCSeq: 3 NOTIFY\r\n\r\nSIP/2.0 180 Ringing\x1b[2J\r\n"
    sip(timeline, 0.1, "in", report)
    sip(timeline, 0.2, "in", b"NOTIFY sip:a SIP/2.0\r\nCSeq: 4 NOTIFY\r\n\r\n?")
    sip(timeline, 0.3, "out", b"REFER sip:a SIP/2.0\r\nCSeq: 3 REFER\r\n\r\n")
    drawn = [row.text for row in ladder(timeline)[2:]]
    assert " REFER (tel:+14155550142) " in drawn[0]
    assert " NOTIFY (180 Ringing\\x1b[2J) " in drawn[1]
    assert " NOTIFY ─" in drawn[2]
    assert " REFER ─" in drawn[3]


def test_a_call_without_an_agent_has_two_lifelines() -> None:
    timeline = Timeline(CallId("a"), started=0.0)
    sip(timeline, 0.0, "in", message("INVITE sip:100@gw SIP/2.0", "1 INVITE"))
    assert "agent" not in ladder(timeline)[0].text
    assert ladder(timeline)[-1].text.count("│") == 2


def test_what_was_not_kept_is_said() -> None:
    timeline = Timeline(CallId("a"), limit=8)
    for number in range(30):
        timeline.add("note", number / 1000, note=str(number))
    assert "22 entries in the middle were not kept" in ladder(timeline)[-1].text


def test_ascii_only() -> None:
    for row in ladder(call_with_an_agent(), 80, ascii_only=True):
        assert row.text.isascii()


@given(
    st.integers(0, 200),
    st.lists(
        st.tuples(
            st.sampled_from(KINDS), st.floats(0, 100_000), st.text(max_size=120), st.sampled_from(["in", "out", None])
        ),
        max_size=12,
    ),
)
def test_no_line_is_wider_than_the_terminal_whatever_came_in(
    width: int, items: list[tuple[str, float, str, str | None]]
) -> None:
    timeline = Timeline(CallId("a"), started=0.0)
    for kind, at, text, direction in items:
        if kind == "sip":
            timeline.add_sip(at, "in", text.encode("utf-8", "replace"), transport="udp", remote="r")
        else:
            timeline.add(kind, at, note=text, direction=direction)  # type: ignore[arg-type]
    for row in ladder(timeline, width, caller="caller " * 10):
        assert cell_len(row.text) <= max(60, width)
        assert row.text.isprintable() or any(ord(character) > 127 for character in row.text)
        assert "\n" not in row.text
        assert "\x1b" not in row.text


def test_a_caller_keeps_one_too() -> None:
    timeline = Timeline(CallId("a"), started=0.0)
    sip(timeline, 0.0, "out", message("INVITE sip:100@gw SIP/2.0", "1 INVITE"))
    sip(timeline, 0.001, "in", message("SIP/2.0 486 Busy Here", "1 INVITE"))
    rows = ladder(timeline, 60, caller="phone 192.0.2.1:40000", callee="[2001:db8::1]:5060", kept_by="caller")
    names, _, invite, busy = (row.text for row in rows)
    assert names.split() == ["phone", "192.0.2.1:40000", "[2001:db8::1]:5060"]
    assert "── INVITE ──" in invite
    assert invite.rstrip("│").endswith("►")
    assert "◄──" in busy
    assert busy.endswith("486 Busy Here ──│")
    assert max(cell_len(row.text) for row in rows) <= 60
