"""Which trunk a SIP request comes from.

Only what an outsider can't choose makes a trunk: the source address, a name proven by certificate, or a password proven
by digest. The Request-URI domain narrows the choice among those and never widens it, since anybody can write it. The
order is fixed:

1. A trunk is a candidate if the source lies in its `allow`, or if it has no `allow` and asks for a password or a
   certificate.
2. A candidate with a `tls_name` drops out unless the certificate proves it; one of TLS alone, if the request came
   without.
3. A candidate with a `domain` drops out if the Request-URI host is another one.
4. Candidates that name the certificate go before those that don't, then those that name the domain; then the longest
   matching network wins.
5. If the winner asks for a password, the caller is challenged; among equals the proven user name decides.

No candidate: a stranger. `conflicts` finds the trunks that these rules can't tell apart, before anything starts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from offhook.ids import TrunkName
from offhook.route.called_name import is_short_name, read_own
from offhook.route.pattern import Pattern
from offhook.route.quoting import printable

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

ANYWHERE: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


DtmfWay = Literal["auto", "rfc4733", "info", "inband"]
"""How keys come and go: by what was agreed on, or in one way alone."""

NumberFormat = Literal["e164", "e164-no-plus", "national"]
"""How numbers are written in our calls to a trunk."""


@dataclass(frozen=True, slots=True)
class InboundDigest:
    """Callers must prove this user name by digest. The password stays with the configuration."""

    username: str
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    others: tuple[str, ...] = ()
    """Further users who may prove themselves so: all the phones of a trunk."""

    def has(self, user: str | None) -> bool:
        """Whether this is one of the users."""
        return user is not None and (user == self.username or user in self.others)


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone, or a phone system, that registers with us: its user name, and how many contacts it may have."""

    username: str
    max_contacts: int = 2


@dataclass(frozen=True, slots=True)
class Trunk:
    """A peer that may send us calls, with what its calls keep until they end.

    `media_timeout` and `max_duration` are seconds; `codecs` is our order of preference; `srtp` says whether media may
    or must be encrypted; `hold_music` is what a caller hears whom the agent holds: `melody`, `silence` or a file;
    `dtmf` is how keys come and go, `dtmf_tones` whether tones that were taken for keys stay in what the agent hears.
    `max_calls` and `max_cps` of None leave only the node's limits. `pass_headers` are patterns of header names that the
    agent gets. `trust_identity` says whether it is believed who it says that calls.
    """

    name: TrunkName
    allow: tuple[Network, ...] = ()
    domain: str | None = None
    inbound: InboundDigest | None = None
    media_allow: tuple[Network, ...] = ()
    nat: bool = False
    country: str | None = None
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    srtp: Literal["off", "optional", "required"] = "off"
    media_timeout: float = 60.0
    hold_music: str = "melody"
    max_duration: float = 7200.0
    max_calls: int | None = None
    max_cps: float | None = None
    pass_headers: tuple[str, ...] = ("X-*",)
    session_timer: Literal["off", "accept"] | int = "accept"
    """Session timers (RFC 4028): none, those that it asks for, or our own of so many seconds."""
    trust_identity: bool = False
    dtmf: DtmfWay = "auto"
    dtmf_tones: Literal["remove", "keep"] = "remove"
    tls_name: str | None = None
    """The SIP domain that its certificate has to prove (RFC 5922)."""
    tls_only: bool = False
    """Whether it is spoken to by TLS alone, as with `tls_name` it is in any case."""
    tls_identity: str | None = None
    """Whose certificate it is shown where we connect to it: its own name, if it has one; None for the node's."""
    prack: Literal["auto", "always", "required"] = "auto"
    """Which provisional responses go reliably to a caller who supports that: those with SDP, all, or as few as may."""
    transfer_to: tuple[Pattern, ...] = ()
    """Patterns of the numbers and URIs that its calls may be transferred to."""
    emergency_to: tuple[Pattern, ...] = ()
    """Patterns of the emergency numbers that may be reached, if they are listed besides."""
    premium_to: tuple[Pattern, ...] = ()
    """Patterns of the premium, satellite and other costly numbers that may be reached, if they are listed besides."""
    transfer: Literal["auto", "refer", "bridge"] = "auto"
    """Who takes calls to others: the trunk by REFER, the gateway by calling them, or who of the two can."""
    transfer_domain: str | None = None
    """The host of the SIP URIs in which it wants numbers to transfer to; None for `tel:` URIs."""
    transfer_timeout: float = 60.0
    """Seconds that a transfer may take, unless the agent says otherwise."""
    transfer_reports: bool = True
    """Whether it is to report how a transfer goes; without that, its BYE is success."""
    may_refer: bool = False
    """Whether it may refer us to somebody else (REFER)."""
    refer_to: tuple[Pattern, ...] = ()
    """Patterns of the numbers and extensions that it may refer us to."""
    detect: bool = False
    """Whether it is told who answers the calls by it of which neither the call nor its agent says so."""
    on_machine: Literal["tell", "hang_up", "voicemail"] | None = None
    """What is done with calls by it that no person answers, where neither the call nor its agent says so."""
    host: str | None = None
    """Where our calls to it go, a name or an address; None for a trunk that only sends us calls."""
    port: int | None = None
    transport: Literal["udp", "tcp", "tls", "auto"] = "udp"
    """How our calls to it go; `auto` leaves it to its DNS (NAPTR, else SRV of UDP before TCP)."""
    caller_ids: tuple[str, ...] = ()
    """The numbers (E.164) that our calls to it may show, the first of them where none is asked for."""
    dial_to: tuple[Pattern, ...] = ()
    """Patterns of the numbers (E.164) that may be called by it; none without."""
    priority: int = 0
    """Which of several trunks that may call a number goes first: the lowest."""
    weight: int = 0
    """How often it goes first among those of its priority, as a share of their weights; those with 0 follow."""
    target_timeout: float = 4.0
    """Seconds that one of its addresses may be silent before the next one is asked, or the next trunk."""
    options_interval: float | None = None
    """How often each of its addresses is asked whether it is there, in seconds; None for never."""
    number_format: NumberFormat = "e164"
    from_user: str | None = None
    """The user part of From in our calls to it, in place of the number that they show."""
    from_domain: str | None = None
    """The host of From in our calls to it, in place of its own."""
    assert_identity: bool | Literal["preferred", "remote-party-id"] = False
    """The header that has the caller's number in our calls to it, too: P-Asserted-Identity (RFC 3325), or another."""
    pass_caller: bool = False
    """Whether calls that go on to it for a caller show that caller's number."""
    private: bool = False
    """Whether nobody who is called by it learns the caller's number (RFC 3323)."""

    phones: tuple[Phone, ...] = ()
    """Who registers with us; their calls are this trunk's, and calls to it go to where they are."""
    registers: bool = False
    """Whether we register with it."""
    only_named: bool = False
    """Whether our calls go by it only where they name it: it leads to a platform's agents, not to telephones."""
    register_expires: int = 600
    """Seconds that we ask for."""
    registrar: str | None = None
    """Where we register if not at `host`."""

    rates: tuple[tuple[str, float], ...] = ()
    """What a minute costs, by the prefix of what is called; in any money, as long as it is that of the limits."""

    def rate(self, called: str) -> float | None:
        """What a minute to a number, an extension or a name costs, by the longest prefix that fits.

        Without one a call inside costs nothing: to a phone that registers here, an extension, a user name. Of a number
        it is None: it is not known.
        """
        fitting = [(len(prefix), rate) for prefix, rate in self.rates if called.startswith(prefix)]
        if fitting:
            return max(fitting)[1]
        # What is a number in the trunk's country is none of its extensions, however short.
        is_inside = bool(self.phones) or (is_short_name(called) and read_own(called, self.country) == called)
        return 0.0 if is_inside else None

    @property
    def calls_out(self) -> bool:
        """Whether anybody can be called by it."""
        return self.host is not None or bool(self.phones)

    def reaches(self, host: str | None) -> bool:
        """Whether `sip:USER@HOST` means it: by its `host`, or where it has phones by its domain or its name.

        None is nowhere in particular, so any trunk's.
        """
        return host is None or host == self.host or (bool(self.phones) and host in (self.domain, self.name.lower()))

    def is_meant(self, name: str | None, host: str | None) -> bool:
        """Whether a call out may go by it that names a trunk, a host, both or neither."""
        if name is None and host is None:
            return not self.only_named
        return name in (None, self.name) and self.reaches(host)

    def phone(self, user: str) -> Phone | None:
        """The phone of that user name."""
        return next((phone for phone in self.phones if phone.username == user), None)

    @property
    def own_domain(self) -> str:
        """The domain of our address there; empty for a trunk without a host."""
        return self.from_domain or self.registrar or self.host or ""

    @property
    def sources(self) -> tuple[Network, ...]:
        """Where its requests may come from: `allow`, or anywhere for a trunk that asks for a proof instead."""
        return self.allow or (ANYWHERE if self.inbound or self.tls_name else ())

    @property
    def unused_extensions(self) -> frozenset[str]:
        """SIP option tags that are neither offered to it nor taken from it."""
        return frozenset({"timer"}) if self.session_timer == "off" else frozenset()

    def takes(self, transport: str, proven: Sequence[str] = ()) -> bool:
        """Say whether requests may come so: by this transport, from a peer that has proven these SIP domains."""
        if (self.tls_only or self.tls_name) and transport != "tls":
            return False
        return self.tls_name is None or self.tls_name in proven


@dataclass(frozen=True, slots=True)
class Known:
    """The request is this trunk's."""

    trunk: Trunk


@dataclass(frozen=True, slots=True)
class NeedsDigest:
    """The request is one of these trunks' if it proves the user name: challenge it."""

    trunks: tuple[Trunk, ...]


@dataclass(frozen=True, slots=True)
class Stranger:
    """The request is nobody's.

    `rule` is `source`, `tls`, `domain`, `user` or `auth_failed`: the test that failed last. `nearest` is the trunk that
    came closest, if any, and `why` a sentence with the value, that trunk and what it wants. Never a limit: those are
    `route/limits.py`.
    """

    rule: str
    nearest: TrunkName | None
    why: str


Identity = Known | NeedsDigest | Stranger


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two trunks that nothing tells apart, and why."""

    first: TrunkName
    second: TrunkName
    why: str


class TrunkTable:
    """All trunks, indexed for the question of each request. Immutable: a reload makes a new one."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._trunks = tuple(trunks)
        self._by_name = {trunk.name: trunk for trunk in self._trunks}
        # (IP version, prefix length) -> network as int -> trunks: one dict look-up for each prefix length in use.
        self._index: dict[tuple[int, int], dict[int, list[Trunk]]] = {}
        for trunk in self._trunks:
            for network in trunk.sources:
                by_network = self._index.setdefault((network.version, network.prefixlen), {})
                owners = by_network.setdefault(int(network.network_address), [])
                # A network that a file names twice is one.
                if trunk not in owners:
                    owners.append(trunk)
        self._lengths = {
            version: sorted((length for v, length in self._index if v == version), reverse=True) for version in (4, 6)
        }

        self._sorted = {version: _by_address(self._trunks, version) for version in (4, 6)}

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._trunks)

    def __len__(self) -> int:
        return len(self._trunks)

    def get(self, name: str) -> Trunk | None:
        """The trunk of that name."""
        return self._by_name.get(TrunkName(name))

    def admits_source(self, source_ip: str, transport: str = "udp") -> bool:
        """Say whether any trunk may send from this address: the gate before a stranger's bytes are parsed.

        A trunk that is known by its certificate alone opens it for TLS; one that lists the address, for whatever comes.
        """
        address = parse_source(source_ip)
        if address is None:
            return False
        return any(trunk.allow or not trunk.tls_name or transport == "tls" for _, trunk in self._matches(address))

    def lists_source(self, source_ip: str) -> bool:
        """Say whether a trunk names this address or its network in `allow`: such sources go first in a crowd."""
        address = parse_source(source_ip)
        return address is not None and any(length and trunk.allow for length, trunk in self._matches(address))

    def from_source(self, source_ip: str, transport: str = "udp", proven: Sequence[str] = ()) -> tuple[Trunk, ...]:
        """All trunks that may send from this address in this way, longest network first, whatever their domain.

        For requests whose Request-URI is no trunk's domain: OPTIONS, and those in a dialog (it is our Contact there).
        """
        address = parse_source(source_ip)
        if address is None:
            return ()
        found = {trunk.name: trunk for _, trunk in self._matches(address) if trunk.takes(transport, proven)}
        return tuple(found.values())

    def identify(
        self,
        source_ip: str,
        transport: str,
        request_uri_host: str,
        authenticated_user: str | None = None,
        proven: Sequence[str] = (),
    ) -> Identity:
        """Find the trunk of a request outside of a dialog, in the order that this module's head gives.

        `authenticated_user` is a user name already proven by digest against the trunks of an earlier `NeedsDigest`,
        `proven` are the SIP domains of the peer's certificate.
        """
        address = parse_source(source_ip)
        matches = [] if address is None else list(self._matches(address))
        if address is None or not matches:
            return self._unknown_source(source_ip, transport, address)
        taking = [(length, trunk) for length, trunk in matches if trunk.takes(transport, proven)]
        if not taking:
            return _other_certificate(source_ip, transport, proven, matches[0][1])
        host = normal_host(request_uri_host)
        fitting = [(length, trunk) for length, trunk in taking if trunk.domain in (None, host)]
        if not fitting:
            return _other_domain(source_ip, request_uri_host, [trunk for _, trunk in taking])
        first = max(_rank(length, trunk) for length, trunk in fitting)
        best = [trunk for length, trunk in fitting if _rank(length, trunk) == first]
        for trunk in best:
            if trunk.inbound is None:
                return Known(trunk)
        if authenticated_user is None:
            return NeedsDigest(tuple(best))
        for trunk in best:
            if trunk.inbound is not None and trunk.inbound.has(authenticated_user):
                return Known(trunk)
        return Stranger(
            "user",
            best[0].name,
            f"user '{printable(authenticated_user)}' is not the inbound user of trunk '{best[0].name}'",
        )

    def _matches(self, address: Address) -> Iterator[tuple[int, Trunk]]:
        value, bits = int(address), address.max_prefixlen
        for length in self._lengths[address.version]:
            network = value >> (bits - length) << (bits - length)
            for trunk in self._index[address.version, length].get(network, ()):
                yield length, trunk

    def _unknown_source(self, source_ip: str, transport: str, address: Address | None) -> Stranger:
        who = f"source {printable(source_ip)} ({transport})"
        if address is None:
            return Stranger("source", None, f"{who} is no IP address")
        nearest = self._nearest_network(address)
        if nearest is None:
            return Stranger("source", None, f"{who} is not in the allow list of any trunk")
        trunk, network = nearest
        more = f" and {len(trunk.sources) - 1} more" if len(trunk.sources) > 1 else ""
        return Stranger("source", trunk.name, f"{who} is not in trunk '{trunk.name}' allow {network}{more}")

    def _nearest_network(self, address: Address) -> tuple[Trunk, Network] | None:
        """The network that shares the most leading bits with the address; any, if none is of its IP version."""
        networks = self._sorted[address.version]
        if not networks:
            return next(((trunk, network) for trunk in self._trunks for network in trunk.sources), None)
        # Sorted by address, the ones that share the longest prefix stand next to where it would be put.
        at = bisect_left(networks, int(address), key=lambda entry: entry[0])
        around = networks[max(0, at - 1) : at + 1]
        _, trunk, network = min(around, key=lambda entry: (entry[0] ^ int(address)).bit_length())
        return trunk, network


def _by_address(trunks: Sequence[Trunk], version: int) -> list[tuple[int, Trunk, Network]]:
    entries = [(int(n.network_address), trunk, n) for trunk in trunks for n in trunk.sources if n.version == version]
    return sorted(entries, key=lambda entry: entry[0])


def _rank(length: int, trunk: Trunk) -> tuple[bool, bool, int]:
    """What goes first among candidates: a proven certificate, a named domain, the longest network."""
    return (trunk.tls_name is not None, trunk.domain is not None, length)


def _other_certificate(source_ip: str, transport: str, proven: Sequence[str], trunk: Trunk) -> Stranger:
    if transport != "tls":
        why = f"source {source_ip} fits trunk '{trunk.name}', which takes TLS alone, but came by {transport.upper()}"
    else:
        shown = ", ".join(printable(name) for name in proven[:3])
        had = f"its certificate is for {shown}" if shown else "it showed no certificate"
        why = f"source {source_ip} fits trunk '{trunk.name}' with tls_name '{trunk.tls_name}', but {had}"
    return Stranger("tls", trunk.name, why)


def _other_domain(source_ip: str, request_uri_host: str, trunks: Sequence[Trunk]) -> Stranger:
    nearest = max(trunks, key=lambda trunk: _common_suffix(trunk.domain or "", request_uri_host.lower()))
    return Stranger(
        "domain",
        nearest.name,
        f"source {source_ip} fits trunk '{nearest.name}', but Request-URI host '{printable(request_uri_host)}' "
        f"is not its domain '{nearest.domain}'",
    )


def _common_suffix(a: str, b: str) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count


def conflicts(trunks: Sequence[Trunk]) -> list[Conflict]:
    """Find pairs of trunks that `TrunkTable.identify` can't tell apart, in file order.

    Networks that lie inside one another are no conflict (the longer one wins), different domains neither, nor two
    inbound user names or certificates on the same network. What remains is the same network with the same domain or
    none.
    """
    seen: dict[tuple[str | None, str | None, Network], list[Trunk]] = {}
    found: dict[tuple[TrunkName, TrunkName], Conflict] = {}
    for trunk in trunks:
        for network in trunk.sources:
            others = seen.setdefault((trunk.domain, trunk.tls_name, network), [])
            for other in others:
                if other is not trunk and (why := _clash(other, trunk, network)):
                    found.setdefault((other.name, trunk.name), Conflict(other.name, trunk.name, why))
            others.append(trunk)
    return list(found.values())


def _clash(first: Trunk, second: Trunk, network: Network) -> str | None:
    domain = f"the same domain '{first.domain}'" if first.domain else "no domain"
    source = f"both allow {network}" if first.allow and second.allow else "both take calls from anywhere"
    match first.inbound, second.inbound:
        case None, None:
            return f"{source}, both have {domain}, and neither asks for a password"
        case InboundDigest() as a, InboundDigest() as b:
            both = {a.username, *a.others} & {b.username, *b.others}
            return f"{source}, both have {domain}, and both have the inbound user '{min(both)}'" if both else None
        case None, _:
            open_one, closed_one = first, second
        case _:
            open_one, closed_one = second, first
    never = f"'{open_one.name}' asks for no password, so '{closed_one.name}' would never get a call"
    return f"{source}, both have {domain}, and {never}"


@lru_cache(maxsize=4096)
def parse_source(source_ip: str) -> Address | None:
    """Read a peer's address as sockets give it: scope ids are cut, IPv4 in IPv6 (`::ffff:192.0.2.1`) becomes IPv4."""
    try:
        address = ip_address(source_ip.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def normal_host(host: str) -> str:
    """A host for comparison: lower case, without the root's dot and without the brackets of IPv6."""
    return host.lower().rstrip(".").strip("[]")
