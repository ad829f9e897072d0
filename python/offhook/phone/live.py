"""The call while it goes on: what has happened, and how loud both sides are. Only for a terminal."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from offhook.observe.printable import printable
from offhook.phone.call import Phone

_TURN_SECONDS = 0.1
_QUIETEST_DB = -50.0
_TONES = {"plain": "", "good": "green", "bad": "red"}
_STEPS_SHOWN = 12
_WAITS = {
    "finding": "looking for the far end",
    "calling": "calling, no answer yet",
    "ringing": "ringing",
    "talking": "talking",
    "ending": "hanging up",
}


class LiveView:
    """Draws a phone anew each time it is asked."""

    def __init__(self, phone: Phone, console: Console) -> None:
        self._phone = phone
        self._levels = [_QUIETEST_DB, _QUIETEST_DB]
        self._full, self._empty = ("█", "░") if (console.encoding or "").lower().startswith("utf") else ("#", ".")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        phone, width = self._phone, options.max_width
        yield _cut(Text(f"Calling {printable(str(phone.plan.uri))}", style="bold"), width)
        for step in phone.steps[-_STEPS_SHOWN:]:
            yield _cut(Text(f"  {step.at:8.3f} s  {printable(step.text)}", style=_TONES[step.tone]), width)
        minutes, seconds = divmod(int(phone.elapsed()), 60)
        state = f"  {_WAITS[phone.stage]} {minutes}:{seconds:02}"
        stop = "Ctrl-C hangs up"
        yield _cut(Text(f"{state:<{max(len(state) + 2, min(width, 100) - len(stop))}}{stop}", style="cyan"), width)
        if phone.stage == "talking":
            sent, received = phone.packets()
            yield self._meter("you", 0, phone.sent_db, f"{sent:,} packets sent", width)
            yield self._meter("far end", 1, phone.heard_db, f"{received:,} packets heard", width)

    def _meter(self, name: str, which: int, level: float, packets: str, width: int) -> Text:
        # Up at once, down slowly, as a needle moves.
        self._levels[which] = max(level, self._levels[which] - 3.0, _QUIETEST_DB)
        room = max(10, min(40, width - 38))
        loud = round(room * (1 - self._levels[which] / _QUIETEST_DB))
        bar = self._full * loud + self._empty * (room - loud)
        text = Text(f"  {name:<9}")
        text.append(bar[:loud], style="green" if self._levels[which] < -6 else "yellow")
        text.append(bar[loud:], style="dim")
        text.append(f"  {packets}")
        return text


@contextlib.asynccontextmanager
async def shown(phone: Phone, console: Console) -> AsyncIterator[None]:
    """Keep the phone on the screen while the block runs; afterwards it is gone, as the report says it all again."""
    view = LiveView(phone, console)
    with Live(view, console=console, auto_refresh=False, transient=True) as live:

        async def turn() -> None:
            while True:
                live.refresh()
                await asyncio.sleep(_TURN_SECONDS)

        task = asyncio.get_running_loop().create_task(turn())
        try:
            yield
        finally:
            task.cancel()


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text
