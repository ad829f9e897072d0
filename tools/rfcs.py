"""The RFCs of a voice gateway: what each section is about, what is kept of it only in part or not at all, and why.

`rfc_support.py` makes docs/reference/rfc-support.md of this and of the tests' marks. Whoever marks a test with a
section that is not named here, nor any above it, names it here.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gap:
    """Something that an RFC has and this has not, or not as it says: where, what, and what happens instead."""

    section: str
    what: str
    instead: str


@dataclass(frozen=True)
class Rfc:
    """One RFC. `sections` are those that tests name, in words; `rust` the files of the media core that keep it."""

    number: int
    title: str
    sections: dict[str, str] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    rust: str = ""
    about: str = ""
    """What the media core keeps of it, where `rust` is given; or why it is left out as a whole."""


RFCS: tuple[Rfc, ...] = (
    Rfc(
        2617,
        "HTTP digest authentication (as SIP knew it first)",
        {"3.5": "The worked example"},
    ),
    Rfc(
        3261,
        "SIP: Session Initiation Protocol",
        {
            "7.3.1": "Header fields: case, folding, lists, compact forms",
            "7.5": "Framing: Content-Length on datagrams and streams",
            "8.1.1": "Requests: the fields that each must have",
            "8.1.1.6": "Max-Forwards",
            "8.1.1.8": "Contact of an INVITE, sip or sips",
            "8.1.3.3": "Responses that are not ours, or do not say what they answer",
            "8.2.1": "Methods that are not known or not allowed",
            "8.2.2.1": "Request-URIs that nobody serves",
            "8.2.2.2": "Merged requests: one call that came two ways",
            "8.2.2.3": "Require: extensions that are asked for",
            "8.2.3": "Bodies: types, encodings, languages",
            "8.2.6.1": "100 Trying at once",
            "8.2.6.2": "Responses: fields and tags",
            "8.2.7": "Answers without state",
            "9.1": "CANCEL as caller",
            "9.2": "CANCEL as callee",
            "10.2": "Registering: REGISTER, its refresh, its numbers",
            "10.2.2": "Taking our contact out at the end",
            "10.2.4": "What was granted to our own contact",
            "10.2.8": "423: an interval that is too brief",
            "10.3": "The registrar: bindings, their order, their time",
            "11.1": "OPTIONS as caller: is the peer alive?",
            "11.2": "OPTIONS as callee",
            "12.1.1": "Dialogs as callee",
            "12.1.2": "Dialogs as caller, early ones and forks",
            "12.2.1.1": "Requests within a dialog: route set, strict routers, CSeq",
            "12.2.1.2": "Answers within a dialog: 481, 408, a moved target",
            "12.2.2": "Requests of the peer within a dialog, in order",
            "12.3": "The end of a dialog",
            "13.2.1": "INVITE with and without an offer",
            "13.2.2.1": "1xx to our INVITE",
            "13.2.2.3": "Refusals of our INVITE",
            "13.2.2.4": "2xx to our INVITE, also of further forks, also late",
            "13.3.1": "An INVITE that expires",
            "13.3.1.1": "Ringing, repeated every minute",
            "13.3.1.3": "Refusing an INVITE",
            "13.3.1.4": "200 repeated until its ACK; no ACK, no call",
            "14.1": "re-INVITE of ours: refusals, 491 and its wait",
            "14.2": "re-INVITE of the peer: 500 with Retry-After, 491, 488",
            "15": "Who may end what, and when",
            "15.1.1": "BYE as the one who hangs up",
            "15.1.2": "BYE as the one who is hung up on",
            "16.3": "Requests that can't be served: checks in their order, loops",
            "16.6": "Max-Forwards of a call that goes on from here",
            "16.7": "Forking to the places of a phone: the best response, CANCEL for the others",
            "17.1.1": "INVITE client transaction",
            "17.1.1.1": "INVITE client transaction: the whole of it",
            "17.1.1.2": "INVITE client transaction: timers A, B, D",
            "17.1.1.3": "ACK to a refusal",
            "17.1.2.2": "Non-INVITE client transaction: timers E, F, K",
            "17.1.3": "Which response belongs to which transaction",
            "17.1.4": "Transport errors of client transactions",
            "17.2.1": "INVITE server transaction: timers G, H, I",
            "17.2.2": "Non-INVITE server transaction: timer J",
            "17.2.3": "Which request belongs to which transaction, RFC 2543 too",
            "17.2.4": "Transport errors of server transactions",
            "18.1.1": "Sending requests: large ones by TCP",
            "18.2.1": "Receiving requests: received and rport",
            "18.2.2": "Sending responses: by connection, by Via",
            "18.3": "Framing on streams",
            "18.4": "ICMP errors, read on Linux",
            "19.1.4": "When two URIs are one",
            "19.1.5": "A Request-URI made of a contact has no headers and no method",
            "20.33": "Retry-After to a REGISTER",
            "21.4.17": "423 to a REGISTER",
            "21.4.26": "What a 488 says of our offer",
            "21.5.4": "503 with Retry-After to a change of ours",
            "22.1": "Digest: what can't be challenged",
            "22.2": "Digest towards a user agent",
            "22.3": "Digest towards a proxy",
            "22.4": "Digest as SIP has it",
            "26.2.1": "TLS",
            "26.2.2": "sips URIs: TLS on every hop",
            "26.3.2.4": "Protection against floods: how much a stranger is answered",
        },
        (
            Gap("16", "proxy", "a gateway ends calls on both sides, it relays none"),
            Gap("18.1.1", "multicast", "no trunk sends to a group"),
            Gap("23", "S/MIME", "no carrier uses it"),
        ),
    ),
    Rfc(
        3262,
        "Reliable provisional responses (PRACK)",
        {
            "3": "Reliable 1xx as callee: RSeq, repetitions, their end",
            "4": "Reliable 1xx as caller: PRACK, order, losses",
            "5": "Offers and answers in 1xx and PRACK",
            "7.1": "RSeq",
            "7.2": "RAck",
        },
        (Gap("5", "an offer of ours in a PRACK", "one of the peer's is answered; ours go by UPDATE or re-INVITE"),),
    ),
    Rfc(
        3263,
        "Locating SIP servers",
        {
            "4.1": "Transport by NAPTR",
            "4.2": "Port and addresses by SRV, A, AAAA",
            "4.3": "The next server where one fails",
        },
    ),
    Rfc(
        3264,
        "Offer/answer with SDP",
        {
            "4": "One offer at a time",
            "5": "Making an offer",
            "6": "Answering one: codecs, ports, directions",
            "6.1": "Answering a unicast stream",
            "7": "Taking the answer",
            "8": "Changing the session",
            "8.1": "Adding a stream",
            "8.2": "Removing a stream",
            "8.3": "Changing a stream",
            "8.3.1": "Another address or port",
            "8.3.2": "Another codec",
            "8.3.3": "Another kind of media",
            "8.4": "Hold, and back",
        },
    ),
    Rfc(
        3311,
        "UPDATE",
        {
            "4": "UPDATE before and after the answer",
            "5.1": "Sending UPDATE",
            "5.2": "Receiving UPDATE: 491, 500, 504",
            "5.3": "Answers to UPDATE",
            "6": "Bodies of UPDATE",
        },
    ),
    Rfc(
        3323,
        "Privacy",
        {"4.1": "Callers whose own device hides them", "4.2": "The Privacy header"},
        (
            Gap(
                "5",
                "privacy services",
                "no call is passed on; what a caller asks for is kept from agent, routes, record",
            ),
        ),
    ),
    Rfc(
        3325,
        "Asserted identity in trusted networks",
        {
            "5": "Assertions of ours, to trunks that are to have them",
            "8": "What of somebody untrusted is no caller",
            "9.1": "P-Asserted-Identity",
            "9.2": "P-Preferred-Identity",
            "9.3": "Privacy: id",
        },
    ),
    Rfc(3326, "The Reason header", {"2": "Values, in every BYE and CANCEL of ours", "3.1": "Completed elsewhere"}),
    Rfc(3389, "Comfort noise in RTP", {"5": "Receiving it"}),
    Rfc(
        3420,
        "Fragments of SIP messages (sipfrag)",
        {"2": "What a fragment is", "4": "How a transfer is going, told by NOTIFY"},
    ),
    Rfc(
        3515,
        "REFER",
        {
            "2.1": "Refer-To",
            "2.2": "The REFER method",
            "2.4.1": "Sending REFER",
            "2.4.2": "Receiving REFER",
            "2.4.3": "At the target",
            "2.4.4": "NOTIFY: how it is going",
            "2.4.5": "The body of a NOTIFY",
            "2.4.6": "Several REFERs in one dialog",
            "2.4.7": "The end of the subscription",
            "2.5.1": "Forks of a REFER",
        },
        (
            Gap(
                "2.4.2",
                "REFERs of a peer whose trunk has no `refer`",
                "405, and not in Allow: it then transfers otherwise",
            ),
        ),
    ),
    Rfc(
        3550, "RTP and RTCP", rust="rtp.rs, rtcp.rs, order.rs", about="headers, sequence and jitter arithmetic, reports"
    ),
    Rfc(
        3551,
        "RTP profile for audio: payload types",
        {"4.2": "Packet lengths", "4.5.2": "G.722 and its clock of 8,000", "6": "Static payload types"},
        rust="codec/g711.rs",
        about="PCMU and PCMA (ITU-T G.711)",
    ),
    Rfc(3581, "Symmetric response routing (rport)", {"4": "Answers to the port that was used"}),
    Rfc(3605, "RTCP port in SDP", {"2.1": "a=rtcp"}),
    Rfc(
        3711,
        "SRTP",
        gaps=(Gap("4.3", "key derivation rates, master key identifiers", "no peer of a gateway uses them"),),
        rust="srtp.rs, srtp/",
        about="SRTP and SRTCP: AES in counter mode, HMAC-SHA1, rollovers, replay",
    ),
    Rfc(
        3840,
        "Capabilities of user agents, and (3841) callers' preferences",
        gaps=(Gap("", "feature tags", "read past: nothing here depends on them"),),
    ),
    Rfc(
        3891,
        "The Replaces header",
        {"6.1": "The header"},
        (Gap("3", "an INVITE that takes a call over", "of one that comes the header is read, and nothing follows it"),),
    ),
    Rfc(
        3892,
        "Referred-By",
        {"2": "The header", "2.1": "What the one who refers says", "2.2": "What the one who is referred makes of it"},
    ),
    Rfc(
        3960,
        "Early media and ringing tones",
        {
            "2": "Early media and forks",
            "3": "Who makes the ringing tone",
            "3.1": "Local ringing or the peer's sound",
            "3.2": "Ringing by rule",
            "3.3": "Early media from several forks",
            "4": "Early media of an application server",
        },
    ),
    Rfc(
        4028,
        "Session timers",
        {
            "4": "Session-Expires, also as `x`",
            "5": "Min-SE",
            "6": "422: an interval that is too small",
            "7.1": "The first INVITE of a caller",
            "7.2": "What the 2xx makes of it, and one without a timer",
            "7.3": "422, and the INVITE again for longer",
            "7.4": "Refreshes: UPDATE, or re-INVITE with the same SDP",
            "9": "As callee: how long, and who refreshes",
            "10": "Refreshing, refused, missed: BYE in time",
        },
        (Gap("8", "proxies", "a gateway is none"),),
    ),
    Rfc(4320, "Non-INVITE transactions that nobody answers", {"4.1": "No 1xx but a late 100", "4.2": "No late 408"}),
    Rfc(
        4475,
        "SIP torture tests",
        {
            "3": "All 49 messages, as an admitted peer sends them",
            "3.1.1": "Valid, and odd",
            "3.1.2": "Invalid",
            "3.2": "Transactions",
            "3.3": "What an application makes of it",
            "3.4": "As in RFC 2543",
        },
    ),
    Rfc(
        4488,
        "REFER without a subscription",
        {"4": "Refer-Sub: false", "5": "What the one who is asked says", "6": "Preventing forks"},
    ),
    Rfc(
        4568,
        "Keys of encrypted media in SDP (SDES)",
        {
            "5.1.1": "Offering keys",
            "5.1.2": "Answering them",
            "5.1.3": "Taking the answer",
            "6.1": "Key parameters",
            "6.3": "Session parameters",
            "6.3.7": "Unknown session parameters",
            "7": "Offers and answers",
            "7.1.4": "New keys",
        },
    ),
    Rfc(
        4733,
        "Telephone events in RTP",
        {
            "2.1": "In SDP",
            "2.2": "Packets that are none",
            "2.3": "The payload",
            "2.5": "Sending and receiving events",
            "2.5.1": "Sending",
            "2.5.1.2": "Timestamps and markers",
            "2.5.1.3": "Long events",
            "2.5.1.4": "The end, three times",
            "2.5.2": "Receiving",
            "2.5.2.2": "Out of order",
            "2.6.2": "Losses",
            "3.2": "The digits",
        },
        rust="telephone_event/receiver.rs",
        about="events received and sent, one digit for three end packets",
    ),
    Rfc(
        5057,
        "Several usages of one dialog",
        {"4": "What they share", "5.1": "Which answer ends what", "5.2": "Time-outs", "5.5": "Ends of usages"},
    ),
    Rfc(
        5393,
        "Loops of forking proxies",
        {"4.2": "Finding loops"},
        (Gap("4.2.1", "a hash in the branch", "Max-Forwards (483), and 482 where an INVITE of ours comes back"),),
    ),
    Rfc(5589, "Call transfer", {"6.1": "Blind transfer, and who ends the call"}),
    Rfc(
        5626,
        "Client-initiated connections",
        {
            "4.4": "A connection to a registrar that is gone",
            "4.4.1": "CRLF ping and pong",
            "6": "The registrar: a device that moves",
        },
        (Gap("4.2", "several flows by reg-id", "one flow to a registrar; it is replaced when it is gone"),),
    ),
    Rfc(5630, "The sips URI scheme", {"4": "No way around TLS"}),
    Rfc(5761, "RTP and RTCP on one port", {"5.1.1": "In SDP", "5.1.3": "With and without rtcp-mux"}),
    Rfc(3327, "Path", {"5.3": "Kept by the registrar, and the route of calls"}),
    Rfc(3608, "Service-Route", {"5.1": "The way that calls take once we are registered"}),
    Rfc(5763, "Keys of SRTP by DTLS, also 5764", gaps=(Gap("", "DTLS-SRTP", "not built: such an offer gets 488"),)),
    Rfc(5806, "Diversion", {"": "Read: who, why, how often"}, (Gap("4", "writing it", "no call is passed on"),)),
    Rfc(
        5922,
        "Domain certificates in SIP",
        {"7.1": "Names in certificates", "7.2": "Comparing them", "7.3": "As client", "7.4": "As server"},
        (Gap("4", "extended key usage id-kp-sipDomain (5924)", "neither asked for nor minded"),),
    ),
    Rfc(5923, "Connection reuse in SIP", {"5": "alias", "8": "Whose connection it is"}),
    Rfc(
        6026,
        "Correct handling of 2xx to INVITE",
        {
            "7.1": "Accepted: the server's side, timer L",
            "7.2": "Accepted: the client's side, timer M",
            "8.4": "Further 2xx",
            "8.5": "2xx from the core",
            "8.7": "Retransmissions",
        },
    ),
    Rfc(
        6086,
        "SIP INFO",
        {"4.2": "INFO within a dialog", "4.2.2": "Bodies that are not taken", "5.1": "Info packages"},
        (Gap("5", "info packages", "none is taken part in: 469; the two bodies of keys are older than packages"),),
    ),
    Rfc(
        6141,
        "re-INVITE and target refresh",
        {
            "3": "Changes while a re-INVITE is open",
            "3.4": "What a refused re-INVITE leaves",
            "4": "Remote targets",
            "4.4": "Moved while a re-INVITE is open",
            "4.7": "Moved by what we accept",
            "4.8": "Moved by what the peer accepts",
        },
    ),
    Rfc(6188, "SRTP with AES-256", rust="srtp/counter_mode.rs", about="AES-256 in counter mode"),
    Rfc(6228, "199: an early dialog that is over", {"4": "As caller: one fork ends, the others ring on"}),
    Rfc(6337, "Offers and answers in SIP, all of them", {"3.1.1": "Which message carries which, and what is ignored"}),
    Rfc(6432, "Q.850 causes in responses", {"2": "Reason in refusals"}),
    Rfc(
        6455,
        "WebSocket",
        {"4.2.2": "The upgrade, as server"},
        rust="wire/websocket.rs",
        about="as client: framing, masking, fragments, close codes",
    ),
    Rfc(6716, "The Opus codec", rust="codec/opus.rs", about="packets of any mode and length, in-band FEC, DTX"),
    Rfc(
        6665,
        "Events: SUBSCRIBE and NOTIFY",
        {
            "4.1.2": "A subscriber's life",
            "4.1.2.4": "The first NOTIFY, perhaps before the answer",
            "4.1.3": "Receiving NOTIFY",
            "4.1.4": "Forks",
            "4.2.1": "Receiving a subscription",
            "4.2.2": "Sending NOTIFY",
            "4.4.1": "The dialog it lives in",
            "8.2.1": "Event",
            "8.2.2": "Allow-Events",
            "8.3.2": "489 Bad Event",
        },
        (
            Gap("3", "subscriptions by SUBSCRIBE", "405: the only one is that of a REFER"),
            Gap("4.1.2.4", "Timer N", "a REFER has a time limit of its own: some peers send no NOTIFY and end by BYE"),
        ),
    ),
    Rfc(
        7044,
        "History-Info",
        {
            "5": "Entries",
            "10.1": "Entries that are private",
            "10.2": "Reasons",
            "10.3": "Indices",
            "10.4": "rc, mp, np",
        },
        (Gap("6", "writing it", "no call is passed on"),),
    ),
    Rfc(
        7118, "SIP over WebSocket", gaps=(Gap("", "ws listeners", "not built: a `ws://` listener is refused by name"),)
    ),
    Rfc(
        7433,
        "User-to-User information",
        {"4.1": "Values and their parameters", "4.2": "Data in hexadecimal"},
    ),
    Rfc(
        7587,
        "Opus in RTP and SDP",
        {"4.2": "Packet times", "6.1": "What a peer asks for", "7": "Offers and answers"},
    ),
    Rfc(
        7616,
        "HTTP digest authentication",
        {
            "3.3": "Challenges, stale ones too",
            "3.4": "Answers",
            "3.4.3": "nc and cnonce",
            "3.9.1": "The worked example",
        },
    ),
    Rfc(7714, "SRTP with AES-GCM", rust="srtp/gcm.rs", about="AES-128 and AES-256 in GCM"),
    Rfc(
        7989,
        "Session-ID",
        {
            "4.1": "UUIDs",
            "5": "The header field",
            "6": "In every message, early errors too",
            "8": "A peer that changes",
            "11": "The form of RFC 7329",
        },
    ),
    Rfc(
        8445,
        "ICE, and (8843) BUNDLE",
        gaps=(Gap("", "ICE, BUNDLE", "answered without, as the RFCs allow; trunks have fixed addresses"),),
    ),
    Rfc(8643, "Opportunistic SRTP: keys on RTP/AVP", {"3.1": "Offers and answers"}),
    Rfc(8760, "SIP digest with SHA-256 and SHA-512-256", {"2.2": "Algorithms", "2.4": "Which challenge is answered"}),
    Rfc(
        8866,
        "SDP",
        {"5.3": "Session name", "5.7": "Connection data", "5.14": "Media", "9": "Grammar, and peers that break it"},
    ),
)
"""By number."""
