"""Long calls with short session timers (RFC 4028): `python tests/soak/long_calls.py --minutes 40`.

One call of each kind, all at once, over a gateway of their own: refreshed by the gateway or by the phone, by UPDATE or
by re-INVITE, and by the gateway alone where the phone knows nothing of timers. Each says a tone of its own and must
hear it back in every second. Beside them a phone falls silent on the wire again and again, still talking: it has to be
hung up on in time, not before and not after.
"""

import argparse
import asyncio
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT)]

from tests.support import short_timers  # noqa: E402
from tests.support.gateway import Gateway, wait_until  # noqa: E402
from tests.support.plain_phone import PhoneCall, PlainPhone  # noqa: E402
from tests.support.sip_text import Heard, ok  # noqa: E402
from tests.support.tone import has_tone, tone  # noqa: E402

LEAST = 90
"""Seconds: the shortest interval that RFC 4028 allows."""
SECOND = 50
"""Frames."""
LOST_SECONDS = 0.01
"""Of the seconds of a call so many may be without its tone, on a machine that has more to do than this."""
PUNCTUAL = 0.05
"""Seconds: where our own packets left later than this, what comes back says nothing about the gateway."""
DISTURBED = 0.25
"""Of the seconds of a call; with more of them that can't be judged the proof is none."""
LONGEST_SILENCE = 2
"""Seconds in a row without it."""

TOML = """
[[trunk]]
name = "carrier"
allow = ["127.0.0.1"]

[[trunk]]
name = "without-timers"
allow = ["127.0.0.2"]
session_timer = 90

[[route]]
name = "all"
destination = "echo:"
"""

UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"


@dataclass(frozen=True)
class Kind:
    """What a phone says of timers: who refreshes (`uac` is the phone), and whether it takes UPDATE."""

    name: str
    hz: float
    refresher: str = ""
    update: bool = False
    host: str = "127.0.0.1"
    answers: bool = True


KINDS = (
    Kind("we refresh by UPDATE", 400, "uas", update=True),
    Kind("we refresh by re-INVITE", 500, "uas"),
    Kind("the phone refreshes by UPDATE", 600, "uac", update=True),
    Kind("the phone refreshes by re-INVITE", 700, "uac"),
)
UNAWARE = Kind("the phone knows no timers", 800, host="127.0.0.2")
SILENT = Kind("the phone falls silent on the wire", 900, "uac", update=True, answers=False)


@dataclass
class Told:
    """What one call came to."""

    kind: Kind
    refreshes: int = 0
    seconds: int = 0
    without: int = 0
    silence: int = 0
    """The longest, in seconds."""
    disturbed: int = 0
    """Seconds in which the machine kept this program from talking."""
    wrong: list[str] = field(default_factory=list)


class TimedCall(PhoneCall):
    """A call that speaks of session timers as its kind does."""

    kind: Kind
    interval: int
    told: Told

    @property
    def _timer(self) -> str:
        """Session-Expires as this phone's answers say it: the gateway has asked, so the gateway is the uac."""
        return f"Session-Expires: {self.interval};refresher={'uac' if self.kind.refresher == 'uas' else 'uas'}"

    @property
    def _contact(self) -> str:
        return f"Contact: <sip:phone@{self.phone.host}:{self.phone.port}>"

    def _answer(self, request: Heard) -> None:
        if request.method == "ACK" or (not self.kind.answers and request.method != "BYE"):
            return
        extra = [self._contact]
        sdp = ""
        if request.method in ("INVITE", "UPDATE"):
            self.told.refreshes += 1
            if self.kind.refresher:
                extra += [self._timer, "Require: timer"]
            if request.method == "INVITE":
                sdp = self.line.offer(*self.rtp.address)
        self.phone.send(ok(request, *extra, sdp=sdp), self.gateway)

    def refresh(self) -> None:
        """Send a refresh, with the same SDP if it is a re-INVITE."""
        method = "UPDATE" if self.kind.update else "INVITE"
        answer = self._final()
        assert answer is not None, "answered"
        sdp = "" if self.kind.update else self.line.offer(*self.rtp.address)
        number = next(self._cseq)
        fields = self._fields()
        lines = [
            f"{method} {answer.contact} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.phone.host}:{self.phone.port};branch=z9hG4bK{number}{self._tag};rport",
            "Max-Forwards: 70",
            f'From: "{self.name}" <sip:{self.caller}@{self.phone.host}>;tag={fields["tag"]}',
            f"To: {answer.headers['to']}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            self._contact,
            "Supported: timer",
            f"Session-Expires: {self.interval};refresher=uac",
            *(("Content-Type: application/sdp",) if sdp else ()),
            f"Content-Length: {len(sdp.replace(chr(10), chr(13) + chr(10)))}",
        ]
        self.phone.send("\n".join([*lines, "", sdp]), self.gateway)

    def take(self, heard: Heard) -> None:
        """The answer to a refresh of ours is acknowledged here; all else is an ordinary call's."""
        if heard.status >= 200 and heard.method in ("INVITE", "UPDATE") and not heard.headers["cseq"].startswith("1 "):
            self.told.refreshes += heard.status == 200
            if heard.status != 200 or "refresher=uac" not in heard.headers.get("session-expires", ""):
                self.told.wrong.append(f"our refresh was answered with {heard.first_line}, {heard.headers}")
            if heard.method == "INVITE":
                number = int(heard.headers["cseq"].split()[0])
                self._later("ACK", heard, cseq=number, branch=f"z9hG4bKack{number}{self._tag}")
            return
        super().take(heard)


class TimedPhone(PlainPhone):
    """A phone whose calls speak of session timers."""

    call_type = TimedCall


async def live(told: Told, gateway: tuple[str, int], interval: int, seconds: float) -> TimedCall:
    """One call, talked and listened to all along; hung up by the phone at its end."""
    kind = told.kind
    async with TimedPhone.open(kind.host) as phone:
        call = dial(phone, told, gateway, interval)
        await call.answered()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        sentence = tone(kind.hz, 1.0)
        call.say(sentence * 2)
        refresh_at = begin + interval / 2
        listener = Listener(told)
        while loop.time() < begin + seconds:
            await asyncio.sleep(1.0)
            call.say(sentence)
            if not call.is_up:
                told.wrong.append(f"hung up on after {loop.time() - begin:.0f} s: {call._bye()}")
                break
            if loop.time() - begin > 2:
                listener.hear(call)
            if kind.refresher == "uac" and loop.time() >= refresh_at:
                refresh_at += interval / 2
                call.refresh()
        listener.judge()
        return call


@dataclass
class Listener:
    """Hears whether a call's own tone came back in each second."""

    told: Told
    silence: int = 0
    ssrc: int | None = None
    sequence: int = 0
    lost: int = 0
    was_late: float = 0.0

    def hear(self, call: PhoneCall) -> None:
        """Listen to what has come since the last time, and forget it."""
        packets = [packet for packet in call.rtp.packets if packet.payload_type == 0]
        call.rtp.packets.clear()
        call.rtp.wire.clear()
        call.heard[20:-20] = []
        told = self.told
        told.seconds += 1
        # Also the second after it: the last of what was late comes back then.
        late, call.late = max(call.late, self.was_late), 0.0
        self.was_late = late if late != self.was_late else 0.0
        if sum(has_tone(packet.payload, told.kind.hz) for packet in packets) > SECOND // 2:
            self.silence = 0
        elif late > PUNCTUAL:
            told.disturbed += 1
        else:
            told.without += 1
            self.silence += 1
            told.silence = max(told.silence, self.silence)
        for packet in packets:
            if self.ssrc is None:
                self.ssrc, self.sequence = packet.ssrc, packet.sequence - 1
            if packet.ssrc != self.ssrc:
                told.wrong.append(f"another SSRC in the {told.seconds}th second")
                self.ssrc = packet.ssrc
            self.lost += (packet.sequence - self.sequence - 1) % 0x10000
            self.sequence = packet.sequence

    def judge(self) -> None:
        """Say what was not as it should be."""
        told = self.told
        if told.without > max(1, LOST_SECONDS * told.seconds) or told.silence > LONGEST_SILENCE:
            told.wrong.append(f"{told.without} of {told.seconds} s without the tone, {told.silence} s in a row")
        if told.disturbed > max(1, DISTURBED * told.seconds):
            told.wrong.append(f"the machine disturbed {told.disturbed} of {told.seconds} s")
        if self.lost > told.seconds * SECOND * LOST_SECONDS:
            told.wrong.append(f"{self.lost} packets of the gateway are missing")


async def fall_silent(told: Told, gateway: tuple[str, int], interval: int, seconds: float) -> None:
    """Call, promise to refresh, and answer nothing any more: again and again."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    due = interval - min(32.0, interval / 3)
    while loop.time() + due + 2 < end:
        async with TimedPhone.open(told.kind.host) as phone:
            call = dial(phone, told, gateway, interval)
            await call.answered()
            begin = loop.time()
            bye = await call.hung_up(due + 15)
            took = loop.time() - begin
            told.refreshes += 1
            if not due - 1 < took < due + 3 or "session timer expired" not in bye.headers.get("reason", ""):
                told.wrong.append(f"BYE after {took:.1f} s, due after {due:g} s: {bye.headers.get('reason')}")


def dial(phone: PlainPhone, told: Told, gateway: tuple[str, int], interval: int) -> TimedCall:
    """Place a call of this kind."""
    kind = told.kind
    headers = []
    if kind.refresher:
        headers += ["Supported: timer", f"Session-Expires: {interval};refresher={kind.refresher}"]
    if kind.update:
        headers.append(UPDATE)
    call = phone.dial(gateway, headers=headers)
    assert isinstance(call, TimedCall)
    call.kind, call.interval, call.told = kind, interval, told
    return call


async def run(gateway: Gateway, interval: int, seconds: float) -> list[Told]:
    """All calls at once; what came of each."""
    kinds = (*KINDS, UNAWARE) if interval >= LEAST else KINDS
    calls = [Told(kind) for kind in kinds]
    silent = Told(SILENT)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(live(told, gateway.udp, interval, seconds)) for told in calls]
        group.create_task(fall_silent(silent, gateway.udp, interval, seconds))
        began = asyncio.get_running_loop().time()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(min(30.0, seconds / 4))
            passed = asyncio.get_running_loop().time() - began
            refreshed = sum(told.refreshes for told in calls)
            without = sum(told.without for told in calls)
            print(f"{passed / 60:6.1f} min  {refreshed} refreshes  {without} s without the tone", flush=True)
    records = wait_until(lambda: ended(gateway, [task.result().call_id for task in tasks]), 10, "records are missing")
    # The first begins with the call, the last may fall beyond its end.
    expected = math.floor(seconds / (interval / 2)) - 1
    for told, task in zip(calls, tasks, strict=True):
        if told.refreshes < expected:
            told.wrong.append(f"{told.refreshes} refreshes, {expected} were due")
        record = records[task.result().call_id]
        if record["end_reason"] != "caller_hung_up":
            told.wrong.append(f"its record says {record['end_reason']}: {record['end_detail']}")
        if record["session_refreshes"] < expected or record["session_interval"] != interval:
            told.wrong.append(f"in its record: {record['session_refreshes']} refreshes, {record['session_interval']} s")
    return [*calls, silent]


def ended(gateway: Gateway, call_ids: list[str]) -> dict[str, dict[str, Any]] | None:
    """The records of these calls once all are over, by Call-ID."""
    found = {call["sip_call_id"]: call for call in gateway.calls() if call["end_reason"]}
    return found if found.keys() >= set(call_ids) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0, help="length of the calls")
    parser.add_argument("--interval", type=int, default=LEAST, help="session timer in seconds")
    options = parser.parse_args(arguments)
    program = ("-m", "offhook") if options.interval >= LEAST else (short_timers.__file__,)
    with (
        tempfile.TemporaryDirectory(prefix="offhook-long-calls-") as name,
        Gateway(Path(name), TOML, program=program) as gateway,
    ):
        found = asyncio.run(run(gateway, options.interval, options.minutes * 60))
    for told in found:
        said = f"{told.seconds} s, {told.without} without the tone, {told.disturbed} disturbed by the machine"
        print(f"{told.kind.name}: {told.refreshes} refreshes, {said}")
        for text in told.wrong:
            print(f"WRONG: {told.kind.name}: {text}")
    wrong = sum(len(told.wrong) for told in found)
    refreshes = sum(told.refreshes for told in found)
    print(f"long calls: {len(found)} of {options.minutes:g} min, {refreshes} refreshes, {wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
