"""Routes that lead to people: whether any trunk may call them, which the gate would say only when somebody calls."""

from collections.abc import Iterable, Iterator

from offhook.config.lines import Path
from offhook.config.problems import Finding
from offhook.config.schema import RouteConfig
from offhook.route.destination_uri import DialUri, host_of, user_of
from offhook.route.dialling import NotDialled, judge_called
from offhook.route.trunk import Trunk


def nobody_calls(routes: Iterable[tuple[int, RouteConfig]], trunks: Iterable[Trunk]) -> Iterator[Finding]:
    """The destinations and fallbacks that no trunk may call, each with what stands against it."""
    callers = [trunk for trunk in trunks if trunk.calls_out]
    for index, route in routes:
        places: list[tuple[Path, object]] = [(("route", index, "destination"), route.destination)]
        places += [(("route", index, "fallback", n, "to"), one.to) for n, one in enumerate(route.fallback)]
        for path, uri in places:
            if isinstance(uri, DialUri) and (why := _against(uri, callers)) is not None:
                yield Finding(path, f"'{uri}' will be refused: {why[0]}", why[1])


def _against(uri: DialUri, trunks: list[Trunk]) -> tuple[str, str] | None:
    """Why none of them may call it, and what to change; None if one may."""
    host = host_of(uri.to)
    meant = [trunk for trunk in trunks if trunk.is_meant(uri.trunk, host)]
    if not meant:
        hint = "give a [[trunk]] a `host`, a `caller_id` and `dial_to`"
        if uri.trunk is None and host is None and trunks:
            return "no trunk calls out but those to platforms, which have to be named", f"{hint}, or write ?trunk=NAME"
        which = f"'{uri.trunk}'" if uri.trunk is not None else f"with host '{host}'" if host else "at all"
        return f"no trunk {which} calls out", hint
    verdicts = [judge_called(user_of(uri.to), trunk) for trunk in meant]
    first = verdicts[0]
    if not isinstance(first, NotDialled) or any(isinstance(verdict, str) for verdict in verdicts):
        return None
    return first.why, first.hint
