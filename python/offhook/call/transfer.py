"""The transfers of a call: asked for by its agent, tried by REFER, judged in one word.

One at a time. Until it is decided the session stays up whatever else happens, since many phone systems give up a
transfer whose transferor leaves early: an agent that goes meanwhile is let go, the caller's leg is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.call.state import CallState
from offhook.call.transfer_hints import hint_for_refusal, hint_for_target
from offhook.call.transfer_target import NoTarget, Target, read_target
from offhook.destination.agent_headers import AgentHeaders
from offhook.destination.base import TransferAsked, TransferEnd, TransferResult
from offhook.errors import LocalProtocolError
from offhook.observe.printable import printable
from offhook.report.timeline import Timeline
from offhook.route.destination_uri import AgentUri, DestinationUri, WorkerUri
from offhook.route.trunk import Trunk
from offhook.sip.events import ReferProgress
from offhook.sip.refer import Ending, ReferOutcome

_log = structlog.get_logger("offhook.call")

MAX_ATTEMPTS = 20
"""Transfers that one call may try; more are refused."""

LONGEST = 600.0
"""Seconds that an agent may give a transfer."""

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

    def summary(self) -> dict[str, int | str | bool | None]:
        result = self.result
        return {
            "target": self.target,
            "outcome": result.outcome if result is not None else None,
            "status": result.status if result is not None else None,
            "reason": result.reason if result is not None else "",
            "confirmed": result.confirmed if result is not None else False,
            "rule": self.rule,
            "duration_ms": round(1000 * (self.over_at - self.since)) if self.over_at is not None else None,
        }


class Transfers:
    """The transfers of one call. What it is told comes from the call, in order.

    `allowed` are patterns of the header names that the agent may set.
    """

    __slots__ = (
        "_after",
        "_allowed",
        "_attempts",
        "_leg",
        "_services",
        "_timeline",
        "_timeout",
        "_trunk",
        "silent_since",
    )

    def __init__(
        self, leg: CallerLeg, trunk: Trunk, timeline: Timeline, services: CallServices, allowed: tuple[str, ...]
    ) -> None:
        self._leg, self._trunk, self._timeline, self._services = leg, trunk, timeline, services
        self._allowed = allowed
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

        The first to come is kept, unless another is the last word: the caller's BYE.
        """
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
        target = read_target(asked.target, self._trunk, session.dialog.remote_target)
        if isinstance(target, NoTarget):
            return self._not_tried(asked.target, target.why, target.hint, target.rule)
        named = agent.name if isinstance(agent, AgentUri | WorkerUri) else None
        if (over := self._services.gate.transfer(self._trunk.name, named, now)) is not None:
            return self._not_tried(asked.target, over.why, over.hint, over.slug)
        self._timeout = min(max(1.0, asked.timeout or self._trunk.transfer_timeout), LONGEST)
        self._attempts.append(_Attempt(target.name, now))
        self._note(f"the agent transfers the caller to {target.name}: REFER")
        refer_to, wished = _addressed(target, headers.outgoing.requests)
        reports = self._trunk.transfer_reports
        sent = self._services.perform(
            lambda at: session.refer(refer_to, wished, timeout=self._timeout, reports=reports, now=at)
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
        return self._over(self._judge(outcome)) if self.is_open else None

    def succeeded_late(self, status: int, reason: str) -> None:
        """One that was given up has succeeded after all."""
        said = f"{status} {printable(reason)}".rstrip()
        result = TransferResult("completed", status, f"{said}, after the time was up")
        if self._attempts:
            self._attempts[-1].result = result
        self._note(f"the transfer that was given up has succeeded: {said}")

    def call_ended(self) -> None:
        """The call is over, perhaps with one under way."""
        self._after = None
        if self.is_open:
            self._over(TransferResult("caller_gone", reason="the call ended while it was being tried", confirmed=False))

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
                hint = "Raise `transfer_timeout` of the [[trunk]] if its targets may ring longer."
                return TransferResult("timed_out", reason=f"{self._timeout:g} s were over; {last}", hint=hint)

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
