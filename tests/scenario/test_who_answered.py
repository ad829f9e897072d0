"""Who has answered a call out: told to the agent, the record and who asked, and what the gateway does about it."""

from typing import Any

import pytest
from tests.support.carrier import CONFIG, DiallingWorld
from tests.support.clock import in_virtual_time
from tests.support.world import notes, sdp

from offhook.call.out.detect import DetectWish, OnMachine

pytestmark = pytest.mark.scenario

MESSAGE = (bytes(2 * 8000 * 3), 8000)
"""Three seconds."""


def heard(world: DiallingWorld, who: str, code: str, at_ms: int, **fields: Any) -> None:
    told = {"speech_ms": 0, "pause_ms": 0, **fields}
    world.leg.tells("answered_by", who=who, code=code, confidence=0.9, position_ms=at_ms, **told)


def machine(world: DiallingWorld) -> None:
    heard(world, "machine", "long_speech", 5000, speech_ms=4600)


def said(world: DiallingWorld, kind: str) -> list[dict[str, Any]]:
    return [message for message in world.wire.said if message["type"] == kind]


async def ended(world: DiallingWorld) -> Any:
    await world.pass_time(40)
    [record] = world.records
    world.assert_nothing_left()
    return record


@in_virtual_time
async def test_nothing_is_listened_to_unless_somebody_asks() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk()
        assert world.leg.listens is None
        assert call.answerer.summary() == {}
        phone.hang_up()
        record = await ended(world)
        assert record.answered_by == {}


@in_virtual_time
async def test_a_person_is_told_to_the_agent_and_the_record() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk(detect=DetectWish(True))
        assert world.leg.listens == ("answered", 60_000)
        heard(world, "human", "short_then_silence", 1350, speech_ms=420, pause_ms=520)
        await world.pass_time(0.1)
        evidence = "0.4 s of speech, then 0.5 s of silence"
        assert said(world, "answered_by") == [
            {"type": "answered_by", "who": "human", "confidence": 0.9, "after_ms": 1350, "evidence": evidence}
        ]
        phone.hang_up()
        record = await ended(world)
        assert (record.answered_by["who"], record.answered_by["evidence"]) == ("human", evidence)
        assert any("answered by a person" in note for note in notes(call.timeline))


@pytest.mark.parametrize("policy", ["hang_up", "voicemail"])
@in_virtual_time
async def test_a_person_is_never_hung_up_on_whatever_is_heard_later(policy: OnMachine) -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk(detect=DetectWish(True, policy, MESSAGE))
        heard(world, "human", "short_then_silence", 1350, speech_ms=420, pause_ms=520)
        heard(world, "machine", "beep", 4000, tone=(1000, 0, 400))
        world.leg.tells("greeting_over", position_ms=4000, tone=(1000, 0, 400))
        await world.pass_time(20)
        assert phone.bye is None
        assert world.leg.played == []
        assert call.agent.joined is not None
        assert [told["who"] for told in said(world, "answered_by")] == ["human", "machine"]
        phone.hang_up()
        assert (await ended(world)).end_reason == "callee_hung_up"


@pytest.mark.parametrize(
    ("who", "code"),
    [("machine", "long_speech"), ("fax", "fax_answer_tone"), ("sit", "sit_vacant"), ("busy_tone", "busy_tone")],
)
@in_virtual_time
async def test_hang_up_ends_what_no_person_answers(who: str, code: str) -> None:
    async with DiallingWorld() as world:
        _call, phone = await world.talk(detect=DetectWish(True, "hang_up"))
        heard(world, who, code, 2000, tone=(2100, 0, 800))
        await world.pass_time(0.2)
        assert phone.bye is not None
        record = await ended(world)
        assert (record.end_reason, record.fault) == ("no_person_answered", "none")
        assert record.answered_by["who"] == who


def person_too_early(world: DiallingWorld) -> None:
    heard(world, "human", "short_then_silence", 1150, speech_ms=420, pause_ms=320)


@in_virtual_time
async def test_a_person_who_was_none_is_hung_up_on_as_the_machine_it_is() -> None:
    async with DiallingWorld() as world:
        _call, phone = await world.talk(detect=DetectWish(True, "hang_up"))
        person_too_early(world)
        await world.pass_time(3)
        assert phone.bye is None
        heard(world, "machine", "long_speech", 5000, speech_ms=4600, corrects="hasty")
        await world.pass_time(0.2)
        assert phone.bye is not None
        assert (await ended(world)).answered_by["who"] == "machine"


@pytest.mark.parametrize("corrects", ["hasty", "beep"])
@in_virtual_time
async def test_a_message_is_left_to_a_machine_that_was_taken_for_a_person(corrects: str) -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk(detect=DetectWish(True, "voicemail", MESSAGE))
        person_too_early(world)
        await world.pass_time(1)
        heard(world, "machine", "beep", 3000, tone=(1000, 0, 400), corrects=corrects)
        world.leg.tells("greeting_over", position_ms=3000, tone=(1000, 0, 400))
        await world.pass_time(4)
        assert call.agent.joined is None
        assert phone.bye is not None
        assert len(world.leg.played) == 1
        assert (await ended(world)).end_reason == "message_left"


@in_virtual_time
async def test_a_beep_behind_a_persons_words_hangs_up_on_nobody() -> None:
    async with DiallingWorld() as world:
        _call, phone = await world.talk(detect=DetectWish(True, "hang_up"))
        person_too_early(world)
        heard(world, "machine", "beep", 3000, tone=(1000, 0, 400), corrects="beep")
        await world.pass_time(20)
        assert phone.bye is None
        phone.hang_up()
        await ended(world)


@pytest.mark.parametrize("who", ["no_one", "silence", "music", "unknown"])
@in_virtual_time
async def test_who_is_not_known_is_not_hung_up_on(who: str) -> None:
    async with DiallingWorld() as world:
        _call, phone = await world.talk(detect=DetectWish(True, "hang_up"))
        heard(world, who, "silence", 4500)
        await world.pass_time(20)
        assert phone.bye is None
        phone.hang_up()
        await ended(world)


@in_virtual_time
async def test_a_message_is_left_whole_after_the_beep() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk(detect=DetectWish(True, "voicemail", MESSAGE))
        machine(world)
        await world.pass_time(4)
        # The agent has gone, the machine greets on, and nothing is said to it.
        assert call.agent.joined is None
        assert said(world, "end")
        assert world.leg.played == []
        world.leg.tells("greeting_over", position_ms=9000, tone=(1000, 0, 400))
        await world.pass_time(2.9)
        assert phone.bye is None
        await world.pass_time(0.6)
        assert phone.bye is not None
        [(_, seconds, _)] = world.leg.played
        assert seconds == 3
        record = await ended(world)
        assert record.end_reason == "message_left"
        assert record.answered_by["who"] == "machine"
        assert any("after a beep of 1000 Hz" in note for note in notes(call.timeline))


@in_virtual_time
async def test_whoever_hangs_up_on_the_message_ends_the_call() -> None:
    async with DiallingWorld() as world:
        _call, phone = await world.talk(detect=DetectWish(True, "voicemail", MESSAGE))
        machine(world)
        world.leg.tells("greeting_over", position_ms=9000)
        await world.pass_time(1)
        phone.hang_up()
        assert (await ended(world)).end_reason == "callee_hung_up"


@in_virtual_time
async def test_without_a_message_the_agent_is_told_when_to_speak() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.talk(detect=DetectWish(True, "voicemail"))
        machine(world)
        await world.pass_time(0.1)
        assert world.leg.clears == 1
        assert call.agent.joined is not None
        world.leg.tells("greeting_over", position_ms=9000, tone=(1000, 0, 400))
        await world.pass_time(0.1)
        assert said(world, "greeting_over") == [{"type": "greeting_over", "beep": True, "after_ms": 9000}]
        phone.hang_up()
        await ended(world)


@in_virtual_time
async def test_tones_before_the_answer_say_more_than_the_status() -> None:
    async with DiallingWorld() as world:
        call, phone = await world.dial(detect=DetectWish(True), early_media=True)
        phone.ring(183, sdp(host="192.0.2.9", port=4000))
        await world.pass_time(0.1)
        assert world.leg.listens == ("early", 60_000)
        heard(world, "sit", "sit_vacant", 1500, tone=(1777, 0, 380))
        await world.pass_time(1)
        phone.refuse(503)
        await world.pass_time(0.5)
        outcome = call.decided.result()
        assert (outcome.kind, outcome.status) == ("failed", 503)
        assert "heard before: special information tones: there is no such number" in outcome.detail
        await ended(world)


@in_virtual_time
async def test_the_configuration_has_an_agent_always_listen() -> None:
    config = CONFIG.replace('kind = "offhook"', 'kind = "offhook"\ndetect = true\non_machine = "hang_up"')
    async with DiallingWorld(config) as world:
        [agent] = world.signalling.config.agents
        assert (agent.detect, agent.on_machine, agent.voicemail) == (True, "hang_up", None)
