"""Offer and answer (RFC 3264): one audio codec, telephone-event beside it, and everything else refused by name.

An offer is judged before anything is promised (`judge`): where the peer is and what it speaks decide which of our ports
it gets, and only then is the answer written (`answer`). The answer names exactly one audio codec, so that the codec
answered is the codec sent. ICE, BUNDLE and `a=mid` are read past and not answered, which tells the offerer to go
without.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from offhook.sdp import crypto
from offhook.sdp.crypto import PLAIN, SECURE, FreshKeys
from offhook.sdp.description import (
    HIGHEST_PORT,
    STATIC_PAYLOAD_TYPES,
    Attribute,
    Connection,
    Direction,
    Encoding,
    MediaDescription,
    Origin,
    SessionDescription,
)
from offhook.sdp.opus import OFFERED_PAYLOAD_TYPE as OFFERED_OPUS
from offhook.sdp.opus import OPUS, PARAMETERS, packet_time, wishes
from offhook.sdp.terms import (
    CODECS,
    COMFORT_NOISE,
    SPOKEN,
    TELEPHONE_EVENT,
    LocalMedia,
    NegotiatedAudio,
    Refusal,
    Terms,
)

EVENTS = "0-16"
"""The events we take: the sixteen keys and flash (RFC 4733 section 3.2)."""

OFFERED_EVENT_PAYLOAD_TYPE = 101
_NO_KEYS = FreshKeys(bytes(crypto.RANDOM_BYTES))
# Base64 of the shortest master key and salt has 40 characters (RFC 4568 section 6.2), and half of one is too much.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an offer, or the answer to ours, comes to. With `audio` None there is no call, and `refusal` says why.

    `notes` are the decisions in plain words, for the timeline of the call. `attributes` are what our answer says beside
    codecs and addresses.
    """

    description: SessionDescription
    audio: NegotiatedAudio | None
    notes: tuple[str, ...]
    refusal: Refusal | None = None
    attributes: tuple[Attribute, ...] = ()


def judge(
    offer: SessionDescription,
    terms: Terms,
    *,
    hold: bool = False,
    was: NegotiatedAudio | None = None,
    fresh: FreshKeys | None = None,
    moved: bool = False,
) -> Judgement:
    """Judge an offer (RFC 3264 section 6): one audio line becomes the call's, all others are refused.

    It is the first that can be used; where media may be encrypted, lines with keys go before those without. `hold` asks
    that the peer be held. `was` is what was agreed on before; its packets may still be under way, its codec goes on if
    it is offered and the order is ours, and its keys do if the offer repeats the peer's and our port has not `moved`.
    An offer that switches all of its lines off takes the media out of the session (RFC 3264 section 8.2): that is a
    hold. `fresh` are new keys, which terms with SRTP need.
    """
    judge_line = _LineJudge(offer, terms, hold, was, _keys(terms, fresh), moved)
    order = list(range(len(offer.media)))
    if terms.srtp != "off":
        order.sort(key=lambda index: not _has_keys(offer.media[index]))
    for index in order:
        judge_line.take(index)
    notes = judge_line.notes if offer.media else ["the offer has no media line"]
    if was is not None and offer.media and all(line.is_refused for line in offer.media):
        return Judgement(offer, _switched_off(was), _told([*notes, "the peer holds the call (port 0)"]))
    if judge_line.audio is not None:
        return Judgement(offer, judge_line.audio, _told(notes), attributes=tuple(judge_line.attributes))
    return Judgement(offer, None, _told(notes), judge_line.refusal or "no_audio_offered")


def answer(
    judgement: Judgement, local: LocalMedia, *, previous: SessionDescription | None = None, newest: int = 0
) -> SessionDescription:
    """Write the answer to an offer that was judged: as many lines as the offer has, all but ours with port 0.

    `previous` is the description of ours that is in force on this dialog: one that says the same keeps its version,
    another counts it up (RFC 3264 section 8), beyond the `newest` that has left, if only in an offer that was refused.
    """
    audio, offer = judgement.audio, judgement.description
    lines = [
        _answered(line, audio, local, judgement.attributes)
        if audio is not None and index == audio.line and not line.is_refused
        else MediaDescription(line.kind, 0, line.protocol, line.formats)
        for index, line in enumerate(offer.media)
    ]
    return _revise(replace(_describe(local, lines), timing=offer.timing), previous, newest)


def offer(
    local: LocalMedia,
    terms: Terms,
    *,
    hold: bool = False,
    previous: SessionDescription | None = None,
    newest: int = 0,
    was: NegotiatedAudio | None = None,
    fresh: FreshKeys | None = None,
) -> SessionDescription:
    """Offer audio (RFC 3264 section 5). With `previous`, a new offer on a running dialog.

    That one keeps the number and order of lines and the payload types of what stood before (RFC 3264 section 8); of
    `newest` see `answer`. With `was`, what is agreed on goes on: its codec is the first, its keys and its packet time
    are kept. `hold` asks the peer to be silent and listen (section 8.4). `fresh` are new keys, which terms with SRTP
    need.
    """
    standing = _live_audio(previous) if previous is not None else None
    codecs = terms.codecs if was is None else (was.codec, *(name for name in terms.codecs if name != was.codec))
    known = {encoding: number for number, encoding in standing.encodings.items()} if standing else {}
    payload_types: dict[int, Encoding] = {}
    for name in codecs:
        static = (number for number, encoding in STATIC_PAYLOAD_TYPES.items() if encoding == CODECS[name])
        payload_types[_number_for(CODECS[name], next(static, OFFERED_OPUS), known, payload_types)] = CODECS[name]
    clocks = dict.fromkeys(CODECS[name].clock_rate for name in codecs) if terms.telephone_event else ()
    for event in (Encoding(TELEPHONE_EVENT, clock) for clock in clocks):
        payload_types[_number_for(event, OFFERED_EVENT_PAYLOAD_TYPE, known, payload_types)] = event
    kept = was.crypto if was is not None else None
    protocol, extra = crypto.offered(terms.srtp, _keys(terms, fresh), standing.protocol if standing else None, kept)
    if was is not None and was.rtcp_mux:
        extra = (Attribute("rtcp-mux"), *extra)
    direction = Direction.SENDONLY if hold else Direction.SENDRECV
    ptime = terms.ptime if was is None else was.ptime
    line = _audio_line(local, protocol, payload_types, ptime, direction, extra)
    if previous is None:
        return _describe(local, [line])
    # A line that was switched off may come back in its place (RFC 3264 section 8.1).
    slot = standing or next((old for old in previous.media if old.kind == "audio"), None)
    lines = [line if slot is old else replace(old, port=0, attributes=()) for old in previous.media]
    if slot is None:
        lines.append(line)
    return _revise(_describe(local, lines), previous, newest)


def accept(
    offer: SessionDescription, answer: SessionDescription, terms: Terms, *, was: NegotiatedAudio | None = None
) -> Judgement:
    """Read the peer's answer to our offer, which was made on the same terms.

    We send the first codec of the answer that we offered. We take every codec that stands in the answer, under our
    number and under the peer's, since either is seen on the wire. A peer that refuses the line of a running call, as
    `was` has it, has taken its media out of the session: that is a hold.
    """
    ours = _live_audio(offer)
    assert ours is not None, "every offer of ours has an audio line"
    index = offer.media.index(ours)
    theirs = answer.media[index] if index < len(answer.media) else None
    if theirs is not None and theirs.kind == "audio" and theirs.is_refused and was is not None:
        return Judgement(answer, _switched_off(was), ("the peer holds the call (port 0)",))
    if theirs is None or theirs.kind != "audio" or theirs.is_refused:
        return Judgement(answer, None, ("the peer refused our audio line",), "no_offer_answer")
    if theirs.protocol not in PLAIN + SECURE:
        return Judgement(answer, None, (f"the peer answered with {theirs.protocol}",), "no_offer_answer")
    security = crypto.accepted(ours, theirs, terms.srtp)
    if isinstance(security, crypto.Refused):
        return Judgement(answer, None, (security.note,), security.refusal)
    notes = [security.note] if security.note else []
    offered = {encoding: number for number, encoding in ours.encodings.items()}
    codecs = {
        number: encoding for number, encoding in theirs.encodings.items() if encoding in offered and encoding in SPOKEN
    }
    if not codecs:
        return Judgement(answer, None, ("the peer answered with no codec of our offer",), "no_offer_answer")
    payload_type, encoding = next(iter(codecs.items()))
    receive = {number: SPOKEN[stated] for number, stated in codecs.items()}
    receive |= {offered[stated]: SPOKEN[stated] for stated in codecs.values()}
    event = Encoding(TELEPHONE_EVENT, encoding.clock_rate)
    answered = _numbers(theirs, event) if event in offered else []
    dtmf_receive = dict.fromkeys((offered[event], *answered)) if answered else {}
    audio = NegotiatedAudio(
        codec=SPOKEN[encoding],
        payload_type=payload_type,
        receive_types=receive,
        dtmf_send=answered[0] if answered else None,
        dtmf_receive=tuple(number for number in dtmf_receive if number not in receive),
        remote=None,
        remote_rtcp=None,
        ptime=_ptime(theirs, ours.ptime_ms or 20, encoding),
        send=True,
        receive=True,
        remote_hold=False,
        line=index,
        rtcp_mux=theirs.attribute("rtcp-mux") is not None and ours.attribute("rtcp-mux") is not None,
        crypto=security.keys if isinstance(security, crypto.Encrypted) else None,
        opus=wishes(theirs, payload_type) if encoding == OPUS else None,
    )
    audio = _with_old_types(_located(audio, answer, offer.direction_of(ours), notes), was)
    return Judgement(answer, audio, _told(notes))


class _LineJudge:
    """Goes through the lines of one offer until one of them can be the call's."""

    def __init__(
        self,
        offer: SessionDescription,
        terms: Terms,
        hold: bool,
        was: NegotiatedAudio | None,
        fresh: FreshKeys,
        moved: bool,
    ) -> None:
        self.audio: NegotiatedAudio | None = None
        self.attributes: list[Attribute] = []
        self.notes: list[str] = []
        self.refusal: Refusal | None = None
        self._offer = offer
        self._terms = terms
        self._hold = hold
        self._was = was
        self._fresh = fresh
        self._moved = moved

    def take(self, index: int) -> None:
        """Judge one line."""
        line = self._offer.media[index]
        where = f"line {index + 1} ({line.kind})"
        if self.audio is not None:
            if not line.is_refused:
                self.notes.append(f"{where} refused: the call has its audio line")
        elif line.kind != "audio":
            self.notes.append(f"{where} refused: only audio is spoken here")
        elif line.is_refused:
            self.notes.append(f"{where} is switched off by the peer (port 0)")
        elif line.protocol not in PLAIN and "SAVP" not in line.protocol:
            self._refuse(where, f"protocol {line.protocol} is not RTP/AVP", "no_common_codec")
        else:
            self._take_audio(index, line, where)

    def _take_audio(self, index: int, line: MediaDescription, where: str) -> None:
        terms, notes = self._terms, self.notes
        standing = self._was.crypto if self._was is not None else None
        security = crypto.judge(line, terms.srtp, self._fresh, standing, moved=self._moved)
        if isinstance(security, crypto.Refused):
            self._refuse(where, security.note, security.refusal)
            return
        payload_type = _codec(line, where, terms, notes, self._was)
        if payload_type is None:
            self.refusal = self.refusal or "no_common_codec"
            return
        codec = SPOKEN[line.encodings[payload_type]]
        events = _events(line, codec, terms, notes)
        noise = _numbers(line, Encoding(COMFORT_NOISE, CODECS[codec].clock_rate)) if terms.comfort_noise else []
        mux = line.attribute("rtcp-mux") is not None and terms.rtcp_mux
        if mux:
            self.attributes.append(Attribute("rtcp-mux"))
            notes.append("rtcp-mux taken: RTCP comes and goes on the RTP port")
        if security.note:
            notes.append(security.note)
        if isinstance(security, crypto.Encrypted):
            self.attributes.append(security.attribute)
        elif standing is not None:
            notes.append("from here on the media is no longer encrypted: the trunk leaves that to the peer")
        _read_past(self._offer, line, notes)
        audio = NegotiatedAudio(
            codec=codec,
            payload_type=payload_type,
            receive_types={payload_type: codec},
            dtmf_send=events[0] if events else None,
            dtmf_receive=tuple(events),
            remote=None,
            remote_rtcp=None,
            ptime=_ptime(line, terms.ptime, CODECS[codec]),
            send=True,
            receive=True,
            remote_hold=False,
            line=index,
            comfort_noise=noise[0] if noise else None,
            rtcp_mux=mux,
            crypto=security.keys if isinstance(security, crypto.Encrypted) else None,
            opus=wishes(line, payload_type) if CODECS[codec] == OPUS else None,
        )
        ours = Direction.SENDONLY if self._hold else Direction.SENDRECV
        self.audio = _with_old_types(_located(audio, self._offer, ours, notes), self._was)

    def _refuse(self, where: str, why: str, refusal: Refusal) -> None:
        self.notes.append(f"{where} refused: {why}")
        self.refusal = self.refusal or refusal


def _keys(terms: Terms, fresh: FreshKeys | None) -> FreshKeys:
    assert fresh is not None or terms.srtp == "off", "who may encrypt brings new keys"
    return fresh or _NO_KEYS


def _has_keys(line: MediaDescription) -> bool:
    return line.protocol in SECURE or line.attribute("crypto") is not None


def _told(notes: list[str]) -> tuple[str, ...]:
    """The notes as they may be kept: a peer's words are quoted in them, and a garbled offer has its key anywhere."""
    return tuple(_LIKE_A_KEY.sub("***", note) for note in notes)


def _codec(
    line: MediaDescription, where: str, terms: Terms, notes: list[str], was: NegotiatedAudio | None
) -> int | None:
    """The payload type of the codec to speak, and in `notes` why it is that one; None if there is none in common."""
    encodings = line.encodings
    spoken = {CODECS[name]: name for name in terms.codecs}
    usable = {spoken[encoding]: number for number, encoding in reversed(encodings.items()) if encoding in spoken}
    others = [str(encoding) for encoding in encodings.values() if encoding not in spoken]
    unspoken = ", ".join(other for other in others if other.partition("/")[0] not in (TELEPHONE_EVENT, COMFORT_NOISE))
    if not usable:
        offered = ", ".join(str(encoding) for encoding in encodings.values()) or "nothing that has a name"
        notes.append(f"{where} refused: offered {offered}; spoken here: {', '.join(terms.codecs)}")
        return None
    first = next(spoken[encoding] for encoding in encodings.values() if encoding in spoken)
    codec = next(name for name in terms.codecs if name in usable) if terms.prefer_local else first
    why = "the only one in common"
    if terms.prefer_local and was is not None and was.codec in usable and len(usable) > 1:
        # A hold, a refresh or a transfer that lists all its codecs again asks for no other.
        codec, why = was.codec, "the one in use"
    elif len(usable) > 1:
        why = "our order" if terms.prefer_local else "the peer’s order"
        why += f" of {', '.join(name for name in terms.codecs if name in usable)}" if terms.prefer_local else ""
    notes.append(f"{where}: {codec} chosen, {why}" + (f"; not spoken here: {unspoken}" if unspoken else ""))
    return usable[codec]


def _events(line: MediaDescription, codec: str, terms: Terms, notes: list[str]) -> list[int]:
    """The payload types of telephone-event that fit the codec's clock (RFC 4733 section 2.1)."""
    if not terms.telephone_event:
        return []
    clock_rate = CODECS[codec].clock_rate
    events = _numbers(line, Encoding(TELEPHONE_EVENT, clock_rate))
    if not events:
        other = [str(encoding) for encoding in line.encodings.values() if encoding.name == TELEPHONE_EVENT]
        fits = f"; offered: {', '.join(other)}, which does not fit {codec}" if other else ""
        notes.append(f"no telephone-event/{clock_rate} offered{fits}: digits can only come as tones or INFO")
    return events


def _read_past(offer: SessionDescription, line: MediaDescription, notes: list[str]) -> None:
    """Say what was offered beyond the call itself, and is not answered."""
    wanted = {
        "ICE": line.attribute("candidate") or line.attribute("ice-ufrag"),
        "BUNDLE": next((item for item in offer.attributes if item.name == "group"), None),
    }
    if found := [name for name, attribute in wanted.items() if attribute is not None]:
        notes.append(f"{' and '.join(found)} not taken: media goes between the addresses in SDP")


def _number_for(encoding: Encoding, usual: int, known: Mapping[Encoding, int], taken: Container[int]) -> int:
    """The payload type that an encoding has already in the session, else the usual one, or the next that is free."""
    number = known.get(encoding, usual)
    while encoding not in known and (number in taken or number in known.values()):
        number -= 1
    return number


def _numbers(line: MediaDescription, wanted: Encoding) -> list[int]:
    """The payload types that stand for an encoding, in the order of the line."""
    return [number for number, encoding in line.encodings.items() if encoding == wanted]


def _located(audio: NegotiatedAudio, theirs: SessionDescription, ours: Direction, notes: list[str]) -> NegotiatedAudio:
    """Add what the peer's line says about addresses and directions (RFC 3264 section 6.1, 8.4)."""
    line = theirs.media[audio.line]
    connection = theirs.connection_of(line)
    peer = theirs.direction_of(line)
    held_by_address = connection is not None and connection.is_unspecified
    if held_by_address:
        # RFC 2543 held a call so: the peer may go on sending, but there is nowhere to send to.
        peer = Direction.of(send=peer.sends, receive=False)
        notes.append("the peer holds the call (address 0.0.0.0)")
    elif not peer.receives:
        notes.append(f"the peer holds the call ({peer.value})")
    remote = _sendable(connection, line.port)
    if remote is None and not held_by_address:
        stated = connection.address if connection else "no address at all"
        notes.append(f"{stated} is not an address to send audio to: waiting for the peer's first packets")
    stated_rtcp = line.rtcp
    if audio.rtcp_mux:
        remote_rtcp = remote
    elif stated_rtcp is not None and stated_rtcp[0] != line.port:
        # The RTP port itself is stated by those who hope for rtcp-mux without saying so (FreeSWITCH).
        remote_rtcp = _sendable(stated_rtcp[1] or connection, stated_rtcp[0])
    else:
        remote_rtcp = _sendable(connection, line.port + 1)
    return replace(
        audio,
        remote=remote,
        remote_rtcp=remote_rtcp if remote is not None else None,
        family=connection.family if connection is not None else None,
        send=peer.receives and ours.sends,
        receive=peer.sends and ours.receives,
        remote_hold=held_by_address or not peer.receives,
    )


def _with_old_types(audio: NegotiatedAudio, was: NegotiatedAudio | None) -> NegotiatedAudio:
    """Go on taking the codec that was spoken until now: its packets are still under way (RFC 3264 section 8.3.2)."""
    if was is None:
        return audio
    taken = {*audio.receive_types, *audio.dtmf_receive, audio.comfort_noise}
    old = {number: codec for number, codec in was.receive_types.items() if codec == was.codec and number not in taken}
    return replace(audio, receive_types={**audio.receive_types, **old}) if old else audio


def _switched_off(was: NegotiatedAudio) -> NegotiatedAudio:
    """What is left of an agreement whose media the peer has taken out of the session, until it brings it back."""
    return replace(was, remote=None, remote_rtcp=None, send=False, receive=False, remote_hold=True)


def _sendable(connection: Connection | None, port: int) -> tuple[str, int] | None:
    """Address and port if audio may go there at all; whether it may from this network is the media core's to say."""
    ip = connection.ip if connection else None
    if ip is None or ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255" or port > HIGHEST_PORT:
        return None
    return str(ip), port


def _ptime(line: MediaDescription, ours: int, codec: Encoding) -> int:
    """The packet time we send: the peer's wish rounded down to what the codec has, else ours, within its maximum."""
    wanted = line.ptime_ms or ours
    longest = line.max_ptime_ms
    if longest is not None:
        wanted = min(wanted, longest)
    return packet_time(wanted) if codec == OPUS else wanted - wanted % 10


def _answered(
    line: MediaDescription, audio: NegotiatedAudio, local: LocalMedia, extra: Iterable[Attribute]
) -> MediaDescription:
    """Our line for a line that was agreed on: the offer's own payload types, and of each kind one."""
    wanted = (audio.payload_type, audio.dtmf_send, audio.comfort_noise)
    payload_types = {number: line.encodings[number] for number in wanted if number is not None}
    direction = Direction.of(send=audio.send, receive=audio.receive)
    return _audio_line(local, line.protocol, payload_types, audio.ptime, direction, extra)


def _audio_line(
    local: LocalMedia,
    protocol: str,
    payload_types: dict[int, Encoding],
    ptime: int,
    direction: Direction,
    extra: Iterable[Attribute] = (),
) -> MediaDescription:
    attributes: list[Attribute] = []
    for number, encoding in payload_types.items():
        parameters = EVENTS if encoding.name == TELEPHONE_EVENT else PARAMETERS if encoding == OPUS else None
        # Our readers take any case, and not all others do: both are registered in small letters.
        attributes.append(Attribute("rtpmap", f"{number} {str(encoding).lower() if parameters else encoding}"))
        if parameters:
            attributes.append(Attribute("fmtp", f"{number} {parameters}"))
    attributes.append(Attribute("ptime", str(ptime)))
    attributes += extra
    muxed = any(attribute.name == "rtcp-mux" for attribute in attributes)
    if local.rtcp_port is not None and local.rtcp_port != local.port + 1 and not muxed:
        attributes.append(Attribute("rtcp", str(local.rtcp_port)))
    attributes.append(Attribute(direction.value))
    formats = tuple(str(number) for number in payload_types)
    return MediaDescription("audio", local.port, protocol, formats, attributes=tuple(attributes))


def _describe(local: LocalMedia, lines: list[MediaDescription]) -> SessionDescription:
    return SessionDescription(
        origin=Origin(local.username, str(local.session_id), str(local.version), local.address),
        name="offhook",
        connection=Connection(local.address),
        media=tuple(lines),
    )


def _revise(description: SessionDescription, previous: SessionDescription | None, newest: int) -> SessionDescription:
    """Give a description of ours the id and version that follow what was said before (RFC 3264 section 8)."""
    if previous is None:
        return description
    origin = replace(description.origin, session_id=previous.origin.session_id, version=previous.origin.version)
    if replace(description, origin=origin) == previous:
        return previous
    return replace(description, origin=replace(origin, version=str(max(int(origin.version), newest) + 1)))


def _live_audio(description: SessionDescription) -> MediaDescription | None:
    return next((line for line in description.media if line.kind == "audio" and not line.is_refused), None)
