"""A call, as an agent sees it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from offhook.agent.caller import Diversion, EndCause, Identity, UserToUser
from offhook.agent.digits import DigitCollector
from offhook.agent.errors import CallEnded
from offhook.agent.events import (
    AnsweredBy,
    BargeIn,
    CallEvent,
    Digits,
    HandedOver,
    RecordingAction,
    RecordingState,
    Said,
    Transferred,
    Turn,
)
from offhook.agent.headers import PLACES, CallHeaders, Place, user_to_user
from offhook.agent.history import History
from offhook.agent.sound import RATES, Resampler, read_wav
from offhook.agent.waiting import first_of

if TYPE_CHECKING:
    from offhook.agent.session import Session

# Sound goes into the line in pieces of this size, so that what is cut off was not all sent.
_PIECE_MS = 100


class Call:
    """One call. Its handlers get it as their first argument; what they start for it ends with it."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        line = session.line
        self.data: dict[str, Any] = dict(line.facts.data)
        """Whatever the agent wants to keep with this call; of an outbound one it begins with what its placer gave."""
        self._headers = {
            place: CallHeaders(place, line.facts.caller.agent_headers, line.set_headers) for place in PLACES
        }

    # -- what is known of it

    @property
    def id(self) -> str:
        """The gateway's id of the call, the same as in its records and logs."""
        return self._session.line.facts.call_id

    @property
    def direction(self) -> Literal["inbound", "outbound"]:
        """Who called: the other side, or we (`outbound`): then `to_number` is who is spoken with."""
        return self._session.line.facts.direction

    @property
    def from_number(self) -> str:
        """Who calls: E.164 (`+14155550100`) where it could be read so, else as the trunk wrote it; may be empty."""
        return self._session.line.facts.from_number

    @property
    def to_number(self) -> str:
        """The number that was dialled, written likewise."""
        return self._session.line.facts.to_number

    @property
    def display_name(self) -> str:
        """The name that the caller's side wrote beside its number. Not to be trusted."""
        return self._session.line.facts.display_name

    @property
    def trunk(self) -> str:
        """The name of the trunk that it came by; of a call out, from the answer on, the one that it went by."""
        return self._session.line.facts.trunk

    @property
    def route(self) -> str:
        """The name of the route that it came by."""
        return self._session.line.facts.route

    @property
    def sip_call_id(self) -> str:
        """The Call-ID header, by which the carrier knows it."""
        return self._session.line.facts.sip_call_id

    @property
    def headers(self) -> Mapping[str, str]:
        """SIP headers of the call, as far as the route hands them on. Written by strangers."""
        return self._session.line.facts.headers

    @property
    def identity(self) -> Identity:
        """What caller and networks say of who calls, and whether the caller wants not to be known."""
        return self._session.line.facts.caller.identity

    @property
    def diversions(self) -> tuple[Diversion, ...]:
        """Who was called before and did not take the call, the number first dialled first. Claims of the carrier."""
        return self._session.line.facts.caller.diversions

    @property
    def first_dialled(self) -> str:
        """The number that the caller dialled, before anybody sent the call on; `to_number` where nobody did."""
        return next((one.number for one in self.diversions if one.number), self.to_number)

    @property
    def user_to_user(self) -> tuple[UserToUser, ...]:
        """Data that the caller's application sent along (RFC 7433)."""
        return self._session.line.facts.caller.user_to_user

    @property
    def session_id(self) -> str:
        """The Session-ID (RFC 7989) when the call came: the gateway's half, then `;remote=` and the caller's."""
        return self._session.line.facts.caller.session_id

    @property
    def early_media(self) -> bool:
        """Whether the caller hears what is said in `on_ringing`: the route's `early_media` is `agent`."""
        return self._session.line.facts.early_media

    @property
    def rate(self) -> int:
        """Samples a second of its sound, as the agent chose; with `early_media` as its gateway did."""
        return self._session.line.rate

    @property
    def history(self) -> History:
        """What was said so far: by the caller as it was understood, by the agent as far as it was heard."""
        return self._session.history

    @property
    def handed_over_by(self) -> str | None:
        """Which agent has handed the call over to this one, such as `worker:front-desk`; None if none has."""
        return self._session.line.facts.handed_over_by

    @property
    def hand_over_note(self) -> str:
        """What the agent that handed the call over wanted this one to know; empty without."""
        return self._session.line.facts.note

    @property
    def end_reason(self) -> str | None:
        """Why it ended, such as `caller_hung_up`; None while it goes on."""
        return self._session.over.result().reason if self._session.over.done() else None

    @property
    def end_causes(self) -> tuple[EndCause, ...]:
        """Why the other side ended the call, in the words of its network; empty before the end, and if it gave none."""
        return self._session.over.result().causes if self._session.over.done() else ()

    # -- while it rings

    async def ring(self, seconds: float) -> None:
        """Let it ring on. At most as long as the route allows (its `ring_timeout`); a caller who gives up ends it."""
        await asyncio.sleep(seconds)

    async def answer(self) -> None:
        """Answer now; without it, the call is answered when `on_ringing` returns."""
        self._session.answer()

    async def reject(self, status: int | None = None, reason: str = "") -> None:
        """Don't take the call. `status` is the SIP status that the caller's side gets: 486 busy, 603 (the default) no.

        `reason` goes into the call's record. Only before it was answered.
        """
        if self._session.is_taken:
            raise ValueError("the call was answered: it can be hung up, but not rejected")
        self._session.reject(status, reason)

    # -- speaking

    async def say(self, text: str | AsyncIterable[str | None], *, barge_in: BargeIn | None = None) -> Said:
        """Say something, and return when it has been heard or was cut off.

        A stream of tokens is spoken sentence by sentence as they come. Speech begins once the caller has finished
        speaking, unless `barge_in` is `off`; by default it is as the agent or the route has it. One thing is said at a
        time: what is said meanwhile waits. Raises `AgentError` without a voice, and `CallEnded` after the call.
        """
        return await self._session.voice.say(text, self._policy(barge_in))

    async def play(
        self,
        sound: bytes | str | Path | AsyncIterable[bytes],
        *,
        rate: int | None = None,
        barge_in: BargeIn | None = None,
    ) -> Said:
        """Play PCM16 (`bytes`, or a stream of them) of `rate` Hz, by default the call's, or a WAV file by its path.

        As with `say`, it returns when it has been played or was cut off. `heard` is empty.
        """
        return await self._session.voice.play(self._pieces(sound, rate), self._policy(barge_in))

    async def clear(self) -> None:
        """Cut off what is being said or played. Whoever said it gets a `Said` that is `interrupted`."""
        self._session.voice.clear()

    # -- listening

    async def ask(
        self,
        question: str | AsyncIterable[str | None],
        *,
        timeout: float = 10.0,  # noqa: ASYNC109  it counts from the end of the question
    ) -> Turn | None:
        """Say something and return what the caller answers, which then is no `on_turn`.

        None when the caller has said nothing for `timeout` seconds after the question. Raises `AgentError` where there
        is no engine that understands speech, and `CallEnded` after the call.
        """
        session, loop = self._session, asyncio.get_running_loop()
        session.listen()
        with session.next_turn() as turn:
            said = await self.say(question)
            until = loop.time() + timeout
            while not turn.done():
                self._check()
                await first_of(turn, session.over, timeout=max(0.0, until - loop.time()))
                if turn.done() or session.over.done():
                    continue
                if session.hold.is_by_caller:
                    await session.floor.free()
                    until = loop.time() + timeout
                    continue
                if not session.floor.is_taken:
                    return None
                # An answer has begun in time: it may take as long as it takes.
                await session.floor.free()
                until = max(until, loop.time() + 0.1)
            return replace(turn.result(), interrupted=said if said.interrupted else None)

    async def collect_digits(
        self,
        count: int = 32,
        prompt: str | None = None,
        *,
        terminators: str = "#",
        first_timeout: float = 8.0,
        next_timeout: float = 4.0,
        by_voice: bool = False,
    ) -> Digits:
        """Take up to `count` digits from the caller's keys, and with `by_voice` from what is said, too.

        It ends with the last of them, with one of `terminators`, or after a pause: `first_timeout` seconds from the end
        of the prompt, `next_timeout` after a digit. A key cuts off the prompt. The keys are not told to `on_dtmf`.
        """
        if count < 1:
            raise ValueError(f"{count} digits can't be waited for: 1 or more")
        if by_voice:
            self._session.listen()
        collector = DigitCollector(
            count, terminators=terminators, first_timeout=first_timeout, next_timeout=next_timeout, by_voice=by_voice
        )
        return await self._session.collect(collector, self.say(prompt) if prompt else None)

    async def audio(self, rate: int | None = None) -> AsyncGenerator[bytes, None]:
        """The caller's sound from now on, PCM16 at `rate` Hz (8000, 16000, 24000, 48000; by default the call's).

        Pieces are 20 ms and come as the caller speaks, silence too; the call's end ends it. At most 2 s wait for a slow
        reader, then the oldest is dropped. Another rate than the call's costs some 2 % of a core.
        """
        rate = rate or self.rate
        if rate not in RATES:
            raise ValueError(f"a rate of {rate} Hz: choose one of {', '.join(map(str, RATES))}")
        if self._session.over.done():
            return
        tap = self._session.ears.tap(rate)
        try:
            async for piece in tap:
                yield piece
        finally:
            self._session.ears.untap(tap)

    async def events(self) -> AsyncGenerator[CallEvent, None]:
        """What happens from now on: keys, speech, transcripts, turns, what was said and cut off. The end ends it.

        At most 1,000 events wait for a slow reader, then the oldest is dropped.
        """
        with self._session.reader() as reader:
            async for event in reader:
                yield event

    # -- the rest

    async def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Press keys towards the caller's side: 1 to 64 of `0-9 * # A-D`, after what was said before.

        Each is pressed for `duration_ms`, and `gap_ms` lie between two, both 40 to 8000. What is said afterwards waits
        for them. They leave as the call's trunk has it (its `dtmf`). Raises `CallEnded` after the call.
        """
        digits = digits.upper()
        if not 1 <= len(digits) <= 64 or set(digits) - set("0123456789*#ABCD"):
            raise ValueError("those are not 1 to 64 of 0-9 * # A-D")
        if not (40 <= duration_ms <= 8000 and 40 <= gap_ms <= 8000):
            raise ValueError("keys are pressed for 40 to 8000 ms, and so long are the gaps between them")
        self._check()
        self._session.line.send_dtmf(digits, duration_ms, gap_ms)

    @asynccontextmanager
    async def masked_digits(self, *, withhold: bool = False) -> AsyncGenerator[None, None]:
        """While this is open, nobody but the agent knows which keys are pressed: for a card's number, say.

        They are in no timeline and no SIP trace of the gateway, and recordings are silent where their tones were. With
        `withhold` the agent doesn't know either: keys are `?`, and their tones are silence. It begins when the gateway
        has confirmed it, and raises `AgentError` if it doesn't (an older gateway). What the call's route masks is
        masked anyway.
        """
        self._check()
        async with self._session.masks.masked(withhold=withhold):
            yield

    @property
    def headers_out(self) -> CallHeaders:
        """SIP headers in all that we send from now on: the answer or refusal, the BYE, and the requests between.

        A dictionary. What is set leaves with the next message that carries it, so set it before `hang_up`.
        """
        return self._headers["all"]

    @property
    def answer_headers(self) -> CallHeaders:
        """SIP headers in the answer or the refusal alone, so of use until `on_ringing` returns. A dictionary."""
        return self._headers["answer"]

    @property
    def bye_headers(self) -> CallHeaders:
        """SIP headers in our BYE alone: what came of the call, say. A dictionary."""
        return self._headers["bye"]

    def send_user_to_user(self, data: str | bytes, *, purpose: str = "", content: str = "", on: Place = "all") -> None:
        """Give the caller's application data along (RFC 7433), with what we send from now on; of 1,000 bytes at most.

        With `on` in the answer or the BYE alone. It takes the place of what was given before; ISDN has room for 128.
        """
        self._headers[on]["User-to-User"] = user_to_user(data, purpose, content)

    @property
    def answered_by(self) -> AnsweredBy | None:
        """Who has answered a call out, as far as it is known by now; None where nobody has asked for it (`detect`)."""
        return self._session.answered_by

    async def leave_message(self, text: str) -> Said:
        """Say something to the machine that has answered, once its greeting is over, and hang up behind it.

        Waits for the beep, or for the silence of a machine that has none, a minute at most. Raises `CallEnded`.
        """
        await self._session.wait_for_beep()
        said = await self.say(text, barge_in="off")
        await self.hang_up()
        return said

    @property
    def is_held(self) -> bool:
        """Whether the call is on hold, by the caller or by the agent: nobody hears the agent, and it hears silence."""
        return self._session.hold.is_on

    async def hold(self) -> None:
        """Put the caller on hold, and return when it is: it hears music or silence, as its route or trunk has it.

        What is being said is cut off, and what is said before `resume` is not heard; both `say` so (`Said.held`).
        Raises `HoldFailed` where the caller's side does not want that: then the call is as it was.
        """
        await self._session.hold.ask("hold")

    async def resume(self) -> None:
        """Have the caller back from `hold`. Raises `HoldFailed`: then it is still on hold."""
        await self._session.hold.ask("resume")

    @property
    def recording(self) -> RecordingState:
        """How the recording of the call stands: `on`, `paused`, or `off` where its route doesn't record."""
        return self._session.recording

    async def record(self, action: RecordingAction) -> RecordingState:
        """Pause the recording of the call, or let it go on: for a card's number, say. Gives the state it is then in.

        When it returns `paused`, nothing that is said from there on is recorded. With `record = "when-asked"` in the
        call's route, `start` and `stop` begin and end it, once in a call; where there is an announcement, `start`
        returns when that has been heard.
        """
        if action not in get_args(RecordingAction):
            raise ValueError(f"a recording can't be told to {action!r}: {', '.join(get_args(RecordingAction))}")
        return await self._session.record(action)

    async def transfer(
        self,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  it is the gateway that counts
    ) -> Transferred:
        """Hand the caller over to somebody else, and return what became of it: exactly one outcome, never an exception.

        `target` is `tel:+14155550100`, `sip:desk@example.com`, a number as the trunk's country writes it, or an
        extension of the caller's phone system; where it may go is the trunk's to say (`transfer_to`). What was said
        before is played first. `timeout` is in seconds, ringing at the target included; by default the trunk's
        `transfer_timeout`. `headers` are for the request (`X-…`), and `User-to-User` for the target.

        Completed, the call ends for the agent (`transferred`); what runs for it is cancelled. On anything else the
        caller is back, unless gone. Meanwhile the caller's words are no `on_turn`. It can't be taken back: who stops
        waiting does not stop it. One at a time, else ValueError, as for what can't be asked for.
        """
        headers = headers or {}
        if not isinstance(target, str) or not 1 <= len(target) <= 256:
            raise ValueError("a target is a string of 1 to 256 characters")
        if len(headers) > 32 or not all(isinstance(value, str) and len(value) <= 1024 for value in headers.values()):
            raise ValueError("headers are at most 32 strings of at most 1024 characters")
        if timeout is not None and not 1 <= timeout <= 600:
            raise ValueError("a transfer may take 1 to 600 seconds")
        return await self._session.transfer.ask(target, headers, timeout)

    async def hand_over(
        self,
        to: str,
        *,
        note: str = "",
        timeout: float | None = None,  # noqa: ASYNC109  it is the gateway that counts
    ) -> HandedOver:
        """Give the call to another agent, and return what became of it: exactly one outcome, never an exception.

        `to` is a destination as a route has it: `worker:billing`, `agent:billing`, `wss://…`; which ones is the route's
        to say (`hand_over_to`). The other agent is told the call's facts, its `history` and the `note` (at most 4096
        characters). What was said before is played first, and the caller is with this agent until the other one is
        ready. `timeout` is the seconds that it has for that, 180 at most, by default the route's `ring_timeout`.

        Handed over, the call ends for this agent (`handed_over`); what runs for it is cancelled. On anything else it
        still has the call, unless the caller is gone. Meanwhile the caller's words are no `on_turn`. It can't be taken
        back: who stops waiting does not stop it. One at a time, else ValueError, as for what can't be asked for.
        """
        if not isinstance(to, str) or not 1 <= len(to) <= 256:
            raise ValueError("an agent to hand over to is a string of 1 to 256 characters")
        if len(note) > 4096:
            raise ValueError("a note is at most 4096 characters")
        if timeout is not None and not 1 <= timeout <= 180:
            raise ValueError("another agent may take 1 to 180 seconds to be ready")
        return await self._session.hand_over.ask(to, note, timeout)

    async def hang_up(self, reason: str = "", *, now: bool = False) -> None:
        """End the call once all that was said has been played; with `now` at once. `reason` goes into its record.

        What runs for the call is cancelled with it, so code behind this may not run: `on_hangup` will.
        """
        await self._session.hang_up(reason, now=now)

    async def wait_until_over(self) -> None:
        """Stay in the call until it ends. As with `hang_up`, code behind this may not run."""
        await asyncio.wait({self._session.over})

    def create_task(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something beside the handlers for as long as the call lasts. If it fails, the call does."""
        return self._session.start(work, "a task")

    def __repr__(self) -> str:
        return f"<Call {self.id} from {self.from_number or 'nobody'} to {self.to_number}>"

    def _check(self) -> None:
        reason = self.end_reason
        if reason is not None:
            raise CallEnded(reason)

    def _policy(self, barge_in: BargeIn | None) -> BargeIn | None:
        if barge_in is not None and barge_in not in get_args(BargeIn):
            raise ValueError(f"barge_in = {barge_in!r}: choose one of {', '.join(get_args(BargeIn))}")
        return barge_in or self._session.agent.barge_in

    async def _pieces(
        self, sound: bytes | str | Path | AsyncIterable[bytes], rate: int | None
    ) -> AsyncGenerator[bytes, None]:
        if isinstance(sound, str | Path):
            sound, rate = await asyncio.to_thread(read_wav, sound, self.rate), self.rate
        resampler = Resampler(rate or self.rate, self.rate)
        if isinstance(sound, bytes | bytearray | memoryview):
            size = (rate or self.rate) * _PIECE_MS // 1000 * 2
            for at in range(0, len(sound), size):
                yield resampler.feed(bytes(sound[at : at + size]))
        else:
            async for piece in _whole_samples(sound):
                yield resampler.feed(piece)
        yield resampler.finish()


async def _whole_samples(sound: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in sound:
        whole = rest + piece
        size = len(whole) & ~1
        rest = whole[size:]
        yield whole[:size]
