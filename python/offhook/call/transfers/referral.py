"""The other side of a call refers us to somebody else, by REFER: its agent goes on with whoever that is.

    refused ◄─ asked ── 202, a call out with the same agent ──► answered: the agent has that call, this one ends
                                                          └──► nobody takes it: this call goes on as before

The call out is made ready as any: its agent is asked anew, told what was said so far, before anybody is called. So both
calls have an agent until one of them ends. If the other side hangs up meanwhile, as many phones do at once, the call
out goes on; whatever else ends this call gives it up.

Of a call that was placed for another one the agent is the caller there: whoever was called sends that caller on, as an
agent that asks for a transfer does, and is out of it once that has succeeded.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from offhook.call.agent_side import AgentSide
from offhook.call.event import Fault, Referring
from offhook.call.joined.bridge import Back
from offhook.call.leg import CallerLeg
from offhook.call.out.outcome import NotPlaced, Outcome
from offhook.call.out.wish import LONGEST_RINGING, Wish
from offhook.call.services import CallServices
from offhook.call.transfers.begun import Begun
from offhook.call.transfers.transfer_target import NoTarget, Target, read_referred
from offhook.destination.dialect.facts import HandedOver
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import CallUri, DialUri
from offhook.route.table import RecordPolicy, Route
from offhook.route.trunk import Trunk
from offhook.sip.events import ReferReceived
from offhook.sip.referred import Wanted
from offhook.sip.status import reason_phrase

if TYPE_CHECKING:
    from offhook.call.out.outbound import OutboundCall

_log = structlog.get_logger("offhook.call")

MAX_ATTEMPTS = 20
"""REFERs of one call that are tried; further ones are refused."""

MAX_STEPS = 5
"""Calls in a row that each refer to the next."""

LEAVES_WITHIN = 4.0
"""Seconds in which the other side is to hang up once it knows that its transfer succeeded; then we do."""

_JOINED = NoTarget(
    "the call is joined to another one, and not referred on",
    "who is called may transfer the call in the phone system that it belongs to",
    rule="refer_joined",
)
_REPLACES = NoTarget(
    "a caller is not put into a call that is up elsewhere (Replaces)",
    "have the transfer done blind, to a number or an extension",
    rule="refer_replaces",
)
_SERVICE_CODE = NoTarget(
    "a caller is not sent on to a service code",
    "have the transfer done to a number or an extension without * and #",
    rule="dial_no_number",
)
_CODES = re.compile("[*#]")
_RETRY: tuple[tuple[str, str], ...] = (("Retry-After", "5"),)
_LONGEST_SHOWN = 300
_STATUS = {"busy": 486, "refused": 603, "no_answer": 480, "failed": 503, "cancelled": 487}
"""What is reported where nobody gave a status."""


@dataclass(slots=True)
class _Attempt:
    target: str
    by: str
    since: float
    outcome: Outcome | None = None
    call_id: str | None = None
    rule: str | None = None
    over_at: float | None = None

    def summary(self) -> dict[str, Any]:
        outcome = self.outcome
        word = None if outcome is None else "completed" if outcome.kind == "answered" else outcome.kind
        return {
            "target": self.target,
            "outcome": word,
            "status": outcome.status if outcome is not None else None,
            "reason": outcome.reason or outcome.detail if outcome is not None else "",
            "confirmed": outcome is not None,
            "rule": self.rule,
            "duration_ms": round(1000 * (self.over_at - self.since)) if self.over_at is not None else None,
            "referred_by": self.by,
            "call_id": self.call_id,
        }


class Referral:
    """The REFERs of one call's other side, one at a time. What it is told comes from the call, in order.

    `begun` is set where the call itself goes on for one that was referred, `key` where an API key has asked for it.
    """

    __slots__ = (
        "_agent",
        "_attempts",
        "_is_unwanted",
        "_leg",
        "_placed",
        "_post",
        "_route",
        "_services",
        "_timeline",
        "_trunk",
        "begun",
        "is_done",
        "key",
    )

    def __init__(
        self,
        leg: CallerLeg,
        trunk: Trunk,
        route: Route | None,
        agent: AgentSide,
        timeline: Timeline,
        services: CallServices,
        post: "Callable[[Referring | Fault], None]",
    ) -> None:
        self._leg, self._trunk, self._route, self._agent = leg, trunk, route, agent
        self._timeline, self._services, self._post = timeline, services, post
        self._attempts: list[_Attempt] = []
        self._placed: OutboundCall | None = None
        self._is_unwanted = False
        self.begun: Begun | None = None
        self.key: str | None = None
        self.is_done = False
        """Whether somebody has answered: the agent has gone on, and this call only waits for its end."""

    def take_trunk(self, trunk: Trunk) -> None:
        """The call goes by another trunk, which may refer us to what its own list has."""
        self._trunk = trunk

    @property
    def is_open(self) -> bool:
        """Whether one is being tried."""
        return bool(self._attempts) and self._attempts[-1].outcome is None

    @property
    def account(self) -> str:
        """Where the one went that is tried, or has succeeded, for the record."""
        if not self.is_open and not self.is_done:
            return ""
        last = self._attempts[-1]
        return f"referred to {last.target}" + (f" (call {last.call_id})" if last.call_id else "")

    @property
    def claims(self) -> dict[str, Any]:
        """What the record of a call that goes on for another says of that."""
        return {} if self.begun is None else {"referred": self.begun.account}

    def summary(self, asked_by_agent: Mapping[str, object]) -> Mapping[str, object]:
        """What the record says of transfers: the last one that the other side asked for, the rest as `earlier`."""
        if not self._attempts:
            return asked_by_agent
        *earlier, last = (attempt.summary() for attempt in self._attempts)
        before = [*([asked_by_agent] if asked_by_agent else []), *earlier]
        return last | ({"earlier": before} if before else {})

    def ask(self, event: ReferReceived, *, is_free: bool) -> None:
        """Judge one. `is_free`: the call is up with its agent, and nothing else would give it away."""
        shown = printable(event.request.headers.get("Refer-To") or "nowhere")[:_LONGEST_SHOWN]
        asks = f"the caller's side asks us to transfer the call to {shown}"
        if event.status is not None or event.wanted is None:
            self._note(f"{asks}: refused with {event.status}")
            return
        if not is_free or self.is_open or self.is_done:
            self._note(f"{asks}: refused with 500, this can't be done now")
            self._services.perform(lambda now: self._leg.session.answer_refer(500, _RETRY, now=now))
            return
        behind = self._agent.joined
        if isinstance(behind, Back):
            self._send_on(behind, asks, shown, event.wanted)
            return
        target = self._judge(event.wanted) if not isinstance(self._agent.uri, DialUri | CallUri) else _JOINED
        if isinstance(target, NoTarget):
            self._refuse(asks, shown, target)
            return
        if not self._services.perform(lambda now: self._leg.session.answer_refer(202, now=now)):
            return
        by = printable(event.wanted.referred_by or "")[:_LONGEST_SHOWN]
        attempt = _Attempt(target.name, by, self._services.now())
        self._attempts.append(attempt)
        self._note(f"{asks}: `refer_to` of trunk '{self._trunk.name}' allows {target.name}, which is called")
        self._services.placing.follow(self._live(attempt, target, event.wanted))

    def told(self, news: Referring) -> bool:
        """The call out has come further. True once its target has answered: the agent is there now."""
        if not self.is_open:
            return False
        attempt = self._attempts[-1]
        attempt.call_id = news.call_id or None
        session, outcome = self._leg.session, news.outcome
        if outcome is None:
            if news.rang:
                self._services.perform(lambda now: session.report_refer(180, "Ringing", now=now))
            return False
        self._placed = None
        attempt.outcome, attempt.over_at = outcome, self._services.now()
        self.is_done = outcome.kind == "answered"
        status = 200 if self.is_done else outcome.status or _STATUS.get(outcome.kind, 503)
        self._services.perform(lambda now: session.report_refer(status, reason_phrase(status), now=now))
        who = "the caller" if isinstance(self._agent.uri, CallUri) else "the agent"
        how = f"answered; {who} goes on there" if self.is_done else f"{outcome.kind.replace('_', ' ')} ({status})"
        why = f": {outcome.detail}" if outcome.detail else ""
        by = f" (call {news.call_id})" if news.call_id else ""
        self._note(f"{attempt.target}, whom we were referred to: {how}{by}{why}")
        return self.is_done

    def call_ended(self, *, by_other_side: bool) -> None:
        """This call is over. What is tried goes on if the other side has left it behind, and is given up otherwise."""
        if not self.is_open:
            return
        placed, self._placed = self._placed, None
        if by_other_side:
            self._note("the caller's side has left; whom it referred us to is still called")
            return
        self._is_unwanted = True
        if placed is not None:
            placed.give_up("the call that it was to go on for has ended")

    def _send_on(self, behind: Back, asks: str, shown: str, wanted: Wanted) -> None:
        """Have the caller of the other call transferred: both trunks have to allow the target."""
        target = self._judge(wanted) if wanted.replaces is None else _REPLACES
        if isinstance(target, Target):
            target = behind.judge(target.name) if _CODES.search(target.name) is None else _SERVICE_CODE
        if isinstance(target, NoTarget):
            self._refuse(asks, shown, target)
            return
        if not self._services.perform(lambda now: self._leg.session.answer_refer(202, now=now)):
            return
        by = printable(wanted.referred_by or "")[:_LONGEST_SHOWN]
        self._attempts.append(_Attempt(target.name, by, self._services.now()))
        self._note(f"{asks}: the caller is transferred to {target.name}, as both trunks allow")
        behind.transfer(target.name, wanted.referred_by)

    def _judge(self, wanted: Wanted) -> Target | NoTarget:
        if len(self._attempts) >= MAX_ATTEMPTS or (self.begun is not None and self.begun.steps >= MAX_STEPS):
            return NoTarget("the call has been referred too often", rule="refer_too_often")
        session = self._leg.session
        assert session.dialog is not None, "it is up"
        return read_referred(wanted.uri, self._trunk, session.dialog.remote_target, self._leg.source)

    def _refuse(self, asks: str, shown: str, no: NoTarget) -> None:
        self._services.perform(lambda now: self._leg.session.answer_refer(603, now=now))
        self._services.gate.refused("refer", no.rule)
        call_id = self._timeline.call_id
        _log.warning("dial.refused", call_id=call_id, way="refer", rule=no.rule, why=no.why, hint=no.hint)
        now = self._services.now()
        outcome = Outcome("refused", 603, "", detail=no.why, hint=no.hint)
        refused = _Attempt(shown[:80], "", now, outcome, rule=no.rule, over_at=now)
        self._attempts = [*self._attempts, refused][-MAX_ATTEMPTS:]
        hint = f" ({no.hint})" if no.hint else ""
        self._note(f"{asks}: refused with 603, {no.why}{hint}")

    async def _live(self, attempt: _Attempt, target: Target, wanted: Wanted) -> None:
        """Place the call out, and tell how it goes."""
        try:
            placed = await self._services.placing.dial(self._wish(attempt, target, wanted))
            if isinstance(placed, NotPlaced):
                self._post(Referring(placed.call_id, placed.outcome))
                return
            self._placed = placed
            if self._is_unwanted:
                placed.give_up("the call that it was to go on for has ended")
            self._post(Referring(placed.id, None))
            await self._watch(placed)
        except Exception as error:
            self._post(Fault(error))

    async def _watch(self, call: "OutboundCall") -> None:
        rang = False
        while not call.decided.done():
            await call.changed()
            if call.rang_at is not None and not rang and not call.decided.done():
                rang = True
                self._post(Referring(call.id, None, rang=True))
        self._post(Referring(call.id, call.decided.result()))

    def _wish(self, attempt: _Attempt, target: Target, wanted: Wanted) -> Wish:
        assert self._agent.uri is not None, "a call that is up has an agent"
        headers = [
            *([("Referred-By", wanted.referred_by)] if wanted.referred_by else []),
            *([("Replaces", wanted.replaces)] if wanted.replaces else []),
        ]
        by = attempt.by or "the other side"
        note = f"The call was transferred: {by} referred you to {target.name}. Who answers is somebody else."
        steps = self.begun.steps + 1 if self.begun is not None else 1
        account = {"call_id": self._timeline.call_id, "by": by, "to": target.name, "rule": "refer_to"}
        uri = self._agent.destination.uri if self._agent.destination is not None else self._agent.uri.redacted
        return Wish(
            target.name,
            self._agent.uri,
            trunk=self._trunk.name,
            ring_timeout=min(self._trunk.transfer_timeout, LONGEST_RINGING),
            record=self._route is not None and self._route.record is RecordPolicy.ALWAYS,
            headers=tuple(headers),
            key=self.key,
            begun=Begun(
                self._agent.history.lines,
                HandedOver(uri, note[:1000]),
                self._route.hand_over_to if self._route is not None else (),
                account,
                steps,
            ),
        )

    def _note(self, what: str) -> None:
        self._timeline.add("note", self._services.now(), note=what)
