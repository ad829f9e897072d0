"""The screen: who may speak SIP to us at all. Strangers learn nothing, and what they ran into is written down once."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from offhook.ids import TrunkName
from offhook.route.trunk import Identity, Known, NeedsDigest, Stranger, Trunk, TrunkTable
from offhook.sip.digest import Challenger
from offhook.sip.effects import Source
from offhook.sip.guesses import Guesses
from offhook.sip.message import Request
from offhook.sip.screening import Admit, Challenge, Drop, Refuse, Verdict
from offhook.sip.uri import SipUri

DialogPeer = Callable[[Request], tuple[Trunk, str] | None]
"""A request within a dialog to the trunk of its call, if that runs, and the address that its INVITE came from."""

OnStranger = Callable[[str, str, Stranger], None]
"""(source address, transport, what it ran into)."""

_STRANGERS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class ScreenRules:
    """The part that a reload swaps whole. `passwords` are those of the trunks with `inbound` or `phones`, by trunk and
    user.

    `refuse_status` is what strangers get; None is silence.
    """

    trunks: TrunkTable
    passwords: Mapping[TrunkName, Mapping[str, str]]
    refuse_status: int | None


@dataclass(frozen=True, slots=True)
class _Home:
    """A trunk that we are registered with: the user of our Contact there, and the addresses of its registrar."""

    trunk: Trunk
    contact_user: str
    addresses: frozenset[str]


class TrunkScreen:
    """Says of each request whose trunk it is, as `UserAgent` asks it."""

    def __init__(
        self,
        rules: ScreenRules,
        make_challenger: Callable[[tuple[str, ...]], Challenger],
        dialog_peer: DialogPeer,
        on_stranger: OnStranger,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._now = now
        self._guesses = Guesses()
        self._make_challenger = make_challenger
        self._challengers: dict[tuple[str, ...], Challenger] = {}
        self._dialog_peer = dialog_peer
        self._on_stranger = on_stranger
        self._strangers: dict[tuple[str, str], Stranger] = {}
        self._inside: dict[int, Trunk] = {}
        self._called: Counter[str] = Counter()
        self._homes: dict[TrunkName, _Home] = {}
        self._registrars: dict[TrunkName, frozenset[str]] = {}
        self._heard: frozenset[str] = frozenset()

    def called(self, remote: str) -> None:
        """We call somebody there: what comes from that address is heard, until `forgotten` undoes it.

        It makes no trunk of it: what it asks for outside of our calls is judged as before.
        """
        self._called[remote] += 1

    def forgotten(self, remote: str) -> None:
        """The call there is over."""
        self._called[remote] -= 1
        if self._called[remote] <= 0:
            del self._called[remote]

    def listening(self, trunk: TrunkName, addresses: frozenset[str]) -> None:
        """The registrar of a trunk is at these addresses: what it answers is heard. It makes no trunk of them."""
        self._registrars[trunk] = addresses
        self._heard = frozenset(address for found in self._registrars.values() for address in found)

    def registered(self, trunk: Trunk, contact_user: str, addresses: frozenset[str]) -> None:
        """We are registered with a trunk: its calls come from these addresses too, no longer where there are none.

        Where several trunks are at one address, the user of the Request-URI tells them apart: our Contact of each has
        one of its own.
        """
        if addresses:
            self._homes[trunk.name] = _Home(trunk, contact_user, addresses)
        else:
            self._homes.pop(trunk.name, None)

    def admit_inside(self, flow: int, trunk: Trunk) -> None:
        """Whoever speaks on this connection, which is one within this process, is this trunk."""
        self._inside[flow] = trunk

    @property
    def rules(self) -> ScreenRules:
        """What it judges by."""
        return self._rules

    @rules.setter
    def rules(self, rules: ScreenRules) -> None:
        self._rules = rules
        self._strangers.clear()

    def gate(self, transport: str, remote: str) -> bool:
        """Whether bytes of this source are worth parsing; a source that is not is written down.

        Strangers who are to get a status have to be parsed for it.
        """
        if self.rules.refuse_status is not None or remote in self._called or remote in self._heard:
            return True
        if self.rules.trunks.admits_source(remote, transport):
            return True
        self._on_stranger(remote, transport, self._stranger(remote, transport))
        return False

    def knows(self, remote: str) -> bool:
        """Whether a trunk lists this address: where there is a crowd, it goes before those that have to prove more."""
        return self.rules.trunks.lists_source(remote)

    def __call__(self, request: Request, source: Source, user: str | None) -> Verdict:
        if (inside := self._inside.get(source.flow)) is not None:
            return Admit(inside)
        if request.has_to_tag:
            return self._within_dialog(request, source, user)
        uri = request.request_uri
        host = uri.host if isinstance(uri, SipUri) else ""
        identity = self.rules.trunks.identify(source.remote[0], source.transport, host, user, _proven(source))
        if self._homes and (home := self._home_of(request, source, identity)) is not None:
            return Admit(home)
        if isinstance(identity, Stranger) and identity.rule == "domain" and request.method == "OPTIONS":
            # A qualify ping names our address, not the trunk's domain: its source is what counts.
            trunks = self.rules.trunks.from_source(source.remote[0], source.transport, _proven(source))
            open_ones = [trunk for trunk in trunks if trunk.inbound is None]
            if open_ones:
                return Admit(open_ones[0])
        match identity:
            case Known(trunk):
                return Admit(trunk, user)
            case NeedsDigest(trunks):
                return self._challenge(trunks, source)
            case Stranger():
                return self._refuse(source, identity)

    def _home_of(self, request: Request, source: Source, identity: Identity) -> Trunk | None:
        """The trunk that we are registered with and whose call this is: for its own contact of ours, or no one else's.

        A trunk that lists the address keeps its calls, but for those to a contact that is registered with another.
        """
        uri, remote = request.request_uri, source.remote[0]
        user = uri.user if isinstance(uri, SipUri) else None
        # In the order of the file, whichever registered first.
        homes = [self._homes[trunk.name] for trunk in self.rules.trunks if trunk.name in self._homes]
        near = [
            home for home in homes if home.trunk.takes(source.transport, _proven(source)) and home.trunk.inbound is None
        ]
        for home in near:
            listed = remote in home.addresses or isinstance(identity, Known)
            if user is not None and home.contact_user == user and listed:
                return home.trunk
        if not isinstance(identity, Stranger):
            return None
        return next((home.trunk for home in near if remote in home.addresses), None)

    def _within_dialog(self, request: Request, source: Source, user: str | None) -> Verdict:
        """A request of a dialog names our Contact, so it is the dialog's own trunk that it must come from."""
        host = source.remote[0]
        found = self._dialog_peer(request)
        candidates = self.rules.trunks.from_source(host, source.transport, _proven(source))
        candidates += tuple(home.trunk for home in self._homes.values() if host in home.addresses)
        if found is None:
            # No such call: whoever may call us is told so (481), strangers are not.
            return Admit(candidates[0]) if candidates else self._unknown(source)
        trunk, came_from = found
        if not trunk.takes(source.transport, _proven(source)):
            # What the call has to prove, each of its requests has.
            return self._unknown(source)
        if host == came_from or (trunk.inbound is not None and trunk.inbound.has(user)):
            return Admit(trunk)
        if trunk.name not in {candidate.name for candidate in candidates}:
            return self._unknown(source)
        return Admit(trunk) if trunk.inbound is None else self._challenge((trunk,), source)

    def _challenge(self, trunks: tuple[Trunk, ...], source: Source) -> Verdict:
        passwords: dict[str, str] = {}
        for trunk in trunks:
            passwords.update(self.rules.passwords.get(trunk.name, {}))
        allowed = [trunk.inbound.algorithms for trunk in trunks if trunk.inbound is not None]
        # What every one of them takes, in the first one's order; one weak trunk must not weaken its neighbour.
        algorithms = tuple(name for name in allowed[0] if all(name in others for others in allowed)) if allowed else ()
        challenger = self._challengers.get(algorithms)
        if challenger is None:
            # Bounded by the trunks of the configuration.
            challenger = self._challengers[algorithms] = self._make_challenger(algorithms)
        remote, claimed = source.remote[0], ""

        def lookup(user: str) -> str | None:
            nonlocal claimed
            if not self._guesses.may_try(remote, user, self._now()):
                # Answered like any wrong proof, and not looked at.
                return None
            claimed = user
            return passwords.get(user)

        def failed(why: str) -> None:
            if claimed and why in ("wrong_password", "unknown_user"):
                self._guesses.wrong(remote, claimed, self._now())
            self._auth_failed(trunks[0], source, why)

        return Challenge(challenger, lookup, failed)

    def _auth_failed(self, trunk: Trunk, source: Source, why: str) -> None:
        """A wrong password at the carrier is a call that never comes: it is written down, not only challenged again."""
        found = f"credentials from {source.remote[0]} for trunk '{trunk.name}' prove nothing ({why})"
        self._on_stranger(source.remote[0], source.transport, Stranger("auth_failed", trunk.name, found))

    def _unknown(self, source: Source) -> Verdict:
        identity = self.rules.trunks.identify(source.remote[0], source.transport, "", None, _proven(source))
        if isinstance(identity, Stranger):
            return self._refuse(source, identity)
        return Drop("dialog_of_another_trunk")

    def _stranger(self, remote: str, transport: str) -> Stranger:
        """What a source ran into; remembered, since a flood asks for it with each packet."""
        found = self._strangers.get((remote, transport))
        if found is None:
            identity = self.rules.trunks.identify(remote, transport, "")
            found = identity if isinstance(identity, Stranger) else Stranger("source", None, f"source {remote}")
            if len(self._strangers) >= _STRANGERS_KEPT:
                self._strangers.clear()
            self._strangers[remote, transport] = found
        return found

    def _refuse(self, source: Source, stranger: Stranger) -> Verdict:
        self._on_stranger(source.remote[0], source.transport, stranger)
        status = self.rules.refuse_status
        by_name_alone = stranger.rule == "tls" and not self.rules.trunks.lists_source(source.remote[0])
        if stranger.rule != "source" and not by_name_alone:
            # Its address is allowed: that is a trunk with a wrong setting, and silence would hide it.
            status = status or 403
        return Drop(stranger.rule) if status is None else Refuse(status)


def _proven(source: Source) -> tuple[str, ...]:
    """The SIP domains that the peer's certificate speaks for."""
    return source.tls.identities if source.tls is not None else ()
