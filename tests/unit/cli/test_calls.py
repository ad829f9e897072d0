"""`offhook calls` tells a newcomer what happened, a program all of it, and a terminal nothing it would act on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from offhook.cli.calls import app
from offhook.ids import CallId, new_call_id
from offhook.report.record import CallRecord
from offhook.report.refusals import RefusalRow
from offhook.report.timeline import Timeline
from offhook.store.base import StoreError
from offhook.store.sqlite import CallStore

pytestmark = pytest.mark.unit

NASTY = "\x1b[2J\u202e=cmd()'; DROP\r\nX"
BEGAN = 1_795_000_000_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/offhook.db"


@pytest.fixture
def store(url: str) -> Iterator[CallStore]:
    with CallStore(url) as store:
        yield store


def call(name: str, **values: Any) -> CallRecord:
    usual = {"trunk": "acme", "route": "sales", "from_number": "+14155550100", "to_number": "+14155550123"}
    return CallRecord.of({"call_id": CallId(name), "setup_at": BEGAN, **usual, **values})


def offhook(url: str, *arguments: str, width: int = 100) -> Result:
    return CliRunner().invoke(app, ["--store", url, *arguments], env={"COLUMNS": str(width), "TZ": "UTC"})


def put_one_way_call(store: CallStore) -> None:
    timeline = Timeline(CallId("01aaaaaaaaaaaaaaaaaabbbbbb"), started=0.0)
    invite = f"INVITE sip:{NASTY[:4]}@gw SIP/2.0\r\nCSeq: 1 INVITE\r\nAuthorization: Digest response=s3cret\r\n\r\n"
    timeline.add_sip(0.0, "in", invite.encode(), transport="udp", remote="192.0.2.1:5060")
    timeline.add("agent", 0.01, note=NASTY)
    store.finish(
        call(
            timeline.call_id, answer_at=BEGAN + 40, end_at=BEGAN + 60_040, end_reason="media_timeout", sip_status=200,
            fault="carrier", billable_seconds=60, end_detail=NASTY, user_agent=NASTY, from_number=NASTY,
            intervals={"answer": 40.25, "own": 3.5}, media={"received_packets": 0, "sent_packets": 3_000},
            remote_signalling="192.0.2.1:5060", transport="udp", codec="PCMU",
        ),
        timeline,
    )  # fmt: skip
    assert store.flush()


def test_no_calls_yet(store: CallStore, url: str) -> None:
    result = offhook(url)
    assert (result.exit_code, result.stdout) == (0, "No calls yet.\n")
    assert offhook(url, "--trunk", "x").stdout == "No such calls.\n"
    assert offhook(url, "show", "last").exit_code == 1


def test_a_call_that_has_only_just_begun_is_waited_for(
    store: CallStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = new_call_id()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            store.begin(call(begun))
            store.flush()

    monkeypatch.setattr("offhook.cli.calls.time.sleep", wait)
    shown = offhook(url, "show", begun, "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["call"]["call_id"], len(waits)) == (0, begun, 3)
    # One that began long ago, and a part of an id, get their answer at once.
    assert offhook(url, "show", f"01{begun[2:4]}000000{begun[10:]}").exit_code == 1
    assert offhook(url, "show", "zzz").exit_code == 1
    assert len(waits) == 3


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_terminal(store: CallStore, url: str, width: int) -> None:
    put_one_way_call(store)
    store.begin(call("02", setup_at=BEGAN + 1))
    good = {"answer_at": BEGAN, "end_at": BEGAN + 65_000, "end_reason": "caller_hung_up", "fault": "none"}
    store.finish(call("03", setup_at=BEGAN + 2, media={"received_packets": 0, "sent_packets": 1}, **good), None)
    store.flush()
    lines = offhook(url, width=width).stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:4] == ["ID", "WHEN", "FROM", "TO"]
    assert all(cell_len(line) <= width for line in lines)
    assert "caller_hung_up ⚠" in lines[1]
    assert "1:05" in lines[1]
    assert lines[2].endswith("ringing")
    assert lines[3].endswith("media_timeout")
    assert "\x1b" not in "".join(lines)
    assert "\\x1b[2J\\u202e" in lines[3] or width == 80


@pytest.mark.parametrize("width", [80, 120])
def test_one_call_explained(store: CallStore, url: str, width: int) -> None:
    put_one_way_call(store)
    result = offhook(url, "show", "bbbbbb", width=width)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Call 01aaaaaaaaaaaaaaaaaabbbbbb")
    text = " ".join(result.stdout.split())
    assert lines[2].startswith("✘ No audio packets came from the caller for too long.")
    assert "What to change: If none ever came, open `media.ports` (UDP) in the firewall" in text
    assert "INVITE received → 200 OK sent 40.2 ms" in text
    assert "caller audio never arrived: 0 packets in, 3,000 out" in text
    assert "── INVITE ─" in text
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "s3cret" not in result.stdout


def test_a_call_that_ended_well_without_audio_says_but(store: CallStore, url: str) -> None:
    good = {"answer_at": BEGAN, "end_at": BEGAN + 65_000, "end_reason": "caller_hung_up", "fault": "none"}
    store.finish(call("03", media={"received_packets": 0, "sent_packets": 7}, **good), None)
    store.flush()
    lines = offhook(url, "show", "last").stdout.splitlines()
    assert lines[2:4] == ["⚠ The caller hung up.", "  But: caller audio never arrived: 0 packets in, 7 out"]


def test_whole_messages_are_printed_safely(store: CallStore, url: str) -> None:
    put_one_way_call(store)
    shown = offhook(url, "show", "last", "--messages").stdout
    assert "    INVITE sip:\\x1b[2J@gw SIP/2.0\n    CSeq: 1 INVITE\n    Authorization: Digest ***\n" in shown


def test_json_is_ascii_and_whole(store: CallStore, url: str) -> None:
    put_one_way_call(store)
    listed = offhook(url, "--json").stdout
    assert listed.isascii()
    assert "\x1b" not in listed
    assert json.loads(listed)[0]["end_detail"] == NASTY
    shown = json.loads(offhook(url, "show", "01aa", "--json").stdout)
    assert shown["call"]["end_reason"] == "media_timeout"
    assert shown["verdict"]["good"] is False
    assert shown["audio"][0]["warning"] is True
    assert [entry["kind"] for entry in shown["timeline"]["entries"]] == ["sip", "agent"]


def test_a_call_that_is_on_has_no_ladder_yet(store: CallStore, url: str) -> None:
    store.begin(call("01on"))
    store.flush()
    shown = offhook(url, "show", "01on").stdout
    assert "● The call is being set up." in shown
    assert "It is written when the call ends." in shown


def test_refused(store: CallStore, url: str) -> None:
    assert offhook(url, "refused").stdout == "Nobody was turned away so far. Who knocks is shown within a minute.\n"
    store.refusals([RefusalRow("192.0.2.66", "udp", "no_trunk", f"INVITE {NASTY}", "acme", BEGAN, BEGAN, 1_243)])
    store.flush()
    result = offhook(url, "refused", width=120)
    assert "1,243    no_trunk" in result.stdout
    assert "(nearest: acme)" in result.stdout
    assert "\x1b" not in result.stdout
    assert json.loads(offhook(url, "refused", "--json").stdout)[0]["count"] == 1_243


def test_filters_reach_the_store(store: CallStore, url: str) -> None:
    put_one_way_call(store)
    for arguments, count in [
        (["--trunk", "acme"], 1),
        (["--trunk", "other"], 0),
        (["--failed"], 1),
        (["--reason", "no_ack"], 0),
        (["--number", "5550123"], 1),
        (["--since", "2026-11-01"], 1),
        (["--since", "2030-01-01T10:00"], 0),
    ]:
        assert len(json.loads(offhook(url, *arguments, "--json").stdout)) == count, arguments


@pytest.mark.parametrize("arguments", [["--since", "yesterday"], ["--limit", "0"], ["show"], ["--nonsense"]])
def test_used_wrongly_is_exit_2(store: CallStore, url: str, arguments: list[str]) -> None:
    assert offhook(url, *arguments).exit_code == 2


def test_where_nobody_was_called_nothing_is_said_of_signalling(store: CallStore, url: str) -> None:
    store.finish(call("04", direction="outbound", end_at=BEGAN, end_reason="dial_refused", fault="configuration"), None)
    store.flush()
    shown = offhook(url, "show", "04").stdout
    assert "Nobody was called" in shown
    assert not any(line.split()[:1] == ["SIP"] for line in shown.splitlines())


def test_an_id_that_is_not_there_or_fits_several(store: CallStore, url: str) -> None:
    store.begin(call("01aaaa"))
    store.begin(call("01bbbb"))
    store.flush()
    missing = offhook(url, "show", "zzz\x1b")
    assert missing.exit_code == 1
    assert "No call zzz\\x1b" in missing.stderr
    assert isinstance(offhook(url, "show", "01").exception, StoreError)


def test_a_terminal_without_unicode_gets_ascii(store: CallStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_one_way_call(store)
    runner = CliRunner(charset="ascii")
    result = runner.invoke(app, ["--store", url, "show", "last"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.exception
    assert result.stdout.isascii()
    assert "|-- INVITE ---" in result.stdout


CLAIMS = {
    "identity": {
        "source": "from",
        "trusted": False,
        "withheld": False,
        "privacy": [],
        "claims": [
            {"header": "From", "number": "+14155550100", "name": ""},
            {"header": "P-Asserted-Identity", "number": "+14155550142", "name": NASTY},
        ],
    },
    "diversions": [
        {"number": "+14155550143", "name": "Shop", "reason": "user-busy", "counter": 1, "header": "Diversion"},
        {"number": "", "name": "", "reason": "no-answer", "counter": 1, "header": "Diversion"},
    ],
}
PAIR = "ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2"


def test_what_the_other_side_said_of_itself_is_shown_and_its_session_id_finds_the_call(
    store: CallStore, url: str
) -> None:
    ended = {"end_at": BEGAN + 1, "end_reason": "caller_hung_up", "session_id": PAIR}
    store.finish(call("01aaaaaaaaaaaaaaaaaabbbbbb", claims=CLAIMS, **ended), None)
    withheld = {"identity": {"withheld": True, "claims": []}}
    store.finish(call("01aaaaaaaaaaaaaaaaaacccccc", claims=withheld, end_at=BEGAN + 1, end_reason="no_route"), None)
    assert store.flush()
    shown = offhook(url, "show", "bbbbbb", width=140).output
    assert "P-Asserted-Identity +14155550142" in shown
    assert "(a claim: trust_identity is off)" in shown
    assert "+14155550143 “Shop” (user-busy), then somebody unnamed (no-answer)" in shown
    assert PAIR in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "the caller wants not to be known" in offhook(url, "show", "cccccc").output
    for half in (PAIR[:32].upper(), PAIR[-32:], PAIR[-8:]):
        found = json.loads(offhook(url, "--session", half, "--json").output)
        assert [record["session_id"] for record in found] == [PAIR]
    assert offhook(url, "--session", "%").output == "No such calls.\n"


@pytest.mark.parametrize(("times", "words"), [(0, "0 times"), (1, "once"), (53, "53 times")])
def test_a_session_timer_is_told_with_its_refreshes(store: CallStore, url: str, times: int, words: str) -> None:
    timed = {"session_interval": 90, "session_refreshes": times}
    store.finish(call("01aaaaaaaaaaaaaaaaaabbbbbb", end_at=BEGAN + 1, end_reason="caller_hung_up", **timed), None)
    store.finish(call("01aaaaaaaaaaaaaaaaaacccccc", end_at=BEGAN + 1, end_reason="caller_hung_up"), None)
    assert store.flush()
    assert f"every 90 s at least, refreshed {words}\n" in offhook(url, "show", "bbbbbb").output
    assert "Kept alive" not in offhook(url, "show", "cccccc").output
