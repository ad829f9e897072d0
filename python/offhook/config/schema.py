"""The settings by their names: the contract between the file, the command line and the programs that read it.

Each section of the file is a frozen model; field descriptions are the reference (docs/reference/config.md is made from
them). What one value alone can tell is checked here and in `values.py`, what takes two is checked in `rules.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from offhook.config.values import (
    CallerIds,
    Country,
    Destination,
    Domain,
    EarlyMediaValue,
    HandOverPatterns,
    HeaderName,
    HeaderNamePattern,
    HeaderPattern,
    HeaderSecret,
    HostPort,
    HttpListen,
    KeyValue,
    ListedNumbers,
    Listen,
    ListenValue,
    MediaAdvertise,
    MediaListen,
    NetworkValue,
    NumberPatterns,
    NumberPrefix,
    Origin,
    OutgoingHeaderPattern,
    PortRange,
    Ports,
    Refusal,
    SecretValue,
    SessionTimerValue,
    SipAdvertise,
    TransferPatterns,
    WireUrl,
    ip_version,
    is_loopback,
)
from offhook.route.early_media import NO_EARLY_MEDIA
from offhook.route.pattern import ANY
from offhook.route.table import AGENT_HEADERS

if TYPE_CHECKING:
    from offhook.transport.tls_files import TlsSettings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Calls = Annotated[int, Field(ge=1, le=100_000)]
CallsPerSecond = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
Amount = Annotated[float, Field(gt=0, le=1_000_000_000, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class Section(BaseModel):
    """What all sections have in common: unknown names are errors, types are as written, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class NodeConfig(Section):
    """This gateway."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$")] = Field(
        default="", description="Name of this gateway in logs, metrics and records. Without it, the host's name."
    )
    data_dir: Text = Field(
        default="./data",
        description="Directory for what the gateway keeps. A relative path starts at this file's directory "
        "(at the working directory if there is no file).",
    )


class SipConfig(Section):
    """SIP listeners and the addresses that peers are told."""

    listen: Annotated[tuple[ListenValue, ...], Field(min_length=1, max_length=32)] = Field(
        default=(Listen("udp", "0.0.0.0", 5060), Listen("tcp", "0.0.0.0", 5060)),  # noqa: S104  trunks decide who is heard
        description="Where SIP is heard: `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT`, `tls://ADDRESS:PORT`, or a table "
        "`{ uri = …, advertise = … }` with an address of its own for peers. Port 0 lets the system choose.",
    )
    advertise: SipAdvertise | None = Field(
        default=None,
        description="Address (and port, if it differs) that peers outside of `local_networks` are told in Via and "
        'Contact, for listeners of its IP version without their own. `"auto"` asks a STUN server. Without it, '
        "the address of the interface used. Listeners of TLS keep their own port.",
    )
    local_networks: Annotated[tuple[NetworkValue, ...], Field(max_length=256)] = Field(
        default=(), description="Peers in these networks are told our own address, never `advertise`; for media, too."
    )
    tls_certificate: Text | None = Field(
        default=None,
        description="File with our certificate and the ones between it and its CA, PEM, our own first. Needed by "
        "`tls://` listeners; shown to peers that we connect to, if they ask. A relative path starts at this file's "
        "directory. Changed files are taken while calls go on, within ten seconds or at once on SIGHUP.",
    )
    tls_key: Text | None = Field(
        default=None,
        description="File with the private key of `tls_certificate`, PEM, not encrypted. Without it, the key stands in "
        "the file of `tls_certificate`.",
    )
    tls_ca: Text | None = Field(
        default=None,
        description="File with the certificates that we trust, PEM: CAs, or a peer's own. Peers prove by them who they "
        "are, whichever side connects. Without it, the system's.",
    )
    tls_client_certificate: Literal["off", "optional", "required"] = Field(
        default="off",
        description="Whether peers that connect are asked for a certificate (mutual TLS). `optional` takes those "
        "without, `required` ends their handshake. One that is shown must be valid in either case.",
    )
    tls_min_version: Literal["1.2", "1.3"] = Field(
        default="1.2",
        description="The oldest TLS version that is spoken. Cipher suites are ECDHE with AES-GCM or ChaCha20 alone.",
    )


class MediaConfig(Section):
    """RTP sockets and the threads that serve them."""

    listen: MediaListen | None = Field(
        default=None,
        description="Address of the media sockets, or a list with one of IPv4 and one of IPv6 such as "
        '`["0.0.0.0", "::"]`. Without it, all addresses of the IP versions in `sip.listen`. A caller whose SDP names '
        "an address of another version is refused (`no_family`).",
    )
    ports: Ports = Field(
        default=PortRange(40000, 41999),
        description="UDP ports for media, both ends included: an even one for RTP and the odd one above it for RTCP "
        "make a pair. Sixteen carry hundreds of calls, which share a pair where their media comes from different "
        "addresses; of callers behind one NAT address each needs a pair until it is heard. Up to 64 pairs are bound at "
        "the start and kept.",
    )
    advertise: MediaAdvertise | None = Field(
        default=None,
        description="IP address in SDP for peers outside of `sip.local_networks`, or a list with one of IPv4 and one "
        "of IPv6. Without it, `sip.advertise` if that is an IP address, else the address of the interface used.",
    )
    threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Media threads; each call lives on one. Without it, the gateway chooses by the cores."
    )


def media_listen(sip: SipConfig, media: MediaConfig) -> tuple[str, ...]:
    """The addresses of the media sockets, one of an IP version: as set, else all of those that SIP is heard on."""
    if media.listen is not None:
        return media.listen
    versions = {ip_version(listen.host) for listen in sip.listen}
    every = {4: "0.0.0.0", 6: "::"}  # noqa: S104  see sip.listen
    return tuple(address for version, address in every.items() if version in versions)


class HttpConfig(Section):
    """Health, metrics and, later, API and console."""

    listen: HttpListen = Field(
        default=HostPort("127.0.0.1", 8080),
        description="Address of `/health/live`, `/health/ready` and `/metrics`, which ask for no password: keep them "
        "inside. Workers dial it too, each with its token, `offhook workers` asks here, and so does the talk page.",
    )


class TalkConfig(Section):
    """The talk page, where a browser calls any agent."""

    enabled: bool | None = Field(
        default=None,
        description="Whether `http.listen` serves the page `/talk`. Without it, where that is an address of this "
        "machine alone.",
    )
    token: SecretValue | None = Field(
        default=None,
        description="What the page's link has to carry. Without it, one made at each start, which `offhook run` "
        "prints.",
    )
    origins: Annotated[tuple[Origin, ...], Field(max_length=64)] = Field(
        default=(),
        description="Origins that the page may be loaded from besides the address that the browser asks, such as "
        "`https://talk.example.net` of a proxy that does not pass the Host header on.",
    )
    max_calls: Calls = Field(default=4, description="Calls of the page at one time.")


class StoreConfig(Section):
    """The records of calls."""

    url: Text | None = Field(
        default=None,
        description="`sqlite:///PATH`, PATH as in `node.data_dir`. Without it, `offhook.db` in `node.data_dir`.",
    )


class RecordingConfig(Section):
    """How calls of routes with `record = true` are recorded."""

    directory: Text | None = Field(
        default=None,
        description="Where recordings go, by day. A relative path starts at this file's directory. Without it, "
        "`recordings` in `node.data_dir`.",
    )
    format: Literal["wav", "flac", "opus"] = Field(
        default="wav",
        description="`wav` (16-bit linear) or `flac` (the same sound in a half to a tenth of the bytes). Stereo: the "
        "caller on the left, the agent on the right; 8 kHz, or 16 kHz where the line speaks G.722.",
    )
    key: KeyValue | None = Field(
        default=None,
        description='Key that recordings are encrypted by: `{ env = "NAME" }` or `{ file = "PATH" }` with 32 bytes in '
        "hex or base64, as `openssl rand -hex 32` makes them. Without it they lie there in the clear.",
    )
    keep_days: Annotated[float, Field(gt=0, le=36500, allow_inf_nan=False)] | None = Field(
        default=None, description="Days after which a recording is deleted. Without it, never."
    )
    announcement: Text = Field(
        default="off",
        description="A WAV file (16-bit, mono, 8, 16, 24 or 48 kHz) that is played to the caller before recording "
        'begins and the agent is joined, or `"off"`. A relative path starts at this file\'s directory.',
    )
    transcript: Literal["off", "jsonl", "vtt"] = Field(
        default="off",
        description="Transcripts beside the recordings, of the words that the agents tell: `jsonl` (JSON Lines) or "
        "`vtt` (WebVTT). Encrypted, deleted and kept as the recordings are.",
    )
    transcript_digits: Literal["mask", "keep"] = Field(
        default="mask",
        description="Whether transcripts show numbers. `mask` writes `#` for each digit of those with three or more, "
        "be they figures or English words.",
    )


class LimitsConfig(Section):
    """What the whole node takes. Above it calls get 503 with Retry-After."""

    max_calls: Calls = Field(default=500, description="Calls at one time.")
    max_cps: CallsPerSecond = Field(
        default=50.0, description="New calls a second; a burst of one second's worth is let through."
    )
    refuse: Refusal = Field(
        default="silence",
        description='What strangers get: `"silence"`, or a SIP status from 400 to 699 (not 401 or 407). '
        "They are counted and listed either way.",
    )
    drain_timeout: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = Field(
        default=300.0,
        description="Seconds that running calls have to end after SIGTERM; then they are hung up. "
        "The service manager's own limit must be longer.",
    )


class InboundConfig(Section):
    """A password that callers of a trunk must prove by digest."""

    username: Text = Field(description="User name.")
    password: SecretValue = Field(description="Password: a string or `{ env = NAME }`.")
    algorithms: Annotated[tuple[Literal["SHA-256", "SHA-512-256", "MD5"], ...], Field(min_length=1)] = Field(
        default=("SHA-256", "MD5"),
        description="Digest algorithms offered, best first (RFC 8760). Leave `MD5` out where the peer knows better.",
    )


class OutboundConfig(Section):
    """Limits on what leaves; from 80 % of a day's on there is a warning."""

    max_calls: Calls | None = Field(default=None, description="Calls out at one time, ringing ones included.")
    max_cps: CallsPerSecond | None = Field(
        default=None, description="Calls out and transfers a second; a burst of one second's worth is let through."
    )
    max_minutes_per_day: Amount | None = Field(
        default=None,
        description="Minutes of calls out in a day (UTC), from their answer. A call that uses them up ends.",
    )
    max_spend_per_day: Amount | None = Field(
        default=None,
        description="What calls out may cost in a day (UTC), by the minute begun at the `rates` of their trunk, which "
        "must be known then. A call ends before a minute that can't be paid.",
    )
    max_transfers_per_day: Calls | None = Field(
        default=None, description="Transfers in a day (UTC), those that fail at their target included."
    )


class TrunkConfig(Section):
    """A peer that sends us calls: a carrier, a PBX, a phone."""

    name: Name = Field(description="Name of the trunk: letters, digits, `_`, `-`.")
    preset: Text | None = Field(default=None, description="A carrier's name, which fills in what is known about it.")
    allow: Annotated[tuple[NetworkValue, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Source addresses that this trunk admits, as addresses or networks. Empty only with `inbound` or "
        "`tls_name`, which then admit callers from anywhere.",
    )
    domain: Domain | None = Field(
        default=None,
        description="Request-URI host that this trunk's calls carry. Tells apart trunks of the same source; "
        "never enough by itself.",
    )
    inbound: InboundConfig | None = Field(
        default=None,
        description="User name and password that its callers must prove, on top of `allow` if that is set.",
    )
    media_allow: Annotated[tuple[NetworkValue, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Networks from which its media may come besides the address in SDP and the signalling address.",
    )
    tls: Literal["optional", "required"] = Field(
        default="optional",
        description="`required`: its requests are taken over TLS alone, and ours leave by nothing else.",
    )
    tls_name: Domain | None = Field(
        default=None,
        description="SIP domain that its client certificate must prove (RFC 5922: `sip:` URI or DNS name in "
        'subjectAltName, no wildcards), on top of `allow` if that is set. Implies `tls = "required"`; asks for '
        "`sip.tls_client_certificate`.",
    )
    nat: bool = Field(
        default=False,
        description="The peer is behind NAT: answer to the port its requests come from, send media where its media "
        "comes from.",
    )
    host: Domain | None = Field(
        default=None,
        description="Where our calls to it go: a name or an address. Without it, the trunk only sends us calls.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None,
        description="Port of `host`. Without it, the one that DNS names (SRV), else 5060, or 5061 for `tls`.",
    )
    transport: Literal["udp", "tcp", "tls"] | None = Field(
        default=None, description='Transport of our calls to it: `udp` without it, `tls` with `tls = "required"`.'
    )
    username: Text | None = Field(
        default=None,
        description="User name that we prove to it when it challenges our calls to it, or what we send within a call: "
        "REFER, BYE, re-INVITE. What its callers prove to us is `inbound`.",
    )
    password: SecretValue | None = Field(
        default=None,
        description="Password that goes with it. Only its digest is sent, and only to `host` or to where the call came "
        "from.",
    )
    register_: bool = Field(default=False, alias="register", description="Register with it, so that its calls find us.")
    country: Country | None = Field(
        default=None,
        description="Country by which its national numbers are read, such as `US`. Without it only numbers with `+` "
        "are E.164.",
    )
    caller_id: CallerIds = Field(
        default=(),
        description="The number that our calls to it show, or a list of those that they may show, the first where none "
        "is asked for: with `+`, or as they are read in `country`. Needed to call out.",
    )
    dial_to: ListedNumbers = Field(
        default=(),
        description="Numbers that may be called by it: a pattern such as `+1415*`, or a list of such. Without it none "
        "is called. Premium rate numbers need `premium_to` besides, whatever stands here; short numbers, those of "
        "emergency services among them, are never called.",
    )
    rates: Annotated[dict[NumberPrefix, Rate], Field(max_length=4096)] = Field(
        default={},
        description='What a minute costs, by prefix of the number: `{ "+1" = 0.01, "+4479" = 0.05 }`; the longest '
        "that fits counts. In any money, the same everywhere. For `max_spend_per_day` of an `outbound`.",
    )
    number_format: Literal["e164", "e164-no-plus", "national"] = Field(
        default="e164",
        description="How numbers are written in our calls to it: `+442079460018`, `442079460018`, or as they are "
        "dialled in `country`.",
    )
    assert_identity: bool = Field(
        default=False,
        description="Whether our calls to it have the caller's number in P-Asserted-Identity, too (RFC 3325). For "
        "carriers that take it from there, and over a network that both trust.",
    )
    codecs: Annotated[tuple[Literal["PCMU", "PCMA", "G722", "opus"], ...], Field(min_length=1)] = Field(
        default=("PCMU", "PCMA"),
        description="Codecs, in our order of preference: the first that the caller offers too is spoken. `G722` is "
        "wideband, 16 kHz to the agent.",
    )
    srtp: Literal["off", "optional", "required"] = Field(
        default="off",
        description="Encryption of media (SRTP with keys in SDP). `off` refuses callers that insist on it. `optional` "
        "encrypts where the caller offers keys. `required` refuses whatever would go in the clear, at the start and "
        "later. The keys are as secret as the signalling that carries them: use it with TLS.",
    )
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = Field(
        default="auto",
        description="How keys come and go. `auto`: telephone events (RFC 4733) where they are agreed on, and SIP INFO; "
        "without them tones in the sound, too, and ours leave as tones. The others take keys in that way alone; with "
        "`info` and `inband` no telephone events are agreed on.",
    )
    dtmf_tones: Literal["remove", "keep"] = Field(
        default="remove",
        description="What the agent hears of a key that was found by its tones: silence in their place, but for the "
        "first 30 ms, or the tones.",
    )
    prack: Literal["auto", "always", "required"] = Field(
        default="auto",
        description="Which provisional responses (180, 183) are sent until the caller's PRACK acknowledges them "
        "(RFC 3262), where the caller supports that: those with SDP (`auto`), or all (`always`). `required` leaves it "
        "to callers who insist, who always get it.",
    )
    session_timer: SessionTimerValue = Field(
        default="accept",
        description="Session timers (RFC 4028), which end a call whose other side is gone. `accept` keeps the timer "
        "that the peer asks for, and refreshes it where the peer can't. A number of seconds, 90 or more, asks for one "
        "by ourselves. `off` does without; a peer that insists on one is refused (420).",
    )
    media_timeout: Seconds = Field(
        default=60.0,
        description="Seconds without any media from the caller, hold apart, after which the call is ended.",
    )
    hold_music: Text = Field(
        default="melody",
        description="What a caller hears while the agent holds it: `melody` (the gateway's own), `silence`, or a WAV "
        "file of 16 bits, mono or stereo, 8, 16, 24 or 48 kHz, ten minutes at most, which goes round and round.",
    )
    max_calls: Calls | None = Field(default=None, description="Calls of this trunk at one time.")
    max_cps: CallsPerSecond | None = Field(default=None, description="New calls of this trunk a second.")
    max_duration: Seconds = Field(default=7200.0, description="Seconds after which a call is ended.")
    transfer_to: TransferPatterns = Field(
        default=(),
        description="Where an agent may transfer its calls to: a pattern or a list of such, of numbers (`+1415*`), of "
        "extensions (`2*`) and of URIs (`sip:*@example.com`). Without it, nowhere. `*` is everything but emergency and "
        "premium numbers.",
    )
    emergency_to: ListedNumbers = Field(
        default=(),
        description="Emergency numbers that its calls may be transferred to, if `transfer_to` has them too: `112`, or "
        "a list of such. Without it none is reached, however it is written.",
    )
    premium_to: ListedNumbers = Field(
        default=(),
        description="Numbers that cost more than others which may be reached, if `dial_to` or `transfer_to` has them "
        "too: a pattern such as `+1900*`, or a list of such. They are premium rate, shared cost, personal "
        "numbers, pagers, satellites and networks of no country. Without it none is reached, however it is written.",
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what leaves by it.")
    transfer_domain: Domain | None = Field(
        default=None,
        description="Host for the numbers that calls are transferred to, which the trunk then gets as "
        "`sip:NUMBER@HOST;user=phone`. Without it as `tel:NUMBER`.",
    )
    transfer_timeout: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = Field(
        default=60.0,
        description="Seconds that a transfer may take before the caller is back with the agent, unless the agent says "
        "otherwise: ringing at its target included.",
    )
    transfer_reports: bool = Field(
        default=True,
        description="Whether the trunk is to report how a transfer goes. `false` asks it not to (RFC 4488); that it "
        "succeeded is then known by its BYE alone.",
    )
    refer: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="Whether the other side of a call may transfer us to somebody else (REFER). `accept` needs `host` "
        "and `refer_to`: the gateway calls the target by this trunk, and the agent goes on with whoever answers.",
    )
    refer_to: TransferPatterns = Field(
        default=(),
        description="Where the other side may transfer us to: a pattern or a list of such, of numbers (`+1415*`) and "
        "of extensions (`2*`). Without it, nowhere. `*` is everything but emergency and premium numbers.",
    )
    pass_headers: Annotated[tuple[HeaderNamePattern, ...], Field(max_length=64)] = Field(
        default=("X-*",),
        description="Headers of the INVITE that the agent gets, by name; `*` at the end stands for the rest of a name. "
        "They are the peer's claims, not facts. A route may have its own `pass_headers`.",
    )
    trust_identity: bool = Field(
        default=False,
        description="Whether its P-Asserted-Identity, or a Remote-Party-ID that was screened, is believed: it is the "
        "caller then, for routes, agents and records. Without it they are claims, and the caller is that of From. "
        "For carriers that check what they assert.",
    )


class FallbackConfig(Section):
    """Another destination for calls whose destination failed."""

    on: Annotated[tuple[Literal["refused", "late", "lost"], ...], Field(min_length=1)] = Field(
        default=("refused", "late", "lost"),
        description="`refused`: unreachable, or it said no. `late`: not ready in `ring_timeout`. "
        "`lost`: broke off during the call.",
    )
    to: Destination = Field(description="Destination URI.")


class RouteConfig(Section):
    """A rule: calls like this go there. The first that fits wins, in file order; a higher `priority` goes first."""

    name: Name = Field(description="Name of the route.")
    trunk: Name | None = Field(default=None, description="Only calls of this trunk.")
    to: NumberPatterns = Field(
        default=(ANY,),
        description="Dialled number (the user part of the Request-URI): exact, or with `*`, or a list of such. "
        "Compared in E.164 and as received.",
    )
    from_: NumberPatterns = Field(
        default=(ANY,),
        alias="from",
        description="Caller's number, in the same form. `anonymous` fits callers who withhold it.",
    )
    headers: Annotated[dict[HeaderName, HeaderPattern], Field(max_length=32)] = Field(
        default={},
        description="Headers that the INVITE must have, name to value; `*` is allowed in values. `Diversion`, "
        "`History-Info` and `P-Asserted-Identity` fit by the number in them, too.",
    )
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=0, description="Routes of higher priority are tried first."
    )
    pass_headers: Annotated[tuple[HeaderNamePattern, ...], Field(max_length=64)] | None = Field(
        default=None,
        description="Headers of the INVITE that the agent gets, in place of the trunk's `pass_headers`.",
    )
    agent_headers: Annotated[tuple[OutgoingHeaderPattern, ...], Field(max_length=64)] = Field(
        default=AGENT_HEADERS,
        description="Headers that the agent may set in our answer, our BYE and our other requests, by name; `*` at the "
        "end stands for the rest of a name. Never those that are the gateway's own, such as Contact.",
    )
    destination: Destination = Field(
        description="Where the calls go: `agent:NAME`, `worker:NAME`, `echo:`, or another URI."
    )
    answer: Literal["when-ready", "at-once", "first-audio"] = Field(
        default="when-ready",
        description="When the caller is answered: when the agent is ready, at once, or with the agent's first audio.",
    )
    early_media: EarlyMediaValue = Field(
        default=NO_EARLY_MEDIA,
        description="What the caller hears before the answer. `off`: 180 goes out, and the caller's own side makes the "
        "ringing tone. The others send 183 and the sound itself: `ringback` (the ringing tone of the trunk's country, "
        "or of another, as in `ringback:GB`), the path of a WAV file (16-bit, mono, 8, 16, 24 or 48 kHz, a minute at "
        "most, over and over; a relative path starts at this file's directory), or `agent`: what the agent says before "
        "it takes the call, from its first sound on (180 until then).",
    )
    ring_timeout: Annotated[float, Field(gt=0, le=180, allow_inf_nan=False)] = Field(
        default=20.0,
        description="Seconds that the agent has to get ready; then the fallback, or the caller is refused.",
    )
    barge_in: Literal["auto", "off", "clear", "duck-then-decide", "agent"] = Field(
        default="auto",
        description="What the gateway does by itself when the caller speaks over the agent: nothing, silence it, lower "
        "its voice at once and silence it if the caller goes on, or only tell the agent. `auto` is `duck-then-decide` "
        "for what an agent sends as an `utterance`, which can say otherwise, and `off` for all else. The agent's own "
        "`clear` works in any case.",
    )
    record: bool | Literal["when-asked"] = Field(
        default=False,
        description="Record the call, from the answer or the end of `recording.announcement` on. `when-asked` leaves "
        "it to the agent: its `record` starts and stops the recording, the announcement first.",
    )
    hold_music: Text | None = Field(
        default=None, description="What its callers hear on hold; without it what their trunk says."
    )
    digits: Literal["show", "mask", "withhold"] = Field(
        default="mask",
        description="Who may know which keys are pressed. `show`: they are in the call's timeline, and so in what "
        "`offhook calls` shows. `mask`: the agent alone; SIP INFO is kept without its body, and recordings are silent "
        "where a key's tones were. `withhold`: nobody; the agent is told `?` for each key, and hears nothing that is "
        "like their tones. Agents can mask and withhold for a while where this does not.",
    )
    hand_over_to: HandOverPatterns = Field(
        default=(),
        description="Destinations that the agent may hand a call over to in mid-call, as URIs: `worker:billing`, or "
        "with `*` for agents of this file (`agent:*`); one, or a list of such. Without it none.",
    )
    fallback: Annotated[tuple[FallbackConfig, ...], Field(max_length=8)] = Field(
        default=(), description="Destinations to try in turn, each once, when this one fails."
    )


class AgentConfig(Section):
    """An agent: how it is reached, and how much it takes."""

    name: Name = Field(description="Name of the agent, for `agent:NAME`, and `worker:NAME` where it is of that kind.")
    kind: Literal[
        "offhook", "twilio", "worker", "vobiz", "plivo", "telnyx", "openai", "elevenlabs", "vapi", "retell", "livekit"
    ] = Field(
        description="How it is reached: `offhook` (the gateway dials it and speaks our own protocol), `twilio` (the "
        "same in that of Twilio Media Streams) or `worker` (its processes dial the gateway)."
    )
    url: WireUrl | None = Field(default=None, description="Its WebSocket, `ws://` or `wss://`.")
    token: HeaderSecret | None = Field(
        default=None,
        description="Sent as `Authorization: Bearer …` when the WebSocket is opened. Of kind `worker` it is what each "
        "worker has to send so, and is required.",
    )
    headers: Annotated[dict[HeaderName, HeaderSecret], Field(max_length=32)] = Field(
        default={}, description="Further headers for that request; values are treated as secrets."
    )
    origin: Origin | None = Field(default=None, description="Origin header for that request, for servers that insist.")
    connect_timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = Field(
        default=5.0, description="Seconds for DNS, TCP, TLS and the WebSocket upgrade together."
    )
    tls_ca: Text | None = Field(
        default=None,
        description="File with the certificates that its `wss://` server is judged by, PEM. Without it, the system's. "
        "A relative path starts at this file's directory.",
    )
    tls_verify: bool = Field(
        default=True,
        description="Whether its `wss://` server has to prove its name. `false` takes any certificate: whoever is on "
        "the way can read and change what caller and agent say.",
    )
    encoding: Literal["pcm16", "pcmu"] = Field(
        default="pcm16",
        description="Audio of kinds `offhook` and `worker`: 16-bit linear PCM or µ-law, unless the agent's `ready` "
        "names another.",
    )
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = Field(
        default=None,
        description="Samples a second of those kinds. Without it 16000, with `pcmu` 8000, its only one.",
    )
    max_calls: Calls | None = Field(
        default=None, description="Calls that it takes at one time; more count as `refused`."
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what it has leave.")

    @property
    def audio_rate(self) -> int:
        """Samples a second on its wire: as set, else by the encoding; Twilio Media Streams has 8000 alone."""
        if self.sample_rate is not None:
            return self.sample_rate
        return 8000 if self.encoding == "pcmu" or self.kind == "twilio" else 16000


class KeyConfig(Section):
    """A key to the API: a program that has it may place calls. It is no key to the gateway's settings."""

    name: Name = Field(description="Name of the key, in records and logs.")
    sha256: SecretValue = Field(
        description="SHA-256 of the key, 64 hexadecimal digits: a string or `{ env = NAME }`. The key itself, "
        "32 characters or more that nobody can guess, stands nowhere in the gateway: `openssl rand -hex 32` makes one, "
        "and `printf %s KEY | sha256sum` this of it."
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what it has leave.")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked and with its defaults filled in.

    `source` is the file, or None for the built-in configuration. `data_dir`, `store_url` and the paths of `recording`
    are ready for use: they are absolute. `warnings` are sentences for the log; nothing in them stops a start.
    """

    node: NodeConfig
    sip: SipConfig
    media: MediaConfig
    http: HttpConfig
    talk: TalkConfig
    store: StoreConfig
    recording: RecordingConfig
    limits: LimitsConfig
    trunks: tuple[TrunkConfig, ...]
    routes: tuple[RouteConfig, ...]
    agents: tuple[AgentConfig, ...]
    keys: tuple[KeyConfig, ...]
    data_dir: Path
    store_url: str
    source: Path | None = None
    warnings: tuple[str, ...] = ()

    def advertised(self, listen: Listen) -> HostPort | None:
        """What peers outside of `sip.local_networks` are told for a listener; None for the address of the interface.

        `sip.advertise` stands in for listeners without their own, if it is a name or of the listener's IP version;
        its port is the listener's if it has none.
        """
        if listen.advertise is not None:
            return listen.advertise
        told = self.sip.advertise
        if not isinstance(told, HostPort) or ip_version(told.host) not in (None, ip_version(listen.host)):
            return None
        # The port that a router holds for plain SIP is never that of TLS.
        return HostPort(told.host, listen.port if listen.transport == "tls" else told.port or listen.port)

    @property
    def tls(self) -> "TlsSettings | None":
        """What SIP over TLS is made of; None where no setting asks for it."""
        sip = self.sip
        listens = any(listen.transport == "tls" for listen in sip.listen)
        calls = any(trunk.host is not None and trunk.transport == "tls" for trunk in self.trunks)
        if not sip.tls_certificate and not sip.tls_ca and not listens and not calls:
            return None
        # It brings a library that takes a tenth of a second to load.
        from offhook.transport.tls_files import TlsSettings

        return TlsSettings(
            certificate=Path(sip.tls_certificate) if sip.tls_certificate else None,
            key=Path(sip.tls_key) if sip.tls_key else None,
            ca=Path(sip.tls_ca) if sip.tls_ca else None,
            client_certificate=sip.tls_client_certificate,
            min_version=sip.tls_min_version,
        )

    @property
    def media_listen(self) -> tuple[str, ...]:
        """The addresses of the media sockets, one of an IP version."""
        return media_listen(self.sip, self.media)

    def media_address(self, family: int) -> str | None:
        """The address of the media sockets of IPv4 or IPv6, None if media is not spoken there."""
        return next((address for address in self.media_listen if ip_version(address) == family), None)

    def advertised_media(self, family: int) -> str | None:
        """The IP address that SDP gives to peers outside of `sip.local_networks`; None for that of the interface."""
        stated = self.media.advertise
        told = self.sip.advertise
        addresses = stated if isinstance(stated, tuple) else (told.host,) if isinstance(told, HostPort) else ()
        return next((address for address in addresses if ip_version(address) == family), None)

    @property
    def talks(self) -> bool:
        """Whether the talk page is served."""
        return is_loopback(self.http.listen.host) if self.talk.enabled is None else self.talk.enabled

    def trunk(self, name: str) -> TrunkConfig | None:
        """The trunk of that name."""
        return next((trunk for trunk in self.trunks if trunk.name == name), None)

    def agent(self, name: str) -> AgentConfig | None:
        """The agent of that name."""
        return next((agent for agent in self.agents if agent.name == name), None)


SECTIONS: dict[str, type[Section]] = {
    "node": NodeConfig,
    "sip": SipConfig,
    "media": MediaConfig,
    "http": HttpConfig,
    "talk": TalkConfig,
    "store": StoreConfig,
    "recording": RecordingConfig,
    "limits": LimitsConfig,
}
"""Tables that appear once, by name."""

LISTS: dict[str, type[Section]] = {"trunk": TrunkConfig, "route": RouteConfig, "agent": AgentConfig, "key": KeyConfig}
"""Tables that appear any number of times, written `[[trunk]]`."""
