"""What the SDK says was heard of a sentence that was cut off, held against the phone's recording of it."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.interop.builtin.line import PROVE, TOML, Ear, percentile
from tests.interop.media.lines import by_timestamp
from tests.support.figures import Figures
from tests.support.gateway import Gateway, running_gateway
from tests.support.human import PHRASES
from tests.support.plain_phone import PlainPhone
from tests.support.sdk_worker import working
from tests.support.sip_text import PCMU
from tests.support.tone import frames
from tests.support.understood import understood
from tests.support.undisturbed import undisturbed
from tests.support.words import words, words_heard

from offhook.agent import Agent, Call, Said
from offhook.speech.moonshine import MoonshineSpeechToText
from offhook.speech.protocol import SpeechToText

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

CALLS, TIMES = (5, 24) if PROVE else (2, 2)
TEXTS = (
    "You can leave a message for the doctor, ask for another appointment, or call again on Monday morning.",
    "Thank you for calling. Your table is booked for tomorrow evening. We look forward to seeing you.",
    "The train leaves from the second platform in about twenty minutes, and it will be rather full today.",
    "I am sorry, but nobody is in the office at the moment. Please try again after lunch, or send us a letter.",
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("offhook"), TOML) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def recogniser() -> AsyncIterator[SpeechToText]:
    engine = MoonshineSpeechToText()
    await engine.warm_up()
    yield engine
    await engine.close()


class Caller:
    """What the agent reads out in one call, one text after the other, and what it says of each."""

    def __init__(self) -> None:
        self.texts = asyncio.Queue[str]()
        self.reports = asyncio.Queue[Said]()
        self.call: asyncio.Future[Call] = asyncio.get_running_loop().create_future()


class Reading:
    """An agent that reads out in each call what it is given."""

    def __init__(self) -> None:
        self.agent = Agent("builtin", tts="hibari", barge_in="clear")
        # What was cut off is not said once more.
        self.agent.resumes = False
        self.callers: defaultdict[str, Caller] = defaultdict(Caller)

        @self.agent.on_call
        async def on_call(call: Call) -> None:
            caller = self.callers[call.from_number]
            caller.call.set_result(call)
            while True:
                caller.reports.put_nowait(await call.say(await caller.texts.get()))

        @self.agent.prewarm
        async def load() -> None:
            await self.agent.speech.tts().warm_up()

    async def lengths(self) -> dict[str, float]:
        """Seconds of each text."""
        return {
            text: sum([piece.duration_ms async for piece in self.agent.speech.tts().say(text, rate=8_000)]) / 1000
            for text in TEXTS
        }


async def interrupted(
    reading: Reading, gateway: Gateway, recogniser: SpeechToText, number: int
) -> list[tuple[str, int, float]]:
    """One call in which each text is cut off somewhere: by whom, how many words the report is wrong by, and how many
    milliseconds it says were played beyond what was heard."""
    chance, found, name = random.Random(number), [], f"+1415555010{number}"
    lengths = await reading.lengths()
    async with PlainPhone.open() as phone:
        line = phone.dial(gateway.udp, caller=name)
        ear, caller = Ear(line), reading.callers[name]
        await line.answered()
        call = await caller.call
        for time in range(TIMES):
            text = TEXTS[(number + time) % len(TEXTS)]
            by_caller = time % 2 == 0
            begin = len(line.packets)
            since = line.packets[-1].at if line.packets else 0.0
            caller.texts.put_nowait(text)
            await ear.hears(since)
            await asyncio.sleep(chance.uniform(0.3, lengths[text] - 1.2))
            if by_caller:
                await ear.says(frames(PHRASES[(number + time) % len(PHRASES)].sound(8_000).tolist()))
            else:
                await call.clear()
            said = await asyncio.wait_for(caller.reports.get(), 30)
            # What is on its way is heard.
            await asyncio.sleep(0.2)
            if not said.interrupted:
                # The text was over before the caller had been heard.
                assert said.heard == text
                continue
            packets = [packet for packet in ear.loud if packet.at > since]
            heard_ms = (packets[-1].timestamp - packets[0].timestamp & 0xFFFFFFFF) / 8 + 20
            sound = by_timestamp(line.packets[begin:], PCMU)
            recognised = await understood(recogniser, sound.tobytes())
            fewest, most = words_heard(text, recognised)
            count = len(words(said.heard))
            assert words(said.heard) == words(text)[:count]
            wrong = max(fewest - count, count - most, 0)
            if wrong:
                print(f"{wrong}: reported {said.heard!r}, recognised {recognised!r}")
            found.append(("the caller" if by_caller else "the agent", wrong, said.played_ms - heard_ms))
        line.hang_up()
    return found


@pytest.mark.asyncio(loop_scope="module")
@undisturbed
async def test_the_words_reported_as_heard_are_those_in_the_recording(
    gateway: Gateway, recogniser: SpeechToText, figures: Figures
) -> None:
    reading = Reading()
    async with working(reading.agent, gateway, "builtin"):
        every = await asyncio.gather(*(interrupted(reading, gateway, recogniser, number) for number in range(CALLS)))
    for by in ("the caller", "the agent"):
        found = [(wrong, beyond) for one in every for who, wrong, beyond in one if who == by]
        assert len(found) >= 0.5 * CALLS * TIMES / 2
        wrong = Counter(min(wrong, 2) for wrong, _ in found)
        beyond = [ms for _, ms in found]
        figures.note(
            "Text reported as heard, against what is recognised of the recording",
            cut_off_by=by, times=len(found), agrees=wrong[0], a_word_off=wrong[1], more=wrong[2],
            played_ms_beyond_the_last_sound_p50=round(percentile(beyond, 0.5)),
            p95=round(percentile(beyond, 0.95)),
        )  # fmt: skip
        print(by, dict(wrong), "played beyond the last sound:", sorted(round(ms) for ms in beyond), "ms")
        assert not wrong[2]
        # What was played is what left: pauses between words are part of it, and so is the frame that faded.
        assert min(beyond) > -200
        assert max(beyond) < 1_000
