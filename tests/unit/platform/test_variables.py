"""A call's variables as headers of an INVITE: which win, what is left out, and how much there may be."""

import pytest

from offhook.platform.profile import PLATFORMS
from offhook.platform.variables import (
    MAX_TOTAL,
    MAX_VARIABLES,
    TemplateError,
    Told,
    check_template,
    fill,
    to_headers,
    variables_of,
)

pytestmark = pytest.mark.unit

TOLD = Told(
    "c1",
    "+14155550142",
    "+14155550100",
    trunk="acme",
    route="desk",
    headers={"X-Customer": "4711", "Diversion": "<sip:+1@a>", "x-tier": "silver"},
    data={"tier": "gold"},
)


@pytest.mark.parametrize("kind", PLATFORMS)
def test_every_platform_is_told_our_call_id_and_the_caller(kind: str) -> None:
    platform = PLATFORMS[kind]
    fields = dict(to_headers(platform, TOLD, {}).fields)
    assert fields[platform.call_id_header] == "c1"
    assert fields[platform.caller_header] == "+14155550142"


def test_elevenlabs_gets_the_two_headers_that_its_webhook_reads() -> None:
    names = [name for name, _ in to_headers(PLATFORMS["elevenlabs"], TOLD, {}).fields]
    assert names[:2] == ["X-CALL-ID", "X-CALLER-ID"]


def test_what_the_configuration_wants_goes_over_the_placers_data_and_that_over_the_callers_headers() -> None:
    assert variables_of(TOLD, {}) == {"Customer": "4711", "tier": "gold"}
    assert variables_of(TOLD, {"Tier": "free", "line": "{trunk}/{route}"}) == {
        "Customer": "4711",
        "Tier": "free",
        "line": "acme/desk",
    }


def test_a_header_of_another_name_than_x_is_no_variable() -> None:
    assert not any("iversion" in name for name, _ in to_headers(PLATFORMS["vapi"], TOLD, {}).fields)


def test_vapi_variables_keep_the_underscores_that_its_templates_need() -> None:
    fields = dict(to_headers(PLATFORMS["vapi"], TOLD, {"first_name": "Ada"}).fields)
    assert fields["X-first_name"] == "Ada"
    assert fields["X-call_id"] == "c1"


def test_nothing_from_outside_displaces_our_own_headers() -> None:
    told = Told("c1", "+1", "+2", headers={"X-Call-ID": "forged"}, data={"CALLER-ID": "forged", "offhook-token": "no"})
    fields = to_headers(PLATFORMS["elevenlabs"], told, {}, [("X-Offhook-Token", "t1")]).fields
    assert fields == (("X-Offhook-Token", "t1"), ("X-CALL-ID", "c1"), ("X-CALLER-ID", "+1"))


def test_a_caller_who_is_withheld_is_not_named() -> None:
    fields = to_headers(PLATFORMS["livekit"], Told("c1", "", "+2"), {}).fields
    assert fields == (("X-Call-ID", "c1"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "x\r\nRoute: <sip:evil>"),
        ("a", "x\ny"),
        ("a", "x\x85y"),
        ("a", "x\u2028y"),
        ("b c", "x"),
        ("a:", "x"),
        ("ä", "x"),
    ],
)
def test_a_value_that_could_add_a_header_is_left_out_and_named(name: str, value: str) -> None:
    headers = to_headers(PLATFORMS["livekit"], Told("c1", "+1", "+2", data={name: value, "good": "y"}), {})
    assert ("X-good", "y") in headers.fields
    assert len(headers.fields) == 3
    assert len(headers.left_out) == 1
    assert all("\n" not in value and "\r" not in value for _, value in headers.fields)


def test_one_line_is_no_longer_than_its_parser_reads() -> None:
    headers = to_headers(PLATFORMS["retell"], Told("c1", "+1", "+2", data={"long": "x" * 1020, "fits": "x" * 1014}), {})
    assert [name for name, _ in headers.left_out] == ["X-long"]
    assert "X-fits" in dict(headers.fields)


def test_the_invite_does_not_grow_without_end() -> None:
    many = to_headers(PLATFORMS["livekit"], Told("c1", "+1", "+2", data={f"n{i}": "v" for i in range(500)}), {})
    assert len(many.fields) == MAX_VARIABLES
    assert len(many.left_out) <= MAX_VARIABLES
    big = to_headers(PLATFORMS["livekit"], Told("c1", "+1", "+2", data={f"n{i}": "v" * 900 for i in range(9)}), {})
    assert sum(len(name) + len(value) + 2 for name, value in big.fields) <= MAX_TOTAL
    assert big.left_out


def test_a_field_that_the_call_does_not_have_is_empty() -> None:
    assert fill("{header.x-customer}|{header.X-None}|{data.tier}|{data.none}|{to}", TOLD) == "4711||gold||+14155550100"


def test_a_value_with_braces_is_not_filled_in_again() -> None:
    assert fill("{data.a}", Told("c1", "+1", "+2", data={"a": "{from}"})) == "{from}"


@pytest.mark.parametrize("text", ["{number}", "{header.}", "{header}", "{}", "{to", "to}", "{a{to}}", "{env.HOME}"])
def test_a_text_with_a_wrong_field_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        check_template(text)


@pytest.mark.parametrize(
    "text", ["", "plain", "{to}", "+1{to}", "{header.X-A}-{data.b}", "{call_id}{trunk}{route}{from}"]
)
def test_a_text_with_known_fields_passes(text: str) -> None:
    check_template(text)
