"""Mutation fuzzing of the Python readers: `python fuzz/python_targets.py --seconds 60 [--target uri] [--seed 7]`.

Each target reads mutated seeds and is judged by oracles: nothing is raised but RemoteProtocolError, no input takes 50
ms of the processor, what was read and printed is read the same again, and datagram and stream reader agree. One more
lets bytes choose what happens to a user agent, in any order. A finding is written to `fuzz/findings/`, to be kept
under `fuzz/corpus/TARGET/` once it is understood; files there are seeds. Exit 0: none.
"""

import argparse
import contextlib
import hashlib
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT)]

from fuzz.any_order import any_order, steps_in  # noqa: E402
from fuzz.registering import SEEDS, any_register  # noqa: E402
from tests.conformance.rfc4475.messages import CASES  # noqa: E402
from tests.support.certificates import authority  # noqa: E402
from tests.support.referrer import Referrer  # noqa: E402
from tests.support.tls import Line, Peer, contexts, peer_context  # noqa: E402

from offhook.call.dtmf import digits_of_info  # noqa: E402
from offhook.call.transfers.transfer_target import NoTarget, read_target  # noqa: E402
from offhook.destination.dialect import offhook  # noqa: E402
from offhook.errors import LocalProtocolError, RemoteProtocolError  # noqa: E402
from offhook.ids import TrunkName  # noqa: E402
from offhook.route.pattern import ANY  # noqa: E402
from offhook.route.trunk import Trunk  # noqa: E402
from offhook.sdp import negotiate  # noqa: E402
from offhook.sdp.crypto import RANDOM_BYTES, SUITES, FreshKeys, Policy  # noqa: E402
from offhook.sdp.description import SessionDescription  # noqa: E402
from offhook.sdp.terms import LocalMedia, Terms  # noqa: E402
from offhook.sip.calling_party import MAX_CLAIMS, calling_party  # noqa: E402
from offhook.sip.digest import Challenger, Credentials, answer  # noqa: E402
from offhook.sip.diverted import MAX_DIVERSIONS, diversions  # noqa: E402
from offhook.sip.events import SessionFailed  # noqa: E402
from offhook.sip.grammar import Params, has_bare_control, is_token  # noqa: E402
from offhook.sip.headers import (  # noqa: E402
    AuthValue,
    CSeq,
    Diversion,
    HistoryInfo,
    MediaType,
    NameAddr,
    Privacy,
    Reason,
    Replaces,
    SessionId,
    UserToUser,
    Via,
    Warning,
)
from offhook.sip.headers.event import Event  # noqa: E402
from offhook.sip.headers.session_expires import SessionExpires  # noqa: E402
from offhook.sip.headers.subscription_state import SubscriptionState  # noqa: E402
from offhook.sip.headers.user_to_user import MAX_OCTETS  # noqa: E402
from offhook.sip.message import Headers, Request  # noqa: E402
from offhook.sip.multipart import split_multipart  # noqa: E402
from offhook.sip.outgoing import check_header, is_ours  # noqa: E402
from offhook.sip.parser import KeepAlive, MessageError, StreamParser, parse_datagram, validate  # noqa: E402
from offhook.sip.sipfrag import MAX_REASON, read_fragment  # noqa: E402
from offhook.sip.uri import SipUri, parse_uri  # noqa: E402
from offhook.transport.certificate import names_in  # noqa: E402
from offhook.transport.tls import State  # noqa: E402

SLOW = 0.05
SLOWER = {"any_order": 1.0}
"""Seconds of the targets that do more than to read."""
MAX_INPUT = 65_000
MAX_FIELD = 8_192
"""Bytes that the message parser lets into one field; the targets of single fields get no more."""

WHOLE = (
    "datagram", "stream", "multipart", "sdp", "offer", "agent_message", "info", "notify", "calling_party",
    "register",
)  # fmt: skip
"""Targets that read whole messages and bodies."""

WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\x00", b"\t", b" ", b":", b";", b";;", b",", b",,", b"=", b'"',
    b"\\", b"<", b">", b"@", b"%", b"%00", b"%zz", b"?", b"[", b"]", b"[::1]", b"*", b"/", b"--", b"\xff",
    b"\xc3\xa9", b"\xe2\x80\xa8", b"-1", b"0", b"4294967296", b"99999999999999999999999", b"1_0", b"\xd9\xa1",
    b"SIP/2.0", b"SIP/2.0 200 OK\r\n", b"Via: ", b"Content-Length: ", b"l: 5\r\n",
    b"Content-Type: multipart/mixed;boundary=b\r\n", b"--b\r\n", b"--b--", b"tag=", b";tag", b"z9hG4bK", b"sip:",
    b"sips:", b"tel:", b"INVITE ", b"ACK", b"Contact: *", b"rport", b"received=", b"Digest ", b"a=",
    b"m=audio 0 RTP/AVP 0\r\n", b"c=IN IP4 0.0.0.0\r\n",
]  # fmt: skip

URIS = [
    b"sip:desk@example.com", b"sips:a:b@[2001:db8::1]:5061;transport=tls;lr?To=%3Csip:x%40y%3E&Subject=a%20b",
    b"tel:+1-415-555-0100;ext=12;phone-context=+1", b"urn:service:sos", b"sip:%00;x=1@h;y=%41?a=b",
]  # fmt: skip
ADDRESSES = [b'"A \\"B\\"" <sip:a@b;lr>;tag=1;x="y;z"', b"sip:a@b;tag=2", b"Ann Bee <tel:+1>", b"<urn:x:y>;q=0.5"]
VIAS = [b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport;received=::1", b"SIP / 2.0 / TCP [::1]"]
DIVERSIONS = [
    b'"A" <sip:a@h>;reason=user-busy;counter=2;privacy=full,<tel:+14155550100>;reason="no-answer"',
    b"<sip:+14155550142@h>;reason=unconditional;screen=yes\n<sip:b@h>;limit=3",
]
HISTORIES = [
    b"<sip:a@h?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1,<sip:b@h;cause=486>;index=1.1;mp=1",
    b"<sip:a@h>;index=1\n<sip:a@1.2.3.4>;index=1.1;rc=1\n<tel:+1;cause=302>;index=1.2;mp=1",
]
SESSION_IDS = [b"ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2", b"0" * 32]
USER_TO_USER = [
    b"047469636b6574;encoding=hex;purpose=isdn-uui;content=isdn-uui", b'"say \\"hi\\"; x";encoding=ascii', b"00ff",
]  # fmt: skip
IDENTITY = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy")
CALLERS = [
    b'P-Asserted-Identity: "B" <sip:b@h>, <tel:+14155550142>\nPrivacy: id;critical',
    b"Remote-Party-ID: <sip:+14155550142@h>;party=calling;screen=yes;privacy=off\nP-Preferred-Identity: tel:+1",
]
AUTH = [
    b'Digest username="a", realm="r", nonce="n", uri="sip:h", response="00", algorithm=MD5, cnonce="c", qop=auth, '
    b"nc=00000001",
    b'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth,auth-int", opaque="o"',
    b"Other a b c",
]  # fmt: skip
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendonly\r\nm=video 0 RTP/AVP 31\r\n"
)
MULTIPART = b"--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n\r\nx\r\n--b--\r\n"

SECRET = b"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
SECRETS = (SECRET.decode(), SECRET.decode()[:20])
SECURE_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 9 0 13 101\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + SECRET + b"|2^20|1:4 KDR=1\r\n"
    b"a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" + SECRET + b"\r\na=rtcp:4001\r\na=rtcp-mux\r\na=maxptime:60\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\nm=audio 4002 RTP/AVP 0\r\n"
)
AGENT_MESSAGES = [
    b'{"type":"ready","audio":{"encoding":"pcm16","rate":24000}}',
    b'{"type":"reject","status":486,"reason":"busy"}',
    b'{"type":"hangup","now":true,"reason":"\\ud800"}',
    b'{"type":"later","deep":[[[[{"x":NaN}]]]]}',
]
NOTIFIES = [
    b"Event: refer\r\nSubscription-State: active;expires=60\r\nContent-Type: message/sipfrag\r\n\r\n"
    b"SIP/2.0 180 Ringing\r\n",
    b"o: refer;id=2\r\nSubscription-State: terminated;reason=noresource\r\nc: message/sipfrag;version=2.0\r\n\r\n"
    b"SIP/2.0 603 Decline\r\nTo: <sip:a@b>;tag=1\r\n\r\n",
    b"X: 1\r\n\r\nSIP/2.0 200 OK",
]
SUBSCRIPTIONS = [
    b"refer;id=93809824", b" Presence.winfo ; x = y", b"active;expires=60", b"terminated;reason=noresource",
    b"Pending ; retry-after=7;x",
]  # fmt: skip
TRANSFERS = [
    b"tel:+1-415-555-0142;ext=7", b"sip:desk@example.com;transport=tls", b"sips:[2001:db8::1]:5061", b"2001",
    b"+44 20 7946 0000", b"tel:2001;phone-context=example.com", b"sip:a@b?Replaces=x%3Bto-tag%3D1", b"0088213300000",
]  # fmt: skip
LOCAL = LocalMedia("192.0.2.2", 40_000)
FRESH = FreshKeys(bytes(range(RANDOM_BYTES % 256)) + bytes(RANDOM_BYTES - RANDOM_BYTES % 256))

CHALLENGER = Challenger(
    "r", ("SHA-256", "MD5"), secret=b"a secret of the fuzzer", rng=random.Random(1), require_qop=False
)
CREDENTIALS = Credentials("a", "b", frozenset({"h"}))


def text_of(data: bytes) -> str:
    """Decode as the parser does."""
    return data.decode("utf-8", "surrogateescape")


def read_datagram(data: bytes) -> None:
    """Parse, print, parse again, read as a stream, answer."""
    try:
        message = parse_datagram(data)
    except MessageError as error:
        if error.partial is not None:
            bytes(error.partial.response(error.status_hint, to_tag="t"))
        raise
    printed = bytes(message)
    assert parse_datagram(printed) == message, "print and parse gives another message"
    assert bytes(parse_datagram(printed)) == printed, "printing is no fixed point"
    streamed = [got for got in StreamParser().receive(printed) if not isinstance(got, KeepAlive)]
    assert streamed == [message], "the stream reader read something else"
    try:
        validate(message)
    except MessageError as error:
        if error.partial is not None:
            validate_answer(error.partial, error.status_hint)
        raise
    _ = message.vias, message.contacts, message.routes, message.record_routes, message.reasons
    _ = message.from_.tag, message.to.tag, message.accept, message.allow, message.expires
    if isinstance(message, Request):
        stamped = message.received_from("192.0.2.77", 5062, force_rport=True)
        assert stamped.vias[1:] == message.vias[1:], "a lower Via was changed"
        validate(stamped.response(486, to_tag="t"))
        _ = message.refer_to, message.replaces, message.authorizations
    _ = message.sdp


def validate_answer(partial: Request, status: int) -> None:
    """An answer to a refused request must at least find its way back."""
    response = parse_datagram(bytes(partial.response(status, to_tag="t")))
    assert response.via == partial.via, "the answer's Via is not the request's"


def read_stream(data: bytes) -> None:
    """Feed whole and in small segments: the same messages and the same end; as a datagram each message the same."""
    whole = StreamParser()
    expected = [got for got in whole.receive(data) if not isinstance(got, KeepAlive)]
    step = data[0] % 7 + 1 if data else 1
    small = StreamParser()
    got = [g for at in range(0, min(len(data), 4000), step) for g in small.receive(data[at : min(at + step, 4000)])]
    found = [g for g in got if not isinstance(g, KeepAlive)]
    if len(data) <= 4000:
        assert whole.is_dead == small.is_dead, "segments change whether the stream lives"
        assert len(found) == len(expected), "segments change how many messages there are"
        for one, other in zip(found, expected, strict=True):
            if isinstance(one, MessageError) or isinstance(other, MessageError):
                assert type(one) is type(other), "segments change what is refused"
            else:
                assert one == other, "segments change a message"
    for one in expected:
        if not isinstance(one, MessageError):
            assert parse_datagram(bytes(one)) == one, "print and parse gives another message"


def fixed_point(parse: Callable[[str], object]) -> Callable[[bytes], None]:
    """A target for one typed field: what is printed is read the same."""

    def read(data: bytes) -> None:
        text = text_of(data)
        value = parse(text)
        if has_bare_control(text):
            return  # the message parser lets none through; reading it must do no harm, printing is not asked for
        assert parse(str(value)) == value, f"print and parse gives another value: {value!r}"

    return read


def read_multipart(data: bytes) -> None:
    """Parts never hold more than the body did."""
    parts = split_multipart(data, "b")
    assert sum(len(part.body) for part in parts) <= len(data), "parts are longer than the body"


def read_digest(data: bytes) -> None:
    """Judge credentials and answer a challenge; the judge never raises."""
    value = text_of(data)
    if any(mark in value for mark in "\r\n\0"):
        return
    request = Request("INVITE", parse_uri("sip:h"), Headers.from_wire([("Authorization", value)]))
    CHALLENGER.verify(request, 10.0, "192.0.2.1", {"a": "b"}.get)
    parsed = AuthValue.parse(value)
    answer([parsed], CREDENTIALS, sent_to="h", method="INVITE", uri="sip:h", cnonce="c")


def read_sdp(data: bytes) -> None:
    """A description that was read and written is read the same again."""
    description = SessionDescription.parse(data)
    assert SessionDescription.parse(bytes(description)) == description, "print and parse gives another description"


def read_certificate(data: bytes) -> None:
    """Whoever a certificate speaks for, it is a whole domain, and it proves that and no part of it."""
    try:
        names = names_in(data)
    except ValueError:
        return
    for identity in names.identities:
        assert names.proves(identity.upper()), "what it is it does not prove"
        assert not set(identity) & set("*\0 @:/"), "that is no domain"
        assert not names.proves(f"x.{identity}") or f"x.{identity}" in names.identities, "a part is proven"
    assert str(names).isprintable()


OUR_TLS = contexts(authority().issue("sip.example.net"), client_certificate="optional")
CLIENT = peer_context(authority().issue("pbx.example.com"))


def read_tls(data: bytes) -> None:
    """A first flight in one piece and byte by byte comes to the same; a channel that has failed does nothing more."""
    whole, pieces = Line(OUR_TLS), Line(OUR_TLS)
    whole.take(data)
    for at in range(0, min(len(data), 600), 7):
        pieces.take(data[at : min(at + 7, 600)])
    if len(data) <= 600:
        causes = [line.failure.cause if line.failure is not None else None for line in (whole, pieces)]
        assert causes[0] == causes[1], f"segments change the cause: {causes}"
    for line in (whole, pieces):
        assert (line.channel.state is State.ENDED) == (line.failure is not None), "failed and ended are one"
        assert line.opened is None, "a first flight alone opens nothing"
        assert not line.channel.send(b"x")
        line.channel.handle_timeout(1000.0)
        line.settle()
        assert line.failure is not None, "what is not finished has its cause in the end"


def read_records(data: bytes) -> None:
    """Anything behind a handshake: nothing is read but what the peer has sealed."""
    line, peer = Line(OUR_TLS), Peer(CLIENT)
    line.shake(peer)
    sealed = peer.say(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
    line.take(data)
    line.take(sealed)
    assert line.received in (b"", b"OPTIONS sip:x SIP/2.0\r\n\r\n"), "something else was taken for the peer's"


def read_offer(data: bytes) -> None:
    """Judge an offer by each policy of encryption: the answer can be read, fits the offer, and keeps to the policy."""
    description = SessionDescription.parse(data)
    for srtp in get_args(Policy):
        terms = Terms(codecs=("G722", "PCMU", "PCMA"), srtp=srtp)
        judgement = negotiate.judge(description, terms, fresh=FRESH)
        assert (judgement.audio is None) == (judgement.refusal is not None), "taken and refused, or neither"
        written = SessionDescription.parse(bytes(negotiate.answer(judgement, LOCAL)))
        assert len(written.media) == len(description.media), "an answer has as many lines as its offer"
        if judgement.audio is None:
            continue
        keys = judgement.audio.crypto
        assert srtp != "required" or keys is not None, "in the clear, though encryption is required"
        assert srtp != "off" or keys is None, "encrypted, though it is off"
        assert keys is None or len(keys.send) == len(keys.receive) == SUITES[keys.suite], "keys of another length"
        assert not any(secret in note for note in judgement.notes for secret in SECRETS), "a key in a note"


def read_diversion(data: bytes) -> None:
    """One value and a whole field: bounded, readable words, and never a reason to refuse a message."""
    fixed_point(Diversion.parse)(data)
    _read_diversions("Diversion", data)


def read_history(data: bytes) -> None:
    """The same of the other header, whose index tree may be anything."""
    _read_diversions("History-Info", data)
    fixed_point(HistoryInfo.parse)(data)


def _read_diversions(name: str, data: bytes) -> None:
    lines = [(name, line) for line in text_of(data).splitlines()]
    found = diversions(Request("INVITE", parse_uri("sip:h"), Headers.from_wire(lines), b""))
    assert len(found) <= MAX_DIVERSIONS, "too many"
    assert all(is_token(one.reason) and 1 <= one.counter <= 100 for one in found), "no reason, or no counter"


def read_session_id(data: bytes) -> None:
    """A pair that was read and heard leaves a pair that can be written, and our own half as it was."""
    fixed_point(SessionId.parse)(data)
    theirs = SessionId.parse(text_of(data))
    ours = SessionId("a" * 32).hearing(theirs)
    assert ours.local == "a" * 32, "our own half has changed"
    assert SessionId.parse(str(ours)) == ours


def read_user_to_user(data: bytes) -> None:
    """Octets are bounded, and a text of them is one that may be shown."""
    fixed_point(UserToUser.parse)(data)
    value = UserToUser.parse(text_of(data))
    assert len(value.data) <= MAX_OCTETS, "too long"
    assert value.text is None or "\x1b" not in value.text, "no text"


def read_calling_party(data: bytes) -> None:
    """Lines of all identity headers: never an exception, and who is withheld is, whoever is trusted."""
    lines = [tuple(line.partition(": ")[::2]) for line in text_of(data).splitlines()]
    fields = [("From", "<sip:a@h>;tag=x"), *((name, value) for name, value in lines if name in IDENTITY)]
    message = Request("INVITE", parse_uri("sip:h"), Headers.from_wire(fields), b"")
    known, stranger = (calling_party(message, trusted=trusted) for trusted in (True, False))
    assert known.is_withheld == stranger.is_withheld, "trust changes what a caller has asked for"
    assert stranger.claim.origin == "From", "somebody untrusted is believed"
    assert len(known.claims) <= MAX_CLAIMS, "too many"


def read_agent_header(data: bytes) -> None:
    """What passes adds one line to a message, of that name and value, and nothing of the stack's own."""
    name, _, value = text_of(data).partition("\n")
    try:
        passed = check_header(name, value)
    except LocalProtocolError:
        return
    request = Request("OPTIONS", parse_uri("sip:h"), Headers([("Via", "SIP/2.0/UDP h;branch=z9hG4bK1"), passed]), b"")
    lines = bytes(request).split(b"\r\n")
    assert len(lines) == 6, "more lines than one"
    assert not is_ours(passed[0]), "a header of ours"


def read_agent_message(data: bytes) -> None:
    """What an agent says is one of five things, and what it chose is among what it may choose."""
    message = offhook.parse(text_of(data))
    if isinstance(message, offhook.Ready):
        assert message.audio is None or message.audio in offhook.FORMATS, "audio that was not offered"
    if isinstance(message, offhook.Reject):
        assert message.status in offhook.REJECT_STATUSES, "a status that no caller gets"


def read_info(data: bytes) -> None:
    """The body of an INFO has at most one digit, held for a time that can be."""
    for kind in ("application/dtmf", "application/dtmf-relay", "multipart/mixed; boundary=x"):
        request = Request("INFO", parse_uri("sip:h"), Headers.from_wire([("Content-Type", kind)]), data)
        digits = digits_of_info(request)
        assert len(digits) <= 1, "more than a digit"
        assert all(digit in "0123456789*#ABCD" and 1 <= ms <= 8000 for digit, ms in digits), "no digit"


def read_subscription(data: bytes) -> None:
    """Event and Subscription-State: what is printed is read the same."""
    for parse in (Event.parse, SubscriptionState.parse):
        with contextlib.suppress(RemoteProtocolError):
            fixed_point(parse)(data)


def read_notify(data: bytes) -> None:
    """Whatever a NOTIFY within the dialog holds, it is answered once, and the REFER ends once at most."""
    head, _, body = data.partition(b"\r\n\r\n")
    fragment = read_fragment(body)
    assert fragment is None or (100 <= fragment.status < 700 and len(fragment.reason) <= MAX_REASON)
    assert fragment is None or str(fragment).isprintable(), "a reason that steers a terminal"
    peer = Referrer()
    refer = peer.refer()
    for cseq in (2, 3):
        plain = bytes(peer.within("NOTIFY", cseq)).replace(b"Content-Length: 0\r\n\r\n", b"")
        peer.receive_bytes(plain + head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        peer.receive(refer.response(202))
    assert peer.told(SessionFailed) == [], "a session failed"
    assert not peer.session.is_over, "a NOTIFY ended the call"
    assert peer.outcome is None or peer.outcome.status is None or peer.outcome.status >= 200


TRUNKS = [
    Trunk(TrunkName("a"), country="US", transfer_to=(ANY,)),
    Trunk(TrunkName("b"), transfer_domain="pbx.example", transfer_to=(ANY,)),
    Trunk(TrunkName("c")),
]
PEER = SipUri("192.0.2.1", 5060)


def read_transfer(data: bytes) -> None:
    """Whatever an agent calls a target is refused, or one URI that we may send somebody to."""
    for trunk in TRUNKS:
        target = read_target(text_of(data), trunk, PEER)
        if isinstance(target, NoTarget):
            assert target.why, "a refusal without a reason"
            continue
        assert trunk.transfer_to, "to nowhere"
        written = NameAddr.parse(target.refer_to("00;encoding=hex"))
        assert written.uri.scheme in ("sip", "sips", "tel"), "a scheme that nobody dials"
        assert not has_bare_control(str(written)), "it breaks out of its line"
        assert not written.params, "it brings parameters of the header"


def take_any_order(data: bytes) -> None:
    """What bytes choose happens to a user agent: see `any_order`."""
    any_order(steps_in(data))


MESSAGES = [case.data for case in CASES]
ORDERS = [random.Random(seed).randbytes(240) for seed in range(40)]
CERTIFICATES = [
    authority().issue("sip.example.net", "*.example.net", uris=["sip:example.net"], addresses=["192.0.2.1"]).der,
    authority().issue(common_name="pbx.example.com").der,
]
RECORDS = [
    b"\x17\x03\x03\x00\x10" + bytes(16), b"\x16\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x01\x00",
    b"\x14\x03\x03\x00\x01\x01",
]  # fmt: skip
FIRST_FLIGHT = Peer(CLIENT).take()
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "datagram": (read_datagram, MESSAGES),
    "stream": (read_stream, [*MESSAGES, MESSAGES[7] + b"\r\n\r\n" + MESSAGES[9]]),
    "uri": (fixed_point(parse_uri), URIS),
    "name_addr": (fixed_point(NameAddr.parse), ADDRESSES),
    "via": (fixed_point(Via.parse), VIAS),
    "cseq": (fixed_point(CSeq.parse), [b"1 INVITE", b"0009  A"]),
    "params": (fixed_point(Params.parse), [b';a=b;c;d="x;y\\"z"', b"; a = b ; c"]),
    "media_type": (fixed_point(MediaType.parse), [b"application/sdp;charset=utf-8", b"*/*;q=0.5"]),
    "reason": (fixed_point(Reason.parse), [b'Q.850;cause=16;text="x"', b"SIP"]),
    "diversion": (read_diversion, DIVERSIONS),
    "history_info": (read_history, HISTORIES),
    "privacy": (fixed_point(Privacy.parse), [b"id;header;critical", b"user, none"]),
    "session_id": (read_session_id, SESSION_IDS),
    "user_to_user": (read_user_to_user, USER_TO_USER),
    "calling_party": (read_calling_party, CALLERS),
    "agent_header": (read_agent_header, [b"X-Ticket\n4711", b"User-to-User\n6869;encoding=hex", b"v\nSIP/2.0/UDP h"]),
    "replaces": (fixed_point(Replaces.parse), [b"a@b;to-tag=t;from-tag=f;early-only"]),
    "warning": (fixed_point(Warning.parse), [b'370 h "t \\"x\\""']),
    "auth": (fixed_point(AuthValue.parse), AUTH),
    "digest": (read_digest, AUTH),
    "multipart": (read_multipart, [MULTIPART]),
    "sdp": (read_sdp, [SDP, SECURE_SDP]),
    "offer": (read_offer, [SDP, SECURE_SDP]),
    "agent_message": (read_agent_message, AGENT_MESSAGES),
    "info": (read_info, [b"Signal=5\r\nDuration=160\r\n", b" signal = * \nduration=99999", b"7"]),
    "session_expires": (fixed_point(SessionExpires.parse), [b"90;refresher=uas", b" 1800 ; Refresher=UAC;x"]),
    "subscription": (read_subscription, SUBSCRIPTIONS),
    "notify": (read_notify, NOTIFIES),
    "transfer": (read_transfer, TRANSFERS),
    "certificate": (read_certificate, CERTIFICATES),
    "tls": (read_tls, [FIRST_FLIGHT, b"OPTIONS sip:x SIP/2.0", b"\x80\x2e\x01\x03\x01"]),
    "records": (read_records, RECORDS),
    "any_order": (take_any_order, ORDERS),
    "register": (any_register, SEEDS),
}  # fmt: skip


def mutate(data: bytes, seeds: list[bytes], rng: random.Random, maximum: int) -> bytes:
    """Change a seed in one to six places."""
    value = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(value) + 1)
        end = min(len(value), at + rng.choice((1, 1, 2, 4, 16, 80)))
        match rng.randrange(9):
            case 0 if value:
                value[min(at, len(value) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                value[at:at] = rng.choice(WORDS)
            case 2:
                value[at:end] = rng.choice(WORDS)
            case 3:
                del value[at:end]
            case 4:
                value[at:at] = value[at:end] * rng.choice((1, 2, 10, 300))
            case 5:
                value[at:at] = rng.choice(seeds)[rng.randrange(40) :]
            case 6:
                value[at:end] = rng.randbytes(end - at)
            case 7:
                lines = bytes(value).split(b"\r\n")
                rng.shuffle(lines) if rng.random() < 0.3 else lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                value = bytearray(b"\r\n".join(lines))
            case _:
                value[at:at] = bytes((rng.randrange(256),))
    return bytes(value[:maximum])


def run_once(read: Callable[[bytes], None], data: bytes, slow: float = SLOW) -> str | None:
    """Give one input to a target; return what is wrong, None if nothing is."""
    start = time.process_time()
    try:
        read(data)
    except RemoteProtocolError:
        pass
    except Exception:
        return traceback.format_exc()
    taken = time.process_time() - start
    if taken < slow:
        return None
    again = []
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(RemoteProtocolError):
            read(data)
        again.append(time.process_time() - start)
    return f"takes {min(again) * 1000:.0f} ms" if min(again) >= slow else None


def seeds_of(name: str) -> list[bytes]:
    """The seeds written here and the files kept for the target."""
    return [*TARGETS[name][1], *(path.read_bytes() for path in sorted((ROOT / "fuzz" / "corpus" / name).glob("*")))]


def fuzz(
    name: str, rng: random.Random, *, until: float | None = None, runs: int | None = None
) -> tuple[int, list[tuple[bytes, str]]]:
    """Fuzz one target until a `time.monotonic()` or for a number of runs; return runs and findings (at most 10)."""
    read, _ = TARGETS[name]
    seeds = seeds_of(name)
    slow = SLOWER.get(name, SLOW)
    findings: list[tuple[bytes, str]] = []
    done = 0
    for data in seeds:
        wrong = run_once(read, data, slow)
        if wrong is not None:
            findings.append((data, wrong))
    while len(findings) < 10 and (runs is None or done < runs) and (until is None or time.monotonic() < until):
        data = mutate(rng.choice(seeds), seeds, rng, MAX_INPUT if name in WHOLE else MAX_FIELD)
        done += 1
        wrong = run_once(read, data, slow)
        if wrong is not None:
            findings.append((data, wrong))
    return done, findings


def fuzz_for(name: str, seed: int, seconds: float) -> tuple[str, int, list[tuple[bytes, str]]]:
    """Fuzz one target for so long, in a process of its own."""
    return name, *fuzz(name, random.Random(f"{seed} {name}"), until=time.monotonic() + seconds)


def main() -> int:
    """Fuzz every target for the same time, some of them at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time; default: processors")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="only this target; may be repeated")
    parser.add_argument("--seed", type=int, help="start of the random numbers; default: new each time, and printed")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    names = options.target or list(TARGETS)
    print(f"seed {seed}, {len(names)} targets, {options.seconds:g} s each")
    bad = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(fuzz_for, names, repeat(seed), repeat(options.seconds)))
    for name, done, findings in found:
        print(f"{name}: {done} inputs, {len(findings)} findings")
        for data, wrong in findings:
            bad += 1
            path = ROOT / "fuzz" / "findings" / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            print(f"  {path.relative_to(ROOT)}: {wrong.strip().splitlines()[-1]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
