"""Three targets at ten calls a second while one is killed, flaps, is slowed, answers 503, 486: no call is lost."""

import contextlib
import hashlib
import json
import os
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.interop.failover.targets import MANNERS, SILENCE, SippTarget
from tests.interop.failover.zone import Zone, host, srv
from tests.support.dialled_agent import TOML as BOT
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, media_ports, running_gateway, wait_until
from tests.support.played import note

pytestmark = pytest.mark.interop

IS_FULL = os.environ.get("OFFHOOK_PROVE") == "1"
CALLS_EACH = 150 if IS_FULL else 8
RATE = 10.0
KEY = "7a1c" * 16
NUMBER = "+14155550142"

TROUBLES = ("none", "killed", "flaps", "slow", "503", "486")

# What is known of a target is known of it for its trunk: each trouble begins with a trunk that knows nothing.
_TRUNK = """
[[trunk]]
name = "{name}"
host = "carrier.test"
caller_id = "+14155550100"
dial_to = "+1415*"
target_timeout = {silence}
max_calls = 200
"""
_KEY = """
[[key]]
name = "crm"
sha256 = "{sha256}"

[key.outbound]
max_calls = 200
max_cps = 100
"""


class Crowd:
    """Places calls at a steady pace and waits for what becomes of each."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def calls(self, trunk: str, count: int, midway: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
        """The records of so many calls by a trunk, begun ten a second; `midway` happens in between."""
        with ThreadPoolExecutor(max_workers=24) as threads:
            begun, placed = time.monotonic(), []
            for number in range(count):
                time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
                if number == count // 3:
                    midway()
                placed.append(threads.submit(self._call, trunk))
            ids = {one.result() for one in placed}

        def over() -> list[dict[str, Any]] | None:
            records = [call for call in self.gateway.calls() if call["call_id"] in ids and call["end_at"]]
            return records if len(records) == len(ids) else None

        return wait_until(over, 60, "not every call has ended")

    def _call(self, trunk: str) -> str:
        wish = {"to": NUMBER, "agent": "bot", "trunk": trunk, "data": {"hangs_up_after": "0.2", "says": "0"}}
        request = urllib.request.Request(
            f"{self.gateway.http}/v1/calls",
            json.dumps(wish).encode(),
            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            placed: dict[str, Any] = json.load(answer)
        return str(placed["call_id"])


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SippTarget]]:
    directory = tmp_path_factory.mktemp("targets")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(SippTarget(directory, name)) for name in ("one", "two", "three")]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, targets: list[SippTarget]) -> Iterator[Crowd]:
    directory = tmp_path_factory.mktemp("load")
    # Nearly all calls begin at the first, so that what becomes of it is felt.
    weights = zip(targets, (9_998, 1, 1), strict=True)
    records = [srv("_sip._udp.carrier.test", "edge.test", target.port, 10, weight) for target, weight in weights]
    agent = DialledAgent()
    sha256 = hashlib.sha256(KEY.encode()).hexdigest()
    try:
        with Zone(directory / "dns", host("edge.test", "127.0.0.1"), *records) as zone:
            trunks = "".join(_TRUNK.format(name=f"t{trouble}", silence=SILENCE) for trouble in TROUBLES)
            toml = trunks + BOT.format(agent=agent.port) + _KEY.format(sha256=sha256)
            sip = f'listen = ["udp://127.0.0.1:0"]\nname_servers = ["{zone.address}"]'
            with running_gateway(directory / "gateway", toml, sip=sip, media=media_ports(400)) as gateway:
                yield Crowd(gateway)
    finally:
        agent.close()


def reasons(calls: list[dict[str, Any]]) -> Counter[str]:
    return Counter(call["end_reason"] for call in calls)


def at(calls: list[dict[str, Any]], target: SippTarget) -> int:
    """How many calls ended up there."""
    return sum(call["remote_signalling"].endswith(f":{target.port}") for call in calls)


@contextlib.contextmanager
def flapping(target: SippTarget) -> Iterator[None]:
    """A target that is gone and there again, every 0.3 s."""
    is_over = threading.Event()

    def flap() -> None:
        while not is_over.wait(0.3):
            target.dies()
            if is_over.wait(0.3):
                break
            target.becomes("answers")

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_call_is_lost_and_only_the_right_ones_go_elsewhere(
    trouble: str, crowd: Crowd, targets: list[SippTarget], record_property: Callable[[str, object], None]
) -> None:
    one = targets[0]
    one.becomes(trouble if trouble in MANNERS else "answers")

    def killed() -> None:
        def has_taken_a_call() -> bool:
            return (
                at([call for call in crowd.gateway.calls() if call["trunk"] == "tkilled" and call["answer_at"]], one)
                > 0
            )

        wait_until(has_taken_a_call, 30, "the first target has taken no call")
        one.dies()

    with flapping(one) if trouble == "flaps" else contextlib.nullcontext():
        calls = crowd.calls(f"t{trouble}", CALLS_EACH, killed if trouble == "killed" else lambda: None)
    said = reasons(calls)
    where = [at(calls, target) for target in targets]
    kinds = [f"{trouble}: {end}" for end in said.elements()]
    note(record_property, "out by three targets, one of them in trouble", kinds, (), "no call lost")
    busy = said.pop("callee_busy", 0)
    assert set(said) <= {"agent_hung_up"}, said
    assert said["agent_hung_up"] + busy == CALLS_EACH
    # Whoever is busy is busy: nobody else is asked.
    assert busy == (where[0] if trouble == "486" else 0)
    if trouble == "flaps":
        # Where each call found it is chance.
        return
    assert (where[0] > 0) == (trouble in ("none", "killed", "486"))
    failures = {"killed": "unreachable", "slow": "unreachable", "503": "unavailable"}
    for outcome in ("unreachable", "unavailable"):
        tried = crowd.gateway.metric("offhook_targets_tried_total", trunk=f"t{trouble}", outcome=outcome)
        assert (tried > 0) == (failures.get(trouble) == outcome)
