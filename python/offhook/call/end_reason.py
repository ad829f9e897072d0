"""The closed list of endings: why a call came to its end, whose fault that was, and what to change.

Everything that names an ending reads this table: the answer to the INVITE, the Reason header, the record, the metric
label, the command line and docs/reference/end-reasons.md, which `make docs` writes.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, get_args

from offhook.sip.causes import why, why_refused

if TYPE_CHECKING:
    from offhook.sip.session_core import HeaderList

Fault = Literal["none", "caller", "carrier", "agent", "operator", "offhook"]
"""Who has to change something: nobody, the caller, the carrier or phone system that sent the call, the author of the
agent, the operator of this gateway, or we."""


@dataclass(frozen=True, slots=True)
class _Ending:
    slug: str
    sip_status: int | None
    q850: int
    fault: Fault
    text: str
    hint: str = ""


class EndReason(Enum):
    """One way in which a call ends. `EndReason.of(slug)` finds it."""

    CALLER_HUNG_UP = _Ending("caller_hung_up", None, 16, "none", "The caller hung up.")
    CALLEE_HUNG_UP = _Ending("callee_hung_up", None, 16, "none", "The called party hung up.")
    AGENT_HUNG_UP = _Ending("agent_hung_up", None, 16, "none", "The agent ended the call.")
    PARTNER_HUNG_UP = _Ending(
        "partner_hung_up", 480, 16, "none", "The party that the call was joined to hung up.",
    )  # fmt: skip
    TRANSFERRED = _Ending("transferred", None, 16, "none", "The caller was transferred to somebody else.")
    REFERRED = _Ending(
        "referred", None, 16, "none",
        "The other side transferred us: the agent goes on with somebody else, in a call of its own.",
    )  # fmt: skip
    CALLER_CANCELLED = _Ending(
        "caller_cancelled", 487, 16, "caller",
        "The caller hung up before the call was answered.",
        "If callers often give up, look at the set-up intervals: the agent may take too long to get ready.",
    )  # fmt: skip
    NO_TRUNK = _Ending(
        "no_trunk", 403, 21, "operator",
        "No trunk admits calls from this address.",
        "Add the source address to `allow` of the right [[trunk]], or give that trunk an `inbound` user and password.",
    )  # fmt: skip
    TRUNK_AMBIGUOUS = _Ending(
        "trunk_ambiguous", 403, 21, "operator",
        "More than one trunk could be meant, and nothing in the request tells them apart.",
        "Give each of these trunks its own `domain`, or its own `inbound` user and password.",
    )  # fmt: skip
    AUTH_FAILED = _Ending(
        "auth_failed", 403, 21, "carrier",
        "The user name or password sent for the trunk is wrong.",
        "Compare user name, password and realm at the carrier with `inbound` of the [[trunk]].",
    )  # fmt: skip
    NO_ROUTE = _Ending(
        "no_route", 404, 1, "operator",
        "No route takes this call.",
        "Try `offhook routes test` with these numbers: it names the nearest route and the field that differs.",
    )  # fmt: skip
    LIMIT_CALLS = _Ending(
        "limit_calls", 503, 42, "operator",
        "The gateway has as many calls as it may have.",
        "Raise `limits.max_calls` if the machine can carry more.",
    )  # fmt: skip
    LIMIT_CPS = _Ending(
        "limit_cps", 503, 42, "operator",
        "More calls began within a second than the gateway may take.",
        "Raise `limits.max_cps` if the machine can carry more.",
    )  # fmt: skip
    LIMIT_TRUNK_CALLS = _Ending(
        "limit_trunk_calls", 503, 42, "operator",
        "The trunk has as many calls as it may have.",
        "Raise `max_calls` of the [[trunk]].",
    )  # fmt: skip
    LIMIT_TRUNK_CPS = _Ending(
        "limit_trunk_cps", 503, 42, "operator",
        "More calls began within a second on the trunk than it may bring.",
        "Raise `max_cps` of the [[trunk]].",
    )  # fmt: skip
    LIMIT_AGENT_CALLS = _Ending(
        "limit_agent_calls", 503, 42, "operator",
        "The agent has as many calls as it may have.",
        "Raise `max_calls` of the [[agent]], or give the route a `fallback` on `refused`.",
    )  # fmt: skip
    LIMIT_LOOP_LAG = _Ending(
        "limit_loop_lag", 503, 42, "operator",
        "The gateway was too busy to take another call in time.",
        "Lower `limits.max_calls` and `limits.max_cps` to what this machine carries, or add a node.",
    )  # fmt: skip
    NO_PORT = _Ending(
        "no_port", 503, 47, "operator",
        "No media port was free for the caller's audio.",
        "Widen `media.ports`, or lower `limits.max_calls` to what the range carries.",
    )  # fmt: skip
    COLLISION = _Ending(
        "collision", 503, 47, "operator",
        "Another call of the same media port has this caller's address and port, and they could not be parted.",
        "Widen `media.ports`, or let the sending side put its offer into the INVITE: then each gets a port of its own.",
    )  # fmt: skip
    NO_FAMILY = _Ending(
        "no_family", 488, 88, "operator",
        "The caller's audio is on an IP version (IPv4 or IPv6) that this gateway's media is not on.",
        "Give `media.listen` an address of that version too, such as `[\"0.0.0.0\", \"::\"]`.",
    )  # fmt: skip
    DRAINING = _Ending(
        "draining", 503, 41, "operator",
        "The gateway is shutting down and takes no new calls.",
    )  # fmt: skip
    BAD_REQUEST = _Ending(
        "bad_request", 400, 111, "carrier",
        "The request broke the rules of SIP so badly that it could not be answered otherwise.",
        "The detail names the header; show it to whoever runs the sending side.",
    )  # fmt: skip
    UNSUPPORTED_EXTENSION = _Ending(
        "unsupported_extension", 420, 29, "carrier",
        "The request demands a SIP extension that this gateway does not have.",
        "Switch off the extension that the Unsupported header of our answer names.",
    )  # fmt: skip
    SESSION_INTERVAL_TOO_SMALL = _Ending(
        "session_interval_too_small", 422, 111, "carrier",
        "The caller asked for a session timer that is shorter than the 90 seconds of RFC 4028.",
        "Callers try again with the `Min-SE` of our answer; where that does not happen, raise the interval there.",
    )  # fmt: skip
    MERGED_REQUEST = _Ending(
        "merged_request", 482, 25, "carrier",
        "The same call came twice over different ways.",
        "A proxy between the caller and this gateway forks the call to the same place twice.",
    )  # fmt: skip
    LOOP_DETECTED = _Ending(
        "loop_detected", 483, 25, "carrier",
        "The call went round in a circle until its hops were used up.",
        "Look at the Via headers of the INVITE: two systems send the call to each other.",
    )  # fmt: skip
    BAD_SDP = _Ending(
        "bad_sdp", 400, 111, "carrier",
        "The description of the caller's audio (SDP) could not be read.",
        "The detail names the line; show it to whoever runs the sending side.",
    )  # fmt: skip
    NO_AUDIO_OFFERED = _Ending(
        "no_audio_offered", 488, 88, "carrier",
        "The call offered no audio (only video, fax or nothing).",
        "Switch off fax (T.38) or data calls to this number at the sending side.",
    )  # fmt: skip
    NO_COMMON_CODEC = _Ending(
        "no_common_codec", 488, 88, "operator",
        "Caller and gateway have no audio codec in common.",
        "Allow PCMU (G.711 µ-law) or PCMA (A-law) at the carrier, and check `codecs` of the [[trunk]].",
    )  # fmt: skip
    SRTP_NOT_SUPPORTED = _Ending(
        "srtp_not_supported", 488, 88, "operator",
        "The other side insists on encrypted audio (SRTP), and `srtp` is off on its trunk.",
        "Set `srtp` of the [[trunk]] to `optional` or `required`, or switch off `secure media` at the carrier.",
    )  # fmt: skip
    SRTP_REFUSED = _Ending(
        "srtp_refused", 488, 88, "operator",
        "The other side refused a call out whose audio is encrypted alone (`srtp` of the trunk is `required`).",
        "Switch on `secure media` (SRTP with SDES keys) for this trunk at the carrier, or set `srtp` of the [[trunk]] "
        "to `optional` or `off`. Where it is on at both ends, compare `codecs`.",
    )  # fmt: skip
    SRTP_DEMANDED = _Ending(
        "srtp_demanded", 488, 88, "operator",
        "The other side takes a call out with encrypted audio (SRTP) alone, which its trunk does not require.",
        "Set `srtp` of the [[trunk]] to `required`, or switch off `secure media` at the carrier.",
    )  # fmt: skip
    SRTP_REQUIRED = _Ending(
        "srtp_required", 488, 88, "operator",
        "The trunk takes encrypted audio only, and the other side has sent no key for it.",
        "Switch on `secure media` (SRTP with SDES keys) for this trunk at the carrier.",
    )  # fmt: skip
    NO_COMMON_CRYPTO = _Ending(
        "no_common_crypto", 488, 88, "operator",
        "The two sides have no way to encrypt the audio in common.",
        "The detail says what was wrong with each key offered; keys come as `a=crypto` (SDES), not by DTLS.",
    )  # fmt: skip
    NO_OFFER_ANSWER = _Ending(
        "no_offer_answer", 488, 111, "carrier",
        "The caller's side left the audio to us and then never said where to send it.",
        "The ACK, or PRACK, came without a usable SDP answer; let the sending side put its offer into the INVITE "
        "(early offer).",
    )  # fmt: skip
    NO_PRACK = _Ending(
        "no_prack", 504, 102, "carrier",
        "The caller's side asked for reliable ringing and never acknowledged it.",
        "Its PRACK goes to the address in our Contact: check `sip.advertise` and the firewall for the SIP port.",
    )  # fmt: skip
    NO_ACK = _Ending(
        "no_ack", None, 102, "carrier",
        "We answered, but the caller's side never acknowledged it.",
        "Its ACK goes to the address in our Contact: check `sip.advertise` and the firewall for the SIP port.",
    )  # fmt: skip
    SESSION_EXPIRED = _Ending(
        "session_expired", None, 102, "carrier",
        "Nobody refreshed the call's session timer in time, or the other side no longer knew the call.",
        "The detail says whose refresh was missed. Re-INVITEs and UPDATEs must pass both ways: ours to the Contact of "
        "the caller's side, its own to `sip.advertise`. Or set `session_timer` of the [[trunk]] to `off`.",
    )  # fmt: skip
    MEDIA_TIMEOUT = _Ending(
        "media_timeout", None, 31, "carrier",
        "No audio packets came from the caller for too long.",
        "If none ever came, open `media.ports` (UDP) in the firewall and check `media.advertise`.",
    )  # fmt: skip
    TRANSPORT_FAILED = _Ending(
        "transport_failed", 503, 38, "carrier",
        "The other side could not be reached over the network.",
        "The detail names address and error; check firewall and routing.",
    )  # fmt: skip
    AGENT_REFUSED = _Ending(
        "agent_refused", 480, 27, "agent",
        "The agent's server refused the connection.",
        "The detail holds its HTTP status: check URL path and token of the [[agent]].",
    )  # fmt: skip
    AGENT_REJECTED = _Ending(
        "agent_rejected", 603, 21, "none",
        "The agent was asked and rejected the call.",
    )  # fmt: skip
    AGENT_UNREACHABLE = _Ending(
        "agent_unreachable", 480, 27, "agent",
        "The agent's server could not be reached.",
        "The detail names the step (DNS, TCP, TLS): check that the agent runs and that its URL is right.",
    )  # fmt: skip
    NO_WORKER = _Ending(
        "no_worker", 480, 27, "agent",
        "No worker of the agent could take the call.",
        "The detail says how many are connected and why none took it: start workers, raise their `max_calls`, or give "
        "the route a `fallback` on `refused`.",
    )  # fmt: skip
    WEBHOOK_MISSING = _Ending(
        "webhook_missing", 480, 27, "operator",
        "The agent's platform asks by a webhook whether to take a call, and none came.",
        "The detail has the address that the webhook has to be sent to: compare it with the platform's settings, and "
        "check that it reaches `http.listen` from the internet.",
    )  # fmt: skip
    AGENT_LATE = _Ending(
        "agent_late", 480, 18, "agent",
        "The agent connected but was not ready in time.",
        "Raise `ring_timeout` of the [[route]], make the agent start faster, or give the route a `fallback` on `late`.",
    )  # fmt: skip
    AGENT_LOST = _Ending(
        "agent_lost", 480, 27, "agent",
        "The connection to the agent broke in the middle of the call.",
        "Look at the agent's own log at this time; a `fallback` on `lost` keeps the caller.",
    )  # fmt: skip
    AGENT_FAILED = _Ending(
        "agent_failed", 480, 41, "agent",
        "Something went wrong in the agent, and it hung up.",
        "The agent's own log has the error, with the id of this call; an agent of the SDK writes the traceback there.",
    )  # fmt: skip
    AGENT_PROTOCOL_ERROR = _Ending(
        "agent_protocol_error", 480, 41, "agent",
        "The agent sent messages that its protocol does not know.",
        "The detail holds the first of them; check `kind` of the [[agent]].",
    )  # fmt: skip
    AGENT_TOO_SLOW = _Ending(
        "agent_too_slow", 480, 41, "agent",
        "The agent did not read the caller's audio fast enough.",
        "Something blocks the agent's event loop; do slow work outside the loop that reads the socket.",
    )  # fmt: skip
    AGENT_FLOOD = _Ending(
        "agent_flood", 480, 41, "agent",
        "The agent sent far more than a call can hold.",
        "Send audio at most a few seconds ahead, and no message in a tight loop.",
    )  # fmt: skip
    WRONG_DIALECT = _Ending(
        "wrong_dialect", 480, 41, "operator",
        "The agent speaks another protocol than the one its URL names.",
        "A bot made for Twilio Media Streams needs `twilio+wss://` (or `kind = \"twilio\"`).",
    )  # fmt: skip
    RING_TIMEOUT = _Ending(
        "ring_timeout", 480, 19, "agent",
        "Nobody took the call within the ringing time.",
        "Raise `ring_timeout` of the [[route]], or give it a `fallback`.",
    )  # fmt: skip
    MAX_DURATION = _Ending(
        "max_duration", None, 31, "operator",
        "The call reached the longest time that is allowed.",
        "Raise `max_duration` of the [[trunk]] if calls may be longer.",
    )  # fmt: skip
    LIMIT_OUTBOUND_MINUTES = _Ending(
        "limit_outbound_minutes", None, 31, "operator",
        "The minutes that the trunk, the agent or the API key may call out in a day are used up.",
        "Raise `max_minutes_per_day` of its `outbound` if more are wanted.",
    )  # fmt: skip
    LIMIT_OUTBOUND_SPEND = _Ending(
        "limit_outbound_spend", None, 31, "operator",
        "What calls out of the trunk, the agent or the API key may cost in a day is used up.",
        "Raise `max_spend_per_day` of its `outbound` if it may cost more.",
    )  # fmt: skip
    CALLEE_BUSY = _Ending("callee_busy", 486, 17, "none", "The called party is busy.")
    CALLEE_REFUSED = _Ending("callee_refused", 603, 21, "none", "The called party or its carrier refused the call.")
    CALLEE_UNKNOWN = _Ending("callee_unknown", 404, 1, "none", "The trunk knows no such number.")
    NO_PERSON_ANSWERED = _Ending(
        "no_person_answered",
        None,
        16,
        "none",
        "A machine, a fax or a tone answered a call out, and `on_machine` says that it ends then.",
    )
    MESSAGE_LEFT = _Ending(
        "message_left", None, 16, "none", "A machine answered a call out, and a message was left after its greeting."
    )
    NO_ANSWER = _Ending("no_answer", 480, 19, "none", "The called party did not answer.")
    DIAL_CANCELLED = _Ending("dial_cancelled", 487, 16, "none", "The call out was given up before it was answered.")
    ENDED_BY_REQUEST = _Ending(
        "ended_by_request", None, 16, "none", "The call was ended by a command, or by who asked for it."
    )
    DIAL_REFUSED = _Ending(
        "dial_refused", 403, 21, "operator",
        "Nobody was called: a rule of this gateway does not allow it.",
        "The detail says which rule, and what would allow it.",
    )  # fmt: skip
    TRUNK_AUTH_FAILED = _Ending(
        "trunk_auth_failed", 407, 21, "operator",
        "The trunk did not take our user name and password.",
        "Compare `username` and `password` of the [[trunk]] with what the carrier has; they are often not those of its "
        "web portal.",
    )  # fmt: skip
    TRUNK_FAILED = _Ending(
        "trunk_failed", 502, 38, "carrier",
        "The trunk could not place the call.",
        "The detail has its words; if it refuses every call, compare `caller_id` and `number_format` of the [[trunk]] "
        "with what it wants.",
    )  # fmt: skip
    TRUNK_UNREACHABLE = _Ending(
        "trunk_unreachable", 503, 38, "operator",
        "The trunk could not be reached, or said nothing to our call.",
        "The detail names the address: check `host`, `port` and `transport` of the [[trunk]], and the firewall.",
    )  # fmt: skip
    PHONE_NOT_REGISTERED = _Ending(
        "phone_not_registered", 480, 20, "operator",
        "The phone that was called is not registered.",
        "`offhook phones` says which are. Where it should be among them: the user name, the password and the server in "
        "the phone's own account; `offhook calls refused` has what it was refused for.",
    )  # fmt: skip
    PARTNER_LOST = _Ending(
        "partner_lost", 480, 41, "carrier",
        "The call that this one was joined to failed.",
        "The detail names that call and its end reason: look there.",
    )  # fmt: skip
    GATEWAY_SHUTDOWN = _Ending(
        "gateway_shutdown", 503, 41, "operator",
        "The gateway was shut down while the call was on.",
        "Let calls drain: send SIGTERM once and wait.",
    )  # fmt: skip
    GATEWAY_CRASHED = _Ending(
        "gateway_crashed", None, 41, "offhook",
        "The gateway's process died during the call; this was written at its next start.",
        "Look into the system's journal for an out-of-memory kill, and report a crash to the project.",
    )  # fmt: skip
    INTERNAL_ERROR = _Ending(
        "internal_error", 500, 41, "offhook",
        "A bug in the gateway ended this call; other calls went on.",
        "Report it with the log lines of this call id.",
    )  # fmt: skip

    @classmethod
    def of(cls, slug: str) -> "EndReason":
        """Find the ending of that slug; KeyError if there is none."""
        return _BY_SLUG[slug]

    @property
    def slug(self) -> str:
        """The stable name: column, metric label, API text."""
        return self.value.slug

    @property
    def sip_status(self) -> int | None:
        """The status that answers an INVITE which is still open; None if such a call has always been answered."""
        return self.value.sip_status

    @property
    def q850(self) -> int:
        """The cause of ITU-T Q.850, as carriers count it."""
        return self.value.q850

    @property
    def fault(self) -> Fault:
        """Who has to change something."""
        return self.value.fault

    @property
    def text(self) -> str:
        """What happened, in one plain sentence."""
        return self.value.text

    @property
    def hint(self) -> str:
        """What to change; empty if nothing is wrong."""
        return self.value.hint

    @property
    def hang_up_headers(self) -> "HeaderList":
        """The Reason fields of a BYE or CANCEL (RFC 3326): by Q.850, and by the status that SIP has for it."""
        return why(_WHEN_UP.get(self) or self.sip_status or 200, self.slug, q850=self.q850)

    @property
    def refusal_headers(self) -> "HeaderList":
        """The Reason field of a final response: by Q.850, since the status stands in it (RFC 6432)."""
        return why_refused(self.sip_status or 500, self.slug, q850=self.q850)


_WHEN_UP = {EndReason.NO_ACK: 408, EndReason.MEDIA_TIMEOUT: 408, EndReason.NO_OFFER_ANSWER: 488}
"""SIP statuses of endings that only an answered call has; without an entry it ended in good order."""

_BY_SLUG = {reason.slug: reason for reason in EndReason}

_WHOSE = {
    "none": "nobody",
    "caller": "the caller",
    "carrier": "the carrier or phone system",
    "agent": "the agent",
    "operator": "the gateway’s operator",
    "offhook": "offhook",
}


def whose(fault: str) -> str:
    """Say a fault in words, such as "the agent"."""
    return _WHOSE.get(fault, fault)


def page() -> str:
    """docs/reference/end-reasons.md as it has to be."""
    lines = [
        "# End reasons",
        "",
        "Every call ends with exactly one of these. The slug is the same in the record, the metrics, the API and the",
        "command line. *SIP* is the status that answers the caller when the call had not been answered yet; *Q.850* is",
        "the cause in the `Reason` header of our BYE or final response, with the slug as its text. A BYE has a SIP",
        "status beside it, 200 where the call ended in good order. *Whose* names who has to change something.",
        "",
        "This page is written by `make docs`.",
        "",
        "| slug | SIP | Q.850 | whose | what happened | what to change |",
        "|---|---|---|---|---|---|",
    ]
    for fault in get_args(Fault):
        lines += [
            f"| `{reason.slug}` | {reason.sip_status or '–'} | {reason.q850} | {whose(fault)} "
            f"| {reason.text} | {reason.hint or '–'} |"
            for reason in EndReason
            if reason.fault == fault
        ]
    return "\n".join(lines) + "\n"
