"""Keys in a call, pressed by the caller and by the agent: which ways are taken, and who may know which they were."""

import json

import pytest
from tests.support.clock import in_virtual_time
from tests.support.world import GATEWAY, OFFHOOK, TWILIO, World, notes, sdp

pytestmark = pytest.mark.scenario

CARD = "4929123456781234"


def with_settings(trunk: str = "", route: str = "", config: str = OFFHOOK) -> str:
    """The configuration with a line more in its trunk, and one in its route."""
    return config.replace("[[trunk]]", f"[[trunk]]\n{trunk}").replace("[[route]]", f"[[route]]\n{route}")


def info_statuses(world: World) -> list[int]:
    """What the gateway answered to INFOs."""
    return [m.status for _, s, m in world.network.log if s == GATEWAY and m.cseq.method == "INFO"]  # type: ignore[union-attr]


# -- pressed by the caller


@pytest.mark.rfc(6086, "4.2")
@in_virtual_time
async def test_digits_by_info_in_both_bodies_are_presses() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered(offer=sdp(dtmf=None))
        for kind, body in (
            ("application/dtmf-relay", b"Signal=5\r\nDuration=250\r\n"),
            ("application/dtmf", b"#"),
            ("application/dtmf-relay", b"Signal=flash\r\n"),
        ):
            call.info(kind, body)
            await world.pass_time(0.05)
        assert world.leg.pressed == [("5", 250, "info"), ("#", 160, "info")]
        assert info_statuses(world) == [200, 200, 200]


@pytest.mark.rfc(6086, "4.2.2")
@in_virtual_time
async def test_an_info_of_another_kind_is_415_one_of_a_package_469_and_an_empty_one_200() -> None:
    async with World(OFFHOOK) as world:
        call = await world.place_answered(offer=sdp(dtmf=None))
        call.info("application/media_control+xml", b"<x/>")
        await world.pass_time(0.05)
        call.info("application/dtmf", b"")
        await world.pass_time(0.05)
        call.info("application/dtmf-relay", b"Signal=5\r\n", [("Info-Package", "infoDtmf")])
        await world.pass_time(0.05)
        answers = [m for _, s, m in world.network.log if s == GATEWAY and m.cseq.method == "INFO"]
        assert info_statuses(world) == [415, 200, 469]
        assert answers[0].headers.get("Accept") == "application/dtmf, application/dtmf-relay"
        assert answers[2].headers.get("Recv-Info") == ""
        assert world.leg.pressed == []
        assert call.bye is None


@in_virtual_time
async def test_jambonz_feature_server_128_info_digits_though_telephone_event_was_agreed() -> None:
    """A peer agrees to telephone events and sends INFO all the same: the press counts."""
    async with World(OFFHOOK) as world:
        call = await world.place_answered()
        assert world.leg.remote.dtmf_receive == [101]
        call.info("application/dtmf-relay", b"Signal=5\r\nDuration=250\r\n")
        await world.pass_time(0.05)
        assert world.leg.pressed == [("5", 250, "info")]


@pytest.mark.parametrize(
    ("setting", "offered", "agreed", "tones", "ours"),
    [
        ("auto", 101, [101], "ignored", "rfc4733"),
        ("auto", None, [], "removed", "inband"),
        ("rfc4733", 101, [101], "ignored", "rfc4733"),
        ("rfc4733", None, [], "ignored", "rfc4733"),
        ("info", 101, [], "ignored", "info"),
        ("inband", 101, [], "removed", "inband"),
    ],
)
@in_virtual_time
async def test_the_ways_of_keys_follow_the_trunk_and_what_was_agreed(
    setting: str, offered: int | None, agreed: list[int], tones: str, ours: str
) -> None:
    async with World(with_settings(f'dtmf = "{setting}"')) as world:
        call = await world.place_answered(offer=sdp(dtmf=offered))
        remote = world.leg.remote
        assert (remote.dtmf_receive, remote.dtmf_tones, remote.dtmf_by) == (agreed, tones, ours)
        assert ("telephone-event" in call.answer.decode()) is bool(agreed)
        call.info("application/dtmf", b"9")
        await world.pass_time(0.05)
        assert bool(world.leg.pressed) is (setting in ("auto", "info"))
        assert info_statuses(world) == [200]


@in_virtual_time
async def test_the_agent_hears_the_tones_where_the_trunk_keeps_them() -> None:
    async with World(with_settings('dtmf_tones = "keep"')) as world:
        await world.place_answered(offer=sdp(dtmf=None))
        assert world.leg.remote.dtmf_tones == "heard"


# -- pressed by the agent


@in_virtual_time
async def test_keys_of_the_agent_leave_by_info_one_after_the_other() -> None:
    async with World(with_settings('dtmf = "info"')) as world:
        call = await world.place_answered()
        world.leg.tells("key_by_info", digit="1", duration_ms=160)
        world.leg.tells("key_by_info", digit="#", duration_ms=300)
        await world.pass_time(0.1)
        assert [info.headers.get("Content-Type") for info in call.infos] == ["application/dtmf-relay"] * 2
        bodies = [b"Signal=1\r\nDuration=160\r\n", b"Signal=#\r\nDuration=300\r\n"]
        assert [info.body for info in call.infos] == bodies
        assert call.infos[1].cseq.number > call.infos[0].cseq.number


@in_virtual_time
async def test_a_caller_who_refuses_info_is_noted_once_and_the_call_goes_on() -> None:
    async with World(with_settings('dtmf = "info"')) as world:
        call = await world.place_answered()
        call.answers_infos = 415
        for digit in "123":
            world.leg.tells("key_by_info", digit=digit, duration_ms=160)
        await world.pass_time(0.5)
        assert len(call.infos) == 3
        assert call.bye is None
        call.hang_up()
        await world.pass_time(1)
        refused = [note for note in notes(world.timelines[0], "media") if "415" in note]
        assert len(refused) == 1


# -- who may know


@in_virtual_time
async def test_keys_are_shown_where_the_route_shows_them() -> None:
    async with World(with_settings(route='digits = "show"')) as world:
        call = await world.place_answered()
        assert world.leg.mask == "shown"
        world.leg.keys("4", 120)
        call.info("application/dtmf-relay", b"Signal=9\r\nDuration=250\r\n")
        await world.pass_time(0.1)
        call.hang_up()
        await world.pass_time(1)
        timeline = world.timelines[0]
        told = [e.fields for e in timeline.entries if "DTMF digit" in e.fields.get("note", "")]
        assert [(f["note"], f["digit"], f["duration_ms"]) for f in told] == [
            ("DTMF digit as telephone event", "4", 120),
            ("DTMF digit by INFO", "9", 250),
        ]
        assert "Signal=9" in json.dumps(timeline.as_dict())


@pytest.mark.parametrize("config", [OFFHOOK, TWILIO])
@in_virtual_time
async def test_keys_are_masked_unless_the_route_shows_them(config: str) -> None:
    async with World(config) as world:
        call = await world.place_answered()
        assert world.leg.mask == "masked"
        for digit in CARD:
            world.leg.keys(digit)
            call.info("application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode())
            await world.pass_time(0.2)
        call.hang_up()
        await world.pass_time(1)
        timeline = world.timelines[0]
        assert "Signal" not in json.dumps(timeline.as_dict()) + str(world.records[0])
        assert not any("digit" in entry.fields for entry in timeline.entries)


@in_virtual_time
async def test_the_agent_masks_keys_for_a_while_and_hears_when_it_is_so() -> None:
    async with World(with_settings('dtmf = "info"', 'digits = "show"')) as world:
        call = await world.place_answered()

        async def press(digit: str) -> None:
            world.leg.keys(digit)
            call.info("application/dtmf", digit.encode())
            world.leg.tells("key_by_info", digit=digit, duration_ms=160)
            await world.pass_time(0.3)

        await press("7")
        world.wire.says(type="mask_digits", on=True)
        await world.pass_time(0.01)
        assert (world.leg.mask, world.wire.said[-1]) == ("masked", {"type": "digits_masked", "state": "masked"})
        await press("4")
        world.wire.says(type="mask_digits", on=True, withhold=True)
        await world.pass_time(0.01)
        assert (world.leg.mask, world.wire.said[-1]["state"]) == ("withheld", "withheld")
        await press("5")
        world.wire.says(type="mask_digits", on=False)
        await world.pass_time(0.01)
        assert (world.leg.mask, world.wire.said[-1]["state"]) == ("shown", "shown")
        await press("8")
        call.hang_up()
        await world.pass_time(1)
        entries = world.timelines[0].entries
        assert [e.fields["digit"] for e in entries if "digit" in e.fields] == ["7", "7", "8", "8"]
        bodies = [e.fields["text"].partition("\r\n\r\n")[2] for e in entries if "INFO" in e.fields.get("cseq", "")]
        kept = [body.strip() for body in bodies if body]
        assert [body.partition("\r\n")[0] for body in kept if "not kept" not in body] == [
            "Signal=7",
            "7",
            "Signal=8",
            "8",
        ]
        assert sum("not kept" in body for body in kept) == 4


@in_virtual_time
async def test_an_agent_cannot_show_what_its_route_masks() -> None:
    async with World(with_settings(route='digits = "withhold"')) as world:
        await world.place_answered()
        world.wire.says(type="mask_digits", on=False)
        await world.pass_time(0.01)
        assert (world.leg.mask, world.wire.said[-1]["state"]) == ("withheld", "withheld")


@in_virtual_time
async def test_what_an_agent_has_masked_ends_with_it() -> None:
    config = with_settings(route='digits = "show"\nfallback = [{ to = "ws://other.example/voice" }]')
    async with World(config) as world:
        await world.place_answered()
        world.wire.says(type="mask_digits", on=True)
        await world.pass_time(0.01)
        assert world.leg.mask == "masked"
        world.wire.tells("closed", status=1006, code=None, clean=False, text="")
        await world.pass_time(0.05)
        world.take_call()
        await world.pass_time(0.05)
        assert world.leg.mask == "shown"


@in_virtual_time
async def test_a_wish_that_makes_no_sense_is_answered_with_an_error() -> None:
    async with World(OFFHOOK) as world:
        await world.place_answered()
        world.wire.says(type="mask_digits", on="yes")
        await world.pass_time(0.01)
        assert world.wire.said[-1]["code"] == "bad_field"
