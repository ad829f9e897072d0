"""How a call's end is told."""

from types import SimpleNamespace
from typing import Any

import pytest

from offhook.examine.audio import Format
from offhook.examine.call_checks import stays, together
from offhook.examine.call_log import AgentEnd, CallLog
from offhook.examine.check import Outcome
from offhook.examine.playout import Playout
from offhook.examine.sound_checks import pace

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("at", "told"), [(9.998, "as the ordinary call began"), (12.0, "2.0 s after the start of")])
def test_when_an_agent_was_lost_is_no_time_before_the_call(at: float, told: str) -> None:
    pcm = Format("pcm16", 16_000)
    log = CallLog("talk", "ordinary call", "offhook", pcm, Playout(pcm))
    log.answered_at, log.agent_end = 10.0, AgentEnd(at, 1011, "")
    of: Any = SimpleNamespace(conversations=[log])
    check = stays(of)
    assert check is not None
    assert check.outcome is Outcome.FAULT
    assert check.found.startswith(f"it was lost {told}")


def test_of_an_agent_that_is_silent_neither_its_pace_is_praised_nor_that_it_keeps_calls_apart() -> None:
    pcm = Format("pcm16", 16_000)
    pair = [CallLog("together", name, "offhook", pcm, Playout(pcm)) for name in ("speaks", "is silent")]
    for log in pair:
        log.ready_at = log.answered_at = 10.0
    of: Any = SimpleNamespace(pair=pair, conversations=pair, logs=pair, talk=pair[0])
    assert together(of).outcome is Outcome.NOT_JUDGED
    assert pace(of).outcome is Outcome.NOT_JUDGED
