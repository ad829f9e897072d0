"""Who a call out shows: From, the number for the trunk alone, and what is kept from the one called."""

from dataclasses import dataclass

from offhook.route.trunk import Trunk
from offhook.sip.grammar import Params
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.session_core import HeaderList
from offhook.sip.uri import SipUri

ANONYMOUS = NameAddr(SipUri("anonymous.invalid", None, "anonymous"), "Anonymous")
"""From of a caller who is not to be known (RFC 3323 section 4.1.1.3)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """From, and the header fields beside it."""

    from_: NameAddr
    headers: HeaderList = ()


def shown(trunk: Trunk, number: str, host: str, *, private: bool = False, own: str | None = None) -> Shown:
    """Who our call to `trunk` shows, with `number` as the trunk has it written; `host` stands where it names none.

    With `private`, or where the trunk wants it for all calls, From is anonymous and `Privacy: id` keeps the number
    within the networks that trust each other (RFC 3325 section 7). The trunk, whose customer we are, still learns it.

    `own` is our number where `number` is that of a caller whose call goes on to the trunk: the trunk can hold ours to
    account, and ours has been called (Diversion, RFC 5806).
    """
    domain = trunk.from_domain or host
    if own is not None:
        ours = NameAddr(SipUri(domain, None, own))
        diversion = ("Diversion", f"{ours};reason=unconditional")
        if private or trunk.private:
            return Shown(ANONYMOUS, (*_asserted(trunk, ours, private=True), ("Privacy", "id"), diversion))
        return Shown(NameAddr(SipUri(domain, None, number)), (*_asserted(trunk, ours, private=False), diversion))
    caller = NameAddr(SipUri(domain, None, number))
    if private or trunk.private:
        return Shown(ANONYMOUS, (*_asserted(trunk, caller, private=True), ("Privacy", "id")))
    from_ = caller if trunk.from_user is None else NameAddr(SipUri(domain, None, trunk.from_user))
    return Shown(from_, _asserted(trunk, caller, private=False))


def _asserted(trunk: Trunk, caller: NameAddr, *, private: bool) -> HeaderList:
    match trunk.assert_identity:
        case "preferred":
            return (("P-Preferred-Identity", str(caller)),)
        case "remote-party-id":
            privacy = "full" if private else "off"
            party = Params({"party": "calling", "screen": "no", "privacy": privacy})
            return (("Remote-Party-ID", str(NameAddr(caller.uri, caller.display_name, party))),)
        case asserted:
            return (("P-Asserted-Identity", str(caller)),) if asserted or private else ()
