"""Dialogs: RFC 3261 section 12. Ids, route set, remote target and CSeq; what uses a dialog is in `invite.py`."""

from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.message import Headers, Request, Response
from offhook.sip.offer_answer import OfferAnswer
from offhook.sip.uri import SipUri

MAX_ROUTES = 32
"""Longer route sets are refused (400): no path has so many proxies."""


WITH_CONTACT = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Requests that say where their sender is to be reached, as their 2xx do (RFC 3261 12.1, 3311 5.1, 3515 2.2, 6665)."""


class DialogId(NamedTuple):
    """Call-ID and both tags, seen from our side. `remote_tag` is empty for a peer of RFC 2543 days."""

    call_id: str
    local_tag: str
    remote_tag: str


class State(Enum):
    """RFC 3261 section 12: early after a tagged 1xx, confirmed after a 2xx."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Input(Enum):
    """What changes a dialog's state."""

    SUCCESS = "2xx to the INVITE"
    FAILURE = "300-699 to the INVITE"
    END = "BYE, or 481/408 to a request within it"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.EARLY, Input.SUCCESS): State.CONFIRMED,
    (State.EARLY, Input.FAILURE): State.TERMINATED,
    (State.EARLY, Input.END): State.TERMINATED,
    (State.CONFIRMED, Input.SUCCESS): State.CONFIRMED,
    (State.CONFIRMED, Input.END): State.TERMINATED,
}


class Dialog:
    """One peer-to-peer relationship: `request` builds what we send within it, `accept` orders what the peer sends."""

    __slots__ = (
        "_first_hop",
        "call_id",
        "local_cseq",
        "local_tag",
        "local_uri",
        "offers",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "remote_uri",
        "route_set",
        "state",
    )

    def __init__(
        self,
        call_id: str,
        *,
        local_tag: str,
        remote_tag: str,
        local_uri: str,
        remote_uri: str,
        remote_target: SipUri,
        route_set: tuple[str, ...],
        local_cseq: int,
        remote_cseq: int | None,
        state: State,
    ) -> None:
        if len(route_set) > MAX_ROUTES:
            raise RemoteProtocolError(f"a route set of {len(route_set)} entries", status_hint=400)
        hops = [NameAddr.parse(route).sip_uri for route in route_set]
        self._first_hop = hops[0] if hops else None
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_uri = local_uri
        """Our name-addr or addr-spec as it stands in From of our requests, with the tag."""
        self.remote_uri = remote_uri
        """The peer's, as it stands in To of our requests, with the tag."""
        self.remote_target = remote_target
        self.route_set = route_set
        """Route header values as received, in the order in which our requests carry them."""
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.state = state
        self.offers = OfferAnswer()
        """Each fork has its own: what the INVITE has offered may be answered by every one of them."""

    @classmethod
    def uas(cls, request: Request, local_tag: str, *, first_cseq: int) -> "Dialog":
        """The callee's side of a dialog that `request` makes (12.1.1). A request without Contact is a 400."""
        dialog = cls(
            request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            local_uri=str(request.to.with_tag(local_tag)),
            remote_uri=str(request.from_),
            remote_target=contact_of(request),
            route_set=request.headers.values("Record-Route"),
            local_cseq=first_cseq,
            remote_cseq=request.cseq.number,
            state=State.EARLY,
        )
        if request.sdp is not None:
            dialog.offers.offered()
        return dialog

    @classmethod
    def uac(cls, request: Request, response: Response, sent_to: SipUri | None = None) -> "Dialog":
        """The caller's side of a dialog that `response` makes or confirms (12.1.2); `sent_to` is where INVITE went."""
        try:
            target = contact_of(response)
        except RemoteProtocolError:
            # Peers exist that answer without Contact; where the INVITE went is the best guess that is left.
            guess = request.request_uri if isinstance(request.request_uri, SipUri) else sent_to
            if guess is None:
                raise
            target = guess
        dialog = cls(
            request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local_uri=str(request.from_),
            remote_uri=str(response.to),
            remote_target=target,
            route_set=tuple(reversed(response.headers.values("Record-Route"))),
            local_cseq=request.cseq.number,
            remote_cseq=None,
            state=State.CONFIRMED if response.status >= 200 else State.EARLY,
        )
        if request.sdp is not None:
            dialog.offers.offer(request.sdp)
        return dialog

    @property
    def id(self) -> DialogId:
        """Call-ID and tags."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    @property
    def next_hop(self) -> SipUri:
        """Where our requests go first: the topmost route, or the remote target (12.2.1.1)."""
        return self._first_hop or self.remote_target

    def step(self, step: Input) -> None:
        """Change state; arrows that do not exist are ignored, since only the peer's messages lead here twice."""
        self.state = TRANSITIONS.get((self.state, step), self.state)

    def confirm(self, confirmed: "Dialog") -> None:
        """The 2xx of the UAC side: route set and remote target are computed anew (13.2.2.4)."""
        self.route_set = confirmed.route_set
        self._first_hop = confirmed._first_hop
        self.remote_target = confirmed.remote_target
        self.remote_uri = confirmed.remote_uri
        self.step(Input.SUCCESS)

    def request(
        self, method: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", *, cseq: int | None = None
    ) -> Request:
        """A request within the dialog (12.2.1.1), without Via, which comes with the target.

        ACK must be given the INVITE's `cseq`; every other method takes the next one.
        """
        if method in ("ACK", "CANCEL"):
            if cseq is None:
                raise LocalProtocolError(f"{method} has the CSeq number of its INVITE")
        else:
            if cseq is not None:
                raise LocalProtocolError("the dialog numbers its requests itself")
            cseq = self.next_number()
        request_uri = self.remote_target
        routes = self.route_set
        if self._first_hop is not None and not self._first_hop.is_loose_router:
            # Strict router of RFC 2543 days: it takes the Request-URI's place, the target goes last.
            request_uri = self._first_hop.without_headers()
            routes = (*routes[1:], f"<{self.remote_target}>")
        return Request(
            method,
            request_uri,
            Headers(
                [
                    *(("Route", route) for route in routes),
                    ("Max-Forwards", "70"),
                    ("From", self.local_uri),
                    ("To", self.remote_uri),
                    ("Call-ID", self.call_id),
                    ("CSeq", f"{cseq} {method}"),
                    *headers,
                ]
            ),
            body,
        )

    def next_number(self) -> int:
        """Take the next CSeq number, for a request that is sent again with credentials."""
        self.local_cseq += 1
        return self.local_cseq

    def accept(self, request: Request) -> int:
        """Put a received request in order (12.2.2): 0 to go on, else the status that refuses it.

        A number below the last one is a 500. ACK and CANCEL carry the number of their INVITE and are not counted.
        """
        number = request.cseq.number
        if request.method in ("ACK", "CANCEL"):
            return 0
        if self.remote_cseq is not None and number < self.remote_cseq:
            return 500
        self.remote_cseq = number
        return 0

    def refresh_target(self, message: Request | Response) -> None:
        """A re-INVITE, an UPDATE or the 2xx to one moves the remote target; the route set stays (12.2).

        A Contact that means nothing moves nothing: a 2xx has to be acknowledged all the same.
        """
        with suppress(RemoteProtocolError):
            self.remote_target = new_target(message) or self.remote_target


def new_target(message: Request | Response) -> SipUri | None:
    """Where its sender is from now on; None without a Contact. One that means nothing is a RemoteProtocolError."""
    return contact_of(message) if message.contacts else None


def contact_of(message: Request | Response) -> SipUri:
    """The one Contact that a dialog needs; none, several or `*` is a RemoteProtocolError (400)."""
    contacts = message.contacts
    if len(contacts) != 1:
        raise RemoteProtocolError(f"{len(contacts)} Contact values where a dialog needs one", status_hint=400)
    uri = contacts[0].uri
    if not isinstance(uri, SipUri):
        raise RemoteProtocolError(f"nobody can be reached at a {uri.scheme} Contact", status_hint=400)
    # RFC 3261 19.1.1: what a Request-URI can't have, requests to it don't get.
    return uri.without_headers()
