"""The torture cases of RFC 4475 as a user agent answers them on the wire, and what they leave behind."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.rfc4475.messages import CASES
from tests.support.messages import request
from tests.support.solo import Solo

from offhook.sip.events import InviteReceived
from offhook.sip.message import Response

pytestmark = [pytest.mark.conformance, pytest.mark.rfc(4475, "3")]

NORMAL = frozenset({100, 200, 405, 501})
"""Routed like any other request."""


def cases() -> Iterator[tuple[str, bytes, frozenset[int], bool]]:
    """Name, bytes, the statuses allowed, and whether silence is."""
    folder = os.environ.get("OFFHOOK_TORTURE_DIR")
    if not folder:
        for case in CASES:
            yield f"own:{case.name}", case.data, case.answers, case.silence or not case.answers
        return
    for entry in json.loads((Path(folder) / "index.json").read_text("utf-8"))["messages"]:
        also: str = entry["uas_also_allowed"]
        allowed = {status for status in entry["uas_expect"] if isinstance(status, int)}
        allowed |= {int(number) for number in re.findall(r"\b[1-6][0-9][0-9]\b", also)}
        if "normal" in entry["uas_expect"] or entry["parser"] == "either" or not allowed:
            allowed |= NORMAL
        if entry["file"] == "inv2543.dat":
            # A Contact is asked of everybody: without one no BYE of ours would arrive.
            allowed |= {400}
        silent = entry["kind"].startswith("response") or "silent drop" in also
        yield entry["file"], (Path(folder) / entry["file"]).read_bytes(), frozenset(allowed), silent


@pytest.mark.parametrize(("name", "data", "allowed", "silent"), [pytest.param(*case, id=case[0]) for case in cases()])
def test_what_is_answered_and_left(name: str, data: bytes, allowed: frozenset[int], silent: bool) -> None:
    solo = Solo()
    answers = solo.receive_bytes(data)
    assert all(isinstance(answer, Response) for answer in answers), name
    assert [answer.status for answer in answers if answer.status not in allowed] == [], name  # type: ignore[union-attr]
    assert answers or silent, f"{name} was not answered"
    assert len(answers) <= 1, f"{name} was answered twice"
    (prober,) = solo.receive(request("OPTIONS", branch="z9hG4bKprober", call_id="prober"))
    assert prober.status == 200, name
    for event in solo.told(InviteReceived):
        solo.do(event.session.reject, 480)
    solo.run(400)
    solo.assert_empty()
