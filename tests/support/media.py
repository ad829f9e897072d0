"""A media engine without sound: what `_media.pyi` promises, in virtual time, with the far ends in the test's hand.

A test moves the caller's RTP (`FakeLeg.hears`) and the agent's connection (`FakeWire.accept`, `speaks`, `ends` ...).
Held to the stub by tests/unit/test_media_stand_in.py.
"""

import asyncio
import json
import os
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from offhook._media import CallConfig, LegConfig, MediaError, RecordingConfig, RemoteMedia, WireConfig

CALLER = ("192.0.2.1", 4000)
AGENT = ("198.51.100.7", 443)


@dataclass(frozen=True)
class FakeEvent:
    """`MediaEvent`, which only the engine can make."""

    kind: str
    at: float
    leg: int | None = None
    wire: int | None = None
    recording: int | None = None
    mux: int | None = None
    name: str | None = None
    text: str | None = None
    code: str | None = None
    status: int | None = None
    clean: bool | None = None
    played: bool | None = None
    digit: str | None = None
    duration_ms: int | None = None
    played_ms: int | None = None
    dropped_ms: int | None = None
    address: tuple[str, int] | None = None
    subprotocol: str | None = None
    dns_ms: float | None = None
    tcp_ms: float | None = None
    tls_ms: float | None = None
    upgrade_ms: float | None = None
    pcm16: bytes | None = None
    packets: int | None = None
    position: int | None = None
    position_ms: int | None = None
    samples: int | None = None
    dropped_frames: int | None = None
    file_bytes: int | None = None
    utterance: str | None = None
    by: str | None = None
    who: str | None = None
    confidence: float | None = None
    speech_ms: int | None = None
    pause_ms: int | None = None
    corrects: str | None = None
    tone: tuple[int, int, int] | None = None


class Counters(SimpleNamespace):
    """`MediaStats`, `WireStats` and `EngineStats`: the few that anybody looks at."""

    def as_dict(self) -> dict[str, int]:
        return dict(vars(self))


class FakeEngine:
    """`Engine` with `ports` port pairs. `on_dial` is called with each wire that is opened, at once."""

    def __init__(self, ports: int = 64) -> None:
        self.legs: list[FakeLeg] = []
        self.wires: list[FakeWire] = []
        self.recordings: list[FakeRecording] = []
        self.muxes: list[FakeMux] = []
        self.bridges: list[FakeBridge] = []
        self.on_dial: Callable[[FakeWire], None] = lambda wire: None
        self.free_ports = deque(range(40000, 40000 + 2 * ports, 2))
        self.refusal: MediaError | None = None
        """What `open_leg` raises."""
        self._ports = ports
        self._events: deque[FakeEvent] = deque()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    @property
    def wakeup_fd(self) -> int:
        return self._reading

    def open_leg(self, config: LegConfig, *, beside: "FakeLeg | None" = None) -> "FakeLeg":
        if self.refusal is not None:
            raise self.refusal
        if not self.free_ports:
            raise MediaError("every port pair is in use", code="no_port")
        leg = FakeLeg(self, config, self.free_ports.popleft(), len(self.legs) + 1)
        self.legs.append(leg)
        return leg

    def bridge(self, a: "FakeLeg", b: "FakeLeg", *, digits: bool = True, one_way: bool = False) -> "FakeBridge":
        assert a is not b, "that is an echo"
        assert a.thread == b.thread, "they live on one media thread"
        bridge = FakeBridge(a, b, digits, one_way)
        for leg in (a, b):
            leg._part()
            leg.connect(None)
            leg.echoing = False
        a.bridge = b.bridge = bridge
        self.bridges.append(bridge)
        return bridge

    def open_wire(self, config: WireConfig, *, leg: "FakeLeg") -> "FakeWire":
        wire = FakeWire(self, config, len(self.wires) + 1)
        self.wires.append(wire)
        asyncio.get_running_loop().call_soon(self.on_dial, wire)
        return wire

    def open_mux(self, fd: int, answer: bytes, *, thread: int) -> "FakeMux":
        mux = FakeMux(self, answer, thread, len(self.muxes) + 1)
        self.muxes.append(mux)
        return mux

    def open_call(self, config: CallConfig, *, mux: "FakeMux", leg: "FakeLeg") -> "FakeWire":
        assert mux.thread == leg.thread, "they live on one media thread"
        wire = FakeWire(self, config, len(self.wires) + 1)
        self.wires.append(wire)
        mux.calls.append(wire)
        asyncio.get_running_loop().call_soon(self.on_dial, wire)
        return wire

    def record(self, config: RecordingConfig, *, leg: "FakeLeg") -> "FakeRecording":
        recording = FakeRecording(self, config, len(self.recordings) + 1)
        self.recordings.append(recording)
        leg.recording = recording
        return recording

    def drain_events(self, max: int) -> Any:
        found = [self._events.popleft() for _ in range(min(max, len(self._events)))]
        if not self._events:
            while True:
                try:
                    os.read(self._reading, 4096)
                except BlockingIOError:
                    break
        return found

    def stats(self) -> Any:
        return Counters(leg_capacity=self._ports, legs=len(self.open_legs), wires=len(self.open_wires), threads=1)

    def close(self) -> None:
        for leg in self.open_legs:
            leg.close()

    # -- for tests

    @property
    def open_legs(self) -> "list[FakeLeg]":
        return [leg for leg in self.legs if not leg.closed]

    @property
    def open_wires(self) -> "list[FakeWire]":
        return [wire for wire in self.wires if not wire.is_over]

    def assert_all_free(self) -> None:
        """Every port is back, and no agent is left waiting."""
        assert len(self.free_ports) == self._ports
        assert self.open_wires == []

    def tell(self, kind: str, **fields: Any) -> None:
        self._events.append(FakeEvent(kind, _now(), **fields))
        os.write(self._writing, b"!")

    def dispose(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


class FakeLeg:
    """`RtpLeg`. Its playout queue is as long as the seconds of sound in it, and leaves as time passes."""

    def __init__(self, engine: FakeEngine, config: LegConfig, port: int, number: int) -> None:
        self.config = config
        self.id = number
        self.thread = 0
        self.local_address = ("192.0.2.2", port)
        self.remotes: list[RemoteMedia] = []
        self.moves_to: tuple[str, int] | None = None
        """What `place` says next, as where the caller's new address is another call's on this port."""
        self.misplaced: MediaError | None = None
        """What `place` raises."""
        self.collides = False
        """Whether another call of this port has the caller's address; `place` finds another port."""
        self.started_at: float | None = None
        self.starts: list[tuple[float, int | None]] = []
        """When `start` was called, and the milliseconds that it was given."""
        self.release_after_ms: int | None = None
        self.released_at: float | None = None
        self.wire: FakeWire | None = None
        self.bridge: FakeBridge | None = None
        self.deaf = False
        """Whether the wire's agent is heard and hears nothing."""
        self.recording: FakeRecording | None = None
        self.echoing = False
        self.policy: str | None = None
        """What `barge_in` said last."""
        self.listens: tuple[str | None, int] | None = None
        """What `detect` said last."""
        self.music: object = None
        """What `hold_music` said last."""
        self.closed = False
        self.packets = 0
        """Packets of the caller's beside those that `hears` tells of."""
        self.mask = "shown"
        """What `mask_digits` said last."""
        self.pressed: list[tuple[str, int, str]] = []
        """Keys that the caller has pressed: which, for how many milliseconds, the way that they came."""
        self.clears = 0
        self.played: list[tuple[float, float, str | None]] = []
        """When it began to leave, seconds of it, its mark."""
        self._engine = engine
        self._port = port
        self._held: list[tuple[float, str | None]] = []
        self._free_at = 0.0
        self._marks: list[tuple[str, asyncio.TimerHandle]] = []
        self._drains: list[asyncio.TimerHandle] = []
        self._drain_asked = False
        self._silence: asyncio.TimerHandle | None = None
        self._heard = False
        self._first_told = False

    def place(self, remote: tuple[str, int]) -> tuple[str, int]:
        if self.misplaced is not None:
            raise self.misplaced
        if self.moves_to is not None:
            self.local_address, self.moves_to = self.moves_to, None
            self.collides = False
        return self.local_address

    def set_remote(self, remote: RemoteMedia) -> None:
        if self.collides:
            raise MediaError("another call of this port has that address", code="collision")
        was_held = bool(self.remotes) and self.remote.hold
        self.remotes.append(remote)
        if remote.hold and not was_held and self.released_at is not None and self.waiting:
            # Nobody hears it: it is dropped.
            self.clear()
        self._watch_silence()

    def start(self, *, release_after_ms: int | None = 300) -> None:
        assert self.remotes, "RTP starts when it is known where to"
        self.starts.append((_now(), release_after_ms))
        if self.started_at is None:
            self.started_at = _now()
        else:
            self._first_told = False
            if release_after_ms != 0:
                self.released_at = None
        self.release_after_ms = release_after_ms
        if release_after_ms is not None:
            asyncio.get_running_loop().call_later(release_after_ms / 1000, self._release)
        self._watch_silence()

    def release(self) -> None:
        self._release()

    def connect(self, wire: "FakeWire | None", *, deaf: bool = False) -> None:
        self.wire = wire
        self.deaf = deaf
        if wire is not None:
            self._part()
            wire.leg = self
            for seconds in wire.waiting:
                self._queue(seconds, None)
            wire.waiting.clear()
            if self._heard and not deaf:
                wire.hears()

    def barge_in(self, policy: str | None) -> None:
        self.policy = policy

    def detect(self, stage: str | None, limit_ms: int) -> None:
        self.listens = (stage, limit_ms)

    def hold_music(self, melody: Any) -> None:
        self.music = melody

    def echo(self, on: bool) -> None:
        self.echoing = on
        if on:
            self._part()

    def play(self, pcm16: bytes, rate: int, mark: str | None = None) -> None:
        self._queue(len(pcm16) / 2 / rate, mark)

    def clear(self) -> None:
        self.clears += 1
        self._held.clear()
        self._free_at = _now()
        for name, handle in self._marks:
            handle.cancel()
            self._tell("mark", name=name, played=False)
        self._marks.clear()
        self._tell("cleared", played_ms=0, dropped_ms=0)

    def tap(self, on: bool) -> None:
        """Nobody listens."""

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Nobody listens."""

    def press(self, digit: str, duration_ms: int) -> None:
        self._press(digit, duration_ms, "info")

    def mask_digits(self, mask: str) -> None:
        self.mask = mask

    def drain(self) -> None:
        if self._held:
            self._drain_asked = True
        else:
            self._tell_drained()

    def stats(self) -> Any:
        received = self.packets + (50 if self._heard else 0)
        return Counters(received_packets=received, sent_packets=50 if self.started_at else 0)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._part()
        self._engine.free_ports.append(self._port)
        if self.recording is not None:
            self.recording.stop()
        if self._silence is not None:
            self._silence.cancel()
        if self.wire is not None:
            self.wire.close(1000, "")

    # -- for tests

    @property
    def hears_leg(self) -> "FakeLeg | None":
        """The other leg whose sound its peer is to hear."""
        if self.bridge is None:
            return None
        a, b = self.bridge.legs
        return b if self is a else None if self.bridge.one_way else a

    @property
    def remote(self) -> RemoteMedia:
        """What was negotiated last."""
        return self.remotes[-1]

    @property
    def waiting(self) -> float:
        """Seconds of agent audio that have not left."""
        return sum(seconds for seconds, _ in self._held) + max(0.0, self._free_at - _now())

    def hears(self, address: tuple[str, int] = CALLER) -> None:
        """The caller's RTP comes."""
        if not self._heard:
            self._heard = True
            self._tell("first_packet", address=address)
        self._release()
        self._watch_silence()
        if self.wire is not None and not self.deaf:
            self.wire.hears()

    def keys(self, digit: str, duration_ms: int = 120) -> None:
        """The caller presses a key (RFC 4733)."""
        self._press(digit, duration_ms, "rfc4733")

    def _part(self) -> None:
        if self.bridge is not None:
            self.bridge.close()

    def _press(self, digit: str, duration_ms: int, by: str) -> None:
        # The real one makes one press of what comes two ways: its own tests have that.
        self.pressed.append((digit, duration_ms, by))
        self._tell("digit", digit=digit if self.mask == "shown" else None, duration_ms=duration_ms, by=by)

    def tells(self, kind: str, **fields: Any) -> None:
        """Any other event."""
        self._tell(kind, **fields)

    def _queue(self, seconds: float, mark: str | None) -> None:
        if self.started_at is None or self.released_at is None:
            self._held.append((seconds, mark))
            return
        loop, begins = asyncio.get_running_loop(), max(_now(), self._free_at)
        if not self._first_told:
            self._first_told = True
            loop.call_at(begins, self._tell, "first_agent_audio_sent")
        self.played.append((begins, seconds, mark))
        self._free_at = begins + seconds
        if mark is not None:
            handle = loop.call_at(self._free_at, self._tell_mark, mark)
            self._marks.append((mark, handle))

    def _tell_mark(self, mark: str) -> None:
        self._marks = [(name, handle) for name, handle in self._marks if name != mark]
        self._tell("mark", name=mark, played=True)

    def _tell_drained(self) -> None:
        asyncio.get_running_loop().call_at(max(_now(), self._free_at), self._tell, "drained")

    def hang_up_after_playout(self) -> None:
        asyncio.get_running_loop().call_at(max(_now(), self._free_at), self._tell, "hang_up_requested")

    def _release(self) -> None:
        if self.closed or self.started_at is None or self.released_at is not None:
            return
        self.released_at = _now()
        held, self._held = self._held, []
        for seconds, mark in held:
            self._queue(seconds, mark)
        if self._drain_asked:
            self._drain_asked = False
            self._tell_drained()

    def _watch_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        limit = self.config.media_timeout_ms
        if self.started_at is None or limit is None or self.closed:
            return
        if self.remote.receive and not self.remote.hold:
            self._silence = asyncio.get_running_loop().call_later(limit / 1000, self._silent)

    def _silent(self) -> None:
        self._tell("media_timeout")
        self._watch_silence()

    def _tell(self, kind: str, **fields: Any) -> None:
        if not self.closed:
            self._engine.tell(kind, leg=self.id, **fields)


class FakeRecording:
    """`Recording`, of silence: a WAV file of as many seconds as have passed, written when it ends."""

    def __init__(self, engine: FakeEngine, config: RecordingConfig, number: int) -> None:
        self.config = config
        self.id = number
        self.is_over = False
        self.paused = False
        self._engine = engine
        self._began_at = _now()
        self._tell("recording_started")

    def pause(self) -> None:
        if not self.paused and not self.is_over:
            self.paused = True
            self._tell("recording_paused", position_ms=self._lasted_ms)

    def resume(self) -> None:
        if self.paused and not self.is_over:
            self.paused = False
            self._tell("recording_resumed", position_ms=self._lasted_ms)

    def stop(self) -> None:
        if not self.is_over:
            self.fail("")

    # -- for tests

    def fail(self, error: str) -> None:
        """It ends, `error` being what the disk said, if it said anything."""
        self.is_over = True
        samples = self._lasted_ms * self.config.rate // 1000
        header = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack(
            "<IHHIIHH4sI", 16, 1, 2, self.config.rate, 4 * self.config.rate, 4, 16, b"data", 0xFFFFFFFF
        )
        if self.config.path.parent.is_dir():
            self.config.path.write_bytes(header + bytes(4 * samples))
        size = len(header) + 4 * samples
        self._tell("recorded", samples=samples, dropped_frames=0, file_bytes=size, text=error or None)

    @property
    def _lasted_ms(self) -> int:
        return round((_now() - self._began_at) * 1000)

    def _tell(self, kind: str, **fields: Any) -> None:
        self._engine.tell(kind, recording=self.id, **fields)


class FakeBridge:
    """`Bridge`. Of the sound nothing is known."""

    def __init__(self, a: FakeLeg, b: FakeLeg, digits: bool, one_way: bool) -> None:
        self.legs = (a, b)
        self.digits = digits
        self.one_way = one_way
        self.is_over = False

    def close(self) -> None:
        self.is_over = True
        for leg in self.legs:
            if leg.bridge is self:
                leg.bridge = None


class FakeWire:
    """`Wire`. What the agent does comes from the test."""

    def __init__(self, engine: FakeEngine, config: WireConfig | CallConfig, number: int) -> None:
        self.config = config
        self.id = number
        self.texts: list[str] = []
        self.numbered: list[bool] = []
        self.close_asked: tuple[int, str] | None = None
        """Code and reason of our close."""
        self.is_over = False
        self.leg: FakeLeg | None = None
        self.waiting: list[float] = []
        self._engine = engine
        self._connected = False
        self._spoken = False
        self._heard = False

    def send_text(self, text: str, *, numbered: bool = False) -> None:
        if not self.is_over:
            self.texts.append(text)
            self.numbered.append(numbered)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.is_over:
            return
        self.close_asked = (code, reason)
        self._end()
        if self._connected:
            self._tell("closed", status=code, text=reason, code="requested", clean=True)
        else:
            self._tell("failed", code="cancelled", text="given up")

    def stats(self) -> Any:
        return Counters(sent_messages=len(self.texts), received_messages=int(self._spoken))

    # -- for tests

    @property
    def said(self) -> list[dict[str, Any]]:
        """What it was told, as JSON."""
        return [json.loads(text.replace("{sequence}", "0")) for text in self.texts]

    @property
    def said_types(self) -> list[str]:
        """The kinds of what it was told, by the word of its dialect."""
        return [message.get("type") or message["event"] for message in self.said]

    def accept(self) -> None:
        """The upgrade is done."""
        self._connected = True
        offered = self.config.subprotocols if isinstance(self.config, WireConfig) else []
        chosen = offered[0] if offered else None
        self._tell("connected", address=AGENT, subprotocol=chosen, dns_ms=1.0, tcp_ms=2.0, tls_ms=3.0, upgrade_ms=4.0)

    def refuse(self, status: int = 403, body: str = "") -> None:
        self._end()
        self._tell("refused", status=status, text=body)

    def fail(self, code: str = "tcp", text: str = "connection refused") -> None:
        self._end()
        self._tell("failed", code=code, text=text)

    def says(self, **message: Any) -> None:
        """A message that is not audio, mark or clear."""
        self._tell("text", text=json.dumps(message))

    def speaks(self, seconds: float = 1.0) -> None:
        """Audio of the agent."""
        if not self._spoken:
            self._spoken = True
            self._tell("first_audio_received")
        if self.leg is None:
            self.waiting.append(seconds)
        else:
            self.leg._queue(seconds, None)

    def hangs_up(self) -> None:
        """It asks for the call's end after what it has said (offhook.v1)."""
        self.says(type="hangup")
        assert self.leg is not None
        self.leg.hang_up_after_playout()

    def ends(self, status: int = 1000, text: str = "", *, code: str | None = None) -> None:
        """The connection is over from the agent's side, or by the core (`code`)."""
        self._end()
        self._tell("closed", status=status, text=text, code=code, clean=status == 1000)
        if self.leg is not None and status == 1000:
            self.leg.drain()

    def breaks(self) -> None:
        """The agent's process dies."""
        self.ends(1006)

    def tells(self, kind: str, **fields: Any) -> None:
        """Any other event."""
        self._tell(kind, **fields)

    def hears(self) -> None:
        if not self._heard:
            self._heard = True
            self._tell("first_caller_audio_sent")

    def _end(self) -> None:
        self.is_over = True

    def _tell(self, kind: str, **fields: Any) -> None:
        self._engine.tell(kind, wire=self.id, **fields)


def _now() -> float:
    return asyncio.get_running_loop().time()


class FakeMux:
    """`Mux`. What the worker does comes from the test."""

    def __init__(self, engine: FakeEngine, answer: bytes, thread: int, number: int) -> None:
        self.answer = answer
        self.thread = thread
        self.id = number
        self.calls: list[FakeWire] = []
        self.texts: list[str] = []
        self.close_asked: tuple[int, str] | None = None
        self._engine = engine

    def send_text(self, text: str) -> None:
        self.texts.append(text)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.close_asked is None:
            self.close_asked = (code, reason)
            self.tell("closed", status=code, text=reason, code="requested", clean=True)

    def stats(self) -> Any:
        return Counters(sent_messages=len(self.texts))

    # -- for tests

    @property
    def said(self) -> list[dict[str, Any]]:
        """What it was told, as JSON."""
        return [json.loads(text) for text in self.texts]

    def says(self, **message: Any) -> None:
        """The worker says something about itself."""
        self.tell("text", text=json.dumps(message))

    def breaks(self) -> None:
        """Its connection is gone."""
        self.close_asked = (1006, "")
        self.tell("closed", status=1006, text="the connection broke", clean=False)

    def tell(self, kind: str, **fields: Any) -> None:
        """Something that the engine tells of it."""
        self._engine.tell(kind, mux=self.id, **fields)
