"""The transfers of a call: asked for by its agent, tried by REFER or by calling the target, judged in one word.

One at a time. Until it is decided the session stays up whatever else happens, since many phone systems give up a
transfer whose transferor leaves early: an agent that goes meanwhile is let go, the caller's leg is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from offhook.call.agent_side import AgentSide
from offhook.call.end_reason import EndReason
from offhook.call.joined.bridging import Bridging
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.call.state import CallState
from offhook.call.transfers.direct_transfer import DirectTransfer, may_call
from offhook.call.transfers.transfer_hints import hint_for_refusal, hint_for_target
from offhook.call.transfers.transfer_target import NoTarget, Target, phone_system, read_target
from offhook.destination.agent_headers import AgentHeaders
from offhook.destination.base import (
    AgentNote,
    DestinationEvent,
    OtherCall,
    TransferAsked,
    TransferEnd,
    TransferResult,
    TransferWay,
)
from offhook.errors import DestinationError, LocalProtocolError
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import AgentUri, DestinationUri, WorkerUri
from offhook.route.table import CallFacts, Forward
from offhook.route.trunk import Trunk
from offhook.sip.events import ReferProgress
from offhook.sip.headers.name_addr import NameAddr
from offhook.sip.refer import Ending, ReferOutcome
from offhook.sip.uri import SipUri, TelUri

_log = structlog.get_logger("offhook.call")

_TOO_LATE = "There was no time left for a call of the gateway's own: `transfer_timeout` of the [[trunk]] is for both."
_NO_LOOP = (
    "A [[route]] for that number, before it, with its destination sip:USER@TRUNK connects phones with each other."
)
_NO_WAY = "Give a [[trunk]] a `host`, a `caller_id` and `dial_to`, and the gateway calls the target itself."

MAX_ATTEMPTS = 20
"""Transfers that one call may try; more are refused."""

LONGEST = 600.0
"""Seconds that an agent may give a transfer."""

_SILENCE = 0.5
"""What part of its time a REFER has where nothing is heard of it, and the gateway could call the target itself."""

_WORTH_CALLING = 0.25
"""What part of its time must be left for that, since somebody has to walk to the phone."""

_BUSY = frozenset({486, 600})
_NO_ANSWER = frozenset({408, 480, 487})
"""What phone systems say where nobody answered: time-out, unavailable for now, and their own CANCEL."""


@dataclass(slots=True)
class _Attempt:
    target: str
    since: float
    result: TransferResult | None = None
    over_at: float | None = None
    rule: str | None = None
    way: TransferWay = "refer"
    call_id: str | None = None
    by: str = ""

    def summary(self) -> dict[str, int | str | bool | None]:
        result = self.result
        return {
            "target": self.target,
            "outcome": result.outcome if result is not None else None,
            "status": result.status if result is not None else None,
            "reason": result.reason if result is not None else "",
            "confirmed": result.confirmed if result is not None else False,
            "rule": self.rule,
            "way": self.way,
            "call_id": self.call_id,
            "by": self.by,
            "duration_ms": round(1000 * (self.over_at - self.since)) if self.over_at is not None else None,
        }


class Transfers:
    """The transfers of one call. What it is told comes from the call, in order.

    `allowed` are patterns of the header names that the agent may set.
    """

    __slots__ = (
        "_after",
        "_agent",
        "_allowed",
        "_attempts",
        "_bridging",
        "_by_refer",
        "_headers",
        "_leg",
        "_referred_by",
        "_services",
        "_target",
        "_timeline",
        "_timeout",
        "_trunk",
        "direct",
        "silent_since",
    )

    def __init__(
        self,
        leg: CallerLeg,
        trunk: Trunk,
        agent: AgentSide,
        bridging: Bridging,
        timeline: Timeline,
        services: CallServices,
        allowed: tuple[str, ...],
    ) -> None:
        self._leg, self._trunk, self._timeline, self._services = leg, trunk, timeline, services
        self._agent, self._allowed, self._bridging = agent, allowed, bridging
        self.direct = DirectTransfer(agent, bridging)
        """The target of one that the gateway does by itself."""
        self._target: Target | None = None
        self._by_refer: TransferResult | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._referred_by: str | None = None
        self._attempts: list[_Attempt] = []
        self._timeout = 0.0
        self._after: Callable[[], None] | None = None
        self.silent_since: int | None = None
        """How many packets had come when the caller's media timed out in one: on hold elsewhere there are none."""

    def take_trunk(self, trunk: Trunk) -> None:
        """The call goes by another trunk, whose lists say where it may be transferred to."""
        self._trunk = trunk

    @property
    def is_open(self) -> bool:
        """Whether one is being tried."""
        return bool(self._attempts) and self._attempts[-1].result is None

    @property
    def is_left_alone(self) -> bool:
        """Whether somebody is called for a caller whose agent is gone: what its loss would come to has to wait."""
        return self.direct.is_open and self._after is not None

    @property
    def result(self) -> TransferResult | None:
        """What the last one came to."""
        return self._attempts[-1].result if self._attempts else None

    @property
    def account(self) -> str:
        """Where the last one went and how, for the record."""
        if self.result is None:
            return ""
        sure = "" if self.result.confirmed else "unconfirmed: "
        return f"to {self._attempts[-1].target} ({sure}{self.result.reason})"

    def defers(self, action: Callable[[], None], *, is_last: bool = False) -> bool:
        """Whether `action`, which would end the call, has to wait: while one is tried.

        The first to come is kept, unless another is the last word: the caller's BYE, which ends what the gateway itself
        is trying.
        """
        if self.direct.is_open and is_last:
            return False
        if self.is_open and (self._after is None or is_last):
            self._after = action
        return self.is_open

    def deferred(self) -> Callable[[], None] | None:
        """What has waited for the end of the last one, once."""
        action, self._after = self._after, None
        return action

    def ask(self, asked: TransferAsked, state: CallState, agent: DestinationUri | None) -> TransferResult | None:
        """Begin one in a call that is in this state, for this agent. A result where it can't even be tried."""
        now, session = self._services.now(), self._leg.session
        if state is CallState.DRAINING:
            return self._not_tried(asked.target, "the agent has ended the call")
        if state is not CallState.ANSWERED or session.dialog is None:
            return self._not_tried(asked.target, "the call is not answered", "transfer it once it is")
        if len(self._attempts) >= MAX_ATTEMPTS:
            return self._not_tried(asked.target, f"the call has tried {MAX_ATTEMPTS} transfers already")
        headers = AgentHeaders(self._allowed)
        try:
            headers.set(dict(asked.headers), "all")
        except LocalProtocolError as error:
            return self._not_tried(
                asked.target, str(error), "`agent_headers` of the [[route]] says what an agent may set"
            )
        target = read_target(
            asked.target, self._trunk, phone_system(self._trunk, session.dialog.remote_target, self._leg.source)
        )
        if isinstance(target, NoTarget):
            return self._not_tried(asked.target, target.why, target.hint, target.rule)
        loop = self._comes_back(target, agent)
        if loop and not self._may_call_it and self._trunk.transfer != "bridge":
            return self._not_tried(
                asked.target, f"the caller's phone would call us, and get this agent{loop}", _NO_LOOP
            )
        named = agent.name if isinstance(agent, AgentUri | WorkerUri) else None
        over = self._services.gate.transfer(self._trunk.name, named, self._bridging.key, now)
        if over is not None:
            return self._not_tried(asked.target, over.why, over.hint, over.slug)
        self._timeout = min(max(1.0, asked.timeout or self._trunk.transfer_timeout), LONGEST)
        by = self._agent.destination.uri if self._agent.destination is not None else ""
        self._attempts.append(_Attempt(target.name, now, by=by))
        self._target, self._headers, self._by_refer = target, headers.outgoing.requests, None
        self._referred_by = asked.referred_by
        if loop or self._trunk.transfer == "bridge":
            why = f" (by REFER it would be this agent's again{loop})" if loop else ""
            self._note(f"the agent transfers the caller to {target.name}, whom the gateway calls{why}")
            self._call(target)
            return None
        self._note(f"the agent transfers the caller to {target.name}: REFER")
        refer_to, wished = _addressed(target, headers.outgoing.requests)
        reports = self._trunk.transfer_reports
        silence = self._timeout * _SILENCE if self._may_call_it else None
        sent = self._services.perform(
            lambda at: session.refer(refer_to, wished, timeout=self._timeout, silence=silence, reports=reports, now=at)
        )
        if sent or not self.is_open:
            return None
        return self._over(TransferResult("caller_gone", reason="the call is over"))

    def progress(self, event: ReferProgress) -> None:
        """The other side is at it."""
        said = f"{event.status} {printable(event.reason)}".rstrip()
        if event.is_report:
            self._note(f"the transfer: {said}")
        else:
            self._note(f"the transfer was accepted with {said}")

    def over(self, outcome: ReferOutcome) -> TransferResult | None:
        """It has come to its end; None if none is open."""
        if not self.is_open or self.direct.is_open:
            return None
        result, target = self._judge(outcome), self._target
        if self._trunk.transfer == "auto" and target is not None and may_call(outcome):
            if not self._services.placing.calls_out:
                result = replace(result, hint=f"{result.hint} {_NO_WAY}".strip())
            elif self._left < self._timeout * _WORTH_CALLING:
                result = replace(result, hint=f"{result.hint} {_TOO_LATE}".strip())
            else:
                self._note(f"{result.reason}; so the gateway calls {target.name}")
                self._by_refer = result
                self._call(target)
                return None
        return self._over(result)

    def _comes_back(self, target: Target, agent: DestinationUri | None) -> str:
        """By which route the call that a phone of ours makes for a REFER would come back to the agent that asks for it.

        Each round of that would be a call of its own, and no message tells of the loop. Empty if it does not.
        """
        session, uri, routes = self._leg.session, target.uri, self._services.placing.routes
        if not self._trunk.phones or routes is None or session.dialog is None:
            return ""
        if isinstance(uri, SipUri) and (uri.user is None or uri.host != self._leg.source.local[0]):
            return ""
        dialled = uri.number if isinstance(uri, TelUri) else uri.user or ""
        who = NameAddr.parse(session.dialog.remote_uri).uri
        facts = CallFacts.read(
            self._trunk, to_user=dialled, from_user=(who.user or "") if isinstance(who, SipUri) else ""
        )
        decision = routes(self._trunk.name).decide(facts)
        if isinstance(decision, Forward) and decision.route.destination == agent:
            return f" by route '{decision.route.name}'"
        return ""

    @property
    def _may_call_it(self) -> bool:
        """Whether the gateway calls the target itself where REFER is of no use."""
        return self._trunk.transfer == "auto" and self._services.placing.calls_out

    @property
    def _left(self) -> float:
        """Seconds that the one that is tried may still take."""
        return self._attempts[-1].since + self._timeout - self._services.now()

    def prepared(self, error: DestinationError | None) -> TransferResult:
        """Whom the gateway has called for one has answered, and is to be the call's agent; or why not."""
        attempt, direct = self._attempts[-1], self.direct
        if error is not None:
            result = direct.failed(error)
            attempt.call_id = result.call_id or None
            if self._by_refer is not None and error.code == EndReason.DIAL_REFUSED.slug:
                # Nobody was called: what stands is what became of the REFER.
                attempt.way, before = "refer", self._by_refer
                result = replace(before, hint=f"{before.hint} Nor may the gateway call the target: {error}".strip())
            return self._over(result)
        attempt.call_id = direct.call_id
        return self._over(TransferResult("completed", 200, "answered", way="bridge", call_id=direct.call_id))

    def told(self, event: DestinationEvent) -> TransferResult | None:
        """Whom the gateway calls for one says something: a result if that is its end."""
        match event:
            case OtherCall(call_id):
                self.direct.call_id = self._attempts[-1].call_id = call_id
            case AgentNote(what, fields):
                self._timeline.add("agent", self._services.now(), note=what, **dict(fields))
        result = self.direct.told(event)
        return None if result is None else self._over(result)

    def succeeded_late(self, status: int, reason: str) -> bool:
        """One that was given up has succeeded after all. False if the caller is with the target already, by us."""
        if self.result is not None and self.result.outcome == "completed":
            self._note(f"the trunk reports of a transfer that was given up, too late: {status} {printable(reason)}")
            return False
        self.direct.give_up(EndReason.TRANSFERRED.slug)
        said = f"{status} {printable(reason)}".rstrip()
        result = TransferResult("completed", status, f"{said}, after the time was up")
        if self._attempts:
            was_open, last = self.is_open, self._attempts[-1]
            last.result, last.way, last.over_at = result, "refer", self._services.now()
            if was_open:
                self._tell(result)
        self._note(f"the transfer that was given up has succeeded: {said}")
        return True

    def _tell(self, result: TransferResult) -> None:
        if self._agent.destination is not None:
            self._agent.destination.transferred(result)

    def _call(self, target: Target) -> None:
        attempt = self._attempts[-1]
        attempt.way = "bridge"
        agent = self._agent.uri if isinstance(self._agent.uri, AgentUri | WorkerUri) else None
        # RFC 3892 section 2.2: who is called for a REFER learns who sent it.
        by = (("Referred-By", self._referred_by),) if self._referred_by is not None else ()
        self.direct.begin(target, agent, (*self._headers, *by), self._left)

    def call_ended(self, reason: str) -> None:
        """The call is over, perhaps with one under way."""
        self._after = None
        self.direct.give_up(reason)
        if self.is_open:
            way = self._attempts[-1].way
            why = "the call ended while it was being tried"
            self._tell(self._over(TransferResult("caller_gone", reason=why, confirmed=False, way=way)))

    def summary(self) -> Mapping[str, object]:
        """What the record of the call says: the last one, and `earlier` ones if there were any. Empty without any."""
        if not self._attempts:
            return {}
        *earlier, last = (attempt.summary() for attempt in self._attempts)
        return last | ({"earlier": earlier} if earlier else {})

    def _judge(self, outcome: ReferOutcome) -> TransferResult:
        status, said = outcome.status, f"{outcome.status} {printable(outcome.reason)}".rstrip()
        match outcome.ending:
            case Ending.SUCCEEDED:
                return TransferResult("completed", status, said)
            case Ending.HANDED_OVER:
                reason = "the other side took the caller over and ended our part without a report"
                return TransferResult("completed", reason=reason, confirmed=False)
            case Ending.FAILED:
                assert status is not None, "reported"
                return TransferResult(_end_of(status), status, said, hint_for_target(status))
            case Ending.REFUSED:
                assert status is not None, "answered"
                reason = f"the REFER was refused: {said}"
                return TransferResult("refused", status, reason, hint_for_refusal(status, self._leg.session.allows))
            case Ending.NOT_TRIED:
                return TransferResult("refused", reason="the other side ended its reports: nothing will be tried")
            case Ending.UNANSWERED:
                reason = f"the REFER was not answered: {printable(outcome.detail)}"
                return TransferResult("timed_out", reason=reason, hint=hint_for_refusal(408, self._leg.session.allows))
            case Ending.LEFT | Ending.ABANDONED:
                last = f"; the last report was {outcome.last}" if outcome.last is not None else ""
                who = "the caller's side" if outcome.ending is Ending.LEFT else "the gateway"
                reason = f"{who} ended the call while the transfer was being tried{last}"
                return TransferResult("caller_gone", reason=reason)
            case Ending.TIMED_OUT:
                last = f"the last report was {outcome.last}" if outcome.last is not None else "there was no report"
                waited = self._services.now() - self._attempts[-1].since
                hint = "Raise `transfer_timeout` of the [[trunk]] if its targets may ring longer."
                return TransferResult("timed_out", reason=f"{waited:.3g} s were over; {last}", hint=hint)

    def _not_tried(self, target: str, why: str, hint: str = "", rule: str | None = None) -> TransferResult:
        if rule is not None:
            self._services.gate.refused("transfer", rule)
            _log.warning(
                "dial.refused",
                call_id=self._timeline.call_id,
                way="transfer",
                trunk=self._trunk.name,
                rule=rule,
                why=why,
                hint=hint,
            )
        attempt = _Attempt(printable(target[:80]), self._services.now(), rule=rule)
        self._attempts = [*self._attempts, attempt][-MAX_ATTEMPTS:]
        return self._over(TransferResult("refused", None, why, hint))

    def _over(self, result: TransferResult) -> TransferResult:
        attempt = self._attempts[-1]
        attempt.result, attempt.over_at = result, self._services.now()
        sure = "" if result.confirmed else ", unconfirmed"
        self._note(f"the transfer to {attempt.target}: {result.outcome.replace('_', ' ')}{sure} ({result.reason})")
        return result

    def _note(self, what: str) -> None:
        self._timeline.add("note", self._services.now(), note=what)


def _end_of(status: int) -> TransferEnd:
    if status in _BUSY:
        return "busy"
    return "no_answer" if status in _NO_ANSWER else "refused"


def _addressed(target: Target, headers: tuple[tuple[str, str], ...]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Refer-To, and what goes onto the REFER itself: call data for the target (RFC 7433) travels in Refer-To."""
    data = [value for name, value in headers if name.lower() == "user-to-user"]
    if not data or not target.has_room:
        return target.refer_to(), headers
    return target.refer_to(data[0]), tuple(pair for pair in headers if pair[0].lower() != "user-to-user")
