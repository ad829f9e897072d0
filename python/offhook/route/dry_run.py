"""A call that only asks the way: the same decisions as a real one, with every step and its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from offhook.route.number import Number
from offhook.route.quoting import printable
from offhook.route.table import CallFacts, Forward, NoRoute, Route, RouteTable
from offhook.route.trunk import Known, NeedsDigest, Stranger, Trunk, TrunkTable


@dataclass(frozen=True, slots=True)
class Question:
    """The call to try.

    `user` is the inbound user name that its caller would prove, `proven` the domains of its certificate.
    """

    source_ip: str
    to_user: str
    from_user: str
    transport: str = "udp"
    domain: str = ""
    from_host: str = ""
    user: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    proven: Sequence[str] = ()
    facts: Callable[[Trunk], CallFacts] | None = None
    """How a gateway reads such a call of a trunk; without it, `headers` say nothing of who calls."""

    def read(self, trunk: Trunk) -> CallFacts:
        """The call as a route sees it, by its numbers alone."""
        return CallFacts.read(
            trunk,
            to_user=self.to_user,
            from_user=self.from_user,
            from_host=self.from_host,
            headers=self.headers,
        )


@dataclass(frozen=True, slots=True)
class DryStep:
    """One thing looked at: `ok` is None where nothing is decided."""

    subject: str
    ok: bool | None
    text: str


@dataclass(slots=True)
class DryRun:
    """What would become of the call. `slug` is the end reason of a refusal, empty if a route takes it."""

    steps: list[DryStep] = field(default_factory=list)
    slug: str = ""
    why: str = ""
    trunk: Trunk | None = None
    route: Route | None = None
    facts: CallFacts | None = None


def try_call(trunks: TrunkTable, routes: RouteTable, question: Question) -> DryRun:
    """Take a call through trunk, numbers and routes as the gateway would. Limits have no part in it."""
    run = DryRun()
    trunk = _find_trunk(trunks, question, run)
    if trunk is None:
        return run
    run.trunk = trunk
    facts = run.facts = (question.facts or question.read)(trunk)
    run.steps.append(DryStep("to", None, _reading(facts.to, trunk)))
    run.steps.append(DryStep("from", None, _reading(facts.from_, trunk)))
    for step in routes.explain(facts):
        failed = "; ".join(str(mismatch) for mismatch in step.mismatches)
        run.steps.append(DryStep("route", not failed, f"'{step.route.name}'{f': {failed}' if failed else ' fits'}"))
    match routes.decide(facts):
        case Forward(route):
            run.route = route
        case NoRoute() as none:
            run.slug, run.why = "no_route", none.why
    return run


def _find_trunk(trunks: TrunkTable, question: Question, run: DryRun) -> Trunk | None:
    asked = (question.source_ip, question.transport, question.domain)
    identity = trunks.identify(*asked, proven=question.proven)
    proven = None
    if isinstance(identity, NeedsDigest):
        inbound = [trunk.inbound for trunk in identity.trunks if trunk.inbound is not None]
        users = [user for one in inbound for user in (one.username, *one.others)]
        user = question.user if question.user is not None or len(users) > 1 else users[0]
        if user is None:
            run.slug, run.why = "auth_failed", f"the caller must prove one of these users: {', '.join(users)}"
            run.steps.append(DryStep("user", False, run.why))
            return None
        identity = trunks.identify(*asked, user, question.proven)
        proven = DryStep("user", True, f"'{user}' and its password are asked for, and taken as proven here")
    match identity:
        case Known(trunk):
            run.steps.append(DryStep("source", True, _membership(trunk, question)))
            if proven is not None:
                run.steps.append(proven)
            return trunk
        case Stranger(rule, _, why):
            run.slug, run.why = "auth_failed" if rule == "user" else "no_trunk", why
            run.steps.append(DryStep(rule, False, why))
        case NeedsDigest():
            raise AssertionError("a proven user is known or a stranger")
    return None


def _membership(trunk: Trunk, question: Question) -> str:
    who = f"{question.source_ip} ({question.transport}) is trunk '{trunk.name}'"
    reasons = [f"allow {', '.join(map(str, trunk.allow))}" if trunk.allow else "it takes calls from anywhere"]
    if trunk.domain:
        reasons.append(f"domain {trunk.domain}")
    if trunk.tls_name:
        reasons.append(f"its certificate is for {trunk.tls_name}")
    return f"{who}: {', '.join(reasons)}"


def _reading(number: Number, trunk: Trunk) -> str:
    text = printable(number.text)
    if number.anonymous:
        return f"'{text}' is a withheld number"
    if number.e164 is None:
        country = f"country {trunk.country}" if trunk.country else "the trunk has no country"
        return f"'{text}' is taken as it stands ({country})"
    how = "" if number.text.startswith("+") else f" by country {trunk.country}"
    return f"'{text}' is {number.e164}{how}"
