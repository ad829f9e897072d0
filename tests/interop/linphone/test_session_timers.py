"""Linphone and session timers (RFC 4028): refreshed by either side, heard all along, and let go when it is dead."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tests.interop.linphone.phone import Linphone
from tests.support import short_timers
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.speech import as_pcm, write_wav
from tests.support.tone import share

pytestmark = pytest.mark.interop

INTERVAL = 4
TIMERS = f"""\
session_expires_enabled=1
session_expires_value={INTERVAL}
session_expires_min_value={INTERVAL}
session_expires_refresher_value="""
REFRESHERS = {"gateway": 1, "linphone": 2, "linphone-dies": 2}
"""By its numbers: the callee, the caller."""
TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path / "gateway", TOML, program=(short_timers.__file__,)) as gateway:
        yield gateway


def test_refreshed_by_either_side_and_ended_when_it_is_dead(gateway: Gateway, tmp_path: Path) -> None:
    """Three phones at once, as each mostly waits."""
    rate = 16_000
    said = tmp_path / "said.wav"
    write_wav(said, as_pcm(8_000 * np.sin(2 * np.pi * 440 * np.arange(20 * rate) / rate)), rate)
    with ExitStack() as stack:
        phones = {
            who: stack.enter_context(Linphone(tmp_path / who, f"{TIMERS}{number}"))
            for who, number in REFRESHERS.items()
        }
        for who, phone in phones.items():
            phone.use_files(said)
            phone.type(f"call sip:{who}@{gateway.udp[0]}:{gateway.udp[1]}")
        for phone in phones.values():
            phone.says("Media streams established")
        began = time.monotonic()
        phones["linphone-dies"].kill()
        # Longer than the interval: without refreshes all of them would be over.
        time.sleep(INTERVAL + 1.5)
        for who in ("gateway", "linphone"):
            phones[who].type("terminate")
            phones[who].says(r"ended \(No error\)")
        lasted = time.monotonic() - began
        records = wait_until(lambda: ended(gateway), 30, "the calls have no end")
        for who in ("gateway", "linphone"):
            heard, heard_rate = phones[who].heard_so_far()
            half = heard_rate // 2
            parts = [heard[at : at + half] for at in range(0, len(heard) - half, half)]
            assert len(parts) > lasted
            # Still heard behind the last refresh; how well, on a machine with three such phones, is not judged here.
            likeness = [share(part, 440, heard_rate) for part in parts]
            assert max(likeness[-4:]) > 0.9, likeness
            record = records[who]
            assert (record["end_reason"], record["session_interval"]) == ("caller_hung_up", INTERVAL)
            assert record["session_refreshes"] >= 2
    dead = records["linphone-dies"]
    assert (dead["end_reason"], dead["session_refreshes"]) == ("session_expired", 0)
    assert dead["end_at"] - dead["answer_at"] < INTERVAL * 1000


def ended(gateway: Gateway) -> dict[str, dict[str, object]] | None:
    """The records of all calls by who was called, once they are over."""
    found = {call["to_number"]: call for call in gateway.calls() if call["end_reason"]}
    return found if found.keys() == REFRESHERS.keys() else None
