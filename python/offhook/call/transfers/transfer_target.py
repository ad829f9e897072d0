"""Where a call is transferred to: what the agent wrote, as the caller's side is to read it, or why it may not go there.

An agent can be talked into dialling, so the trunk decides (`route/dialling.py`). What is sent can be read in one way:
numbers leave as E.164, and a URI with anything in it that leads elsewhere than it looks is no target.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.route.dialling import judge_target
from offhook.route.number import read_number
from offhook.route.pattern import Pattern
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk
from offhook.sip.effects import Source
from offhook.sip.uri import SipUri, TelUri, UriParams, parse_uri

MAX_TARGET = 256
"""Characters of a target."""

_EXTENSION = re.compile(r"[0-9A-Za-z*#_.+-]{1,64}")
# Phone systems count their extensions with fewer digits; what has more is a number that lacks its country.
_LONGEST_EXTENSION = 7
_SCHEMES = ("sip", "sips", "tel")
# Letters and digits, and the unreserved marks of RFC 3261 section 25.1 that no phone system gives a meaning.
_USER = re.compile(r"[\w.!~*'#+-]{1,128}")
# RFC 3261 section 19.1.1 and RFC 5627. All others may lead elsewhere than the host says, as maddr and tgrp do.
_PARAMS = {
    "transport": re.compile(r"udp|tcp|tls|sctp|ws|wss", re.IGNORECASE),
    "user": re.compile(r"phone|ip", re.IGNORECASE),
    "gr": re.compile(r"[\w.:+-]{0,128}", re.ASCII),
}
# RFC 3966. The rest routes, as rn and cic do (RFC 4694).
_TEL_PARAMS = {
    "ext": re.compile(r"[0-9.()-]{1,20}"),
    "isub": re.compile(r"[0-9]{1,20}"),
    "phone-context": re.compile(r"\+[0-9.()-]{1,20}|[A-Za-z0-9][A-Za-z0-9.-]{0,252}"),
}
_VISUAL = re.compile(r"[-.()]")
_EVERYTHING = (Pattern("*"),)
_WRITE = "write tel:+14155550100 or sip:desk@example.com"


@dataclass(frozen=True, slots=True)
class Target:
    """A place to transfer to: the URI for Refer-To, and what it is called in records, such as `+14155550100`."""

    uri: SipUri | TelUri
    name: str

    @property
    def has_room(self) -> bool:
        """Whether call data for the target can travel in its URI."""
        return isinstance(self.uri, SipUri)

    def refer_to(self, user_to_user: str | None = None) -> str:
        """The value of Refer-To. Call data for the target (RFC 7433) stands in the URI, escaped; `tel:` has no room."""
        uri = self.uri
        if user_to_user is not None and isinstance(uri, SipUri):
            uri = SipUri(uri.host, uri.port, uri.user, None, uri.params, (("User-to-User", user_to_user),), uri.scheme)
        return f"<{uri}>"


@dataclass(frozen=True, slots=True)
class NoTarget:
    """Why nothing can be transferred there, and what to change; `rule` is the gate's, or `target` of what is none."""

    why: str
    hint: str = ""
    rule: str = "target"


def read_target(text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    """Read `tel:+…`, `sip:…`, a number by the trunk's country, or an extension of the caller's phone system.

    `peer` is the caller's own Contact: whose extensions are meant. Numbers become `tel:` URIs, or with the trunk's
    `transfer_domain` SIP ones of that host.
    """
    text = text.strip(" ")
    shown = printable(text[:80])
    if not text or len(text) > MAX_TARGET:
        return NoTarget(f"a target has 1 to {MAX_TARGET} characters", _WRITE)
    try:
        return _read(text, trunk, peer)
    except (RemoteProtocolError, LocalProtocolError) as error:
        return NoTarget(f"'{shown}' is no target: {error}", _WRITE)


def phone_system(trunk: Trunk, peer: SipUri, source: Source) -> SipUri:
    """Whose extensions those of a caller are: the `peer`'s, or ours for a phone that registers with us."""
    if not trunk.phones:
        return peer
    host, port = source.local
    by = UriParams() if source.transport == "udp" else UriParams({"transport": source.transport})
    return SipUri(host, port, params=by)


def read_referred(uri: SipUri | TelUri, trunk: Trunk, peer: SipUri, source: Source) -> Target | NoTarget:
    """Read where a trunk's REFER wants us to call, by its `refer_to`: a number, or an extension of its own.

    `peer` is its Contact, `source` where its signalling came from. Our call goes to the trunk's `host` whatever the URI
    says, so one of any other host than those three, or our own address, is none that could be called.
    """
    text = str(uri)
    if isinstance(uri, SipUri):
        own = {host.lower() for host in (trunk.host, peer.host, trunk.transfer_domain, trunk.domain) if host}
        if uri.host.lower() not in own | {source.remote[0], source.local[0]}:
            why = f"'{printable(uri.host)}' is no host of trunk '{trunk.name}'"
            return NoTarget(
                why, "calls go on by the trunk that referred: its `host`, or the address that it calls from"
            )
        checked = _sip(uri, replace(trunk, transfer_to=_EVERYTHING, emergency_to=_EVERYTHING, premium_to=_EVERYTHING))
        if isinstance(checked, NoTarget):
            return checked
        text = uri.user or ""
    judged = read_target(text, replace(trunk, transfer_to=trunk.refer_to, transfer_domain=None), peer)
    if isinstance(judged, NoTarget):
        return replace(judged, hint=judged.hint.replace("`transfer_to`", "`refer_to`"))
    if ":" in judged.name or (isinstance(judged.uri, TelUri) and len(judged.uri.params)):
        return NoTarget(
            f"'{printable(judged.name)}' is no number or extension that trunk '{trunk.name}' could be given"
        )
    return judged


def _read(text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    scheme, colon, _ = text.partition(":")
    if colon and scheme.lower() not in _SCHEMES:
        why = f"'{printable(text[:80])}' is no target: calls go to sip:, sips: and tel: alone"
        return NoTarget(why, _WRITE)
    if not colon:
        return _number(text, text, trunk, peer)
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        return _tel(uri, text, trunk, peer)
    assert isinstance(uri, SipUri), "by its scheme"
    return _sip(uri, trunk)


def _tel(uri: TelUri, text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    if (odd := _odd_param(uri.params, _TEL_PARAMS)) is not None:
        return NoTarget(f"the parameter '{printable(odd)}' of a number may lead elsewhere, and is not taken", _WRITE)
    context = uri.phone_context or ""
    if uri.is_global and "phone-context" in uri.params:
        return NoTarget("a number with + has no phone-context (RFC 3966 section 5.1.5)", _WRITE)
    if context and not context.startswith("+"):
        # A number of that domain's phone system.
        name = f"sip:{uri.number}@{context.lower()}"
        return _allowed(Target(TelUri(uri.number, uri.params), name), uri.number, trunk)
    # A local number is completed by a prefix, and is one of the world's then (RFC 3966 section 5.1.5).
    found = _number(_VISUAL.sub("", context) + uri.number, text, trunk, peer)
    behind = UriParams((name, value) for name, value in uri.params if name.lower() != "phone-context")
    if not len(behind) or isinstance(found, NoTarget):
        return found
    if isinstance(found.uri, TelUri):
        return Target(TelUri(found.uri.number, behind), found.name)
    return NoTarget("an extension behind a number has no place in a SIP URI", "leave ;ext and ;isub out")


def _sip(uri: SipUri, trunk: Trunk) -> Target | NoTarget:
    if uri.headers or uri.password is not None:
        return NoTarget("a target has no headers or password in it", "give headers as headers of the transfer")
    if (odd := _odd_param(uri.params, _PARAMS)) is not None:
        why = f"the parameter '{printable(odd)}' of a target may lead elsewhere than its host says, and is not taken"
        return NoTarget(why, "leave it out; a target may have transport, user=phone and gr")
    if uri.user is not None and _USER.fullmatch(uri.user) is None:
        why = f"the user '{printable(uri.user)}' of the target is no name or number"
        return NoTarget(why, "write letters, digits and marks, such as sip:desk@example.com")
    user = f"{uri.user}@" if uri.user is not None else ""
    # Built anew, so that nobody undoes escapes of which we don't know.
    plain = SipUri(uri.host, uri.port, uri.user, None, uri.params, (), uri.scheme)
    return _allowed(Target(plain, f"{uri.scheme}:{user}{uri.host.lower()}"), uri.user or "", trunk)


def _number(text: str, given: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    """What is dialled as `text`: a number of the world's, or an extension. `given` is what the agent wrote."""
    number = read_number(text, trunk.country)
    if number.e164 is not None:
        return _allowed(_e164(number.e164, trunk), text, trunk)
    shown = printable(given)
    if "@" in text:
        return NoTarget(f"'{shown}' has no scheme", f"write sip:{shown}")
    if _EXTENSION.fullmatch(text) is None:
        return NoTarget(f"'{shown}' is neither a number nor an extension", "write tel:+14155550100")
    if text.startswith("+") or sum(character.isdigit() for character in text) > _LONGEST_EXTENSION:
        return NoTarget(
            f"'{shown}' can't be read as a number of the world",
            f"write it with + and the country's code, or set `country` of trunk '{trunk.name}'",
        )
    # What is no number of the world's is one of the caller's own phone system.
    host, port = (trunk.transfer_domain, None) if trunk.transfer_domain else (peer.host, peer.port)
    return _allowed(Target(SipUri(host, port, text), text), text, trunk)


def _e164(number: str, trunk: Trunk) -> Target:
    if trunk.transfer_domain is None:
        return Target(TelUri(number), number)
    return Target(SipUri(trunk.transfer_domain, None, number, None, UriParams({"user": "phone"})), number)


def _allowed(target: Target, dialled: str, trunk: Trunk) -> Target | NoTarget:
    against = judge_target(target.name, dialled, trunk, trunk.transfer_to, "transfer_to")
    return target if against is None else NoTarget(against.why, against.hint, against.rule)


def _odd_param(params: UriParams, known: Mapping[str, re.Pattern[str]]) -> str | None:
    """The first parameter that is not known, stands there twice or has a value that makes no sense."""
    for name, value in params:
        fits = known.get(name.lower())
        if fits is None or fits.fullmatch(value or "") is None or params.count(name) > 1:
            return name
    return None
