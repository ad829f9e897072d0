"""The calls of an examination, one after the other: what the caller does in each."""

import asyncio
from collections.abc import Awaitable, Callable

from offhook.examine.call import CallOver, ExaminedCall
from offhook.examine.call_log import CallLog, SceneName
from offhook.examine.plan import Plan
from offhook.examine.socket import Unreached
from offhook.examine.speech import Speech

_INTO_ITS_SENTENCE = 0.6
_AFTER_A_KEY = 1.0
_A_WORD = 0.2

Tell = Callable[[str], None]
"""Takes a few words about what is being done."""


async def examine(plan: Plan, tell: Tell = lambda words: None) -> list[CallLog]:
    """Make all the calls, and give their logs. Raises `Unreached` if the very first can't be made."""
    speech = Speech(plan.voice)
    tell("an ordinary call: it greets, the caller speaks, it answers, a key is pressed")
    logs = [await _call(plan, speech, "talk", "ordinary call", _talk)]
    if logs[0].unreached:
        raise Unreached(logs[0].unreached)
    if not logs[0].is_answered:
        # It takes no call at all: more of the same would only take time.
        return logs
    if logs[0].playout.last_sound:
        tell("the caller speaks while it speaks")
        logs.append(await _call(plan, speech, "interrupt", "interruption", _interrupt))
    tell("two calls at once: one caller speaks, the other is silent")
    logs += await _together(plan, speech)
    for number in range(plan.short_calls):
        tell(f"short calls: {number + 1} of {plan.short_calls}")
        name, way = _SHORT[number % len(_SHORT)]
        logs.append(await _call(plan, speech, "short", f"short call {number + 1}: {name}", way))
    tell("one more ordinary call, hung up in the middle of a sentence")
    logs.append(await _call(plan, speech, "again", "last call", _again))
    return logs


async def _call(
    plan: Plan,
    speech: Speech,
    scene: SceneName,
    label: str,
    way: Callable[[ExaminedCall, Plan], Awaitable[None]],
) -> CallLog:
    async with ExaminedCall(plan, speech, scene, label) as call:
        try:
            await call.dial()
        except Unreached:
            if scene == "talk":
                raise
            return call.log
        try:
            await way(call, plan)
        except CallOver:
            # The agent hung up, or is to be hung up on: what was queued no longer matters.
            await call.hang_up(reason="agent_hung_up")
    return call.log


async def _talk(call: ExaminedCall, plan: Plan) -> None:
    pace = plan.pace
    await call.ring()
    call.answer()
    if await call.sound(pace.greeting):
        await call.quiet(pace.listening)
    await call.speak()
    if await call.sound(pace.answer, since=call.now):
        await call.quiet(pace.listening / 2)
    call.press("5")
    await call.stay(_AFTER_A_KEY)
    await call.hang_up()


async def _interrupt(call: ExaminedCall, plan: Plan) -> None:
    pace = plan.pace
    await call.ring()
    call.answer()
    if not await call.sound(pace.greeting):
        await call.speak()
        if not await call.sound(pace.answer, since=call.now):
            await call.hang_up()
            return
    await call.stay(_INTO_ITS_SENTENCE)
    log = call.log
    log.interrupted_at, log.ahead_then = call.now, log.playout.ahead(call.now)
    call.begin_to_speak()
    spoken = log.speeches[-1][1]
    await call.stay(pace.speaking_over)
    if (
        "cleared" in call.sends
        and not call.names_what_it_says
        and not log.clears
        and log.playout.last_sound > call.now - 2 * _A_WORD
    ):
        # Routes may have the gateway do it (barge_in), so an agent must bear that too.
        call.cut_off()
    await call.until(lambda: call.now >= spoken, pace.answer + spoken)
    if await call.sound(pace.answer, since=spoken):
        await call.stay(_INTO_ITS_SENTENCE)
    await call.hang_up()


async def _together(plan: Plan, speech: Speech) -> list[CallLog]:
    pace = plan.pace
    talking = ExaminedCall(plan, speech, "together", "the one of two who speaks")
    silent = ExaminedCall(plan, speech, "together", "the one of two who is silent")
    over = asyncio.Event()

    async def speak(call: ExaminedCall, plan: Plan) -> None:
        try:
            await call.ring()
            call.answer()
            if await call.sound(pace.greeting):
                await call.quiet(pace.listening)
            await call.speak()
            if await call.sound(pace.answer, since=call.now):
                await call.quiet(pace.listening / 2)
        finally:
            over.set()
        await call.hang_up()

    async def listen(call: ExaminedCall, plan: Plan) -> None:
        await call.ring()
        call.answer()
        await call.until(over.is_set, 60.0)
        await call.hang_up()

    async def run(call: ExaminedCall, way: Callable[[ExaminedCall, Plan], Awaitable[None]]) -> None:
        async with call:
            try:
                await call.dial()
                await way(call, plan)
            except Unreached:
                over.set()
            except CallOver:
                over.set()
                await call.hang_up(reason="agent_hung_up")

    await asyncio.gather(run(talking, speak), run(silent, listen))
    return [talking.log, silent.log]


async def _at_once(call: ExaminedCall, plan: Plan) -> None:
    await call.ring()
    call.answer()
    await call.hang_up()


async def _while_it_rings(call: ExaminedCall, plan: Plan) -> None:
    await call.hang_up()


async def _after_a_word(call: ExaminedCall, plan: Plan) -> None:
    await call.ring()
    call.answer()
    call.begin_to_speak()
    await call.stay(_A_WORD)
    await call.hang_up()


async def _lost(call: ExaminedCall, plan: Plan) -> None:
    await call.ring()
    call.answer()
    await call.stay(_A_WORD)
    call.vanish()


async def _again(call: ExaminedCall, plan: Plan) -> None:
    await call.ring()
    call.answer()
    if not await call.sound(plan.pace.greeting):
        await call.speak()
        await call.sound(plan.pace.answer, since=call.now)
    await call.stay(_A_WORD)
    await call.hang_up()


_SHORT: tuple[tuple[str, Callable[[ExaminedCall, Plan], Awaitable[None]]], ...] = (
    ("hung up at once", _at_once),
    ("hung up while it rings", _while_it_rings),
    ("the connection is lost", _lost),
    ("hung up after a word", _after_a_word),
)
