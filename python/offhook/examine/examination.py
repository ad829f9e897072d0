"""All calls of an examination together, and what several checks want to know of them."""

from collections.abc import Sequence
from functools import cached_property

from offhook.examine.audio import at_line_rate, decoded
from offhook.examine.call_log import CallLog, SceneName
from offhook.examine.plan import Plan
from offhook.phone.echo import Echo, find_echo
from offhook.phone.sound import RATE, Samples


class Examination:
    """The plan and the logs of its calls, in the order in which they were made."""

    def __init__(self, plan: Plan, logs: Sequence[CallLog]) -> None:
        self.plan = plan
        self.pace = plan.pace
        self.logs = tuple(logs)

    def scene(self, name: SceneName) -> list[CallLog]:
        """The calls of one scene."""
        return [log for log in self.logs if log.scene == name]

    @cached_property
    def talk(self) -> CallLog:
        """The first call, an ordinary one."""
        return self.logs[0]

    @cached_property
    def interrupt(self) -> CallLog | None:
        """The call in which the caller speaks over the agent, if it was made."""
        return next(iter(self.scene("interrupt")), None)

    @cached_property
    def pair(self) -> tuple[CallLog, CallLog] | None:
        """The two calls at once: the one of the caller who speaks, then the silent one."""
        found = self.scene("together")
        return (found[0], found[1]) if len(found) == 2 else None

    @cached_property
    def conversations(self) -> list[CallLog]:
        """The calls that were answered and had time for a conversation."""
        return [log for log in self.logs if log.scene != "short" and log.is_answered]

    @cached_property
    def echo(self) -> Echo | None:
        """Whether the agent says back what it hears."""
        log = self.talk
        if log.answered_at is None or not log.speeches or not log.playout.last_sound:
            return None
        end = max(log.playout.last_sound, log.speeches[-1][1]) - log.answered_at + 1
        if end > 120:
            return None
        sent, heard = Samples("h", bytes(2 * round(end * RATE))), Samples("h", bytes(2 * round(end * RATE)))
        for begin, _ in log.speeches:
            _put(sent, self.plan.voice, begin - log.answered_at)
        for piece in log.playout.pieces:
            if max(piece.levels, default=0.0) > 0:
                samples = decoded(piece.audio, log.format.encoding)
                _put(heard, at_line_rate(samples, log.format.rate), piece.start - log.answered_at)
        return find_echo(sent, heard)

    def answered_after(self, log: CallLog) -> float | None:
        """Seconds from the caller's last word to the agent's next: None if there was none, negative if it talked on."""
        if not log.speeches:
            return None
        end = log.speeches[-1][1]
        sounds = log.playout.sounds(end)
        if not sounds:
            return None
        before = log.playout.sounds(end - 0.3, end)
        return -1.0 if before and sounds[0] - before[-1] < 0.2 else sounds[0] - end


def _put(line: Samples, samples: Samples, at: float) -> None:
    start = max(0, round(at * RATE))
    samples = samples[: max(0, len(line) - start)]
    line[start : start + len(samples)] = samples
