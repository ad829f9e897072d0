"""One message of our own for each of the 49 cases of RFC 4475, with what parser and user agent server may do.

The words are ours, the trap is the section's. `answers` are those of an endpoint that is no registrar and no proxy:
REGISTER and MESSAGE may be refused as not served. Used by the parser's test here and by the wire test.
"""

from dataclasses import dataclass
from typing import Literal

_NOT_SERVED = frozenset({405, 501})
_ROUTED = frozenset({100, 180, 183, 200, 202, 403, 404, 405, 407, 401, 480, 481, 486, 488, 501, 503, 603})

Kind = Literal["valid", "invalid", "semantic"]
Reading = Literal["accept", "reject", "either"]


@dataclass(frozen=True, slots=True)
class TortureCase:
    """A message and its verdicts.

    `reading` is that of parser and validator together: `accept` must pass both unless `answers` has a 400, `reject`
    must fail in one of them, `either` may do as it likes. `answers` are the statuses that a UAS may send as its first
    answer over UDP, empty if it must not answer; `silence` says whether no answer is allowed besides.
    """

    name: str
    section: str
    kind: Kind
    reading: Reading
    answers: frozenset[int]
    data: bytes
    silence: bool = False
    why: str = ""

    def __str__(self) -> str:
        return self.name


SDP = (
    b"v=0\r\no=rig 5501 5501 IN IP4 192.0.2.40\r\ns=-\r\nc=IN IP4 192.0.2.40\r\nt=0 0\r\n"
    b"m=audio 36000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
)


def _message(*rows: str, body: bytes = b"", length: str | None = "Content-Length: {}") -> bytes:
    """Join rows with CRLF; a lone surrogate stands for a raw byte. `length` is the row for Content-Length, if any."""
    head = list(rows) if length is None else [*rows, length.format(len(body))]
    return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body


def _usual(method: str, name: str, *, to_tag: str = "", cseq: str = "") -> tuple[str, ...]:
    """Call-ID, CSeq, From, To and Max-Forwards of an ordinary request out of a dialog."""
    return (
        f"Call-ID: {name}-7d10c4@rig.example.org",
        f"CSeq: {cseq or '51 ' + method}",
        f"From: <sip:rig@example.org>;tag=f-{name}",
        f"To: <sip:desk@example.com>{to_tag}",
        "Max-Forwards: 41",
    )


def _via(name: str, host: str = "192.0.2.40") -> str:
    return f"Via: SIP/2.0/UDP {host};branch=z9hG4bK-rig-{name}"


_CONTACT = "Contact: <sip:rig@192.0.2.40>"
_SDP_TYPE = "Content-Type: application/sdp"
_LONG = "stretch" * 17

_PARTS = (
    b"--cut-here\r\nContent-Type: text/plain\r\n\r\nshort note\r\n"
    b"--cut-here\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"\x00\x01\r\x02\n\xff\xfe\r\n\n\r\x80--cut-her\x00\r\n"
    b"--cut-here--\r\n"
)

VALID = (
    TortureCase(
        "wsinv", "3.1.1.1", "valid", "accept", _ROUTED - {501},
        _message(
            "INVITE sip:desk@pbx.example.com;colour SIP/2.0",
            "tO \t:",
            "\tsip:desk@pbx.example.com  ;",
            "  TAG\t =  9a7ffe10c",
            'FROM:"Rig \\\\ \\"One\\"" <sip:rig@example.org>',
            " ; tag",
            " = ws-from",
            "mAx-forwards :   0041",
            "I: wsinv-19aa@192.0.2.40",
            "l : 0",
            "CSEQ:",
            " 00077",
            "   INVITE",
            "v:SIP/ 2.0",
            " / UDP",
            "  192.0.2.40 ;branch=oldstyle17",
            "S:",
            "SomethingNew: first half",
            "  second half",
            "OddlyFilled: ,,;;=;,",
            "rOUTE :",
            "  <sip:edge.example.com;lr;hop=2;bare>",
            "vIA: SIP / 2.0/ TCP",
            " relay.example.com ; branch",
            "  = z9hG4bKrelay , SIP/2.0 / UDP 10.9.8.7;branch=",
            " z9hG4bKinner",
            'M: "Say \\"hi\\"" <sip:rig@192.0.2.40>;',
            " extra =",
            "\tyes ; q =0.7",
            length=None,
        ),
        why="a To tag of no dialog here: 481 is the usual answer",
    ),
    TortureCase(
        "intmeth", "3.1.1.2", "valid", "accept", _NOT_SERVED,
        _message(
            "~`'+_*%!.-Odd42 sip:a_b-c.d!e~f*g'h(i)j&k=l+m$n,o;p?q/r:s&t=u+v$w,x@example.com SIP/2.0",
            "Via: SIP/2.0/UDP rig.example.org;branch=z9hG4bK~`'+_*%!.-",
            'To: "bell \\\x07 nul \\\x00 del \\\x7f end" <sip:a_b-c.d!e~f*g\'h(i)j&k=l+m$n,o;p?q/r@example.com>',
            "From: ab`~c +_'d .-%!*e <sip:rig@example.org>;~`'+_*%!.-=\"ключ\";tag=~`'+_*%!.-f",
            "Call-ID: one(two)<three>:\\\"/[four]?{five}@%!*_+`'~.-",
            "CSeq: 990017 ~`'+_*%!.-Odd42",
            "Max-Forwards: 255",
            "~`'+_*%!.-Header: 電話",
        ),
    ),
    TortureCase(
        "esc01", "3.1.1.3", "valid", "accept", _ROUTED,
        _message(
            "INVITE sip:tel%3Adesk%40home@example.com SIP/2.0", _via("esc01"),
            "Call-ID: esc01-1@rig.example.org", "CSeq: 3 INVITE", "From: <sip:two%20words@example.org>;tag=e1",
            "To: <sip:d%65s%6B@example.com>", "Max-Forwards: 41",
            "Contact: <sip:r%69g@192.0.2.40;%6Cr;k%65y=%61b%2542>", _SDP_TYPE, body=SDP,
        ),
    ),
    TortureCase(
        "escnull", "3.1.1.4", "valid", "accept", _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("escnull"), "Call-ID: escnull-1@rig.example.org",
            "CSeq: 12 REGISTER", "From: <sip:a%00b@example.com>;tag=en", "To: <sip:a%00b@example.com>",
            "Max-Forwards: 41", "Contact: <sip:%00@192.0.2.40>", "Contact: <sip:%00%00@192.0.2.40>",
        ),
    ),
    TortureCase(
        "esc02", "3.1.1.5", "valid", "accept", _NOT_SERVED,
        _message(
            "%4FPTIONS sip:example.com SIP/2.0", _via("esc02"), "Call-ID: esc02-1@rig.example.org",
            "CSeq: 12 %4FPTIONS", 'From: "%Q%41" <sip:rig@example.org>;tag=e2', 'To: "%Q%41" <sip:desk@example.com>',
            "Max-Forwards: 41", "Contact: <sip:one@192.0.2.40>", "%43ontact: <sip:two@192.0.2.40>",
            "Contact: <sip:three@192.0.2.40>",
        ),
    ),
    TortureCase(
        "lwsdisp", "3.1.1.6", "valid", "accept", frozenset({200, 401, 403, 404, 405}),
        _message(
            "OPTIONS sip:desk@example.com SIP/2.0", _via("lwsdisp"), "Call-ID: lwsdisp-1@rig.example.org",
            "CSeq: 2 OPTIONS", "From: rig<sip:rig@example.org>;tag=ld", "To: desk<sip:desk@example.com>",
            "Max-Forwards: 41",
        ),
    ),
    TortureCase(
        "longreq", "3.1.1.7", "valid", "accept", _ROUTED,
        _message(
            "INVITE sip:desk@example.com SIP/2.0",
            f'To: "Somebody with a {_LONG} name"<sip:desk@example.com;{_LONG}={_LONG};{_LONG}2>',
            f"F: sip:{_LONG}@example.org;tag={_LONG}{_LONG};{_LONG}name={_LONG};{_LONG}bare",
            f"Call-ID: {_LONG}@rig", "CSeq: 4040 INVITE",
            f"Unheard-Of-{_LONG}: {_LONG}; {_LONG} = {_LONG}",
            *(
                f"{['Via', 'v', 'V', 'VIA', 'via', 'vIa'][hop % 6]}{' ' * (hop % 3)}: SIP/2.0/TCP hop{hop}.example.org"
                for hop in range(33)
            ),
            f"Via: SIP/2.0/UDP rig.example.org;received=192.0.2.40;branch={_LONG}{_LONG}",
            "Max-Forwards: 41", f"Contact: <sip:{_LONG}@192.0.2.40>", _SDP_TYPE, body=SDP, length="l: {}",
        ),
    ),
    TortureCase(
        "dblreq", "3.1.1.8", "valid", "accept", _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("dblreq"), *_usual("REGISTER", "dblreq"),
            "Contact: sip:rig@192.0.2.40",
        )
        + b"\r\n"
        + _message("INVITE sip:other@example.com SIP/2.0", _via("dblreq2"), *_usual("INVITE", "dblreq2"), _CONTACT),
        why="the second message lies behind Content-Length 0 and is never seen",
    ),
    TortureCase(
        "semiuri", "3.1.1.9", "valid", "accept", frozenset({200, 404}),
        _message(
            "OPTIONS sip:desk;floor=2%40house@example.com SIP/2.0", _via("semiuri"), *_usual("OPTIONS", "semiuri"),
            "Accept: application/sdp,", "\tmultipart/mixed, message/sip,", "\t message/sipfrag",
        ),
    ),
    TortureCase(
        "transports", "3.1.1.10", "valid", "accept", frozenset({200, 404}),
        _message(
            "OPTIONS sip:desk@example.com SIP/2.0", _via("transports"),
            *(f"Via: SIP/2.0/{t} {t.lower()}.example.org;branch=z9hG4bKt{t}" for t in ("SCTP", "TLS", "PIGEON", "TCP")),
            *_usual("OPTIONS", "transports"),
        ),
    ),
    TortureCase(
        "mpart01", "3.1.1.11", "valid", "accept", _NOT_SERVED | {200, 415},
        _message(
            "MESSAGE sip:desk@example.com SIP/2.0", _via("mpart01"), *_usual("MESSAGE", "mpart01"),
            "Content-Type: multipart/mixed;boundary=cut-here", "Content-Transfer-Encoding: binary", body=_PARTS,
        ),
    ),
    TortureCase(
        "unreason", "3.1.1.12", "valid", "accept", frozenset(),
        _message(
            "SIP/2.0 200 = (4+4)*4 так и есть", _via("unreason"), *_usual("INVITE", "unreason", to_tag=";tag=u"),
            _CONTACT, _SDP_TYPE, body=SDP,
        ),
        silence=True,
    ),
    TortureCase(
        "noreason", "3.1.1.13", "valid", "accept", frozenset(),
        _message("SIP/2.0 100 ", _via("noreason"), *_usual("INVITE", "noreason")),
        silence=True,
    ),
)  # fmt: skip

_REFUSED = frozenset({400})


def _invite(name: str, *rows: str, uri: str = "sip:desk@example.com", **changes: str) -> bytes:
    """An INVITE with a description; `changes` replace rows by header name (`to`, `from_`, `via`, `start`)."""
    return _message(
        changes.get("start", f"INVITE {uri} SIP/2.0"),
        changes.get("via", _via(name)),
        f"Call-ID: {name}-7d10c4@rig.example.org",
        changes.get("cseq", "CSeq: 51 INVITE"),
        changes.get("from_", f"From: <sip:rig@example.org>;tag=f-{name}"),
        changes.get("to", "To: <sip:desk@example.com>"),
        "Max-Forwards: 41",
        changes.get("contact", _CONTACT),
        _SDP_TYPE,
        *rows,
        body=SDP,
        length=changes.get("length", "Content-Length: {}"),
    )


def _options(name: str, *rows: str, **changes: str) -> bytes:
    return _message(
        changes.get("start", "OPTIONS sip:desk@example.com SIP/2.0"),
        changes.get("via", _via(name)),
        f"Call-ID: {name}-7d10c4@rig.example.org",
        changes.get("cseq", "CSeq: 51 OPTIONS"),
        changes.get("from_", f"From: <sip:rig@example.org>;tag=f-{name}"),
        changes.get("to", "To: <sip:desk@example.com>"),
        changes.get("forwards", "Max-Forwards: 41"),
        *rows,
    )


INVALID = (
    TortureCase(
        "badinv01", "3.1.2.1", "invalid", "reject", _REFUSED,
        _invite("badinv01", via="Via: SIP/2.0/UDP 192.0.2.40;;,;", contact="Contact: <sip:rig@192.0.2.40>;;;"),
    ),
    TortureCase("clerr", "3.1.2.2", "invalid", "reject", _REFUSED, _invite("clerr", length="Content-Length: 7777")),
    TortureCase("ncl", "3.1.2.3", "invalid", "reject", _REFUSED, _invite("ncl", length="Content-Length: -42")),
    TortureCase(
        "scalar02", "3.1.2.4", "invalid", "reject", _REFUSED,
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("scalar02"), "Call-ID: scalar02-1@rig.example.org",
            f"CSeq: {2**70} REGISTER", "From: <sip:rig@example.com>;tag=s2", "To: <sip:rig@example.com>",
            "Max-Forwards: 400", f"Expires: {10**80}", f"Contact: <sip:rig@192.0.2.40>;expires={10**15}",
        ),
    ),
    TortureCase(
        "scalarlg", "3.1.2.5", "invalid", "reject", frozenset(),
        _message(
            "SIP/2.0 503 Service Unavailable", _via("scalarlg"), "Call-ID: scalarlg-1@rig.example.org",
            f"CSeq: {2**80} INVITE", "From: <sip:rig@example.org>;tag=sl", "To: <sip:desk@example.com>;tag=x",
            f"Retry-After: {10**30}", 'Warning: 4096 rig "too many digits"',
        ),
        silence=True,
    ),
    TortureCase(
        "quotbal", "3.1.2.6", "invalid", "reject", _REFUSED,
        _invite("quotbal", to='To: "Front Desk <sip:desk@example.com>'),
    ),
    TortureCase(
        "ltgtruri", "3.1.2.7", "invalid", "either", _REFUSED | _ROUTED,
        _invite("ltgtruri", uri="<sip:desk@example.com>"),
    ),
    TortureCase(
        "lwsruri", "3.1.2.8", "invalid", "reject", frozenset({400, 481}),
        _invite("lwsruri", uri="sip:desk@example.com; lr", to="To: <sip:desk@example.com>;tag=none"),
    ),
    TortureCase(
        "lwsstart", "3.1.2.9", "invalid", "either", _REFUSED | _ROUTED,
        _invite("lwsstart", start="INVITE   sip:desk@example.com  SIP/2.0"),
    ),
    TortureCase(
        "trws", "3.1.2.10", "invalid", "either", frozenset({400, 200, 404}),
        _options("trws", start="OPTIONS sip:desk@example.com SIP/2.0   "),
    ),
    TortureCase(
        "escruri", "3.1.2.11", "invalid", "either", _REFUSED | _ROUTED,
        _invite("escruri", uri="sip:desk@example.com?Route=%3Csip:thief.example%3Blr%3E"),
    ),
    TortureCase(
        "baddate", "3.1.2.12", "invalid", "either", _REFUSED | _ROUTED,
        _invite("baddate", "Date: Sun, 22 Nov 2026 09:00:00 CET"),
    ),
    TortureCase(
        "regbadct", "3.1.2.13", "invalid", "either", _REFUSED | _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("regbadct"), *_usual("REGISTER", "regbadct"),
            "Contact: sip:rig@192.0.2.40?Route=%3Csip:thief.example%3E",
        ),
    ),
    TortureCase(
        "badaspec", "3.1.2.14", "invalid", "either", frozenset({400, 200, 404}),
        _options("badaspec", to='To: "Desk, Front" < sip:desk@example.com >'),
    ),
    TortureCase(
        "baddn", "3.1.2.15", "invalid", "either", frozenset({400, 200, 404}),
        _options(
            "baddn", to="To: Desk, Front <sip:desk@example.com>", from_="From: Rig, Test <sip:rig@example.org>;tag=b",
        ),
    ),
    TortureCase(
        "badvers", "3.1.2.16", "invalid", "reject", frozenset({505}),
        _options(
            "badvers", start="OPTIONS sip:desk@example.com SIP/9.1", via="Via: SIP/9.1/UDP 192.0.2.40;branch=z9hG4bKbv",
        ),
    ),
    TortureCase("mismatch01", "3.1.2.17", "invalid", "reject", _REFUSED, _options("mismatch01", cseq="CSeq: 51 BYE")),
    TortureCase(
        "mismatch02", "3.1.2.18", "invalid", "reject", frozenset({501, 400}),
        _options("mismatch02", start="INVENTED sip:desk@example.com SIP/2.0", cseq="CSeq: 51 INVITE"),
    ),
    TortureCase(
        "bigcode", "3.1.2.19", "invalid", "reject", frozenset(),
        _message(f"SIP/2.0 {2**32 + 200} wraps to OK", _via("bigcode"), *_usual("INVITE", "bigcode", to_tag=";tag=b")),
        silence=True,
    ),
)  # fmt: skip

SEMANTIC = (
    TortureCase(
        "badbranch", "3.2.1", "semantic", "accept", frozenset({400, 200, 404}),
        _options("badbranch", via="Via: SIP/2.0/UDP 192.0.2.40;branch=z9hG4bK"),
    ),
    TortureCase(
        "insuf", "3.3.1", "semantic", "accept", _REFUSED,
        _message("INVITE sip:desk@example.com SIP/2.0", _via("insuf"), "CSeq: 88 INVITE", _SDP_TYPE, body=SDP),
        silence=True,
    ),
    TortureCase(
        "unkscm", "3.3.2", "semantic", "accept", frozenset({416}),
        _options("unkscm", start="OPTIONS whatever.this+is:only-the-owner-knows SIP/2.0"),
    ),
    TortureCase(
        "novelsc", "3.3.3", "semantic", "accept", frozenset({416}),
        _options("novelsc", start="OPTIONS ftp://192.0.2.99:2121/desk SIP/2.0"),
    ),
    TortureCase(
        "unksm2", "3.3.4", "semantic", "accept", _REFUSED | {403, 404, 405, 501},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("unksm2"), "Call-ID: unksm2-1@rig.example.org",
            "CSeq: 9 REGISTER", "From: <https://rig.example.org/>;tag=u2", "To: urn:example:desk", "Max-Forwards: 41",
            "Contact: <person:Rig_One>",
        ),
    ),
    TortureCase(
        "bext01", "3.3.5", "semantic", "accept", frozenset({420}),
        _options("bext01", "Require: neverBuilt, neverPlanned", "Proxy-Require: onlyForProxies"),
    ),
    TortureCase(
        "invut", "3.3.6", "semantic", "accept", frozenset({415}),
        _message(
            "INVITE sip:desk@example.com SIP/2.0", _via("invut"), *_usual("INVITE", "invut"), _CONTACT,
            "Content-Type: application/x-unseen", body=b"<call><codec name='x'/></call>\r\n",
        ),
    ),
    TortureCase(
        "regaut01", "3.3.7", "semantic", "accept", _NOT_SERVED | {401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("regaut01"), *_usual("REGISTER", "regaut01"),
            "Authorization: HandshakeOfTheFuture secret=none", length="Content-Length:{}",
        ),
    ),
    TortureCase(
        "multi01", "3.3.8", "semantic", "accept", _REFUSED,
        _invite(
            "multi01", "CSeq: 52 INVITE", "Call-ID: multi01-other@rig.example.org", "To: <sip:second@example.com>",
            "From: <sip:second@example.org>;tag=m2", "Max-Forwards: 3", "Contact: <sip:second@192.0.2.40>",
        ),
    ),
    TortureCase(
        "mcl01", "3.3.9", "semantic", "accept", _REFUSED,
        _message(
            "OPTIONS sip:desk@example.com SIP/2.0", _via("mcl01"), *_usual("OPTIONS", "mcl01"), "Content-Length: 9",
            "Content-Type: text/plain", "Content-Length: 21", body=b"which of the two lengths holds?", length=None,
        ),
    ),
    TortureCase(
        "bcast", "3.3.10", "semantic", "accept", frozenset(),
        _message(
            "SIP/2.0 200 OK", _via("bcast"), "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKall",
            *_usual("INVITE", "bcast", to_tag=";tag=bc"), _CONTACT, _SDP_TYPE, body=SDP,
        ),
        silence=True,
    ),
    TortureCase(
        "zeromf", "3.3.11", "semantic", "accept", frozenset({200, 404}), _options("zeromf", forwards="Max-Forwards: 0")
    ),
    TortureCase(
        "cparam01", "3.3.12", "semantic", "accept", _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("cparam01"), *_usual("REGISTER", "cparam01"),
            "Contact: sip:+15550100@192.0.2.40;belongstoheader",
        ),
    ),
    TortureCase(
        "cparam02", "3.3.13", "semantic", "accept", _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("cparam02"), *_usual("REGISTER", "cparam02"),
            "Contact: <sip:+15550100@192.0.2.40;belongstouri>",
        ),
    ),
    TortureCase(
        "regescrt", "3.3.14", "semantic", "accept", _NOT_SERVED | {200, 401, 403, 404},
        _message(
            "REGISTER sip:example.com SIP/2.0", _via("regescrt"), *_usual("REGISTER", "regescrt"),
            "m: <sip:rig@192.0.2.40?Route=%3Csip:thief.example%3E>", length="L:{}",
        ),
    ),
    TortureCase(
        "sdp01", "3.3.15", "semantic", "accept", frozenset({406, 400}), _invite("sdp01", "Accept: text/x-poetry")
    ),
    TortureCase(
        "inv2543", "3.4.1", "semantic", "accept", _ROUTED | {400},
        _message(
            "INVITE sip:desk@example.com SIP/2.0", "Via: SIP/2.0/UDP old.example.org",
            "From: <sip:+15550101@example.org>",
            "Record-Route: <sip:desk@example.com;maddr=edge.example.com>", "To: sip:desk@example.com;user=phone",
            "Call-ID: inv2543-1@old.example.org", "CSeq: 5 INVITE", _SDP_TYPE, body=SDP, length=None,
        ),
    ),
)  # fmt: skip

CASES = VALID + INVALID + SEMANTIC
BY_NAME = {case.name: case for case in CASES}
