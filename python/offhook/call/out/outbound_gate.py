"""The gate before calls out: which trunk may call a number, and under which number of ours. What is unlisted, none.

Who asks may be an agent that was talked into it, so every wish is judged by the trunk's own lists, in every way in
which a carrier could read what we send.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from offhook.call.joined.joining import Joining
from offhook.call.out.dial_gate import DialGate, InTurn
from offhook.call.out.gatekeeper import Allowed, Denied
from offhook.call.out.wish import Wish
from offhook.ids import TrunkName
from offhook.route.called_name import read_own
from offhook.route.destination_uri import AgentUri, WorkerUri, host_of, user_of
from offhook.route.dialling import NotDialled, judge_called, judge_target
from offhook.route.number import written
from offhook.route.pattern import Pattern
from offhook.route.quoting import printable
from offhook.route.trunk import Trunk
from offhook.route.usage import OverLimit
from offhook.sip.locating import drawn

# What the caller's side has written goes into a header of ours: a number or a plain name, nothing else.
_SHOWABLE = re.compile(r"[+]?[0-9A-Za-z._-]{1,64}")
_CODES = re.compile("[*#:]")


class OutboundGate:
    """Judges wishes by the lists of `trunks`.

    Of several that may dial a number the one with the lowest priority is taken, within one by chance according to
    weight, and without weights in the order of the file; how exact its pattern is says nothing. One whose targets are
    all down goes last (`is_down`), and one that leads to a platform is taken only by name. `platforms` are the agents
    that are called by SIP, and talk from their answer on.
    """

    def __init__(
        self,
        trunks: Iterable[Trunk],
        gate: DialGate,
        *,
        chance: Callable[[], float],
        is_down: Callable[[TrunkName, float], bool] = lambda trunk, now: False,
        platforms: Collection[str] = (),
    ) -> None:
        self._trunks = tuple(trunk for trunk in trunks if trunk.calls_out)
        self._gate = gate
        self._chance = chance
        self._is_down = is_down
        self._platforms = frozenset(platforms)

    def judge(self, wish: Wish, now: float, without: frozenset[TrunkName] = frozenset()) -> Allowed | Denied:
        """The best trunk that may, of those that the wish leaves open; or what is against the first that has it."""
        verdict = self._best(wish, now, without)
        if isinstance(verdict, Allowed):
            return verdict
        if not without:
            self._gate.refused("dial", verdict.slug)
        named = next((trunk.name for trunk in self._trunks if trunk.name == wish.trunk), None)
        return replace(verdict, trunk=verdict.trunk or named)

    def _best(self, wish: Wish, now: float, without: frozenset[TrunkName]) -> Allowed | Denied:
        if isinstance(wish.agent, AgentUri | WorkerUri) and wish.agent.name in self._platforms:
            return Denied(
                "dial_agent_platform",
                f"agent '{wish.agent.name}' is on a platform, which would talk before whoever is called has answered",
                "let the platform place the call by this gateway (docs/guides/platforms), or name another agent",
            )
        host = host_of(wish.to)
        own = wish.joined.trunk if wish.joined is not None else None
        candidates = [trunk for trunk in self._trunks if trunk.is_meant(wish.trunk, host) or trunk.name == own]
        if wish.joined is not None and wish.joined.is_local:
            phones = [trunk for trunk in candidates if trunk.phone(wish.to) is not None]
            candidates = phones or [trunk for trunk in candidates if trunk.name == wish.joined.trunk]
        if not candidates:
            return self._no_trunk(wish)
        verdicts = []
        may = [trunk for trunk in candidates if not isinstance(_by_rules(wish, trunk), Denied)]
        left = self._in_order([trunk for trunk in may if trunk.name not in without], now)
        # What is against those that may not is said of the first in the file.
        for number, trunk in enumerate((*left, *(trunk for trunk in candidates if trunk not in may))):
            verdict = self._judge(wish, trunk, now, is_further=bool(without))
            if isinstance(verdict, Allowed):
                return replace(verdict, others=len(left) - number - 1)
            verdicts.append(verdict)
        if not verdicts:
            return Denied("dial_no_trunk", "every trunk that may dial it has been tried")
        return next((denied for denied in verdicts if denied.slug != "dial_not_listed"), verdicts[0])

    def _in_order(self, trunks: Sequence[Trunk], now: float) -> list[Trunk]:
        """By priority, within one as often as their weights say; those that can't be reached go last."""
        ordered: list[Trunk] = []
        for priority in sorted({trunk.priority for trunk in trunks}):
            group = [trunk for trunk in trunks if trunk.priority == priority]
            weighty = [trunk for trunk in group if trunk.weight]
            while weighty:
                ordered.append(weighty.pop(drawn([trunk.weight for trunk in weighty], self._chance)))
            ordered += [trunk for trunk in group if not trunk.weight]
        return sorted(ordered, key=lambda trunk: self._is_down(trunk.name, now))

    def _judge(self, wish: Wish, trunk: Trunk, now: float, *, is_further: bool) -> Allowed | Denied:
        allowed = _by_rules(wish, trunk)
        if isinstance(allowed, Denied):
            return allowed
        number, shown = allowed
        asker = wish.agent if wish.joined is None else wish.joined.agent
        agent = asker.name if isinstance(asker, AgentUri | WorkerUri) else None
        counted = self._gate.call(trunk, number, agent, wish.key, now, in_turn=_in_turn(wish, trunk, is_further))
        if isinstance(counted, OverLimit):
            return Denied(counted.slug, counted.why, counted.hint, counted.retry_after, trunk.name)
        return Allowed(trunk, number, shown, counted)

    def _no_trunk(self, wish: Wish) -> Denied:
        hint = "give a [[trunk]] a `host`, a `caller_id` and `dial_to`"
        if (host := host_of(wish.to)) is not None:
            return Denied("dial_no_trunk", f"no trunk that may be taken has the host '{printable(host)}'", hint)
        if wish.trunk is None and any(trunk.only_named for trunk in self._trunks):
            return Denied("dial_no_trunk", "no trunk calls out but those to platforms, which have to be named", hint)
        if wish.trunk is None:
            return Denied("dial_no_trunk", "no trunk calls out", hint)
        return Denied("dial_no_trunk", f"there is no trunk '{printable(wish.trunk)}' that calls out", hint)


def _in_turn(wish: Wish, trunk: Trunk, is_further: bool) -> InTurn:
    """For whom it is one more call of a second: one by a further trunk, or for a transfer, has been counted."""
    joined = wish.joined
    if joined is None or not joined.is_transfer:
        return "trunk" if is_further else "all"
    return "nobody" if joined.trunk == trunk.name else "trunk"


def _by_rules(wish: Wish, trunk: Trunk) -> tuple[str, str] | Denied:
    """The number or name to be called and the one to be shown, or why not."""
    where = f"trunk '{trunk.name}'"
    if wish.begun is not None:
        # The other side of a call refers us there: to a number, or to an extension of its own.
        return _by_referral(wish.to, trunk)
    joined = wish.joined
    if joined is not None and joined.setting == "transfer_to" and joined.trunk == trunk.name:
        # An agent transfers a call of this trunk, as it might by REFER.
        listed = _by_list(user_of(wish.to), trunk, trunk.transfer_to, "transfer_to", name=wish.to)
        return listed if isinstance(listed, Denied) else (listed, _shown_for(joined, trunk))
    number = judge_called(user_of(wish.to), trunk, listed=joined is not None and joined.setting == "agent")
    if isinstance(number, NotDialled):
        return Denied(number.rule, number.why, number.hint, trunk=trunk.name)
    if joined is not None and wish.caller_id is None:
        return number, _shown_for(joined, trunk)
    shown = trunk.caller_ids[0] if wish.caller_id is None else read_own(wish.caller_id, trunk.country)
    if shown not in trunk.caller_ids:
        return Denied(
            "dial_caller_id",
            f"{printable(shown)} is no number of ours at {where}",
            f"`caller_id` of {where} has {', '.join(trunk.caller_ids[:5])}: add it if the carrier has given it to you",
            trunk=trunk.name,
        )
    return number, shown


def _by_referral(to: str, trunk: Trunk) -> tuple[str, str] | Denied:
    listed = _by_list(to, trunk, trunk.refer_to, "refer_to", name=to)
    return listed if isinstance(listed, Denied) else (listed, trunk.caller_ids[0])


def _by_list(to: str, trunk: Trunk, patterns: Sequence[Pattern], setting: str, *, name: str) -> str | Denied:
    if _CODES.search(to) is not None:
        # As in `called_name`, a service code is nobody (*72 forwards our own calls); nor is a `sips:`.
        why = f"{printable(to)} is no number, extension or name that the gateway could call"
        return Denied("dial_no_number", why, "write tel:+14155550100 or sip:desk@example.com", trunk=trunk.name)
    for dialled in (to, written(to, trunk.number_format, trunk.country)):
        against = judge_target(name, dialled, trunk, patterns, setting)
        if against is not None:
            return Denied(against.rule, against.why, against.hint, trunk=trunk.name)
    return to


def _shown_for(joined: Joining, trunk: Trunk) -> str:
    """The number that a call shows which goes on for another: the caller's where it is ours, or the trunk lets us."""
    passed = trunk.pass_caller and not joined.is_withheld and _SHOWABLE.fullmatch(joined.caller)
    return joined.caller if passed or joined.caller in trunk.caller_ids else trunk.caller_ids[0]
