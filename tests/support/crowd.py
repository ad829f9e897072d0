"""Many calls at once from one address, each with a tone of its own, in one thread of plain sockets.

Every frame of every tone is known, so each frame that comes back is looked up: it is the caller's own, silence, another
caller's, or none of these. An echo without codec between returns the very bytes.
"""

import math
import random
import secrets
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from .sip_text import INVITE, LATER, PCMU, Heard, ok
from .tone import FRAME, RATE, SILENT_FRAME, decode, encode, share

_TICK = 0.02
_STEPS = 8
"""The calls take turns within a tick, so that their packets don't leave in one burst."""
_LIMIT = 20.0
_RETRY = 1.0
_BUFFER = 1 << 20
_QUIET = 300


@dataclass(frozen=True)
class Voice:
    """A tone that repeats after a second: 50 frames of µ-law, unlike those of any other voice."""

    number: int
    hz: int
    frames: tuple[bytes, ...]

    @classmethod
    def make(cls, number: int) -> Self:
        """Voice `number`: tones are 15 Hz apart, and go through the band again with another loudness."""
        hz, round_ = 300 + 15 * (number % 200), number // 200
        amplitude, phase = 8000.0 - 900 * round_, random.Random(number).uniform(0, 2 * math.pi)
        sound = encode(amplitude * math.sin(2 * math.pi * hz * n / RATE + phase) for n in range(RATE))
        return cls(number, hz, tuple(sound[at : at + FRAME] for at in range(0, RATE, FRAME)))


@dataclass
class Ears:
    """What a caller has heard on one of its ports, from the address that the gateway answered with."""

    own: int = 0
    silent: int = 0
    foreign: Counter[int] = field(default_factory=Counter)
    """Frames of other voices, by the voice's number."""
    stray: Counter[int] = field(default_factory=Counter)
    """Frames of other voices that came from elsewhere: to whoever had the port before."""
    odd: list[bytes] = field(default_factory=list)
    """Frames that nobody sent."""


class Caller:
    """One call. `source` is its RTP socket, which may be that of an earlier call."""

    def __init__(self, voice: Voice, source: socket.socket) -> None:
        self.voice = voice
        self.source = source
        self.ears = Ears()
        self.old_sources: list[socket.socket] = []
        self.target: tuple[str, int] | None = None
        self.early: Sequence[tuple[str, int]] = ()
        """Where it sends while it isn't answered."""
        self.talks = True
        self.sent = 0
        """Frames sent to where the call stands."""
        self.state = "idle"
        self.failure = ""
        self.call_id = f"{secrets.token_hex(8)}@crowd"
        self.tag = secrets.token_hex(4)
        self.branch = ""
        self.cseq = 1
        self.version = 1
        self.answer: Heard | None = None
        self.sent_at = 0.0
        self.sequence = random.Random(self.call_id).randrange(1 << 16)
        self.timestamp = random.Random(self.call_id).randrange(1 << 32)
        self.ssrc = random.Random(self.call_id).randrange(1 << 32)
        self._at = 0

    @property
    def is_up(self) -> bool:
        """Answered, and not over."""
        return self.state == "up"

    @property
    def port(self) -> int:
        """The RTP port that it offers."""
        return int(self.source.getsockname()[1])

    def speak(self) -> None:
        """Send the next 20 ms of its voice to where the call stands."""
        targets = [self.target] if self.target is not None else self.early
        if not (targets and self.talks):
            return
        head = struct.pack("!BBHII", 0x80, 0, self.sequence, self.timestamp, self.ssrc)
        packet = head + self.voice.frames[self._at]
        for target in targets:
            self.source.sendto(packet, target)
        self.sent += self.target is not None
        self._at = (self._at + 1) % len(self.voice.frames)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + FRAME) & 0xFFFFFFFF


class Crowd:
    """Callers of one address. Nothing happens but in `run` and `until`."""

    def __init__(self, gateway: tuple[str, int], host: str = "127.0.0.1", to: str = "echo") -> None:
        self.gateway = gateway
        self.host = host
        self.to = to
        self.callers: dict[str, Caller] = {}
        self._owners: dict[bytes, int] = {SILENT_FRAME: -1}
        self._listening: dict[socket.socket, Caller] = {}
        self._selector = selectors.DefaultSelector()
        # An odd port would get the RTCP of whoever has the one below.
        self._sip = self._open_even()
        self._selector.register(self._sip, selectors.EVENT_READ)
        self._next = time.monotonic()
        self._step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for own in {self._sip, *self._listening}:
            own.close()

    # -- verbs

    def caller(self, number: int, source: socket.socket | None = None) -> Caller:
        """A caller with voice `number`; with `source` on the port of one whose call is over or forgotten."""
        voice = Voice.make(number)
        for frame in voice.frames:
            assert self._owners.setdefault(frame, number) == number, "each voice's frames are its own"
        caller = Caller(voice, source if source is not None else self._open_even())
        self._listen(caller.source, caller)
        return caller

    def dial(self, caller: Caller, early: Sequence[tuple[str, int]] = ()) -> None:
        """Send its INVITE; until the answer it sends its voice to all of `early`."""
        self.callers[caller.call_id] = caller
        caller.early = early
        caller.state = "dialled"
        self._invite(caller)
        caller.speak()

    def move(self, caller: Caller) -> None:
        """A re-INVITE with another port. The old one speaks until the answer, and is heard all the time."""
        caller.old_sources.append(caller.source)
        caller.cseq += 1
        caller.version += 1
        caller.state = "moving"
        new = self._open_even()
        self._listen(new, caller)
        self._invite(caller, port=new.getsockname()[1])

    def hang_up(self, callers: Iterable[Caller]) -> None:
        """Send BYE; the caller falls silent."""
        for caller in callers:
            caller.cseq += 1
            caller.state = "leaving"
            caller.talks = False
            self._later(caller, "BYE", caller.cseq)

    def vanish(self, callers: Iterable[Caller]) -> None:
        """Be gone without a word, as a phone that lost power; whoever takes its port hears for itself alone."""
        for caller in callers:
            caller.state = "gone"
            caller.talks = False

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._turn(left)

    def until(self, condition: Callable[[], bool], what: str, within: float = _LIMIT) -> None:
        """Go on until something is so."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                states = Counter(caller.failure or caller.state for caller in self.callers.values())
                raise AssertionError(f"{what}: not in {within:.0f} s: {dict(states)}")
            self._turn(0.02)

    def all_up(self, callers: Iterable[Caller]) -> bool:
        """Whether all are answered; fails if one was refused."""
        states = [(caller.state, caller.failure) for caller in callers]
        failed = [failure for _, failure in states if failure]
        assert not failed, failed[0]
        return all(state == "up" for state, _ in states)

    def heard(self, kind: Literal["own", "foreign"]) -> int:
        """Frames of a caller's own voice, or of others', that all have heard together."""
        ears = [caller.ears for caller in self.callers.values()]
        return sum(one.own if kind == "own" else one.foreign.total() for one in ears)

    # -- within

    def _turn(self, longest: float) -> None:
        now = time.monotonic()
        while self._next <= now:
            callers = list(self.callers.values())
            for caller in callers[self._step :: _STEPS]:
                caller.speak()
                self._repeat(caller, now)
            self._step = (self._step + 1) % _STEPS
            # A machine that stood still does not make up for it.
            self._next = max(self._next + _TICK / _STEPS, now - 0.2)
        for key, _ in self._selector.select(min(longest, max(0.0, self._next - time.monotonic()))):
            own = key.fileobj
            assert isinstance(own, socket.socket), "only sockets are registered"
            try:
                data, source = own.recvfrom(4096)
            except ConnectionRefusedError:
                continue
            if own is self._sip:
                self._take(Heard.read(data))
            else:
                self._hear(self._listening[own], data, source)

    def _hear(self, caller: Caller, packet: bytes, source: tuple[str, int]) -> None:
        frame, ears = packet[12:], caller.ears
        owner = self._owners.get(frame)
        if owner is None:
            owner = self._judge(caller, frame)
        if source != caller.target:
            if owner is not None and owner not in (-1, caller.voice.number):
                ears.stray[owner] += 1
        elif owner is None:
            ears.odd.append(frame)
        elif owner == -1:
            ears.silent += 1
        elif owner == caller.voice.number:
            ears.own += 1
        else:
            ears.foreign[owner] += 1

    def _judge(self, caller: Caller, frame: bytes) -> int | None:
        """Whose a frame is that nobody sent as it is: shifted, faded, joined or concealed, it is the same tone.

        Where two parts of a tone were joined, it is so in each quarter but that of the seam.
        """
        samples = decode(frame)
        quarters = [samples[at : at + len(samples) // 4] for at in range(0, len(samples), len(samples) // 4)]
        loud = [quarter for quarter in quarters if max(map(abs, quarter), default=0) > _QUIET]
        if not loud:
            return -1
        if sum(share(quarter, caller.voice.hz) <= 0.5 for quarter in loud) <= 1:
            return caller.voice.number
        return None

    def _take(self, heard: Heard) -> None:
        caller = self.callers.get(heard.headers.get("call-id", ""))
        if caller is None:
            return
        if not heard.status:
            if heard.method == "BYE" and caller.state != "gone":
                caller.state = "hung up"
            if heard.method != "ACK" and caller.state != "gone":
                self._send(ok(heard))
            return
        if heard.method == "BYE":
            caller.state = "over"
        elif heard.method == "INVITE" and heard.status >= 200 and caller.state != "gone":
            self._final(caller, heard)

    def _final(self, caller: Caller, final: Heard) -> None:
        number = int(final.headers["cseq"].split()[0])
        if final.status >= 300:
            self._later(caller, "ACK", number, final, branch=caller.branch)
            if final.status == 503 and "limit_loop_lag" in final.headers.get("reason", ""):
                # A machine that is short of breath is not what a test looks at; carriers try again, too.
                caller.state, caller.sent_at = "dialled", time.monotonic() + _RETRY
                caller.branch = ""
            else:
                caller.failure = f"{final.first_line} {final.headers.get('reason', '')}"
            return
        again = caller.answer is not None and number != caller.cseq
        if not again:
            caller.answer = final
        self._later(caller, "ACK", number, final)
        if again or caller.state not in ("dialled", "moving"):
            return
        if caller.state == "moving":
            caller.source = next(own for own, whose in self._listening.items() if whose is caller and own not in
                                 caller.old_sources)  # fmt: skip
        caller.target = final.media
        caller.state = "up"

    def _repeat(self, caller: Caller, now: float) -> None:
        if caller.state == "dialled" and now > caller.sent_at + _RETRY:
            if not caller.branch:
                caller.cseq += 1
            self._invite(caller)

    def _invite(self, caller: Caller, port: int = 0) -> None:
        caller.branch = caller.branch if caller.state == "dialled" and caller.branch else _branch()
        caller.sent_at = time.monotonic()
        offer = PCMU.offer(self.host, port or caller.port, caller.version)
        fields = self._fields(caller)
        if caller.answer is not None:
            fields |= {"to": caller.answer.headers["to"], "uri": caller.answer.contact}
        length = len(offer.replace("\n", "\r\n"))
        self._send(INVITE.format(**fields, cseq=caller.cseq, branch=caller.branch, extra="", length=length) + offer)

    def _later(self, caller: Caller, method: str, cseq: int, answer: Heard | None = None, branch: str = "") -> None:
        fields, answer = self._fields(caller), answer or caller.answer
        assert answer is not None, "answered"
        fields["to"] = answer.headers["to"]
        if answer.status < 300:
            fields["uri"] = answer.contact
        self._send(LATER.format(**fields, method=method, cseq=cseq, branch=branch or _branch(), extra="", length=0))

    def _fields(self, caller: Caller) -> dict[str, object]:
        uri = f"sip:{self.to}@{self.gateway[0]}:{self.gateway[1]}"
        port = self._sip.getsockname()[1]
        own = {"host": self.host, "port": port, "caller": f"+1415555{caller.voice.number:04}", "name": "Crowd"}
        return {**own, "uri": uri, "to": f"<{uri}>", "tag": caller.tag, "call_id": caller.call_id}

    def _send(self, message: str) -> None:
        self._sip.sendto(message.replace("\n", "\r\n").encode(), self.gateway)

    def _listen(self, own: socket.socket, caller: Caller) -> None:
        if own not in self._listening:
            self._selector.register(own, selectors.EVENT_READ)
        self._listening[own] = caller

    def _open_even(self) -> socket.socket:
        while True:
            own = self._open()
            if own.getsockname()[1] % 2 == 0:
                return own
            own.close()

    def _open(self) -> socket.socket:
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        own.bind((self.host, 0))
        own.setblocking(False)
        return own


def _branch() -> str:
    return "z9hG4bK" + secrets.token_hex(8)
