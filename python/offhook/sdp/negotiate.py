"""Offer and answer (RFC 3264): one audio codec, telephone-event beside it, and everything else refused by name.

The answer names exactly one audio codec, so that the codec answered is the codec sent. `a=rtcp-mux`, ICE, BUNDLE and
`a=mid` are read past and not answered: an answer without them tells the offerer to go without (RFC 5761 section 5.1.1).
"""

from dataclasses import dataclass, replace
from typing import Literal

from offhook.errors import LocalProtocolError
from offhook.sdp.description import (
    HIGHEST_PORT,
    LONGEST_PTIME_MS,
    SHORTEST_PTIME_MS,
    STATIC_PAYLOAD_TYPES,
    Attribute,
    Connection,
    Direction,
    Encoding,
    MediaDescription,
    Origin,
    SessionDescription,
)

Refusal = Literal["no_audio_offered", "srtp_not_supported", "no_common_codec"]
"""Why no audio came out of an offer; each is the slug of an end reason too."""

CODECS = {"PCMU": Encoding("PCMU", 8000), "PCMA": Encoding("PCMA", 8000)}
"""The audio codecs that the media core speaks, by name."""

TELEPHONE_EVENT = "TELEPHONE-EVENT"
EVENTS = "0-16"
"""The events we take: the sixteen keys and flash (RFC 4733 section 3.2)."""

OFFERED_EVENT_PAYLOAD_TYPE = 101
_PLAIN = ("RTP/AVP", "RTP/AVPF")


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of the audio: where it is reached and what it speaks.

    `codecs` are names of `CODECS` in order of preference; `prefer_local` makes that order win over the offer's.
    `rtcp_port` is written only where it is not `port` + 1. `ptime` is milliseconds, 10 to 60 in steps of 10.
    `version` is that of the first description; later ones are counted by `previous` of `answer` and `offer`.
    """

    address: str
    port: int
    rtcp_port: int | None = None
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    telephone_event: bool = True
    ptime: int = 20
    session_id: int = 1
    version: int = 1
    username: str = "offhook"
    prefer_local: bool = False

    def __post_init__(self) -> None:
        ip = Connection(self.address).ip
        if ip is None or ip.is_unspecified:
            # 0.0.0.0 in our own SDP would put the peer on hold.
            raise LocalProtocolError(f"media address {self.address!r} is not an address that a peer can send to")
        if not 0 < self.port <= HIGHEST_PORT:
            raise LocalProtocolError(f"media port {self.port} is out of range")
        if not self.codecs or any(codec not in CODECS for codec in self.codecs):
            raise LocalProtocolError(f"codecs {self.codecs!r}: known are {', '.join(CODECS)}")
        if self.ptime % 10 or not SHORTEST_PTIME_MS <= self.ptime <= LONGEST_PTIME_MS:
            raise LocalProtocolError(f"ptime {self.ptime} ms: 10 to 60 in steps of 10")


@dataclass(frozen=True, slots=True)
class NegotiatedAudio:
    """What both sides agreed on, as the media leg needs it. Times are milliseconds, payload types 0-127.

    `codec` under `payload_type` is what we send; `receive_types` is what we take, payload type to codec. `dtmf_send` is
    None where the peer takes no events of the codec's clock; `dtmf_receive` may hold another number, or more than one.
    `remote` and `remote_rtcp` are where to send: None where there is nowhere (hold by 0.0.0.0, a host name, multicast),
    and then only an address learned from received packets may be used. `send` and `receive` are the directions from our
    side; `remote_hold` says that the peer has put us on hold. `line` is the index of the m= line.
    """

    codec: str
    payload_type: int
    receive_types: dict[int, str]
    dtmf_send: int | None
    dtmf_receive: tuple[int, ...]
    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    ptime: int
    send: bool
    receive: bool
    remote_hold: bool
    line: int = 0

    def __str__(self) -> str:
        way = Direction.of(send=self.send, receive=self.receive).value
        dtmf = f"DTMF {self.dtmf_send}" if self.dtmf_send is not None else "no DTMF"
        where = f"{self.remote[0]} port {self.remote[1]}" if self.remote else "no address yet"
        return f"{self.codec} (payload type {self.payload_type}), {self.ptime} ms, {dtmf}, {way}, to {where}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What we answer to an offer. With `audio` None the INVITE is answered by 488 and `refusal` says why.

    `notes` are the decisions in plain words, for the timeline of the call.
    """

    description: SessionDescription
    audio: NegotiatedAudio | None
    notes: tuple[str, ...]
    refusal: Refusal | None = None


def answer(
    offer: SessionDescription, local: LocalMedia, *, hold: bool = False, previous: SessionDescription | None = None
) -> Answer:
    """Answer an offer (RFC 3264 section 6): the first audio line that can be used, all other lines with port 0.

    `hold` asks that the peer be held. `previous` is the description we sent last on this dialog: one that says the
    same keeps its version, another counts it up (RFC 3264 section 8).
    """
    notes: list[str] = []
    refusals: list[Refusal] = []
    audio: NegotiatedAudio | None = None
    lines: list[MediaDescription] = []
    for index, line in enumerate(offer.media):
        chosen = None if audio else _choose(offer, index, local, hold, notes, refusals)
        if chosen is None:
            if audio is not None and not line.is_refused:
                notes.append(f"line {index + 1} ({line.kind}) refused: the call has its audio line")
            lines.append(MediaDescription(line.kind, 0, line.protocol, line.formats))
            continue
        audio = chosen
        direction = Direction.of(send=audio.send, receive=audio.receive)
        lines.append(
            _audio_line(
                local,
                line.protocol,
                {audio.payload_type: CODECS[audio.codec]},
                audio.dtmf_send,
                audio.ptime,
                direction,
            )
        )
    refusal: Refusal | None = None
    if audio is None:
        refusal = refusals[0] if refusals else "no_audio_offered"
    description = _revise(replace(_describe(local, lines), timing=offer.timing), previous)
    return Answer(description, audio, tuple(notes), refusal)


def offer(local: LocalMedia, *, hold: bool = False, previous: SessionDescription | None = None) -> SessionDescription:
    """Offer audio (RFC 3264 section 5). With `previous`, a new offer on a running dialog.

    That one keeps the number and order of lines and the payload types of what stood before (RFC 3264 section 8).
    """
    direction = Direction.SENDONLY if hold else Direction.SENDRECV
    standing = _live_audio(previous) if previous is not None else None
    known = {encoding: number for number, encoding in standing.encodings.items()} if standing else {}
    payload_types: dict[int, Encoding] = {}
    for name in local.codecs:
        static = next(number for number, encoding in STATIC_PAYLOAD_TYPES.items() if encoding == CODECS[name])
        payload_types[known.get(CODECS[name], static)] = CODECS[name]
    events: int | None = None
    if local.telephone_event:
        events = known.get(Encoding(TELEPHONE_EVENT, 8000), OFFERED_EVENT_PAYLOAD_TYPE)
        while events in payload_types:
            events -= 1
    protocol = standing.protocol if standing else "RTP/AVP"
    line = _audio_line(local, protocol, payload_types, events, local.ptime, direction)
    if previous is None:
        return _describe(local, [line])
    lines = [line if standing is old else replace(old, port=0, attributes=()) for old in previous.media]
    if standing is None:
        lines.append(line)
    return _revise(_describe(local, lines), previous)


def accept(offer: SessionDescription, answer: SessionDescription) -> NegotiatedAudio | None:
    """Read the peer's answer to our offer; None if it leaves no audio that both sides can send.

    We send the first codec of the answer that we offered. We take every codec that stands in the answer, under our
    number and under the peer's, since either is seen on the wire.
    """
    ours = _live_audio(offer)
    if ours is None:
        return None
    index = offer.media.index(ours)
    theirs = answer.media[index] if index < len(answer.media) else None
    if theirs is None or theirs.kind != "audio" or theirs.is_refused or theirs.protocol not in _PLAIN:
        return None
    offered = {encoding: number for number, encoding in ours.encodings.items()}
    codecs = {
        number: encoding
        for number, encoding in theirs.encodings.items()
        if encoding in offered and encoding.name in CODECS
    }
    if not codecs:
        return None
    payload_type, encoding = next(iter(codecs.items()))
    receive = {number: stated.name for number, stated in codecs.items()}
    for stated in codecs.values():
        receive[offered[stated]] = stated.name
    event = Encoding(TELEPHONE_EVENT, encoding.clock_rate)
    dtmf_send = next((number for number, stated in theirs.encodings.items() if stated == event), None)
    dtmf_receive: tuple[int, ...] = ()
    if dtmf_send is not None and event in offered:
        numbers = dict.fromkeys((offered[event], dtmf_send))
        dtmf_receive = tuple(number for number in numbers if number not in receive)
    elif dtmf_send is not None:
        dtmf_send = None
    return _negotiated(
        answer, index, offer.direction_of(ours), encoding.name, payload_type, receive,
        dtmf_send, dtmf_receive, _ptime(theirs, ours.ptime_ms or 20), [],
    )  # fmt: skip


def _choose(
    offer: SessionDescription,
    index: int,
    local: LocalMedia,
    hold: bool,
    notes: list[str],
    refusals: list[Refusal],
) -> NegotiatedAudio | None:
    """Judge one line of an offer: what we would make of it, or None with the reason in `notes` and `refusals`."""
    line = offer.media[index]
    where = f"line {index + 1} ({line.kind})"
    if line.kind != "audio":
        notes.append(f"{where} refused: only audio is spoken here")
        return None
    if line.is_refused:
        notes.append(f"{where} is switched off by the peer (port 0)")
        return None
    if "SAVP" in line.protocol:
        notes.append(f"{where} refused: it asks for encrypted media ({line.protocol}), which this gateway cannot do")
        refusals.append("srtp_not_supported")
        return None
    if line.protocol not in _PLAIN:
        notes.append(f"{where} refused: protocol {line.protocol} is not RTP/AVP")
        refusals.append("no_common_codec")
        return None
    encodings = line.encodings
    usable = {encoding.name: number for number, encoding in reversed(encodings.items()) if encoding in _spoken(local)}
    if not usable:
        offered = ", ".join(str(encoding) for encoding in encodings.values()) or "nothing that has a name"
        notes.append(f"{where} refused: offered {offered}; spoken here: {', '.join(local.codecs)}")
        refusals.append("no_common_codec")
        return None
    if local.prefer_local:
        codec = next(name for name in local.codecs if name in usable)
    else:
        codec = next(encoding.name for encoding in encodings.values() if encoding.name in usable)
    payload_type = usable[codec]
    notes.append(f"{where}: {codec} chosen, {'our' if local.prefer_local else 'the caller’s'} order")
    event = Encoding(TELEPHONE_EVENT, CODECS[codec].clock_rate)
    dtmf = next((number for number, encoding in encodings.items() if encoding == event), None)
    if not local.telephone_event:
        dtmf = None
    elif dtmf is None:
        other = [str(encoding) for encoding in encodings.values() if encoding.name == TELEPHONE_EVENT]
        fits = f"; offered: {', '.join(other)}, which does not fit {codec}" if other else ""
        notes.append(f"no telephone-event/{event.clock_rate} offered{fits}: digits can only come as tones or INFO")
    if line.attribute("rtcp-mux") is not None:
        notes.append("rtcp-mux not taken: RTCP has its own port")
    if line.attribute("crypto") is not None or line.attribute("fingerprint") is not None:
        notes.append(f"keys offered on {line.protocol} not taken: the media is plain")
    ours = Direction.SENDONLY if hold else Direction.SENDRECV
    dtmf_receive = () if dtmf is None else (dtmf,)
    return _negotiated(
        offer, index, ours, codec, payload_type, {payload_type: codec}, dtmf, dtmf_receive,
        _ptime(line, local.ptime), notes,
    )  # fmt: skip


def _spoken(local: LocalMedia) -> set[Encoding]:
    return {CODECS[name] for name in local.codecs}


def _negotiated(
    theirs: SessionDescription,
    index: int,
    ours: Direction,
    codec: str,
    payload_type: int,
    receive_types: dict[int, str],
    dtmf_send: int | None,
    dtmf_receive: tuple[int, ...],
    ptime: int,
    notes: list[str],
) -> NegotiatedAudio:
    """Put together what the peer's line `index` says about addresses and directions (RFC 3264 section 6.1, 8.4)."""
    line = theirs.media[index]
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
    if stated_rtcp is not None and stated_rtcp[0] != line.port:
        # The RTP port itself is stated by those who hope for rtcp-mux, which we have not taken (FreeSWITCH).
        remote_rtcp = _sendable(stated_rtcp[1] or connection, stated_rtcp[0])
    else:
        remote_rtcp = _sendable(connection, line.port + 1)
    return NegotiatedAudio(
        codec=codec,
        payload_type=payload_type,
        receive_types=receive_types,
        dtmf_send=dtmf_send,
        dtmf_receive=dtmf_receive,
        remote=remote,
        remote_rtcp=remote_rtcp if remote is not None else None,
        ptime=ptime,
        send=peer.receives and ours.sends,
        receive=peer.sends and ours.receives,
        remote_hold=held_by_address or not peer.receives,
        line=index,
    )


def _sendable(connection: Connection | None, port: int) -> tuple[str, int] | None:
    """Address and port if audio may go there at all; whether it may from this network is the media core's to say."""
    ip = connection.ip if connection else None
    if ip is None or ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255" or port > HIGHEST_PORT:
        return None
    return str(ip), port


def _ptime(line: MediaDescription, ours: int) -> int:
    """The packet time we send: the peer's wish rounded down to 10 ms, else ours, never past the peer's maximum."""
    wanted = line.ptime_ms or ours
    longest = line.max_ptime_ms
    if longest is not None:
        wanted = min(wanted, longest)
    return wanted - wanted % 10


def _audio_line(
    local: LocalMedia,
    protocol: str,
    payload_types: dict[int, Encoding],
    events: int | None,
    ptime: int,
    direction: Direction,
) -> MediaDescription:
    attributes = [Attribute("rtpmap", f"{number} {encoding}") for number, encoding in payload_types.items()]
    formats = [str(number) for number in payload_types]
    if events is not None:
        formats.append(str(events))
        attributes.append(Attribute("rtpmap", f"{events} telephone-event/8000"))
        attributes.append(Attribute("fmtp", f"{events} {EVENTS}"))
    attributes.append(Attribute("ptime", str(ptime)))
    if local.rtcp_port is not None and local.rtcp_port != local.port + 1:
        attributes.append(Attribute("rtcp", str(local.rtcp_port)))
    attributes.append(Attribute(direction.value))
    return MediaDescription("audio", local.port, protocol, tuple(formats), attributes=tuple(attributes))


def _describe(local: LocalMedia, lines: list[MediaDescription]) -> SessionDescription:
    return SessionDescription(
        origin=Origin(local.username, str(local.session_id), str(local.version), local.address),
        name="offhook",
        connection=Connection(local.address),
        media=tuple(lines),
    )


def _revise(description: SessionDescription, previous: SessionDescription | None) -> SessionDescription:
    """Give a description of ours the id and version that follow `previous` (RFC 3264 section 8)."""
    if previous is None:
        return description
    origin = replace(description.origin, session_id=previous.origin.session_id, version=previous.origin.version)
    if replace(description, origin=origin) == previous:
        return previous
    return replace(description, origin=replace(origin, version=str(int(origin.version) + 1)))


def _live_audio(description: SessionDescription) -> MediaDescription | None:
    return next((line for line in description.media if line.kind == "audio" and not line.is_refused), None)
