"""The phone calls sipp: every way in which a foreign callee takes, refuses or ignores a call."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.phone.callee import (
    ASKS_FOR_AN_OFFER,
    BYE_AND_ACK,
    CALLEE_HANGS_UP,
    CHECKED,
    audio,
    end_of,
    fork,
    interrupt,
    invite,
    invite_of_forks,
    pause,
    phone,
    respond,
    running_phone,
    sipp,
    takes,
    touch,
)
from tests.support.gateway import ports, wait_until
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

SAME = 0.7
"""Likeness of an echo: 0.96 to 1 on a quiet machine, below 0.4 of other speech; a late packet costs some hundredths."""


def uri(port: int) -> str:
    return f"sip:callee@127.0.0.1:{port}"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@undisturbed
def test_an_answer_and_its_echo(transport: str, tmp_path: Path) -> None:
    steps = (
        invite(),
        respond("100 Trying"),
        pause(50),
        respond("180 Ringing"),
        pause(200),
        respond("200 OK", "Server: sipp", sdp=audio(), retrans=True),
        BYE_AND_ACK,
    )
    with sipp(tmp_path, *steps, transport={"udp": "u1", "tcp": "t1"}[transport]) as callee:
        told = phone(
            uri(callee.port), "--seconds", "4", "--dtmf", "1,#", "--transport", transport,
            "--from", "+14155550100", "--header", "X-Note: hello",
        )  # fmt: skip
        callee.ended_well()
    found = told.found
    assert told.code == 0
    assert found["verdict"]["ended_by"] == "time"
    assert not found["verdict"]["but"]
    assert found["addresses"]["transport"] == transport
    times = found["intervals_ms"]
    assert 0 <= times["trying"] <= times["ringing"] <= times["answer"]
    assert times["answer"] > 200, "not before sipp's two pauses were over"
    # What we say and key comes back at once: sipp returns each packet as it is.
    assert found["echo"]["likeness"] > SAME
    assert found["echo"]["round_trip_ms"] < 100
    assert found["sent"]["digits"] == found["heard"]["digits"] == "1#"
    assert found["media"]["sent_packets"] == pytest.approx(200, abs=50), "four seconds"
    assert found["media"]["received_lost"] == 0
    sent = found["timeline"]["entries"][0]["text"]
    assert "From: <sip:+14155550100@127.0.0.1>" in sent
    assert "X-Note: hello" in sent


def test_a_callee_that_takes_alaw_and_other_numbers_for_digits(tmp_path: Path) -> None:
    with sipp(tmp_path, invite(), respond("200 OK", sdp=audio("8 96"), retrans=True), BYE_AND_ACK) as callee:
        found = phone(uri(callee.port), "--seconds", "4", "--dtmf", "5").found
        callee.ended_well()
    assert found["codec"] == "PCMA"
    assert found["sent"]["digits"] == "5"
    # Sent under the callee's number. What sipp throws back has it too instead of ours, 101 (RFC 3264 5.1): it counts.
    assert found["media"]["received_wrong_payload_type"] == 0
    assert found["heard"]["digits"] == "5"
    assert found["echo"]["likeness"] > SAME


def test_a_callee_that_takes_no_digits_is_named(tmp_path: Path) -> None:
    with sipp(tmp_path, invite(), respond("200 OK", sdp=audio("0"), retrans=True), BYE_AND_ACK) as callee:
        found = phone(uri(callee.port), "--seconds", "2", "--dtmf", "5", "--dtmf-by", "rfc4733").found
    assert found["sent"]["digits"] == ""
    assert any("takes no telephone-event" in str(entry.get("note")) for entry in found["timeline"]["entries"])


@undisturbed
def test_early_media_is_heard_before_the_answer(tmp_path: Path) -> None:
    """livekit/sip#813: no early media on calls out."""
    steps = (
        invite(),
        respond("183 Session Progress", sdp=audio()),
        pause(600),
        respond("200 OK", sdp=audio(), retrans=True),
        BYE_AND_ACK,
    )
    with sipp(tmp_path, *steps) as callee:
        told = phone(uri(callee.port), "--seconds", "2")
        callee.ended_well()
    assert told.code == 0
    times = told.found["intervals_ms"]
    assert times["ringing"] <= times["early_media"] < times["answer"]
    # The talk lasts two seconds, a hundred packets; what comes in the 600 ms before it is heard, too: 130 in all.
    assert told.found["media"]["received_packets"] > 110


RELIABLE = "Require: 100rel"


def test_reliable_responses_are_acknowledged_in_their_order(tmp_path: Path) -> None:
    steps = (
        invite_of_forks(),
        fork("one", "180 Ringing", RELIABLE, "RSeq: 17"),
        takes("PRACK", ("RAck", "17 1 INVITE")),
        # 19 comes before 18, so it is left alone until it comes again.
        fork("one", "183 Session Progress", RELIABLE, "RSeq: 19", sdp=audio()),
        pause(100),
        fork("one", "182 Queued", RELIABLE, "RSeq: 18"),
        takes("PRACK", ("RAck", "18 1 INVITE")),
        fork("one", "183 Session Progress", RELIABLE, "RSeq: 19", sdp=audio()),
        takes("PRACK", ("RAck", "19 1 INVITE"), ("CSeq", "4 PRACK")),
        pause(300),
        fork("one", "200 OK", retrans=True),
        takes("ACK"),
        takes("BYE"),
        CHECKED,
    )
    with sipp(tmp_path, *steps) as callee:
        told = phone(uri(callee.port), "--seconds", "1")
        callee.ended_well()
    # The answer was in the 183: that the 200 has none is right.
    assert told.code == 0, told.out
    times = told.found["intervals_ms"]
    assert times["early_media"] < times["answer"]
    assert told.found["media"]["received_packets"] > 25


def test_the_sound_of_one_fork_and_the_answer_of_another(tmp_path: Path) -> None:
    steps = (
        invite_of_forks(),
        fork("one", "183 Session Progress", sdp=audio()),
        fork("two", "183 Session Progress", RELIABLE, "RSeq: 5", sdp=audio("8 101")),
        takes("PRACK", ("To", "tag=two")),
        pause(300),
        fork("two", "200 OK", sdp=audio("8 101"), retrans=True),
        takes("ACK", ("To", "tag=two")),
        # One that answers late is none that is wanted: ACK, then BYE.
        fork("one", "200 OK", sdp=audio()),
        takes("ACK", ("To", "tag=one")),
        takes("BYE", ("To", "tag=one")),
        takes("BYE", ("To", "tag=two")),
        CHECKED,
    )
    with sipp(tmp_path, *steps) as callee:
        told = phone(uri(callee.port), "--seconds", "1")
        callee.ended_well()
    assert told.code == 0, told.out
    assert told.found["codec"] == "PCMA"
    notes = [str(entry.get("note")) for entry in told.found["timeline"]["entries"]]
    assert "the call forks: 2 far ends ring" in notes
    assert "another fork answers than the one that was heard" in notes


@pytest.mark.parametrize(
    ("status", "headers", "slug", "hint"),
    [
        ("486 Busy Here", (), "busy", "Try again"),
        ("603 Decline", (), "declined", ""),
        ("404 Not Found", (), "unknown_number", "routes test"),
        ("503 Service Unavailable", ("Retry-After: 30",), "overloaded", "Try again"),
        ("488 Not Acceptable Here", ("Warning: 304 x \"no codec\"",), "no_common_codec", "--srtp"),
        ("302 Moved Temporarily", ("Contact: <sip:there@192.0.2.7>",), "moved", "sip:"),
        ("401 Unauthorized", ('WWW-Authenticate: Digest realm="r", nonce="n"',), "password_wanted", "--user"),
    ],
)  # fmt: skip
def test_refusals(status: str, headers: tuple[str, ...], slug: str, hint: str, tmp_path: Path) -> None:
    ack = '<recv request="ACK"/>\n'
    with sipp(tmp_path, invite(), respond(status, *headers, retrans=True), ack) as callee:
        told = phone(uri(callee.port))
        callee.ended_well()
    assert told.code == 1
    assert told.slug == slug
    assert hint in told.found["verdict"]["hint"]
    assert f"SIP {status[:3]}" in told.found["verdict"]["text"]


CHALLENGE = respond(
    "401 Unauthorized", 'WWW-Authenticate: Digest realm="interop", nonce="n[call_number]", algorithm=MD5, qop="auth"'
)
VERIFY = """\
<recv request="ACK"/>
<recv request="INVITE"><action><verifyauth assign_to="known" username="joe" password="schmo"/></action></recv>
<nop hide="true" test="known" next="known"/>
"""


def challenged() -> tuple[str, ...]:
    wrong = respond("403 Forbidden") + '<recv request="ACK" next="end"/>\n<label id="known"/>\n'
    right = respond("200 OK", sdp=audio(), retrans=True) + BYE_AND_ACK + '<label id="end"/>\n'
    return invite(), CHALLENGE, VERIFY, wrong, right


def test_a_password_is_proven(tmp_path: Path) -> None:
    with sipp(tmp_path, *challenged()) as callee:
        told = phone(uri(callee.port), "--user", "joe", "--password", "schmo", "--seconds", "1")
        callee.ended_well()
    assert told.code == 0
    assert "schmo" not in told.out


def test_a_wrong_password_is_refused_in_words(tmp_path: Path) -> None:
    with sipp(tmp_path, *challenged()) as callee:
        told = phone(uri(callee.port), "--user", "joe", "--password", "wrong", "--seconds", "1")
    assert told.code == 1
    assert told.slug == "forbidden"


CANCELLED = (
    '<recv request="CANCEL"/>\n'
    "<send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
    "Content-Length: 0\n\n]]></send>\n"
    "<send><![CDATA[\nSIP/2.0 487 Request Terminated\n[last_Via:]\n[last_From:]\n[last_To:];tag=callee[call_number]\n"
    "[last_Call-ID:]\nCSeq: 1 INVITE\nContent-Length: 0\n\n]]></send>\n"
    '<recv request="ACK"/>\n'
)


def test_nobody_picks_up(tmp_path: Path) -> None:
    with sipp(tmp_path, invite(), respond("180 Ringing"), CANCELLED) as callee:
        told = phone(uri(callee.port), "--ring-seconds", "1")
        callee.ended_well()
    assert told.code == 1
    assert told.slug == "no_answer"


def test_ctrl_c_while_it_rings_is_a_cancel(tmp_path: Path) -> None:
    rang = tmp_path / "rang"
    with sipp(tmp_path, invite(), respond("180 Ringing"), touch(rang), CANCELLED) as callee:
        with running_phone(uri(callee.port), "--json") as process:
            wait_until(rang.exists, 40, "sipp never rang")
            interrupt(process)
            told = end_of(process)
        callee.ended_well()
    assert told.code == 1
    assert told.slug == "gave_up"


def test_ctrl_c_while_talking_is_a_bye(tmp_path: Path) -> None:
    talks = tmp_path / "talks"
    answer = respond("200 OK", sdp=audio(), retrans=True)
    ack, bye = BYE_AND_ACK.split("\n", 1)
    with sipp(tmp_path, invite(), answer, f"{ack}\n", touch(talks), bye) as callee:
        with running_phone(uri(callee.port), "--json", "--seconds", "60") as process:
            wait_until(talks.exists, 40, "sipp never had its ACK")
            interrupt(process)
            told = end_of(process)
        callee.ended_well()
    assert told.code == 0
    assert told.found["verdict"]["ended_by"] == "you"


def test_the_callee_hangs_up(tmp_path: Path) -> None:
    take = (
        '<recv request="INVITE"><action>'
        '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>'
        '<ereg regexp="&lt;([^&gt;]*)" search_in="hdr" header="Contact:" assign_to="all,theirs"/>'
        "</action></recv>\n"
    )
    ends = CALLEE_HANGS_UP.partition("</recv>\n")[2]
    steps = (take, respond("200 OK", sdp=audio(), retrans=True), '<recv request="ACK"/>\n', ends)
    with sipp(tmp_path, *steps) as callee:
        told = phone(uri(callee.port), "--seconds", "30")
        callee.ended_well()
    assert told.code == 0
    assert told.found["verdict"]["ended_by"] == "far end"


def test_a_callee_that_asks_for_an_offer_gets_it_and_answers_in_the_ack(tmp_path: Path) -> None:
    """RFC 3261 14.2: a re-INVITE without SDP. This callee takes another codec by it."""
    take = (
        '<recv request="INVITE"><action>'
        '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>'
        '<ereg regexp="&lt;([^&gt;]*)" search_in="hdr" header="Contact:" assign_to="all,theirs"/>'
        "</action></recv>\n"
    )
    ends = CALLEE_HANGS_UP.partition("</recv>\n")[2]
    asks = ASKS_FOR_AN_OFFER.format(answer=audio("8 101"))
    answer = respond("200 OK", sdp=audio(), retrans=True)
    with sipp(tmp_path, take, answer, '<recv request="ACK"/>\n', asks, ends) as callee:
        told = phone(uri(callee.port), "--seconds", "30")
        callee.ended_well()
    assert told.code == 0
    assert told.found["verdict"]["ended_by"] == "far end"
    assert told.found["codec"] == "PCMA"
    assert any("changed the sound's way" in str(entry) for entry in told.found["timeline"]["entries"])


def test_a_callee_that_has_forgotten_the_call_says_so_at_the_refresh(tmp_path: Path) -> None:
    """A session timer far below what RFC 4028 allows is kept, but refreshed no more often than every five seconds."""
    timer = ("Allow: INVITE, ACK, BYE, UPDATE", "Require: timer", "Session-Expires: 1;refresher=uac")
    forgotten = respond("481 Call/Transaction Does Not Exist").replace(";tag=callee[call_number]", "")
    steps = (
        invite(),
        respond("200 OK", *timer, sdp=audio(), retrans=True),
        '<recv request="ACK"/>\n<recv request="UPDATE"/>\n',
        forgotten,
        '<recv request="BYE"/>\n',
        forgotten,
    )
    with sipp(tmp_path, *steps) as callee:
        told = phone(uri(callee.port), "--seconds", "30")
        callee.ended_well()
    assert told.found["verdict"]["ended_by"] == "lost"
    assert "the peer answered our refresh with 481" in str(told.found["timeline"])


@pytest.mark.parametrize(
    ("sdp", "why"),
    [
        ("", "no SDP"),
        (audio("18"), "no codec of our offer"),
        (audio().replace("m=audio [media_port]", "m=audio 0"), "refused our audio line"),
        ("v=0\nm=audio 99999999 RTP/AVP 0\n", "can't be read"),
    ],
)
def test_an_answer_without_usable_sound_is_ended_at_once(sdp: str, why: str, tmp_path: Path) -> None:
    with sipp(tmp_path, invite(), respond("200 OK", sdp=sdp, retrans=True), BYE_AND_ACK) as callee:
        told = phone(uri(callee.port))
        callee.ended_well()
    assert told.code == 1
    assert told.slug == "no_common_sound"
    assert why in told.found["verdict"]["text"]


def test_an_answer_whose_media_port_is_closed(tmp_path: Path) -> None:
    closed = ports(2)
    sdp = audio().replace("[media_port]", str(closed))
    with sipp(tmp_path, invite(), respond("200 OK", sdp=sdp, retrans=True), BYE_AND_ACK) as callee:
        told = phone(uri(callee.port), "--seconds", "1")
    assert told.code == 0, "it was answered"
    assert "no audio packet ever came" in told.found["verdict"]["but"]


def test_a_closed_port_is_told_within_seconds() -> None:
    told = phone(uri(ports(2)))
    assert (told.code, told.slug) == (1, "port_closed")
    told = phone(uri(ports(2)), "--transport", "tcp")
    assert (told.code, told.slug) == (1, "unreachable")
    assert "connection refused" in told.found["verdict"]["text"]


def test_a_host_without_an_address() -> None:
    told = phone("sip:a@nosuch.invalid")
    assert (told.code, told.slug) == (1, "unknown_host")


def test_somebody_who_never_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        told = phone(uri(silent.getsockname()[1]))
        request, _ = silent.recvfrom(4096)
    assert request.startswith(b"INVITE ")
    assert (told.code, told.slug) == (1, "no_reply")


def test_the_page_says_the_verdict_first(tmp_path: Path) -> None:
    ack = '<recv request="ACK"/>\n'
    with (
        sipp(tmp_path, invite(), respond("486 Busy Here", retrans=True), ack) as callee,
        running_phone(uri(callee.port)) as process,
    ):
        told = end_of(process)
    assert told.out.startswith("✘ Busy. (SIP 486 Busy Here)\n")
    assert "── INVITE (SDP) ──" in told.out
    assert "\x1b" not in told.out, "colours are for terminals"


def test_without_the_media_core_one_line_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['offhook._media'] = None\n")
    done = subprocess.run(
        [sys.executable, "-m", "offhook", "phone", "127.0.0.1"],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3] / 'python'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("offhook: the media core (offhook._media) is not built\n")
    assert "Traceback" not in done.stderr
