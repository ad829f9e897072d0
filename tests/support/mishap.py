"""What may go wrong at a message of a call: each takes the call, who sends, and the message, and says what arrives."""

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from offhook._media import MediaError
from offhook.call.end_reason import EndReason
from offhook.call.event import HangUp
from offhook.sip.message import Message, Request

from .world import CALLER, GATEWAY, sdp

LEG_IS_GONE = "the leg is gone"
"""What the core says where it fails."""

if TYPE_CHECKING:
    from .rough import RoughCall

Fates: TypeAlias = "list[tuple[float, bytes]] | None"
"""The copies of a datagram that arrive, by the seconds each takes; None: its sender is told that it can't be sent."""

Strike: TypeAlias = Callable[["RoughCall", str, Message, bytes], Fates]


def lost(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return []


def late(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return [(call.rng.choice([0.3, 2.0, 33.0, 70.0]), data)]


def repeated(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return [(0.0, data), (0.0, data), (call.rng.choice([0.2, 5.0, 40.0]), data)]


def caller_silent(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    call.muted.add(call.script.host)
    return [(0.0, data)]


def gateway_unheard(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    call.muted.add(GATEWAY)
    return [(0.0, data)]


def both_silent(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    call.muted |= {GATEWAY, call.script.host}
    return []


def unsendable(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return None


def cut_off(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    call.cut_off = True
    return None


def garbled(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """Some bytes are others, or missing, or it is the end that is."""
    broken = bytearray(data)
    for _ in range(call.rng.choice([1, 3, 20])):
        broken[call.rng.randrange(len(broken))] = call.rng.randrange(256)
    if call.rng.random() < 0.3:
        del broken[call.rng.randrange(len(broken)) :]
    return [(0.0, bytes(broken))]


def without_a_header(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    del lines[call.rng.randrange(1, len(lines))]
    return [(0.0, b"\r\n".join(lines) + b"\r\n\r\n" + body)]


def _changed(data: bytes, pattern: bytes, by: bytes) -> Fates:
    return [(0.0, re.sub(pattern, by, data, count=1, flags=re.IGNORECASE | re.MULTILINE))]


def other_from_tag(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(From:.*;tag=)[^;\r\n]+", rb"\1somebody")


def other_to_tag(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(To:[^\r\n;]*)(;tag=[^;\r\n]+)?", rb"\1;tag=somebody")


def without_to_tag(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"^(To:[^\r\n;]*);tag=[^;\r\n]+", rb"\1")


def other_branch(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    return _changed(data, rb"branch=[^;\r\n]+", b"branch=z9hG4bKother%d" % call.number)


def other_cseq(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    number = call.rng.choice([0, 1, message.cseq.number + 1, 2**31 - 1])
    return _changed(data, rb"^CSeq: *\d+", b"CSeq: %d" % number)


def other_method(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """A request is another one; a response answers another one."""
    method = call.rng.choice(["INVITE", "BYE", "ACK", "CANCEL", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "DANCE"])
    if isinstance(message, Request):
        data = data.replace(message.method.encode(), method.encode(), 1)
    return _changed(data, rb"^(CSeq: *\d+ +)\w+", rb"\1" + method.encode())


def other_status(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """A response is another one; a request is answered at once, by nobody who could."""
    status = call.rng.choice([100, 180, 183, 200, 202, 302, 400, 401, 408, 422, 481, 486, 487, 488, 491, 500, 503, 603])
    if isinstance(message, Request):
        if message.method == "ACK" or sender != GATEWAY:
            return []
        to_tag = None if message.to.tag else "somebody"
        answer = bytes(message.response(status, to_tag=to_tag))
        source = call.world.parties[call.script.host].flows
        asyncio.get_running_loop().call_soon(call.world.network.send, source, answer, (GATEWAY, 5060))
        return []
    return _changed(data, rb"^SIP/2.0 \d+", b"SIP/2.0 %d" % status)


def odd_body(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """What it says about media is missing, unreadable, refused, or about something else."""
    head, _, _ = data.partition(b"\r\n\r\n")
    bodies = [b"", b"v=1\r\nnonsense", sdp(port=0), sdp(codecs=["18 G729/8000"]), sdp(host="0.0.0.0", way="inactive")]
    body = call.rng.choice(bodies)
    head = re.sub(rb"^(Content-Length:).*?$", rb"\1 %d" % len(body), head, flags=re.IGNORECASE | re.MULTILINE)
    if body and b"Content-Type" not in head:
        head += b"\r\nContent-Type: application/sdp"
    return [(0.0, head + b"\r\n\r\n" + body)]


def caller_hangs_up(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    asyncio.get_running_loop().call_soon(call.hang_up)
    return [(0.0, data)]


def a_cancel(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    call.write("CANCEL")
    return [(0.0, data)]


def a_bye(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """From the caller, whose phone knows nothing of it."""
    call.write("BYE", to_tag=message.to.tag or "")
    return [(0.0, data)]


def a_reinvite(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """One that the phone would not have sent now, and for whose answer nobody waits."""
    body = call.sdp(way="sendonly") if call.rng.random() < 0.6 else b""
    call.write("INVITE", *(["Content-Type: application/sdp"] if body else []), body=body)
    return [(0.0, data)]


def an_update(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    body = call.sdp(way="sendonly") if call.rng.random() < 0.6 else b""
    call.write("UPDATE", *(["Content-Type: application/sdp"] if body else []), body=body)
    return [(0.0, data)]


def a_stray_request(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """Within the dialog, about something that does not exist in it."""
    method, header = call.rng.choice(
        [
            ("PRACK", "RAck: 1 1 INVITE"),
            ("REFER", f"Refer-To: <sip:other@{CALLER}>"),
            ("NOTIFY", "Event: refer"),
            ("SUBSCRIBE", "Event: dialog"),
            ("INFO", "X-Nothing: 1"),
            ("MESSAGE", "X-Nothing: 1"),
            ("OPTIONS", "Accept: application/sdp"),
        ]
    )
    call.write(method, header)
    return [(0.0, data)]


def agent_breaks(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None:
        call.wire.breaks()
    return [(0.0, data)]


def agent_closes(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None:
        call.wire.ends(call.rng.choice([1000, 1001, 1011, 4400]), "enough")
    return [(0.0, data)]


def agent_hangs_up(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None and call.wire.leg is not None:
        call.wire.speaks(0.4)
        call.wire.hangs_up()
    return [(0.0, data)]


def agent_refuses(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.wire is not None and not call.wire._connected:
        call.wire.refuse(call.rng.choice([403, 486, 503]), "no")
    return [(0.0, data)]


def agent_raves(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """It asks for everything that a protocol knows, at the wrong time, and for what it does not."""
    for _ in range(call.rng.randrange(1, 8)):
        kind = call.rng.choice(
            ["ready", "ready", "reject", "hangup", "clear", "mark", "dtmf", "transfer", "hold", "resume", "record", "x"]
        )
        call.says(type=kind, digits="1#", status=486, target="sip:x@example.org", action="start", name="m")
    return [(0.0, data)]


def worker_breaks(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """The worker that has the call is gone, with all its other calls; another comes soon."""
    mux = call.world.mux_of(call)
    if mux is not None:
        mux.breaks()
        asyncio.get_running_loop().call_later(1.0, call.world.hire)
    return [(0.0, data)]


def worker_stalls(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    mux = call.world.mux_of(call)
    if mux is not None:
        mux.tell("stalled")
        asyncio.get_running_loop().call_later(1.5, mux.tell, "recovered")
    return [(0.0, data)]


def media_fails(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.tells("internal_error", text=LEG_IS_GONE)
    return [(0.0, data)]


def media_silent(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.tells("media_timeout")
    return [(0.0, data)]


def no_port(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """None is left, for a new call or for a new address of this one."""
    error = MediaError("no port is left", code="no_port")
    if call.leg is not None:
        call.leg.misplaced = error
    engine = call.world.engine
    engine.refusal = error
    asyncio.get_running_loop().call_later(0.1, setattr, engine, "refusal", None)
    return [(0.0, data)]


def collision(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    if call.leg is not None:
        call.leg.collides = True
        call.leg.moves_to = (call.leg.local_address[0], 39_990)
    return [(0.0, data)]


def told_to_end(call: "RoughCall", sender: str, message: Message, data: bytes) -> Fates:
    """By who runs the gateway."""
    for one in tuple(call.world.switchboard._calls.values()):
        if one.leg.session.sip_call_id == call.call_id:
            one.post(HangUp(EndReason.GATEWAY_SHUTDOWN, "the operator says so"))
    return [(0.0, data)]


MISHAPS: dict[str, Strike] = {
    strike.__name__: strike
    for strike in (
        lost, late, repeated, caller_silent, gateway_unheard, both_silent, unsendable, cut_off,
        garbled, without_a_header, other_from_tag, other_to_tag, without_to_tag, other_branch, other_cseq,
        other_method, other_status, odd_body,
        caller_hangs_up, a_cancel, a_bye, a_reinvite, an_update, a_stray_request,
        agent_breaks, agent_closes, agent_hangs_up, agent_refuses, agent_raves, worker_breaks, worker_stalls,
        media_fails, media_silent, no_port, collision, told_to_end,
    )
}  # fmt: skip
