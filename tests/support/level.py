"""What a running gateway holds: memory, descriptors, threads, calls and all that belongs to them; and its rows."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .gateway import Gateway

SETTLE = 64 * 0.5 + 10
"""Seconds that transactions, ports and the rest have to be over, once the last call is."""


@dataclass
class Level:
    """What the gateway holds at one time."""

    rss_kib: int
    descriptors: int
    threads: int
    held: dict[str, float]

    @classmethod
    def of(cls, gateway: Gateway) -> "Level":
        """Read it."""
        status = Path(f"/proc/{gateway.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        held = {
            kind: gateway.metric("offhook_sip_open", kind=kind) for kind in ("transactions", "dialogs", "connections")
        }
        held |= {
            name: gateway.metric("offhook_media_engine", counter=name)
            for name in ("legs", "wires", "ports_quarantined")
        }
        held["calls"] = gateway.metric("offhook_calls_active")
        return cls(
            int(fields["VmRSS"].split()[0]),
            len(os.listdir(f"/proc/{gateway.pid}/fd")),
            int(fields["Threads"]),
            held,
        )


def rows(gateway: Gateway) -> list[tuple[str, str | None, str | None]]:
    """(SIP Call-ID, end reason, its detail) of every row of its calls, open ones too."""
    database = gateway.directory / "data" / "offhook.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute("select sip_call_id, end_reason, end_detail from calls").fetchall()
