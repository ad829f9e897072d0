"""Where a call is transferred to: what the agent wrote, as the caller's side is to read it, or why it may not go there.

An agent can be talked into dialling, so the trunk decides: `transfer_to` lists where its calls may go. Numbers that may
cost a fortune (premium rate, satellites) must be named there; a mere `*` does not mean them.
"""

import re
from dataclasses import dataclass

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.route.number import is_costly, read_number
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk
from offhook.sip.uri import SipUri, TelUri, UriParams, parse_uri

MAX_TARGET = 256
"""Characters of a target."""

_EXTENSION = re.compile(r"[0-9A-Za-z*#_.+-]{1,64}")
# Phone systems count their extensions with fewer digits; what has more is a number that lacks its country.
_LONGEST_EXTENSION = 7
_ABROAD = ("00", "011")
_SCHEMES = ("sip", "sips", "tel")


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
    """Why nothing can be transferred there, and what to change."""

    why: str
    hint: str = ""


def read_target(text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    """Read `tel:+…`, `sip:…`, a number by the trunk's country, or an extension of the caller's phone system.

    `peer` is the caller's own Contact: whose extensions are meant. Numbers become `tel:` URIs, or with the trunk's
    `transfer_domain` SIP ones of that host.
    """
    text = text.strip()
    shown = printable(text[:80])
    if not text or len(text) > MAX_TARGET:
        return NoTarget(f"a target has 1 to {MAX_TARGET} characters", "write tel:+14155550100 or sip:desk@example.com")
    try:
        found = _read(text, trunk, peer)
    except (RemoteProtocolError, LocalProtocolError) as error:
        return NoTarget(f"'{shown}' is no target: {error}", "write tel:+14155550100 or sip:desk@example.com")
    return found if isinstance(found, NoTarget) else _allowed(found, trunk)


def _read(text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    scheme, colon, _ = text.partition(":")
    if colon and scheme.lower() not in _SCHEMES:
        return NoTarget(
            f"'{printable(text[:80])}' is no target: calls go to sip:, sips: and tel: alone",
            "write tel:+14155550100 or sip:desk@example.com",
        )
    if not colon:
        return _number(text, trunk, peer)
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        if uri.params and (uri.is_global or uri.phone_context):
            return Target(uri, uri.number)
        if uri.is_global:
            return _e164(uri.number, trunk)
        return _number(uri.number, trunk, peer)
    assert isinstance(uri, SipUri), "by its scheme"
    if uri.headers or "method" in uri.params or uri.password is not None:
        return NoTarget("a target has no headers, method or password in it", "give headers as headers of the transfer")
    user = f"{uri.user}@" if uri.user is not None else ""
    return Target(uri, f"{uri.scheme}:{user}{uri.host.lower()}")


def _number(text: str, trunk: Trunk, peer: SipUri) -> Target | NoTarget:
    number = read_number(text, trunk.country)
    if number.e164 is not None:
        return _e164(number.e164, trunk)
    if "@" in text:
        return NoTarget(f"'{printable(text[:80])}' has no scheme", f"write sip:{printable(text[:80])}")
    if _EXTENSION.fullmatch(text) is None:
        return NoTarget(f"'{printable(text[:80])}' is neither a number nor an extension", "write tel:+14155550100")
    if text.lstrip("+").isdigit() and len(text) > _LONGEST_EXTENSION:
        return NoTarget(
            f"'{text}' can't be read as a number of the world",
            f"write it with + and the country's code, or set `country` of trunk '{trunk.name}'",
        )
    # What is no number of the world's is one of the caller's own phone system.
    host, port = (trunk.transfer_domain, None) if trunk.transfer_domain else (peer.host, peer.port)
    return Target(SipUri(host, port, text), text)


def _e164(number: str, trunk: Trunk) -> Target:
    if trunk.transfer_domain is None:
        return Target(TelUri(number), number)
    return Target(SipUri(trunk.transfer_domain, None, number, None, UriParams({"user": "phone"})), number)


def _allowed(target: Target, trunk: Trunk) -> Target | NoTarget:
    fitting = [pattern for pattern in trunk.transfer_to if pattern.matches(target.name)]
    where = f"`transfer_to` of trunk '{trunk.name}'"
    if not fitting:
        listed = ", ".join(str(pattern) for pattern in trunk.transfer_to[:5]) or "nothing"
        return NoTarget(
            f"calls of trunk '{trunk.name}' may not be transferred to {printable(target.name)}",
            f"{where} allows {listed}",
        )
    if all(pattern.everything for pattern in fitting) and _is_costly(target, trunk):
        return NoTarget(
            f"{printable(target.name)} may cost many times what others do, and is not called without being named",
            f"name it, or its prefix, in {where}",
        )
    return target


def _is_costly(target: Target, trunk: Trunk) -> bool:
    """Whether it leads to a costly number, also where that is the user of a SIP URI, however it is written there."""
    if isinstance(target.uri, TelUri):
        return is_costly(target.uri.number)
    user = (target.uri.user or "").partition(";")[0]
    number = read_number(user, trunk.country).e164
    if number is not None:
        return is_costly(number)
    digits = user.lstrip("+")
    if not (digits.isascii() and digits.isdigit()):
        return False
    return any(is_costly("+" + digits.removeprefix(prefix)) for prefix in ("", *_ABROAD))
