"""The boundary between Python, which decides, and Rust, which moves the sound.

Commands enqueue and return at once; only `Engine()`, `Engine.open_leg` (it binds a port, because SDP needs the number
now) and `Engine.close` do work before they return, without the interpreter lock. What happens comes back as
`MediaEvent` values in one queue behind `Engine.wakeup_fd`. Audio crosses only when Python asked for it, as contiguous
PCM16 little-endian `bytes`. All classes are final; values are frozen.

Times named `at` are seconds of CLOCK_MONOTONIC, the clock of `time.monotonic()`. Durations are milliseconds.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, Self, final

from offhook.errors import OffhookError
from offhook.ids import LegId, MuxId, RecordingId, WireId

__all__ = [
    "Bridge",
    "CallConfig",
    "Engine",
    "EngineConfig",
    "EngineStats",
    "LegConfig",
    "Line",
    "MediaError",
    "MediaEvent",
    "MediaStats",
    "Melody",
    "Mux",
    "NetworkConfig",
    "OpusWishes",
    "Recording",
    "RecordingConfig",
    "RemoteMedia",
    "RtpLeg",
    "SrtpKeys",
    "Wire",
    "WireConfig",
    "WireStats",
]

class MediaError(OffhookError):
    """The only exception of the media plane; `code` is one of:

    `no_port`: on every port of the range is a call that this one could be confused with, or another process has it;
    `no_family`: media has no address of that IP version, or the leg is on a port of the other one (see `RtpLeg.place`);
    `collision`: another call of the same port has the same remote address and port (see `RtpLeg.place`);
    `bad_address`: an address, port or network is not written as one;
    `bad_config`: a value is outside its range, or a dialect description is not one (the message says what);
    `bad_url`: the URL of a wire is not `ws:` or `wss:` with a host;
    `too_many`: the engine's limit of legs or wires is reached;
    `wrong_thread`: two legs, or a leg and a wire, were to be joined that live on different media threads (see
    `Engine.open_leg`);
    `closed`: the engine has been closed;
    `overloaded`: a media thread has more commands waiting than it may;
    `system`: the system refused a thread, a socket or a descriptor (the message carries its words).
    """

@final
class EngineConfig:
    """What the whole engine is made with; changing it takes a restart."""

    def __new__(
        cls,
        *,
        addresses: Sequence[str] = ["127.0.0.1"],
        port_min: int = 40000,
        port_max: int = 41999,
        threads: int = 0,
        quarantine_ms: int = 2000,
        dscp: int = 46,
        receive_buffer: int = 262144,
        max_legs: int = 4096,
        max_wires: int = 4096,
        event_limit: int = 65536,
        dial_threads: int = 32,
        dial_queue: int = 1024,
        speech_weights: bytes | None = None,
    ) -> Self:
        """`addresses`: the IP addresses of media, one for IPv4, one for IPv6 or one of both; a leg is on that of its
        peer's version. `0.0.0.0` and `::` mean all, and then what is sent leaves from where the peer sends to.

        `port_min`, `port_max`: inclusive; a port is an even one for RTP and the odd one above it for RTCP. Few suffice:
        legs share a port where it can be told whose packet is whose. A range of 64 pairs or fewer is bound at once and
        stays so. `threads`: media threads, 0 picks by the number of cores; each port belongs to one.
        `quarantine_ms`: how long a port rests after its last leg, so that packets still under way to that are not heard
        by the next; it is taken earlier rather than refuse a call.
        `dscp`: the code point on RTP and RTCP (46 is EF), 0 leaves it alone.
        `receive_buffer`: bytes asked for per socket and leg; what the system gave is in `EngineStats.receive_buffer`.
        `event_limit`: droppable events (audio) held for Python at most; the newest is dropped and counted.
        `dial_threads`, `dial_queue`: helper threads that resolve, connect and upgrade, and the dials that may wait.
        `speech_weights`: the network that tells speech from noise (`offhook.media.speech_network`); without it the gate
        of the voice activity decides alone whether a caller interrupts.
        """

    @property
    def addresses(self) -> list[str]: ...
    @property
    def port_min(self) -> int: ...
    @property
    def port_max(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def quarantine_ms(self) -> int: ...
    @property
    def dscp(self) -> int: ...
    @property
    def receive_buffer(self) -> int: ...
    @property
    def max_legs(self) -> int: ...
    @property
    def max_wires(self) -> int: ...
    @property
    def event_limit(self) -> int: ...
    @property
    def dial_threads(self) -> int: ...
    @property
    def dial_queue(self) -> int: ...
    @property
    def speech_weights(self) -> bytes | None: ...

@final
class LegConfig:
    """What one RTP leg is made with."""

    def __new__(
        cls,
        *,
        remote: tuple[str, int] | None = None,
        signalling_address: str | None = None,
        media_allow: Sequence[str] = (),
        nat: bool = False,
        allow_loopback: bool = False,
        family: Literal[4, 6] | None = None,
        sdp_address: str | None = None,
        playout_limit_ms: int = 120000,
        media_timeout_ms: int | None = 60000,
        cname: str = "",
    ) -> Self:
        """What is known of the far side decides which port it gets: one on which no other leg can be taken for it.

        `remote`: address and port of its SDP, `None` where our offer goes first. `signalling_address`, `media_allow`,
        `nat`, `allow_loopback`: as in `RemoteMedia`; without `signalling_address` it could be anybody, so the leg needs
        a port of its own until `set_remote`.
        `family`: its IP version; by default that of `remote`, else of `sdp_address`, else of `signalling_address`.
        `sdp_address`: what our SDP will name. If the engine listens on all addresses and it is one of this host's but
        no loopback address, RTP leaves from it, else from the address that the peer sends to.

        `playout_limit_ms`: how much agent audio may wait to be played; more is dropped (the newest) and counted.
        `media_timeout_ms`: `media_timeout` is told after this long without RTP while RTP is expected; `None` is never.
        `cname`: the RTCP name of RFC 3550 section 6.5.1; empty makes a random one.
        """

    @property
    def remote(self) -> tuple[str, int] | None: ...
    @property
    def signalling_address(self) -> str | None: ...
    @property
    def media_allow(self) -> list[str]: ...
    @property
    def nat(self) -> bool: ...
    @property
    def allow_loopback(self) -> bool: ...
    @property
    def family(self) -> int | None: ...
    @property
    def sdp_address(self) -> str | None: ...
    @property
    def playout_limit_ms(self) -> int: ...
    @property
    def media_timeout_ms(self) -> int | None: ...
    @property
    def cname(self) -> str: ...

@final
class SrtpKeys:
    """The keys of encrypted media (RFC 3711), for both directions. `repr` does not show them; equal keys are equal."""

    def __new__(cls, suite: str, *, send: bytes, receive: bytes) -> Self:
        """`suite`: the name in SDP: `AES_CM_128_HMAC_SHA1_80` and `_32`, `AES_256_CM_HMAC_SHA1_80` and `_32`,
        `AEAD_AES_128_GCM`, `AEAD_AES_256_GCM`.

        `send`, `receive`: the master key followed by its salt, as `a=crypto` carries them. Raises `MediaError`
        (`bad_config`) if one has not the length of the suite.
        """

    @property
    def suite(self) -> str: ...

@final
class OpusWishes:
    """What a peer asks of the Opus that we send it (RFC 7587 section 6.1)."""

    def __new__(
        cls,
        *,
        bitrate: int | None = None,
        fec: bool = True,
        dtx: bool = False,
        cbr: bool = False,
        max_rate: int = 48_000,
    ) -> Self:
        """`bitrate`: bits a second on average, brought into 6000 to 60000; a partner's packets that exceed it are not
        handed on either. None for 40000, and any of a partner. `fec`: each packet has a copy of the one before, if
        losses are likely. `dtx`: nothing is sent in pauses. `cbr`: all packets have one size. `max_rate`: the highest
        rate in Hz that the peer plays; sound is sent at 16 kHz at most.
        """
    @property
    def bitrate(self) -> int | None: ...
    @property
    def fec(self) -> bool: ...
    @property
    def dtx(self) -> bool: ...
    @property
    def cbr(self) -> bool: ...
    @property
    def max_rate(self) -> int: ...

@final
class RemoteMedia:
    """What offer and answer agreed on for one leg: where RTP goes, who may send it, in which codec."""

    def __new__(
        cls,
        *,
        address: str,
        port: int,
        codec: Literal["PCMU", "PCMA", "G722", "opus"],
        payload_type: int,
        receive_payload_types: Mapping[int, str],
        rtcp_address: str | None = None,
        rtcp_port: int | None = None,
        rtcp_mux: bool = False,
        dtmf_send: int | None = None,
        dtmf_receive: Sequence[int] = (),
        dtmf_by: Literal["rfc4733", "inband", "info"] = "rfc4733",
        dtmf_tones: Literal["ignored", "heard", "removed"] = "ignored",
        comfort_noise: int | None = 13,
        ptime_ms: int = 20,
        send: bool = True,
        receive: bool = True,
        hold: bool = False,
        signalling_address: str | None = None,
        media_allow: Sequence[str] = (),
        nat: bool = False,
        allow_loopback: bool = False,
        srtp: SrtpKeys | None = None,
        opus: OpusWishes | None = None,
    ) -> Self:
        """`address`, `port`: where the peer's SDP wants its RTP, a literal IP address.

        `codec`, `payload_type`: what we send. `receive_payload_types`: what we accept, number to codec name. The RTP
        clock of opus is 48000 Hz (RFC 7587), that of the others 8000 Hz, also of G722, which carries 16 kHz sound (RFC
        3551 section 4.5.2). Telephone events and comfort noise count as `codec` does. `opus`: what the peer asks of it.
        `rtcp_address`, `rtcp_port`: `a=rtcp`; by default the RTP address and the port above. `rtcp_mux`: RTCP goes
        where RTP goes, both ways (RFC 5761).
        `dtmf_send`, `dtmf_receive`: telephone-event payload types, which may differ per direction (RFC 4733); at most
        8 are received.
        `dtmf_by`: how keys that we press leave: as events, if there is a type for them, as tones, or as `key_by_info`
        events for signalling. `dtmf_tones`: tones in the peer's sound are sound, or keys that are told as `digit`; with
        `removed` the wire has silence in place of them, but for the first 30 ms.
        `comfort_noise`: its payload type (RFC 3389); 13 is static, and some peers send it though nobody agreed on it.
        `ptime_ms`: 10 to 60, length of the packets we send. `send`, `receive`: the direction from our side (RFC 3264);
        without `receive`, or on `hold`, no media timeout runs.
        `hold`: the call is on hold, by either side. What the peer sends is not heard, agent audio is cut off and told
        as `interrupted` by `hold`, and where we `send`, it is `RtpLeg.hold_music`.
        `address` `0.0.0.0` or `::` is the old way to hold: nothing is sent. Neither is anything to addresses that are
        nobody's or not for the peer to name: multicast, broadcast, a port of our own, and loopback or link-local ones
        unless the signalling comes from such.
        `signalling_address`: the peer's SIP source (by default the RTP address); RTP from it may be latched on.
        `media_allow`: further networks in CIDR notation that may be latched on.
        `nat`: send to where RTP comes from, not to the SDP address.
        `allow_loopback`: the peer is on this host, so media may go to a loopback address; so it is where
        `signalling_address` is one.
        `srtp`: media is encrypted both ways, and only what is authentic counts as the peer's. Keys that are the same as
        before keep their state; the receiving key before is taken for 5 s more. `None`: media goes in the clear.
        """

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def payload_type(self) -> int: ...
    @property
    def receive_payload_types(self) -> dict[int, str]: ...
    @property
    def rtcp_address(self) -> str | None: ...
    @property
    def rtcp_port(self) -> int | None: ...
    @property
    def rtcp_mux(self) -> bool: ...
    @property
    def dtmf_send(self) -> int | None: ...
    @property
    def dtmf_receive(self) -> list[int]: ...
    @property
    def dtmf_by(self) -> str: ...
    @property
    def dtmf_tones(self) -> str: ...
    @property
    def comfort_noise(self) -> int | None: ...
    @property
    def ptime_ms(self) -> int: ...
    @property
    def send(self) -> bool: ...
    @property
    def receive(self) -> bool: ...
    @property
    def hold(self) -> bool: ...
    @property
    def signalling_address(self) -> str | None: ...
    @property
    def media_allow(self) -> list[str]: ...
    @property
    def nat(self) -> bool: ...
    @property
    def allow_loopback(self) -> bool: ...
    @property
    def srtp(self) -> SrtpKeys | None: ...
    @property
    def opus(self) -> OpusWishes | None: ...

@final
class WireConfig:
    """What one agent connection is dialled with."""

    def __new__(
        cls,
        url: str,
        dialect: str,
        *,
        values: Mapping[str, str] = {},
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
        format: str = "",
        tls_verify: bool = True,
        tls_ca: str | None = None,
        connect_timeout_ms: int = 5000,
        total_timeout_ms: int = 10000,
        ping_interval_ms: int = 20000,
        pong_timeout_ms: int = 20000,
        send_limit: int = 65536,
        text_limit: int = 4194304,
    ) -> Self:
        """`url`: `ws://` or `wss://`, host, optional port, path and query; credentials belong into `headers`.

        `dialect`: the JSON description (see `offhook.destination.dialect`) of how audio, marks and clear are written.
        `values`: fixed values of its templates, such as `streamSid`.
        `headers`, `subprotocols`, `origin`: go into the upgrade request as they are.
        `format`: the audio of this wire as `encoding/rate`, for example `pcm16/16000` or `pcmu/8000`; empty is the
        dialect's own.
        `tls_verify`: whether a `wss` server has to prove its name; `tls_ca`: path of a PEM file with the certificates
        that it is judged by (CAs, or its own), in place of the system's.
        `connect_timeout_ms`: each step (name, TCP per address, TLS, upgrade); `total_timeout_ms`: all of them.
        `ping_interval_ms`, `pong_timeout_ms`: 0 sends no pings.
        `send_limit`: bytes of audio that wait for a slow reader; then the oldest audio is dropped and counted.
        `text_limit`: bytes of its messages that may wait for Python before the wire is closed as a flood.
        """

    @property
    def url(self) -> str: ...
    @property
    def dialect(self) -> str: ...
    @property
    def values(self) -> dict[str, str]: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def subprotocols(self) -> list[str]: ...
    @property
    def origin(self) -> str | None: ...
    @property
    def format(self) -> str: ...
    @property
    def tls_verify(self) -> bool: ...
    @property
    def tls_ca(self) -> str | None: ...
    @property
    def connect_timeout_ms(self) -> int: ...
    @property
    def total_timeout_ms(self) -> int: ...
    @property
    def ping_interval_ms(self) -> int: ...
    @property
    def pong_timeout_ms(self) -> int: ...
    @property
    def send_limit(self) -> int: ...
    @property
    def text_limit(self) -> int: ...

@final
class RecordingConfig:
    """How one leg is recorded. `repr` does not show its key."""

    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        format: str = "wav",
        rate: int = 8000,
        key: bytes | None = None,
        nonce_prefix: bytes | None = None,
        header: bytes | None = None,
    ) -> Self:
        """`path`: the file, which must not exist; it is made with mode 0600, in a directory that exists.

        `format`: `wav` or `flac`. `rate`: 8000 or 16000 samples a second, to which a line of another rate is brought.
        `key` (32 bytes), `nonce_prefix` (7) and `header` together encrypt it: the file is `header`, then chunks of
        16,384 bytes (the last, and it alone, 1 to as many) by AES-256-GCM, each followed by its tag of 16. The nonce
        of a chunk is `nonce_prefix`, its number (32 bits, big-endian) and 1 for the last, 0 for others; `header` is
        authenticated with each. Never use a key for two files.
        What is left open is the length in the header of WAV (0xFFFFFFFF) and the number of samples in that of FLAC.
        """

    @property
    def path(self) -> Path: ...
    @property
    def format(self) -> str: ...
    @property
    def rate(self) -> int: ...

@final
class CallConfig:
    """What one call on a worker's connection is made with."""

    def __new__(
        cls,
        dialect: str,
        *,
        format: str = "",
        credit_ms: int | None = None,
        send_limit: int = 32768,
        text_limit: int = 4194304,
    ) -> Self:
        """`dialect`: the JSON description of its messages; its audio is binary. `format`: as in `WireConfig`.

        `credit_ms`: caller audio that is sent before the worker asks for more; None sends all.
        `send_limit`: bytes of audio that wait for the worker; then the oldest is dropped and counted.
        `text_limit`: bytes of its messages that may wait for Python before the call is closed as a flood.
        """

    @property
    def dialect(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def credit_ms(self) -> int | None: ...
    @property
    def send_limit(self) -> int: ...
    @property
    def text_limit(self) -> int: ...

@final
class MediaEvent:
    """Something that happened on a media thread. Fields that a kind does not name are `None`.

    Of a leg (`leg` is set):
        `first_packet`         the first RTP was accepted (`address`)
        `source_changed`       RTP is now accepted from `address`
        `digit`                the caller pressed `digit` (`None` unless keys are `shown`, see `RtpLeg.mask_digits`)
                               for `duration_ms`; `by` is the way that it came first: `rfc4733`, `info`, `inband`
        `key_by_info`          a key of ours begins that signalling has to send: `digit`, for `duration_ms`
        `speech_started`       the caller speaks, and has since sample `position`, 8 kHz, of the caller's audio
        `speech_ended`         the caller has stopped at sample `position`; the speech lasted `duration_ms`
        `mark`                 the frame before mark `name` has left; `played` is False if it was dropped by a clear
        `cleared`              the playout queue was dropped: `played_ms` of it were heard, `dropped_ms` not
        `interrupted`          what the agent was saying was cut off, `by` the `caller`, the `agent`, the `gateway` or
                               the `hold` of the call:
                               of `utterance` (empty if it had no name) `played_ms` were heard, `dropped_ms` of all
                               that waited not; `text` is what was heard in words, as far as the agent told them
        `barge_in`             the caller speaks over `utterance`, whose policy is only to be told
        `backchannel`          the caller said a word over `utterance`, which was lowered and goes on
        `answered_by`          `detect` has heard who it is: `who` is `human`, `machine`, `fax`, `sit` (special
                               information tones), `busy_tone`, `no_one` (it rings on, or a dial tone), `silence`,
                               `music` or `unknown`, as sure as `confidence` (0 to 1) says, `position_ms` after it began
                               to listen. After one of the last four another may follow, and a machine after a human:
                               `corrects` says whether that one was told too early (`hasty`), or words as short as a
                               person's had a beep behind them (`beep`); None if somebody has spoken since. `code`
                               says what told it: `short_then_silence`, `long_speech`, `beep`,
                               `sit_intercept`, `sit_vacant`, `sit_reorder`, `sit_no_circuit`, `sit`,
                               `fax_answer_tone`, `fax_calling_tone`, `busy_tone`, `congestion_tone`, `ringing_tone`,
                               `dial_tone`, `silence`, `music`, `steady_sound` or `announcement` (before the answer).
                               `speech_ms` from the first word to the last, `pause_ms` since, `tone` if a tone told it
        `greeting_over`        a machine takes a message from now on: its beep has ended (`tone`), or it has fallen
                               silent (`tone` is None); `position_ms` as above. Once at most
        `detection_over`       `detect` tells nothing more
        `drained`              the queue that `drain()` waited for has left, or the wire closed normally and it has
        `media_timeout`        no RTP for the leg's `media_timeout_ms`; told again after the same time
        `unauthentic`          `packets` more came from the caller's address that are not authentic, where media is
                               encrypted; told at once, and then every 10 s at most
        `key_used_up`          the sending key has sealed as many packets as it may; nothing is sent before a new one
        `first_agent_audio_sent`  the first agent audio (of a wire, `play` or echo) has left
        `hang_up_requested`    the agent asked to hang up and its audio has been played
        `unreachable`          the peer's host answered our RTP with an ICMP error (told once per remote address)
        `audio`                20 ms that the caller sent, while `tap` is on: `pcm16` at 8 kHz, or at 16 kHz where the
                               line speaks G722, from `position`, which counts at 8 kHz always
        `internal_error`       our bug: the leg has been closed; `text` says where
    Of a wire (`wire` is set):
        `connected`            the upgrade is done: `address` of the agent, `subprotocol`, `dns_ms`, `tcp_ms`, `tls_ms`
                               and `upgrade_ms`
        `refused`              the agent answered the upgrade with HTTP `status`; `text` is the start of its body
        `failed`               not connected: `code` is `dns`, `tcp`, `tls`, `upgrade`, `timeout`, `overloaded`,
                               `cancelled` or, of a worker's connection, `gone`; `text` says what exactly, of `tls` with
                               its cause in brackets at the end: `certificate_expired`, `wrong_name`, `unknown_issuer`,
                               `old_version`, `plain_http` …
        `text`                 a message that is not audio, mark or clear, as received
        `first_audio_received` the first agent audio came
        `first_caller_audio_sent`  the first caller audio went to the agent
        `protocol_error`       something in its messages was ignored: `code` and `text` say what. `code` is `not_json`,
                               `no_type`, `unexpected_binary`, `bad_field`, `not_base64`, `too_long`, `bad_digits`,
                               `bad_format`, `too_many_marks`, or `wrong_dialect` with the name of the dialect it
                               speaks in `text`
        `closed`               the connection is over: WebSocket `status` (1006 if it just broke), `text` its reason,
                               `clean` if both sides closed; `code` is set if we closed it: `requested`, `flood`,
                               `too_slow`, `protocol_error`, `silent` or `internal_error`
    Of a recording (`recording` is set):
        `recording_started`    its time begins
        `recording_paused`     silence is recorded from `position_ms` on
        `recording_resumed`    sound is recorded again from `position_ms` on
        `recorded`             its last one: `samples` of each side at its rate; `dropped_frames` had no room on their
                               way to the disk and are silence; `file_bytes` were written. `text` says why it ended
                               early or never began, such as a full disk
    Of a worker's connection (`mux` is set):
        `text`                 a message about the worker, as received
        `protocol_error`       a message that made no sense: `text` says why
        `stalled`              nothing has come for a second after a ping
        `recovered`            something has come again
        `closed`               as of a wire; `closed` of each of its calls came before
    """

    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> float:
        """When it happened, seconds of CLOCK_MONOTONIC."""
    @property
    def leg(self) -> LegId | None: ...
    @property
    def wire(self) -> WireId | None: ...
    @property
    def recording(self) -> RecordingId | None: ...
    @property
    def mux(self) -> MuxId | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def clean(self) -> bool | None: ...
    @property
    def played(self) -> bool | None: ...
    @property
    def digit(self) -> str | None: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def who(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def speech_ms(self) -> int | None: ...
    @property
    def pause_ms(self) -> int | None: ...
    @property
    def corrects(self) -> Literal["hasty", "beep"] | None:
        """Why a machine is told after a person was, if nobody has spoken as one since."""
    @property
    def tone(self) -> tuple[int, int, int] | None:
        """Its Hz, those of a second one beside it (0 if there is none), and how many ms it lasted."""
    @property
    def played_ms(self) -> int | None: ...
    @property
    def dropped_ms(self) -> int | None: ...
    @property
    def utterance(self) -> str | None: ...
    @property
    def by(self) -> str | None: ...
    @property
    def address(self) -> tuple[str, int] | None: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def dns_ms(self) -> float | None: ...
    @property
    def tcp_ms(self) -> float | None: ...
    @property
    def tls_ms(self) -> float | None: ...
    @property
    def upgrade_ms(self) -> float | None: ...
    @property
    def pcm16(self) -> bytes | None: ...
    @property
    def packets(self) -> int | None: ...
    @property
    def position(self) -> int | None: ...
    @property
    def position_ms(self) -> int | None: ...
    @property
    def samples(self) -> int | None: ...
    @property
    def dropped_frames(self) -> int | None: ...
    @property
    def file_bytes(self) -> int | None: ...

@final
class MediaStats:
    """Counters of one leg since it was opened; a snapshot at most one packet time old."""

    @property
    def received_packets(self) -> int:
        """RTP packets accepted from the peer."""
    @property
    def received_bytes(self) -> int:
        """Payload bytes of those."""
    @property
    def received_lost(self) -> int:
        """Packets that never came, by sequence number (RFC 3550 A.3), less duplicates."""
    @property
    def received_duplicates(self) -> int:
        """Packets that came twice."""
    @property
    def received_reordered(self) -> int:
        """Packets that came in another order than sent."""
    @property
    def received_late(self) -> int:
        """Packets that came after their place had been filled."""
    @property
    def received_jitter_us(self) -> int:
        """Interarrival jitter in microseconds (RFC 3550 A.8)."""
    @property
    def received_wrong_payload_type(self) -> int:
        """Packets with a payload type that was not negotiated."""
    @property
    def received_wrong_source(self) -> int:
        """Packets of a source that this leg does not accept."""
    @property
    def received_malformed(self) -> int:
        """Packets that are no RTP."""
    @property
    def received_unauthenticated(self) -> int:
        """Packets that are not authentic where media is encrypted: forged, plain, or under another key."""
    @property
    def received_replayed(self) -> int:
        """Packets whose index came before, or is too old to tell, where media is encrypted."""
    @property
    def received_wrong_ssrc(self) -> int:
        """Packets dropped while another SSRC was being heard."""
    @property
    def received_ssrc_changes(self) -> int:
        """Changes of the peer's SSRC."""
    @property
    def received_source_changes(self) -> int:
        """Changes of the source address."""
    @property
    def received_jumps(self) -> int:
        """Packets whose sequence number leapt, and that were not taken because no second one followed it."""
    @property
    def received_leaps(self) -> int:
        """Leaps of the timestamps that no gap explains, and gaps too long to be filled."""
    @property
    def received_while_held(self) -> int:
        """Packets whose sound was dropped because the call was on hold, or the peer had been asked not to send."""
    @property
    def received_comfort_noise(self) -> int:
        """Comfort-noise packets (RFC 3389)."""
    @property
    def received_bad_comfort_noise(self) -> int:
        """Of those, the ones that describe no noise: an empty payload, a level above 127."""
    @property
    def received_bad_payloads(self) -> int:
        """Payloads that are none of their codec."""
    @property
    def recovered_frames(self) -> int:
        """Frames of lost sound that the packet behind it had a copy of (Opus)."""
    @property
    def concealed_frames(self) -> int:
        """Frames of 20 ms or less made in place of sound that was lost."""
    @property
    def noise_frames(self) -> int:
        """Frames of comfort noise, made while the peer pauses."""
    @property
    def silence_frames(self) -> int:
        """Frames of silence where nothing came and nothing could be made."""
    @property
    def won_back_ms(self) -> int:
        """Milliseconds left out again, of pauses and repeats, to make up for what was filled in too early."""
    @property
    def speech_ms(self) -> int:
        """Milliseconds in which the caller spoke, short pauses included."""
    @property
    def noise_level(self) -> int:
        """Noise of the line in decibels below the overload point (RFC 3389 section 3.1); 0 before any sound."""
    @property
    def barge_in_attempts(self) -> int:
        """Times when the caller seemed to speak over the agent."""
    @property
    def barge_in_by_gate(self) -> int:
        """Those of them in which the gate decided alone: there was no network, or no seat at it."""
    @property
    def ducks(self) -> int:
        """Times when the agent's voice was lowered because of that."""
    @property
    def backchannels(self) -> int:
        """Those of them in which it was a word in passing, and the voice came back."""
    @property
    def interruptions(self) -> int:
        """Times when the agent's voice was cut off because the caller spoke."""
    @property
    def stale_ms(self) -> int:
        """Milliseconds of the agent's sound dropped because they came after its utterance had been interrupted."""
    @property
    def jitter_delay_us(self) -> int:
        """Delay in the buffer of sound that goes to another line (echo), in microseconds, its 20 ms frame counted."""
    @property
    def jitter_concealed_frames(self) -> int:
        """Frames of such sound that were made up in part, because packets were lost or late."""
    @property
    def jitter_late(self) -> int:
        """Packets too late for such sound."""
    @property
    def jitter_dropped(self) -> int:
        """Packets of such sound dropped because too much waited."""
    @property
    def jitter_shortened_ms(self) -> int:
        """Milliseconds by which such sound was shortened, to follow the peer's clock and to win back delay."""
    @property
    def jitter_lengthened_ms(self) -> int:
        """Milliseconds by which such sound was lengthened."""
    @property
    def received_digits(self) -> int:
        """Digits that the peer's user has pressed, each once, whichever way it came."""
    @property
    def received_double_digits(self) -> int:
        """Presses that came another way, too, and were told once."""
    @property
    def received_bad_events(self) -> int:
        """Telephone-event packets that name no digit (event above 15 but flash, short payload), and presses that came
        faster than keys can be pressed."""
    @property
    def sent_packets(self) -> int:
        """RTP packets sent."""
    @property
    def sent_bytes(self) -> int:
        """Payload bytes of those."""
    @property
    def sent_audio_packets(self) -> int:
        """Sent packets that held sound from the agent."""
    @property
    def passed_packets(self) -> int:
        """Of those, packets of a leg that it is bridged with, handed on as they came."""
    @property
    def sent_silence_packets(self) -> int:
        """Sent packets that held silence."""
    @property
    def sent_music_packets(self) -> int:
        """Sent packets that held music, while we held the peer."""
    @property
    def sent_event_packets(self) -> int:
        """Sent packets of telephone events."""
    @property
    def sent_tone_packets(self) -> int:
        """RTP packets with the tones of a key of ours."""
    @property
    def sent_digits(self) -> int:
        """Digits sent."""
    @property
    def dropped_digits(self) -> int:
        """Digits refused: too many were waiting, or there is no way to tell the peer."""
    @property
    def unsent_packets(self) -> int:
        """Packets not sent because no address is known, the peer holds the call, or the key is used up."""
    @property
    def unsent_pauses(self) -> int:
        """Packets not sent because they would have held silence, and the peer asked not to be sent that (Opus)."""
    @property
    def sent_unreachable(self) -> int:
        """RTP packets that the peer's host or a router answered with an ICMP error."""
    @property
    def playout_underruns(self) -> int:
        """Times when playout ran dry in the middle of speech."""
    @property
    def playout_dropped_bytes(self) -> int:
        """Bytes dropped because the queue was full: one a sample of G.711, two a sample of the 16 kHz of G.722."""
    @property
    def playout_trimmed_frames(self) -> int:
        """Quiet frames left out to win back a delay: of a person's sound, of a standstill, of clocks that differ."""
    @property
    def playout_peak_bytes(self) -> int:
        """Most bytes that ever waited in the queue, counted like those."""
    @property
    def playout_cushion_us(self) -> int:
        """The learned cushion in microseconds."""
    @property
    def sent_late_packets(self) -> int:
        """Packets sent late by 5 ms or more against the leg's clock."""
    @property
    def sent_interval_p99_us(self) -> int:
        """How far from the packet time 99 of 100 intervals between sent packets are at most, in microseconds (too large
        by a fifth at most). The one before the first packet of a talkspurt does not count: that packet leaves at once.
        """
    @property
    def sent_interval_max_us(self) -> int:
        """The furthest of those, in microseconds."""
    @property
    def rtcp_received(self) -> int:
        """RTCP packets accepted."""
    @property
    def rtcp_refused(self) -> int:
        """RTCP packets that are malformed or of a wrong source."""
    @property
    def rtcp_unauthenticated(self) -> int:
        """RTCP packets that are not authentic or came before, where media is encrypted."""
    @property
    def rtcp_byes(self) -> int:
        """RTCP BYE received; it ends nothing, since anybody can forge it."""
    @property
    def rtcp_sent(self) -> int:
        """RTCP compound packets sent."""
    @property
    def round_trip_us(self) -> int:
        """Round trip in microseconds by the peer's last report (RFC 3550 6.4.1); 0 if unknown."""
    @property
    def remote_lost(self) -> int:
        """Packets lost on the way to the peer, by its last report."""
    @property
    def remote_fraction_lost(self) -> int:
        """Fraction lost on the way to the peer by its last report, in 1/256."""
    @property
    def remote_jitter_us(self) -> int:
        """Jitter at the peer in microseconds, by its last report."""
    @property
    def last_received_ms(self) -> int:
        """Monotonic milliseconds of the last accepted RTP packet; 0 if none."""
    @property
    def last_sent_ms(self) -> int:
        """Monotonic milliseconds of the last sent RTP packet; 0 if none."""
    def as_dict(self) -> dict[str, int]:
        """All fields by name, for a record or JSON."""

@final
class WireStats:
    """Counters of one wire since it was opened."""

    @property
    def sent_messages(self) -> int:
        """Messages that were queued for the agent, control frames included, those dropped later included."""
    @property
    def sent_bytes(self) -> int:
        """Bytes that were handed to the socket."""
    @property
    def sent_audio_us(self) -> int:
        """Caller audio that was queued, in microseconds."""
    @property
    def sent_dropped_us(self) -> int:
        """Caller audio that was dropped because the agent read too slowly, in microseconds."""
    @property
    def sent_dropped_messages(self) -> int:
        """Messages of caller audio that were dropped for that."""
    @property
    def received_messages(self) -> int:
        """Messages from the agent, control frames included."""
    @property
    def received_bytes(self) -> int:
        """Bytes from the agent's socket."""
    @property
    def received_audio_us(self) -> int:
        """Agent audio that was accepted, in microseconds."""
    @property
    def received_dropped_us(self) -> int:
        """Agent audio that was dropped because it was too far ahead of real time, in microseconds."""
    @property
    def received_flood(self) -> int:
        """Messages beyond the agent's budgets."""
    @property
    def received_garbage(self) -> int:
        """Messages from the agent that made no sense."""
    @property
    def received_texts(self) -> int:
        """Messages that went to Python."""
    @property
    def received_marks(self) -> int:
        """Marks that the agent set."""
    @property
    def received_clears(self) -> int:
        """Clears that the agent asked for."""
    @property
    def sent_pings(self) -> int:
        """Pings that we sent."""
    @property
    def received_pongs(self) -> int:
        """Pongs that came back."""
    def as_dict(self) -> dict[str, int]:
        """All fields by name, for a record or JSON."""

@final
class EngineStats:
    """Counters of the whole engine and its gauges."""

    @property
    def legs(self) -> int:
        """Open legs."""
    @property
    def wires(self) -> int:
        """Open wires, those being dialled included."""
    @property
    def muxes(self) -> int:
        """Open connections of workers."""
    @property
    def leg_capacity(self) -> int:
        """Legs at once at most: `max_legs`, for a port carries many that can be told apart; 0 if no port is ours."""
    @property
    def unheard_capacity(self) -> int:
        """Legs behind one NAT address that may wait for their first packet at once: each needs a port of its own."""
    @property
    def ports_ipv4(self) -> int:
        """Port pairs for IPv4 that no other process held when they were last tried; 0 without such an address."""
    @property
    def ports_ipv6(self) -> int:
        """The same for IPv6."""
    @property
    def ports_in_use(self) -> int:
        """Port pairs that carry legs."""
    @property
    def ports_quarantined(self) -> int:
        """Port pairs that rest after their last leg."""
    @property
    def ports_taken(self) -> int:
        """Port pairs that another process held when they were last tried."""
    @property
    def legs_per_port(self) -> int:
        """Most legs that one port carries now."""
    @property
    def collisions(self) -> int:
        """Remote addresses that another leg of the same port had already: refused, or placed elsewhere."""
    @property
    def refused_packets(self) -> int:
        """RTP packets that no leg of their port accepted when they came."""
    @property
    def parked_packets(self) -> int:
        """Those of them that were kept for up to 200 ms, for an answer may still name their source."""
    @property
    def unclaimed_packets(self) -> int:
        """Those of them that nobody claimed in time."""
    @property
    def straggler_packets(self) -> int:
        """Packets for legs that had ended."""
    @property
    def events_dropped(self) -> int:
        """Droppable events that Python was too slow for."""
    @property
    def receive_overflow(self) -> int:
        """Packets that the system dropped because a socket's buffer was full (SO_RXQ_OVFL)."""
    @property
    def receive_buffer(self) -> int:
        """The smallest receive buffer in bytes that the system has given, 0 before the first port."""
    @property
    def send_errors(self) -> int:
        """Packets that the system refused to send."""
    @property
    def icmp_errors(self) -> int:
        """ICMP errors that came back for our RTP and RTCP."""
    @property
    def internal_errors(self) -> int:
        """Legs that were ended by a bug of ours."""
    @property
    def late_turns(self) -> int:
        """Turns of a media thread that began more than 5 ms after the time asked for."""
    @property
    def speech_network(self) -> bool:
        """Whether there is a network that tells speech from noise."""
    @property
    def speech_chunks(self) -> int:
        """Chunks of 32 ms that it has judged."""
    @property
    def speech_refused(self) -> int:
        """How often it had no seat for a leg, whose gate decided alone."""
    @property
    def driver(self) -> str:
        """`linux` (epoll, recvmmsg, sendmmsg) or `portable`."""
    @property
    def threads(self) -> int:
        """Media threads."""

@final
class Engine:
    """The media plane of one process: threads, sockets and ports."""

    def __new__(cls, config: EngineConfig) -> Self:
        """Start the media threads. Raises `MediaError` (`bad_config`, `bad_address`, `system`)."""

    def open_leg(self, config: LegConfig, *, beside: RtpLeg | None = None) -> RtpLeg:
        """Give a leg a port at once: one of its own while there is one, else one whose legs can't be taken for it. No
        RTP leaves before `start`.

        `beside`: put it on the media thread of that leg, so that both can be bridged and connected to the same wires.
        Raises `MediaError` (`no_port`, `no_family`, `bad_address`, `too_many`, `closed`, `system`).
        """

    def bridge(self, a: RtpLeg, b: RtpLeg, *, digits: bool = True, one_way: bool = False) -> Bridge:
        """Let two legs of one media thread hear each other from now on, in place of what either was joined with.

        That may be a wire, which is parted and stays open, an echo, or another bridge, which is over; of the same two
        it goes on without a gap. No event comes of it. Each leg keeps its SSRC, sequence numbers and timestamps, and
        where sound begins or ends in the middle it fades within 4 ms. What comes unevenly waits as long as it must (28
        ms in all, where it comes evenly), losses are made up for, and codecs may differ.
        What waits in a leg's queue, and what `RtpLeg.play` appends, is heard first; meanwhile its partner isn't, nor
        while keys are pressed on the leg or it is on hold: nothing of a partner is ever late. A leg on hold is not
        heard by its partner.
        `digits`: each that `digit` tells of one leg is also pressed on the other as its `RemoteMedia.dtmf_by` says, for
        as long as it was, once it is let go; but not what `RtpLeg.mask_digits` withholds. Tones that are keys
        (`RemoteMedia.dtmf_tones`) are then left out of the sound, but for the first 30 ms.
        `one_way`: `a` hears `b`, who hears nothing and gets no digits: somebody who rings, with early media.
        Raises `MediaError` (`wrong_thread`, `bad_config` for one leg twice, `closed`, `overloaded`).
        """

    def open_wire(self, config: WireConfig, *, leg: RtpLeg) -> Wire:
        """Dial an agent on a helper thread; `connected`, `refused` or `failed` tells how it went.

        The wire lives on the media thread of `leg`, but is not connected to it before `leg.connect(wire)`.
        Raises `MediaError` (`bad_url`, `bad_config`, `too_many`, `closed`).
        """

    def record(self, config: RecordingConfig, *, leg: RtpLeg) -> Recording:
        """Record what a leg hears (left: the agent's timeline of the caller, before each packet's arrival) and sends
        (right: from each packet's departure), both by the leg's clock, until it is closed or `Recording.stop`.

        One thread writes for all recordings; media threads never wait for it. A recording before it on the same leg
        ends. Raises `MediaError` (`closed`, `overloaded`, `bad_config`, `system`); a file that can't be made or written
        is told by `recorded`.
        """

    def open_mux(self, fd: int, answer: bytes, *, thread: int) -> Mux:
        """Take over a worker's connection whose WebSocket upgrade has been judged; media thread `thread` serves it.

        `answer`, the head of the HTTP answer, goes out first. `fd` becomes non-blocking and stays the caller's to
        close, which ends nothing. Raises `MediaError` (`too_many`, `bad_config`, `system`, `closed`).
        """

    def open_call(self, config: CallConfig, *, mux: Mux, leg: RtpLeg) -> Wire:
        """Begin a call on a worker's connection, which must be on the leg's thread: a wire among others.

        `connected` tells that it has begun, `failed` (`gone`) that the connection has ended. Raises `MediaError`
        (`wrong_thread`, `bad_config`, `too_many`, `closed`).
        """

    def drain_events(self, max: int) -> list[MediaEvent]:
        """Take up to `max` events, oldest first, and quiet `wakeup_fd` once none is left."""

    @property
    def wakeup_fd(self) -> int:
        """A descriptor that is readable while events wait; only to be watched, never read or closed."""

    def stats(self) -> EngineStats:
        """The engine's counters now."""

    def close(self) -> None:
        """End all legs and wires at once and join the threads. May be repeated."""

@final
class NetworkConfig:
    """What the network of a `Line` does to datagrams, both ways alike."""

    def __new__(
        cls,
        *,
        delay_ms: float = 20.0,
        jitter_ms: float = 0.0,
        loss: float = 0.0,
        burst: float = 1.0,
        reorder: float = 0.0,
        duplicate: float = 0.0,
    ) -> Self:
        """`delay_ms`: how long it takes at least; `jitter_ms`: how much longer on average, each by chance.

        `loss`, `reorder`, `duplicate`: the shares (0 to 1) that are lost, may overtake others, and come twice. `burst`:
        how many are lost at a time on average.
        """

    @property
    def delay_ms(self) -> float: ...
    @property
    def jitter_ms(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def burst(self) -> float: ...
    @property
    def reorder(self) -> float: ...
    @property
    def duplicate(self) -> float: ...

@final
class Line:
    """Two engines in memory, a gateway's and a telephone's, and a network between them: for calls without a network.

    The engines have no threads, ports or clock of their own; their time is the `Line`'s, and passes in `run` alone.
    """

    def __new__(
        cls, gateway: EngineConfig, phone: EngineConfig, network: NetworkConfig, *, seed: int, start_ns: int
    ) -> Self:
        """`gateway`, `phone`: each with an address and ports that only the other needs to know; `threads` is 1.

        `seed`: for the network's chances. `start_ns`: the time at the beginning, in nanoseconds of no clock.
        Raises `MediaError` (`bad_config`, `bad_address`, `system`).
        """

    @property
    def gateway(self) -> Engine:
        """The gateway's engine."""
    @property
    def phone(self) -> Engine:
        """The telephone's engine."""
    def run(self, until_ns: int) -> int:
        """Let time pass up to `until_ns`, or until an engine has told something; the result is the time then.

        What has been asked of the engines, and what has come on workers' connections, is done first. Sound that is
        tapped is told with the next other thing, or a tenth of a second later.
        """
    @property
    def carried(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Datagrams sent and lost so far: to the gateway, to the phone."""

@final
class Melody:
    """Music for those who are on hold: kept once, heard by all of them, each from its beginning, round and round."""

    def __new__(cls, pcm16: bytes, rate: int) -> Self:
        """PCM16 little-endian mono of 8000, 16000, 24000 or 48000 Hz, 20 ms to 10 minutes.

        Raises `MediaError` (`bad_config`). It is converted to the rates of the line here, which takes a moment.
        """

    @staticmethod
    def composed() -> Melody:
        """Music of our own: soft broken chords, 32 s until they come around."""
    @property
    def duration_ms(self) -> int: ...

@final
class RtpLeg:
    """One RTP stream each way with one peer. Commands after `close` are ignored."""

    @property
    def id(self) -> LegId: ...
    @property
    def thread(self) -> int:
        """The number of its media thread, from 0."""
    @property
    def local_address(self) -> tuple[str, int]:
        """The bound address and the RTP port that our SDP has to name; RTCP is on the port above."""

    def place(self, remote: tuple[str, int]) -> tuple[str, int]:
        """Before our SDP names a port again, to a peer whose RTP is at `remote` now: the `local_address` to write.

        Another one than before if the leg could be taken for another call where it is, or needs the other IP version.
        Then `set_remote` moves it there: what is sent leaves from there, and what comes to the old one plays on until
        it is heard on the new one. Without `set_remote` nothing changes, and the next `place` gives it back.
        Raises `MediaError` (`no_port`, `no_family`, `bad_address`, `system`).
        """

    def set_remote(self, remote: RemoteMedia) -> None:
        """Set or change what was negotiated; SSRC, sequence numbers and timestamps go on (RFC 3264 section 8).

        Raises `MediaError` (`bad_address`, `bad_config`, `collision`, `no_family`); what was agreed before goes on.
        """

    def start(self, *, release_after_ms: int | None = 300) -> None:
        """Let RTP flow, silence first. Agent audio is held back until the first RTP of the peer, `release()`, or
        `release_after_ms` from now (`None`: only the other two).

        Once more when the call is answered after early media: the media timeout begins anew, the next agent audio is
        told as the first, and it is held back again, but not with `release_after_ms=0`.
        """

    def release(self) -> None:
        """Let agent audio leave (the ACK came)."""

    def connect(self, wire: Wire | None, *, deaf: bool = False) -> None:
        """Join the leg and a wire both ways from now on, in place of what was joined before; `None` parts them.

        `deaf`, for a call that is not answered: the agent is heard, and gets neither sound nor digits of the caller
        before the two are joined again without. Agent audio that the wire received before is played first. A wire ends
        a bridge of the leg, `None` doesn't. Raises `MediaError` (`wrong_thread`).
        """

    def echo(self, on: bool) -> None:
        """Play what the caller says back to the caller. It ends a bridge of the leg."""

    def barge_in(self, policy: str | None) -> None:
        """What the caller's speech does to what the agent says, where that doesn't say so itself: `off`, `clear`,
        `duck-then-decide` or `agent`. `None` is the default: `duck-then-decide` for utterances, and nothing for sound
        that belongs to none. Raises `MediaError` (`bad_config`).
        """

    def detect(self, stage: Literal["early", "answered"] | None, limit_ms: int) -> None:
        """Listen for who has answered, from the next sound on and for `limit_ms` at most; `None` for no longer.

        `answered_by`, `greeting_over` and at the end `detection_over` are told. `early` is for sound before the answer:
        it tells tones of the network, fax tones and announcements alone. Called again, it begins anew. Raises
        `MediaError` (`bad_config`).
        """

    def hold_music(self, melody: Melody | None) -> None:
        """What the peer hears while `RemoteMedia.hold` and we send: this, or silence."""

    def play(self, pcm16: bytes, rate: int, mark: str | None = None) -> None:
        """Append PCM16 little-endian mono of 8000, 16000, 24000 or 48000 Hz to the playout queue.

        `mark` is told as a `mark` event when the last of it has left. Raises `MediaError` (`bad_config`).
        """

    def clear(self) -> None:
        """Drop all that has not left yet; `cleared` says how much was heard."""

    def tap(self, on: bool) -> None:
        """Tell what the caller says as `audio` events. They may be dropped when Python is slow."""

    def send_dtmf(self, digits: str, *, duration_ms: int = 160, gap_ms: int = 80) -> None:
        """Press `0-9 * # A-D` after what is queued already, as `RemoteMedia.dtmf_by` says.

        Further sound waits for them. Each is pressed for `duration_ms`, and silence of `gap_ms` follows it, both 40 to
        8000. Raises `MediaError` (`bad_config`).
        """

    def press(self, digit: str, duration_ms: int) -> None:
        """The peer's user has pressed a key, as signalling tells. `digit` follows, unless it came another way, too.

        Raises `MediaError` (`bad_config`).
        """

    def mask_digits(self, mask: Literal["shown", "masked", "withheld"]) -> None:
        """Who may know from now on which keys the peer's user presses.

        `shown`, the default: the wire, `digit` events, recordings. `masked`: the wire alone; recordings are silent
        where tones of keys were, and the 80 ms before. `withheld`: nobody; the wire is told `?`, and has silence for
        all that is a little like such tones. Raises `MediaError` (`bad_config`).
        """

    def drain(self) -> None:
        """Tell `drained` once all that is queued now has left."""

    def stats(self) -> MediaStats:
        """The leg's counters, at once; they stay readable after `close`."""

    def close(self) -> None:
        """Stop RTP, close the wire joined to it with code 1000, and free the ports. May be repeated."""

@final
class Wire:
    """One agent's connection: a WebSocket dialled by `Engine.open_wire`, or a share of a worker's by `open_call`."""

    @property
    def id(self) -> WireId: ...
    def send_text(self, text: str, *, numbered: bool = False) -> None:
        """Send a message in order with the audio; what is sent before `connected` leaves right after it.

        `numbered`: `{sequence}` in it is replaced by the dialect's own running number of messages.
        """

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, or give up dialling; `closed` or `failed` (`cancelled`) follows. May be repeated."""

    def stats(self) -> WireStats:
        """The wire's counters, at once; they stay readable after `close`."""

@final
class Bridge:
    """Two legs that hear each other, from `Engine.bridge`, until one is closed or joined with something else."""

    def close(self) -> None:
        """Part them, unless that has happened; both stay open. May be repeated. Raises `MediaError` (`overloaded`)."""

@final
class Recording:
    """What a leg hears and sends, on its way into a file, from `Engine.record`. Commands after its end are ignored."""

    @property
    def id(self) -> RecordingId: ...
    def pause(self) -> None:
        """Record silence from here on; what is said meanwhile never leaves the media thread."""

    def resume(self) -> None:
        """Record sound again."""

    def stop(self) -> None:
        """End the recording; `recorded` follows."""

@final
class Mux:
    """One connection that a worker has dialled, which many calls share (`Engine.open_mux`)."""

    @property
    def id(self) -> MuxId: ...
    @property
    def thread(self) -> int:
        """The number of the media thread that serves it, from 0."""

    def send_text(self, text: str) -> None:
        """Send a message about the worker itself. Raises `MediaError` (`overloaded`)."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; `closed` of each of its calls, then its own follow. May be repeated."""

    def stats(self) -> WireStats:
        """The connection's counters; those of its calls are their wires'. They stay readable after `close`."""
