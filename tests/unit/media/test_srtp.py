"""A leg whose media is encrypted, against libsrtp."""

import asyncio
import socket
import struct
from dataclasses import dataclass

import pytest
from pylibsrtp import Error, Policy, Session
from tests.support.rtp_peer import FRAME
from tests.unit.media.conftest import Call, in_order, until

from offhook._media import MediaError, SrtpKeys

pytestmark = pytest.mark.unit

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}
SUITE = "AES_CM_128_HMAC_SHA1_80"


def speech(count: int) -> list[bytes]:
    return [bytes([1 + number % 100]) * FRAME for number in range(count)]


def master(suite: str, fill: int) -> bytes:
    return bytes(number * 37 & 0xFF ^ fill for number in range(PROFILES[suite][1]))


@dataclass
class Libsrtp:
    """The caller's encryption: what it sends and receives."""

    outbound: Session
    inbound: Session

    @classmethod
    def of(cls, suite: str, send: int, receive: int) -> "Libsrtp":
        def session(fill: int, kind: int) -> Session:
            return Session(Policy(key=master(suite, fill), ssrc_type=kind, srtp_profile=PROFILES[suite][0]))

        return cls(session(send, Policy.SSRC_ANY_OUTBOUND), session(receive, Policy.SSRC_ANY_INBOUND))

    def opened(self, packet: bytes) -> bytes:
        try:
            return self.inbound.unprotect(packet)
        except Error as error:
            raise ValueError(str(error)) from error


def secure(call: Call, suite: str = SUITE, ours: int = 1, theirs: int = 2) -> Libsrtp:
    """Offer and answer: the suite and the keys of both sides."""
    libsrtp = Libsrtp.of(suite, theirs, ours)
    call.peer.seal, call.peer.open = libsrtp.outbound.protect, libsrtp.opened
    call.set_remote(srtp=SrtpKeys(suite, send=master(suite, ours), receive=master(suite, theirs)))
    return libsrtp


async def count(call: Call, name: str, least: int) -> None:
    """Wait until a counter of the leg has come so far, and no further."""
    await until(lambda: getattr(call.leg.stats(), name) >= least)
    assert getattr(call.leg.stats(), name) == least


@pytest.mark.parametrize("suite", PROFILES)
async def test_what_libsrtp_sends_is_echoed_so_that_libsrtp_can_read_it(call: Call, suite: str) -> None:
    secure(call, suite)
    call.leg.echo(True)
    call.leg.start()
    # Its numbers roll over on the way.
    call.peer.sequence = 65_520
    await call.peer.talk(speech(50))
    await call.peer.until(lambda peer: in_order(speech(50), b"".join(peer.audio)) >= 30)
    await count(call, "received_packets", 50)
    assert call.peer.unopened == []
    assert all(frame not in wire for wire in call.peer.wire for frame in (*speech(50), b"\xff" * FRAME))
    stats = call.leg.stats()
    assert (stats.received_packets, stats.received_lost, stats.received_unauthenticated) == (50, 0, 0)


async def test_one_authentic_packet_is_enough_and_nothing_else_counts(call: Call) -> None:
    secure(call)
    call.leg.start()
    for garbage in (b"", b"\x80", bytes(12), b"\x80" + bytes(11), b"\x80" + bytes(200), b"\x80" + bytes(1400)):
        call.peer.rtp.sendto(garbage, call.peer.target)
    plain = struct.pack("!BBHII", 0x80, 0, 1000, 50_000, 0x1234) + bytes(FRAME)
    for _ in range(100):
        call.peer.rtp.sendto(plain, call.peer.target)
    stranger = Libsrtp.of(SUITE, 66, 67)
    for number in range(100):
        call.peer.rtp.sendto(
            stranger.outbound.protect(plain[:2] + struct.pack("!H", number) + plain[4:]), call.peer.target
        )
    await count(call, "received_unauthenticated", 203)
    stats = call.leg.stats()
    # The empty datagram is no packet: it keeps a way open (RFC 6263 section 4.1).
    assert (stats.received_packets, stats.received_malformed) == (0, 2)
    assert (await call.events.wait("unauthentic")).packets == 1
    call.peer.send(speech(1)[0])
    first = await call.events.wait("first_packet")
    assert first.address == call.peer.address
    assert len(call.events.of("unauthentic")) == 1, "told once in ten seconds"


async def test_changed_cut_and_repeated_packets_are_dropped(call: Call) -> None:
    libsrtp = secure(call)
    call.leg.start()
    call.peer.send(speech(1)[0])
    await count(call, "received_packets", 1)
    head = struct.pack("!BBHII", 0x80, 0, 1001, 50_160, 0x1234)
    sealed = libsrtp.outbound.protect(head + speech(1)[0])
    for at in (1, 7, 11, 12, 100, len(sealed) - 1):
        call.peer.rtp.sendto(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], call.peer.target)
    for length in (12, 20, len(sealed) - 1):
        call.peer.rtp.sendto(sealed[:length], call.peer.target)
    await count(call, "received_unauthenticated", 9)
    for _ in range(20):
        call.peer.rtp.sendto(sealed, call.peer.target)
    await count(call, "received_replayed", 19)
    assert call.leg.stats().received_packets == 2


async def test_reports_are_encrypted_both_ways(call: Call) -> None:
    libsrtp = secure(call)
    call.leg.start()
    for frame in speech(5):
        call.peer.send(frame)
    await count(call, "received_packets", 5)
    await call.peer.until(lambda peer: len(peer.packets) > 0)
    report = struct.pack("!BBHI", 0x80, 201, 1, 0x1234)
    address = (call.peer.target[0], call.peer.target[1] + 1)
    call.peer.rtcp.sendto(libsrtp.outbound.protect_rtcp(report), address)
    await count(call, "rtcp_received", 1)
    call.peer.rtcp.sendto(report, address)
    call.peer.rtcp.sendto(libsrtp.outbound.protect_rtcp(report)[:-1], address)
    await count(call, "rtcp_unauthenticated", 2)
    assert call.leg.stats().rtcp_received == 1
    call.leg.close()
    await call.peer.until(lambda peer: len(peer.rtcp_packets) > 0)
    opened = [libsrtp.inbound.unprotect_rtcp(packet) for packet in call.peer.rtcp_packets]
    assert opened[-1][1] in (200, 201)
    assert struct.pack("!BB", 0x81, 203) in opened[-1], "the goodbye"
    assert b"\x81\xcb" not in call.peer.rtcp_packets[-1][8:-14], "not for others to read"


@pytest.mark.parametrize("suite", PROFILES)
async def test_the_keys_change_within_a_call_and_nothing_is_lost(call: Call, suite: str) -> None:
    old = secure(call)
    call.leg.echo(True)
    call.leg.start()
    await call.peer.talk(speech(10))
    under_way = old.outbound
    before = call.peer.open
    secure(call, suite, 3, 4)
    after = call.peer.open

    def either(packet: bytes) -> bytes:
        try:
            return after(packet)
        except ValueError:
            return before(packet)

    call.peer.open, new = either, call.peer.seal
    call.peer.seal = under_way.protect
    await call.peer.talk(speech(5))
    call.peer.seal = new
    await call.peer.talk(speech(20))
    await count(call, "received_packets", 35)
    stats = call.leg.stats()
    assert (stats.received_lost, stats.received_unauthenticated) == (0, 0)
    await call.peer.until(lambda peer: len(peer.audio) >= 20)
    assert call.peer.unopened == []
    sequences = [packet.sequence for packet in call.peer.packets]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "our numbers run on"
    assert len({packet.ssrc for packet in call.peer.packets}) == 1


async def test_another_port_of_the_caller_is_followed_by_its_key(call: Call) -> None:
    libsrtp = secure(call)
    call.leg.start()
    call.peer.send(speech(1)[0])
    await count(call, "received_packets", 1)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))
    try:
        plain = struct.pack("!BBHII", 0x80, 0, 1001, 50_160, 0x1234) + speech(1)[0]
        for _ in range(10):
            other.sendto(plain, call.peer.target)
        await asyncio.sleep(0.1)
        assert call.events.of("source_changed") == []
        other.sendto(libsrtp.outbound.protect(plain), call.peer.target)
        changed = await call.events.wait("source_changed")
        assert changed.address == other.getsockname()
    finally:
        other.close()


async def test_keys_that_do_not_fit_their_suite_are_refused() -> None:
    good = bytes(30)
    for suite, send, receive in (
        (SUITE, good[1:], good),
        (SUITE, good, bytes(46)),
        ("F8_128_HMAC_SHA1_80", good, good),
    ):
        with pytest.raises(MediaError) as caught:
            SrtpKeys(suite, send=send, receive=receive)
        assert caught.value.code == "bad_config"


def test_keys_are_compared_and_not_shown() -> None:
    one = SrtpKeys(SUITE, send=b"A" * 30, receive=b"B" * 30)
    assert one == SrtpKeys(SUITE, send=b"A" * 30, receive=b"B" * 30)
    assert one != SrtpKeys(SUITE, send=b"B" * 30, receive=b"A" * 30)
    assert one != SrtpKeys("AES_CM_128_HMAC_SHA1_32", send=b"A" * 30, receive=b"B" * 30)
    assert (repr(one), str(one), one.suite) == (f"SrtpKeys({SUITE})",) * 2 + (SUITE,)
