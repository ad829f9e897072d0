"""One INVITE of ours to several places at once: all that are liked best, then those that are liked less.

What a forking proxy does (RFC 3261 sections 16.6 and 16.7), but here: the first 2xx has the call and the others are
cancelled, a 6xx ends the search, else the best refusal is passed on once all have refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from offhook.sip.causes import ELSEWHERE
from offhook.sip.client_request import ClientRequest, Core, Done, Number, Progress
from offhook.sip.digest import Credentials
from offhook.sip.effects import Target
from offhook.sip.events import FailureCause
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import SipUri, UriParams

if TYPE_CHECKING:
    from offhook.sip.invite import InviteSession

MAX_BRANCHES = 10
"""Places that are called at one time."""

# RFC 3261 16.7 step 6: who says something of use to the caller goes before who only says no.
_SAYS_MORE = (401, 407, 415, 420, 484)


@dataclass(frozen=True, slots=True)
class Branch:
    """One place: its Request-URI, the way there, the route that the request takes, how much it is liked (0 to 1)."""

    uri: SipUri
    target: Target
    route: tuple[str, ...] = ()
    q: float = 1.0


Branches: TypeAlias = Callable[[], Sequence[Branch]]
"""Where the called party is now."""


class ForkingRequest:
    """Sends an INVITE to all `branches` that there are when it begins.

    It stands where a `ClientRequest` does, and tells its outcome as that does. `request` is what all get, but for
    Request-URI and Route. `target`, `sent_request` and `why` are those of the branch that has said something last.
    """

    __slots__ = (
        "_active", "_best", "_branches", "_cancelled", "_cause", "_core", "_credentials", "_current", "_done",
        "_is_over", "_look_up", "_number", "_owner", "_progress", "_stray", "request",
    )  # fmt: skip

    def __init__(
        self,
        core: Core,
        request: Request,
        branches: Branches,
        done: Done,
        *,
        progress: Progress,
        stray: Progress,
        credentials: Credentials | None,
        number: Number,
        owner: "InviteSession",
    ) -> None:
        self._core = core
        self.request = request
        self._look_up = branches
        self._branches: list[Branch] = []
        self._done = done
        self._progress = progress
        self._stray = stray
        self._credentials = credentials
        self._number = number
        self._owner = owner
        self._active: list[ClientRequest] = []
        self._current: ClientRequest | None = None
        self._best: Response | None = None
        self._cause: FailureCause | None = None
        self._cancelled = False
        self._is_over = False

    # ------------------------------------------------------------------ as a ClientRequest

    @property
    def target(self) -> Target | None:
        """Where the branch that spoke last is."""
        return self._current.target if self._current is not None else None

    @property
    def sent_request(self) -> Request:
        """What the branch that spoke last has got."""
        return self._current.sent_request if self._current is not None else self.request

    @property
    def why(self) -> str:
        """What the network said of the branch that failed last."""
        return self._current.why if self._current is not None else "nobody is registered there any more"

    @property
    def targets_left(self) -> tuple[Target, ...]:
        """None: another INVITE goes to all again."""
        return ()

    def begin(self, now: float) -> None:
        """Call those that are liked best; nobody to call is a failure."""
        self._branches = sorted(self._look_up()[:MAX_BRANCHES], key=lambda branch: -branch.q)
        if self._branches:
            self._call_next(now)
        else:
            self._finish(None, FailureCause.UNRESOLVED, now)

    def cancel(self, headers: tuple[tuple[str, str], ...], now: float) -> None:
        """Give all of them up."""
        if self._cancelled or self._is_over:
            return
        self._cancelled = True
        for one in tuple(self._active):
            one.cancel(headers, now)
        if not self._active:
            self._finish(None, FailureCause.CANCELLED, now)

    def abandon(self, now: float) -> None:
        """Wait no longer for those that were cancelled."""
        for one in tuple(self._active):
            one.abandon(now)

    # ------------------------------------------------------------------ branches

    def _call_next(self, now: float) -> None:
        """Call all that are liked as much as the first that is left."""
        liked = [branch for branch in self._branches if branch.q == self._branches[0].q]
        self._branches = self._branches[len(liked) :]
        self._active = [self._made(branch) for branch in liked]
        for one in tuple(self._active):
            if one in self._active:
                one.begin(now)

    def _made(self, branch: Branch) -> ClientRequest:
        fields = [*(("Route", route) for route in branch.route), *self.request.headers]
        hop = SipUri(branch.target.host, branch.target.port, params=UriParams({"transport": branch.target.transport}))
        one = ClientRequest(
            self._core,
            replace(self.request, request_uri=branch.uri, headers=Headers(fields)),
            hop,
            lambda response, cause, now: self._ended(one, response, cause, now),
            progress=lambda response, now: self._said(one, response, now),
            stray=lambda response, now: self._late(one, response, now),
            credentials=self._credentials,
            number=self._number,
            owner=self._owner,
            targets=(branch.target,),
        )
        return one

    def _said(self, one: ClientRequest, response: Response, now: float) -> None:
        if self._is_over:
            return
        self._current = one
        self._progress(response, now)

    def _ended(self, one: ClientRequest, response: Response | None, cause: FailureCause | None, now: float) -> None:
        if self._is_over and not (response is not None and response.is_success):
            return
        self._current = one
        if one in self._active:
            self._active.remove(one)
        if response is not None and response.is_success:
            self._withdraw(now)
            self._finish(response, None, now)
            return
        if response is not None:
            self._best = response if self._best is None or _rank(response) < _rank(self._best) else self._best
        else:
            self._cause = cause
        if response is not None and response.status >= 600:
            self._withdraw(now)
            self._branches = []
        if self._active:
            return
        if self._branches and not self._cancelled:
            self._call_next(now)
        else:
            self._finish(self._best, None if self._best is not None else self._cause, now)

    def _withdraw(self, now: float) -> None:
        """Cancel those that are still called; what they answer all the same is told by `stray`."""
        others, self._active = self._active, []
        for one in others:
            one.withdraw(ELSEWHERE, now)

    def _late(self, one: ClientRequest, response: Response, now: float) -> None:
        """A 2xx of a branch that has lost: what it is told goes to where that is."""
        path, kept = self._owner.path, self._owner.path.target
        path.target = one.target
        try:
            self._stray(response, now)
        finally:
            path.target = kept

    def _finish(self, response: Response | None, cause: FailureCause | None, now: float) -> None:
        self._is_over = True
        self._done(response, cause, now)


def _rank(response: Response) -> tuple[int, int]:
    """What is passed on of several refusals, the least first: 6xx, then the lowest class, in 4xx what says more."""
    if response.status >= 600:
        return (0, 0)
    return (response.status // 100, 0 if response.status in _SAYS_MORE else 1)
