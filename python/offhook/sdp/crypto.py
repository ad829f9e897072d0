"""Keys of encrypted media in offer and answer: `a=crypto` (RFC 4568), also on RTP/AVP (RFC 8643).

The gateway takes exactly one line of an offer and answers with the same tag and a key of its own. Nothing here is
random: our keys are handed in as `FreshKeys`. What is not done is refused by name: a master key identifier (MKI), more
than one key in a line, a key derivation rate, and every session parameter that would weaken the stream.

A key in SDP is as secret as the signalling that carries it: over TLS, or on a network that is trusted.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from offhook.errors import LocalProtocolError
from offhook.sdp.description import Attribute, MediaDescription

Policy = Literal["off", "optional", "required"]
"""What a trunk wants of its media: in the clear, encrypted where the peer offers it, or encrypted and nothing else."""

SUITES = {
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
"""The suites that the media core speaks, the one we prefer first, and the bytes of each one's key with its salt.

Galois/counter mode goes first, then long tags before short ones, then long keys before short ones (RFC 4568 section
6.2, RFC 6188, RFC 7714)."""

PLAIN = ("RTP/AVP", "RTP/AVPF")
SECURE = ("RTP/SAVP", "RTP/SAVPF")

RANDOM_BYTES = sum(SUITES.values())
"""What `FreshKeys` needs."""

MAX_LINES = 64
"""Lines of `a=crypto` that are read of one m= line; more are as if they were not there."""

Refusal = Literal["srtp_required", "srtp_not_supported", "no_common_crypto"]
"""Why a line was refused; each is the slug of an end reason too."""

_READABLE = re.compile(r"[ \t!-~]+")
_TAG = re.compile(r"[0-9]{1,9}")
_SUITE = re.compile(r"[A-Z0-9]{1,16}_[A-Z0-9_]{1,48}")
_KEY = re.compile(
    r"inline:([A-Za-z0-9+/]{1,128})={0,2}(?:\|([0-9^]{1,16}))?(?:\|([0-9]{1,16}:[0-9]{1,4}))?", re.IGNORECASE
)
_PARAMETERS = ("KDR", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "FEC_ORDER", "FEC_KEY", "WSH")
_LIFETIME = re.compile(r"(2\^)?([0-9]{1,15})")
_LONGEST_LIFETIME = 2**48
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class FreshKeys:
    """Our keys for one offer or answer: a different one for each suite, cut from `random` (`RANDOM_BYTES` of it)."""

    random: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.random) != RANDOM_BYTES:
            raise LocalProtocolError(f"keys are made of {RANDOM_BYTES} random bytes, not of {len(self.random)}")

    def of(self, suite: str) -> bytes:
        """Key and salt for a suite of `SUITES`."""
        names = list(SUITES)
        start = sum(SUITES[name] for name in names[: names.index(suite)])
        return self.random[start : start + SUITES[suite]]


@dataclass(frozen=True, slots=True)
class CryptoKeys:
    """What both sides agreed on: the suite, and of each direction the master key with its salt."""

    suite: str
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CryptoLine:
    """One usable `a=crypto`: its tag, and the suite and key with which its writer sends."""

    tag: str
    suite: str
    key: bytes = field(repr=False)

    @property
    def attribute(self) -> Attribute:
        """The line as SDP has it, without a lifetime: that means the longest there is (RFC 4568 section 6.1)."""
        return Attribute("crypto", f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}")


@dataclass(frozen=True, slots=True)
class Plain:
    """The media goes in the clear. `note` says why keys that were offered are not used; empty if there were none."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The media is encrypted. `attribute` is the line of our answer."""

    keys: CryptoKeys
    attribute: Attribute
    note: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The line can't be taken."""

    refusal: Refusal
    note: str


Judgement: TypeAlias = Plain | Encrypted | Refused


def judge(
    line: MediaDescription, policy: Policy, fresh: FreshKeys, standing: CryptoKeys | None = None, *, moved: bool = False
) -> Judgement:
    """Say what becomes of an offered audio line on RTP/AVP or RTP/SAVP.

    `standing` are the keys in use: an offer that repeats the peer's keeps both, with the state behind them. Any other
    gets a new key of ours too, and so does every offer if our port has `moved` (RFC 4568 section 7.1.4).
    """
    secure = line.protocol in SECURE
    if not secure and line.protocol not in PLAIN:
        return _otherwise_secured(line, policy)
    if policy == "off":
        return _without_keys(line)
    found = _read(line)
    for offered in found.lines:
        if standing is not None and (offered.suite, offered.key) == (standing.suite, standing.receive) and not moved:
            ours = CryptoLine(offered.tag, offered.suite, standing.send)
            return Encrypted(standing, ours.attribute, f"encrypted with {offered.suite}, the keys in use go on")
    if found.lines:
        order = list(SUITES)
        best = min(found.lines, key=lambda offered: order.index(offered.suite))
        ours = CryptoLine(best.tag, best.suite, fresh.of(best.suite))
        keys = CryptoKeys(best.suite, send=ours.key, receive=best.key)
        again = ", with new keys" if standing is not None else ""
        return Encrypted(keys, ours.attribute, f"encrypted with {best.suite} (crypto tag {best.tag}){again}")
    if secure:
        return Refused("no_common_crypto", f"it asks for encrypted media ({line.protocol}): {found.complaint}")
    if policy == "required":
        return Refused("srtp_required", f"this trunk takes encrypted media only: {found.complaint}")
    return Plain(f"the media is plain: {found.complaint}")


def offered(
    policy: Policy, fresh: FreshKeys, protocol: str | None = None, standing: CryptoKeys | None = None
) -> tuple[str, tuple[Attribute, ...]]:
    """The protocol and the `a=crypto` lines of an audio line that we offer, one for each suite.

    Or the one of the keys that are `standing`, which then go on (RFC 4568 section 7.1.4).

    `protocol` is that of the line on the running dialog, which stays. Without one, `required` says RTP/SAVP, and
    `optional` says RTP/AVP with keys, which a peer without encryption reads past (RFC 8643).
    """
    if policy == "off":
        return protocol or "RTP/AVP", ()
    if standing is not None:
        return protocol or "RTP/SAVP", (CryptoLine("1", standing.suite, standing.send).attribute,)
    lines = tuple(CryptoLine(str(tag), suite, fresh.of(suite)).attribute for tag, suite in enumerate(SUITES, start=1))
    return protocol or ("RTP/SAVP" if policy == "required" else "RTP/AVP"), lines


def accepted(ours: MediaDescription, theirs: MediaDescription, policy: Policy) -> Judgement:
    """Read the peer's answer to an audio line that `offered` wrote.

    It may say RTP/AVP to our RTP/SAVP, of which RFC 3264 says nothing. Who repeats a tag and a suite of our offer, with
    a key of its own, has agreed to that line all the same (RFC 4568 section 5.1): the media is encrypted then.
    """
    if theirs.protocol not in PLAIN and theirs.protocol not in SECURE:
        return _otherwise_secured(theirs, policy)
    if policy == "off":
        return _without_keys(theirs)
    found = _read(theirs)
    known = {line.tag: line for line in _read(ours).lines}
    for line in found.lines:
        chosen = known.get(line.tag)
        if chosen is None or chosen.suite != line.suite:
            continue
        if chosen.key == line.key:
            # With it, whatever we send could be sent back to us as the peer's.
            return Refused("no_common_crypto", "the peer answered with our own key")
        keys = CryptoKeys(line.suite, send=chosen.key, receive=line.key)
        note = f"encrypted with {line.suite} (crypto tag {line.tag})"
        if (theirs.protocol in SECURE) != (ours.protocol in SECURE):
            note += f", though the answer says {theirs.protocol} to our {ours.protocol}"
        return Encrypted(keys, chosen.attribute, note)
    complaint = "none of its a=crypto lines is one of our offer" if found.lines else found.complaint
    if theirs.protocol in SECURE:
        return Refused("no_common_crypto", f"the answer is {theirs.protocol}: {complaint}")
    if policy == "required":
        return Refused("srtp_required", f"this trunk takes encrypted media only: {complaint}")
    return Plain(f"the media is plain: {complaint}")


def _without_keys(line: MediaDescription) -> Judgement:
    if line.protocol in SECURE:
        return Refused("srtp_not_supported", f"it asks for encrypted media ({line.protocol}), off on this trunk")
    if line.attribute("crypto") is not None or line.attribute("fingerprint") is not None:
        return Plain(f"keys offered on {line.protocol} not taken: the media is plain")
    return Plain()


def _otherwise_secured(line: MediaDescription, policy: Policy) -> Refused:
    note = f"it asks for media encrypted by {line.protocol}, which this gateway cannot do"
    return Refused("srtp_not_supported" if policy == "off" else "no_common_crypto", note)


@dataclass(frozen=True, slots=True)
class _Found:
    """The usable lines of a description, and in words what was wrong with the others."""

    lines: tuple[CryptoLine, ...]
    complaint: str


def _read(line: MediaDescription) -> _Found:
    usable: dict[str, CryptoLine] = {}
    complaints: list[str] = []
    texts = [attribute.value or "" for attribute in line.attributes if attribute.name == "crypto"]
    for text in texts[:MAX_LINES]:
        match _line(text):
            case CryptoLine() as good:
                # A tag names one line; a second of the same tag could not be told apart in the answer.
                usable.setdefault(good.tag, good)
            case str(complaint):
                complaints.append(complaint)
    if len(complaints) > _MOST_TOLD:
        complaints[_MOST_TOLD:] = [f"and {len(complaints) - _MOST_TOLD} more"]
    if not texts and line.attribute("fingerprint") is not None:
        complaints = ["it offers keys by DTLS only, which is not spoken here"]
    return _Found(tuple(usable.values()), "; ".join(complaints) or "it has no a=crypto line")


def _line(text: str) -> CryptoLine | str:
    """Read the value of an `a=crypto` (RFC 4568 section 9.1); in words why it can't be used, without the key."""
    fields = text.split() if _READABLE.fullmatch(text) else []
    if len(fields) < 3 or not _TAG.fullmatch(fields[0]):
        return "an a=crypto line that can't be read"
    tag, suite, key, *parameters = fields
    what = f"a=crypto:{tag}"
    if suite not in SUITES:
        # What stands in its place in a broken line may be the key.
        named = f"the suite {suite}" if _SUITE.fullmatch(suite) else "a suite that can't be read"
        return f"{what} has {named}, which is not spoken here"
    if ";" in key:
        return f"{what} has more than one key, which is not done here"
    words = _KEY.fullmatch(key)
    if words is None:
        return f"{what} has a key that can't be read"
    if words[3] is not None:
        return f"{what} has a master key identifier (MKI), which is not done here"
    if words[2] is not None and not _is_lifetime(words[2]):
        return f"{what} has a lifetime that is none"
    material = _decoded(words[1])
    if material is None or len(material) != SUITES[suite]:
        return f"{what} has a key that is not {SUITES[suite]} bytes long"
    for unfit in _unfit(parameters):
        return f"{what} asks for {unfit}, which is not done here"
    return CryptoLine(tag, suite, material)


def _decoded(text: str) -> bytes | None:
    """Base64 whether or not its padding was left out."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def _is_lifetime(text: str) -> bool:
    """How many packets the key is good for (RFC 4568 section 6.1). Whoever wrote it has to change it in time."""
    words = _LIFETIME.fullmatch(text)
    if words is None:
        return False
    number = int(words[2])
    if words[1]:
        return number <= 48
    return 0 < number <= _LONGEST_LIFETIME


def _unfit(parameters: list[str]) -> Iterator[str]:
    """The session parameters (RFC 4568 section 6.3) that forbid a line.

    A window size is a hint, and `-` marks what may be ignored.
    """
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if parameter.startswith("-") or (name.upper() == "WSH" and value.isascii() and value.isdecimal()):
            continue
        if name.upper() == "KDR" and value == "0":
            continue
        # What is none of these may be the end of a key that was torn in two.
        yield name.upper() if name.upper() in _PARAMETERS else "a session parameter"
