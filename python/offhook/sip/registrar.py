"""The registrar: where phones are, by what they have registered (RFC 3261 section 10.3). Pure; whoever asks is proven.

A binding keeps the address that its REGISTER came from, and calls go there: never to where a Contact or a Path say,
which whoever registers could write for somebody else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from offhook.sip.effects import Address, Source, Target
from offhook.sip.grammar import excerpt
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Request
from offhook.sip.session_core import HeaderList
from offhook.sip.uri import SipUri

SHORTEST = 60
"""Seconds below which nothing is granted: 423 says so (RFC 3261 section 10.3 step 7)."""

LONGEST = 3600
"""Seconds that are granted at most, and without a wish."""

MOST_IN_A_REQUEST = 16
"""Contacts of one REGISTER."""

LONGEST_CONTACT = 512
"""Characters of a contact's URI, and of all of its Path."""

_LONGEST_AGENT = 128
_LONGEST_CALL_ID = 256


@dataclass(frozen=True, slots=True)
class Owner:
    """An address of record: the user of a trunk."""

    trunk: str
    user: str


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of a phone. `until` and `registered_at` are on the clock of `now`; `instance` is +sip.instance."""

    contact: str
    call_id: str
    cseq: int
    until: float
    registered_at: float
    transport: str
    remote: Address
    flow: int | None = None
    q: float = 1.0
    path: tuple[str, ...] = ()
    instance: str = ""
    user_agent: str = ""

    @property
    def target(self) -> Target:
        """Where calls to it go: whence it registered, by the same connection or socket."""
        return Target(self.transport, self.remote[0], self.remote[1], self.flow)

    @property
    def uri(self) -> SipUri:
        """The Request-URI of calls to it: without headers and method, which a contact may have (RFC 3261 19.1.5)."""
        return NameAddr.parse(f"<{self.contact}>").sip_uri.without_headers()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a REGISTER gets. `changed` if what is registered is another now."""

    status: int
    headers: HeaderList = ()
    reason: str | None = None
    changed: bool = False


class Registrar:
    """The bindings of all phones: at most so many of each as its `register` says."""

    __slots__ = ("_bindings",)

    def __init__(self) -> None:
        self._bindings: dict[Owner, tuple[Binding, ...]] = {}

    def bindings(self, owner: Owner, now: float) -> tuple[Binding, ...]:
        """Where a phone is, what it likes best first, then what has registered last."""
        live = [binding for binding in self._bindings.get(owner, ()) if binding.until > now]
        return tuple(sorted(live, key=lambda binding: (-binding.q, -binding.registered_at)))

    def restore(self, owner: Owner, bindings: Iterable[Binding], most: int) -> None:
        """What was registered before a restart. Connections of then are no more."""
        self._bindings[owner] = tuple(bindings)[:most]

    def owners(self) -> tuple[Owner, ...]:
        """Who has registered, those included whose bindings have just ended."""
        return tuple(self._bindings)

    def expire(self, now: float) -> tuple[Owner, ...]:
        """Forget what has ended; whose it was."""
        gone = []
        for owner, bindings in tuple(self._bindings.items()):
            live = tuple(binding for binding in bindings if binding.until > now)
            if live != bindings:
                gone.append(owner)
                if live:
                    self._bindings[owner] = live
                else:
                    del self._bindings[owner]
        return tuple(gone)

    def next_timeout(self) -> float | None:
        """When the first binding ends."""
        return min((one.until for bindings in self._bindings.values() for one in bindings), default=None)

    def register(self, owner: Owner, most: int, request: Request, source: Source, now: float) -> Answer:
        """Take a REGISTER whose sender has proven to be `owner`, which may have `most` contacts. All of it or nothing.

        A field that can't be read raises RemoteProtocolError (400).
        """
        user = getattr(request.to.uri, "user", None)
        if user != owner.user:
            # RFC 3261 10.3 step 4: nobody registers for others. Whether there is such a user is not said.
            return Answer(403)
        before = self.bindings(owner, now)
        if request.has_wildcard_contact:
            return self._remove_all(owner, before, request)
        contacts = request.contacts
        if not contacts:
            return Answer(200, _told(before, request, now))
        if len(contacts) > MOST_IN_A_REQUEST or len(contacts) > most:
            return Answer(403, reason="Too Many Contacts")
        after = list(before)
        for contact in contacts:
            refused = self._apply(after, contact, request, source, now)
            if refused is not None:
                return refused
        # A phone that comes back from behind another port must not be locked out by what it was before.
        after.sort(key=lambda binding: -binding.registered_at)
        self._keep(owner, after[:most])
        return Answer(200, _told(self.bindings(owner, now), request, now), changed=True)

    def _keep(self, owner: Owner, bindings: Iterable[Binding]) -> None:
        kept = tuple(bindings)
        if kept:
            self._bindings[owner] = kept
        else:
            self._bindings.pop(owner, None)

    def _remove_all(self, owner: Owner, before: tuple[Binding, ...], request: Request) -> Answer:
        if request.expires != 0:
            return Answer(400, reason="Contact: * Needs Expires: 0")
        if any(_is_old(binding, request) for binding in before):
            return Answer(500, reason="Out of Order")
        self._keep(owner, ())
        return Answer(200, changed=bool(before))

    def _apply(
        self, after: list[Binding], contact: NameAddr, request: Request, source: Source, now: float
    ) -> Answer | None:
        """Add, refresh or remove one contact; why not, if it can't be."""
        uri = contact.uri
        path = tuple(request.headers.values("Path"))
        if not isinstance(uri, SipUri) or len(str(uri)) > LONGEST_CONTACT or sum(map(len, path)) > LONGEST_CONTACT:
            return Answer(400, reason="Bad Contact")
        if len(request.call_id) > _LONGEST_CALL_ID:
            return Answer(400, reason="Call-ID Too Long")
        seconds = _seconds(contact, request)
        if 0 < seconds < SHORTEST:
            return Answer(423, (("Min-Expires", str(SHORTEST)),))
        instance = _instance(contact)
        at = next((i for i, one in enumerate(after) if _is_same(one, uri, instance)), None)
        if at is not None and _is_old(after[at], request):
            # RFC 3261 10.3 step 7: what came out of order changes nothing.
            return Answer(500, reason="Out of Order")
        if at is not None:
            del after[at]
        if seconds == 0:
            return None
        for route in path:
            NameAddr.parse(route)
        after.append(
            Binding(
                contact=str(uri),
                call_id=request.call_id,
                cseq=request.cseq.number,
                until=now + min(seconds, LONGEST),
                registered_at=now,
                transport=source.transport,
                remote=source.remote,
                flow=source.flow,
                q=contact.q,
                path=path,
                instance=instance,
                user_agent=(request.headers.get("User-Agent") or "")[:_LONGEST_AGENT],
            )
        )
        return None


def _seconds(contact: NameAddr, request: Request) -> int:
    """What is asked for: of this contact, else of the request, else our own; what can't be read counts as that."""
    said = contact.params.get("expires")
    if said is not None and said.isascii() and said.isdigit():
        return int(said[:10])
    if said is None and request.expires is not None:
        return request.expires
    return LONGEST


def _is_old(binding: Binding, request: Request) -> bool:
    return binding.call_id == request.call_id and request.cseq.number <= binding.cseq


def _is_same(binding: Binding, uri: SipUri, instance: str) -> bool:
    """Whether a contact is that of a binding: by the device (RFC 5626 section 6), else by its URI."""
    if instance and binding.instance:
        return instance == binding.instance
    return binding.uri.equivalent(uri.without_headers())


def _instance(contact: NameAddr) -> str:
    """The device and its flow, where it says so; none by what only looks like it."""
    device, flow = contact.params.get("+sip.instance"), contact.params.get("reg-id")
    return f"{device[:128]};{excerpt(flow)}" if device and flow else ""


def _told(bindings: tuple[Binding, ...], request: Request, now: float) -> HeaderList:
    """All bindings with what is left of them (RFC 3261 10.3 step 8), and the Path that was taken (RFC 3327 5.3)."""
    contacts = tuple(
        (
            "Contact",
            f"<{one.contact}>;expires={max(1, round(one.until - now))}" + (f";q={one.q:g}" if one.q < 1 else ""),
        )
        for one in bindings
    )
    path = tuple(("Path", value) for value in request.headers.values("Path")) if "path" in request.supported else ()
    return (*contacts, *path)
