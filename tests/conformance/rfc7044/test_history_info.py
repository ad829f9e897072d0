"""RFC 7044: the way of a call from target to target, by its index tree, its escaped reasons and those of RFC 4458."""

import pytest
from tests.support.messages import request

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.diverted import diversions
from offhook.sip.headers import HistoryInfo, Reason
from offhook.sip.uri import user_of

pytestmark = pytest.mark.conformance

TEAMS = (
    "<sip:+14255550101@sbc.example.com:5061;user=phone?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%20Temporarily%22>"
    ";index=1,<sip:+14255550102@sbc.example.com:5061;user=phone>;index=1.1"
)


def read(*lines: str) -> list[tuple[str, str]]:
    found = diversions(request("INVITE", *(f"History-Info: {line}" for line in lines)))
    return [(user_of(one.address.uri) if one.address is not None else "", one.reason) for one in found]


@pytest.mark.rfc(7044, "5")
def test_an_entry_with_its_index_and_its_escaped_reason() -> None:
    entry = HistoryInfo.parse(TEAMS.partition(",")[0])
    assert entry.index == (1,)
    assert entry.reasons == (Reason("SIP", 302, "Moved Temporarily"),)
    assert HistoryInfo.parse(str(entry)) == entry


@pytest.mark.rfc(7044, "10.2")
def test_the_form_of_teams() -> None:
    assert read(TEAMS) == [("+14255550101", "unconditional")]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [(302, "unconditional"), (404, "unknown"), (408, "no-answer"), (480, "deflection"), (486, "user-busy"),
     (487, "deflection"), (503, "unavailable"), (799, "unknown")],
)  # fmt: skip
def test_the_cause_of_the_target_in_the_words_of_diversion(cause: int, reason: str) -> None:
    assert read("<sip:a@h>;index=1", f"<sip:b@h;cause={cause}>;index=1.1;mp=1") == [("a", reason)]


@pytest.mark.rfc(7044, "10.3")
def test_the_order_is_that_of_the_indices_whatever_the_order_of_the_lines() -> None:
    assert read(
        "<sip:c@h;cause=408>;index=1.1.1;mp=1.1", "<sip:a@h>;index=1", "<sip:b@h;cause=302>;index=1.1;mp=1"
    ) == [("a", "unconditional"), ("b", "no-answer")]


@pytest.mark.rfc(7044, "10.4")
def test_another_address_of_the_same_one_is_no_diversion() -> None:
    assert read("<sip:a@h>;index=1", "<sip:a@10.0.0.1>;index=1.1;rc=1") == []
    assert read("<sip:a@h>;index=1", "<sip:x99@10.0.0.1>;index=1.1;rc=1") == []
    assert read("<sip:a@h>;index=1", "<sip:a@other>;index=1.1;np=1") == []


@pytest.mark.rfc(7044, "10.4")
def test_a_target_says_of_which_entry_it_came() -> None:
    assert read("<sip:a@h>;index=1", "<sip:a@1.2.3.4>;index=1.1;rc=1", "<sip:b@h;cause=486>;index=1.2;mp=1") == [
        ("a", "user-busy")
    ]


@pytest.mark.rfc(7044, "10.1")
@pytest.mark.parametrize("wish", ["history", "header", "none%3Bhistory", "%00"])
def test_an_entry_that_wants_privacy_is_not_named(wish: str) -> None:
    assert read(f"<sip:a@h?Privacy={wish}>;index=1", "<sip:b@h;cause=302>;index=1.1;mp=1") == [("", "unconditional")]


def test_what_an_old_peer_sends_without_parameters() -> None:
    # RFC 4244: who was called is another than who is called now.
    assert read("<sip:+14155550101@h>;index=1, <sip:+14155550102@h>;index=1.1") == [("+14155550101", "unknown")]
    assert read("<sip:+14155550101@h>, <sip:+14155550102@h>") == [("+14155550101", "unknown")]


def test_whichever_header_tells_more_is_taken() -> None:
    both = request("INVITE", "Diversion: <sip:z@h>;reason=user-busy", f"History-Info: {TEAMS}")
    assert [one.header for one in diversions(both)] == ["Diversion"]
    longer = request(
        "INVITE",
        "Diversion: <sip:z@h>",
        "History-Info: <sip:a@h>;index=1, <sip:b@h;cause=302>;index=1.1, <sip:c@h;cause=302>;index=1.1.1",
    )
    assert [one.header for one in diversions(longer)] == ["History-Info"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<sip:a@h>;index=",
        "<sip:a@h>;index=1.",
        "<sip:a@h>;index=x",
        "<sip:a@h>;index=" + "1." * 40 + "1",
        "<sip:a@h>;index=99999",
        "<sip:a@h",
    ],
)
def test_broken_entries_are_left_out(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        HistoryInfo.parse(text)
    assert read(text, "<sip:a@h>;index=1", "<sip:b@h;cause=302>;index=1.1;mp=1") == [("a", "unconditional")]


def test_entries_that_lead_in_circles_end() -> None:
    assert read("<sip:a@h>;index=1;mp=1", "<sip:b@h>;index=1.1;mp=1.1", "<sip:c@h>;index=1.2;mp=7") == [
        ("b", "unknown")
    ]
    with pytest.raises(LocalProtocolError):
        HistoryInfo(HistoryInfo.parse("<sip:a@h>").address, (10_000,))
