"""Who says that it calls: From, and what networks write beside it (RFC 3323, RFC 3325, Remote-Party-ID).

Nobody has proven any of it. What a trusted network asserts is worth more than what a caller writes of itself, so whom
to believe is asked of the one who knows the peer.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from offhook.errors import RemoteProtocolError
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.headers.privacy import Privacy
from offhook.sip.message import Request
from offhook.sip.readable import readable
from offhook.sip.uri import SipUri, user_of

Origin: TypeAlias = Literal["From", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"]

MAX_CLAIMS: Final = 6
"""Identities of one request that are kept. RFC 3325 section 9.1 allows two in P-Asserted-Identity."""

# RFC 3323's word, and others that carriers put there for the same.
_WITHHELD = frozenset({"anonymous", "restricted", "private", "withheld"})
_NUMBER = re.compile(r"\+?[0-9][0-9().\-]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """One identity: a name and an address as one header field has it."""

    origin: Origin
    address: NameAddr


@dataclass(frozen=True, slots=True)
class CallingParty:
    """Who calls, as a request says it.

    `claim` is the identity to go by, `is_asserted` whether a trusted network stands for it. `claims` are all that came.
    `is_withheld` is whether the one called must not learn any of them; `privacy` is what was asked for, in lower case.
    """

    claim: Claim
    is_asserted: bool
    is_withheld: bool
    claims: tuple[Claim, ...]
    privacy: tuple[str, ...] = ()

    @property
    def display_name(self) -> str:
        """The name of the identity gone by, else that of another claim of the same header; plain text."""
        names = [c.address.display_name for c in self.claims if c.origin == self.claim.origin]
        return self.claim.address.display_name or next(filter(None, names), "")


def calling_party(request: Request, *, trusted: bool) -> CallingParty:
    """Read who calls; `trusted` says whether the peer's assertions are believed. Only a broken From raises (400).

    A trusted P-Asserted-Identity goes before a trusted Remote-Party-ID that was screened, and that before From. Of two
    asserted identities the one that is a telephone number is taken. A wish for privacy counts whoever brings it.
    """
    from_ = Claim("From", request.from_)
    asserted = _claims(request, "P-Asserted-Identity")
    preferred = _claims(request, "P-Preferred-Identity")
    remote = [c for c in _claims(request, "Remote-Party-ID") if _param(c.address, "party", "calling") == "calling"]
    believed: list[Claim] = []
    if trusted:
        believed = asserted or [claim for claim in remote if _param(claim.address, "screen", "no") == "yes"]
    privacy = _privacy(request)
    waived = privacy is not None and privacy.waives
    withheld = (privacy is not None and privacy.withholds_caller) or any(_hides(claim.address) for claim in remote)
    if not waived and _is_anonymous(request.from_):
        withheld = True
    return CallingParty(
        claim=_telephone(believed) if believed else from_,
        is_asserted=bool(believed),
        is_withheld=withheld,
        claims=(from_, *asserted, *remote, *preferred)[:MAX_CLAIMS],
        privacy=privacy.values if privacy is not None else (),
    )


def _claims(request: Request, origin: Origin) -> list[Claim]:
    return [Claim(origin, address) for address in readable(request.headers, origin, NameAddr.parse, MAX_CLAIMS)]


def _telephone(claims: list[Claim]) -> Claim:
    numbers = (claim for claim in claims if _NUMBER.fullmatch(user_of(claim.address.uri).partition(";")[0]))
    return next(numbers, claims[0])


def _privacy(request: Request) -> Privacy | None:
    """All that Privacy asks for; a value that can't be read asks for everything, since somebody meant something."""
    values: list[str] = []
    for line in request.headers.get_all("Privacy")[:4]:
        try:
            values += Privacy.parse(line).values
        except RemoteProtocolError:
            values.append("id")
    return Privacy(tuple(dict.fromkeys(values))[:16]) if values else None


def _hides(address: NameAddr) -> bool:
    """Whether a Remote-Party-ID wants its address kept back; `name` wants that of the name alone, and gets it all."""
    return any(
        wish.strip() in ("full", "name", "uri", "ipaddr") for wish in _param(address, "privacy", "off").split("-")
    )


def _is_anonymous(address: NameAddr) -> bool:
    """RFC 3323 section 4.1.1.3: how a caller's own device withholds it."""
    user = user_of(address.uri).partition(";")[0].strip().lower()
    host = address.uri.host.lower() if isinstance(address.uri, SipUri) else ""
    return user in _WITHHELD or host.endswith("anonymous.invalid")


def _param(address: NameAddr, name: str, default: str) -> str:
    return (address.params.get(name) or default).lower()
