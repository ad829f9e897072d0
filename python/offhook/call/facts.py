"""What is read of an INVITE about its caller: for the routes, for the agent and for the record."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from offhook.call.trace import host_port
from offhook.destination.dialect.facts import (
    MAX_HEADERS,
    AgentFacts,
    CallerIdentity,
    Diversion,
    EndCause,
    IdentityClaim,
    IdentitySource,
    UserData,
    plain,
)
from offhook.observe.printable import printable
from offhook.route.number import read_number
from offhook.route.pattern import names_fit
from offhook.route.table import CallFacts
from offhook.route.trunk import Trunk
from offhook.sip.calling_party import CallingParty, Claim, calling_party
from offhook.sip.diverted import diversions
from offhook.sip.headers import NameAddr, UserToUser
from offhook.sip.message import Request, Response
from offhook.sip.readable import readable
from offhook.sip.uri import SipUri, user_of

MAX_USER_TO_USER = 8
"""Values of User-to-User that an agent is told."""

_LONGEST_NAME = 128
_LONGEST_CAUSE = 128

_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})

_WHO_CALLS = frozenset({
    "from", "contact", "reply-to", "p-asserted-identity", "p-preferred-identity", "remote-party-id", "p-charge-info",
    "identity", "referred-by",
})  # fmt: skip
"""Headers that would give away a caller who is withheld."""

_SOURCES: dict[str, IdentitySource] = {"P-Asserted-Identity": "asserted", "Remote-Party-ID": "remote_party"}


def caller_of(request: Request, trunk: Trunk, user: str | None = None) -> CallingParty:
    """Who calls, as far as the trunk is believed. A broken From raises `RemoteProtocolError`.

    `user` is who has proven to call by digest. Of a phone that is its user name, whatever it writes into From, which
    then is one of its claims.
    """
    party = calling_party(request, trusted=trunk.trust_identity)
    if user is None or trunk.phone(user) is None or user_of(party.claim.address.uri) == user:
        return party
    uri = request.from_.uri
    host = uri.host if isinstance(uri, SipUri) else ""
    proven = Claim("From", NameAddr(SipUri(host or "unknown.invalid", None, user)))
    return replace(party, claim=proven, is_asserted=False, is_withheld=False)


def facts_of(request: Request, trunk: Trunk, party: CallingParty | None = None) -> CallFacts:
    """What the routes may look at. Headers with a number in them are there as received, and by that number."""
    party = party or caller_of(request, trunk)
    caller = party.claim.address.uri
    numbers: list[tuple[str, str]] = [
        (claim.origin, _number(claim.address, trunk))
        for claim in party.claims
        if claim.origin != "From" and not party.is_withheld
    ]
    numbers += [(d.header, _number(d.address, trunk)) for d in diversions(request) if d.address is not None]
    return CallFacts.read(
        trunk,
        to_user=user_of(request.request_uri),
        from_user=user_of(caller),
        from_host=caller.host if isinstance(caller, SipUri) else "",
        withheld=party.is_withheld,
        headers=(*request.headers, *((name, number) for name, number in numbers if number)),
    )


def identity_of(party: CallingParty, trunk: Trunk) -> CallerIdentity:
    """Who calls, for the agent and the record: of a caller who is withheld, nothing but that."""
    claims = () if party.is_withheld else party.claims
    return CallerIdentity(
        source=_SOURCES.get(party.claim.origin, "from"),
        trusted=party.is_asserted,
        withheld=party.is_withheld,
        privacy=party.privacy,
        claims=tuple(
            IdentityClaim(claim.origin, _number(claim.address, trunk), _name(claim.address)) for claim in claims
        ),
    )


def diversions_of(request: Request, trunk: Trunk) -> tuple[Diversion, ...]:
    """Who was called before, the first number dialled first."""
    return tuple(
        Diversion(
            number=_number(one.address, trunk) if one.address is not None else "",
            name=_name(one.address) if one.address is not None else "",
            reason=one.reason,
            counter=one.counter,
            header=one.header,
        )
        for one in diversions(request)
    )


def user_data_of(request: Request) -> tuple[UserData, ...]:
    """What the caller's application sent along."""
    values = readable(request.headers, "User-to-User", UserToUser.parse, MAX_USER_TO_USER)
    return tuple(UserData(value.data.hex(), value.text, value.purpose, value.content) for value in values)


def causes_of(message: Request | Response) -> tuple[EndCause, ...]:
    """Why the peer ended the call, gave it up or refused it, in its own words (RFC 3326, RFC 6432)."""
    return tuple(
        EndCause(printable(reason.protocol)[:16], reason.cause, printable(reason.text)[:_LONGEST_CAUSE])
        for reason in message.reasons
    )


def claims_of(facts: AgentFacts, causes: Sequence[EndCause]) -> dict[str, Any]:
    """What the other side said of itself, for the record: only what it did say beyond From."""
    identity = facts.identity
    beyond = identity.withheld or identity.privacy or any(claim.header != "From" for claim in identity.claims)
    said = {
        "identity": identity if beyond else None,
        "diversions": facts.diversions or None,
        "causes": tuple(causes) or None,
    }
    return {name: plain(value) for name, value in said.items() if value is not None}


def headers_for_agent(
    request: Request, trunk: Trunk, *, passed: tuple[str, ...] | None = None, withheld: bool = False
) -> dict[str, str]:
    """The headers of the INVITE that route or trunk pass on, by their names as received; the first of a name counts.

    Credentials are never passed on, whatever the patterns say, nor what names a caller who is withheld.
    """
    patterns = trunk.pass_headers if passed is None else passed
    hidden = _CREDENTIALS | _WHO_CALLS if withheld else _CREDENTIALS
    found: dict[str, str] = {}
    for name, value in request.headers:
        if len(found) == MAX_HEADERS:
            break
        if name not in found and name.lower() not in hidden and names_fit(patterns, name):
            found[name] = value
    return found


def _number(address: NameAddr, trunk: Trunk) -> str:
    """The number, or the user, that an address names; for a SIP address of no user, its host."""
    uri = address.uri
    if isinstance(uri, SipUri) and uri.user is None:
        return host_port((uri.host, uri.port)) if uri.port else uri.host
    number = read_number(user_of(uri), trunk.country)
    return printable(number.canonical)[:_LONGEST_NAME]


def _name(address: NameAddr) -> str:
    return printable(address.display_name)[:_LONGEST_NAME]
