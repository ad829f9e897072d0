"""Targets of a trunk that can be killed, slowed, or made to refuse: each a sipp at a port of its own."""

import subprocess
from pathlib import Path
from typing import Self

from tests.interop.sipp.scenario import APT, OFFER, Scenario
from tests.support.gateway import is_bound, ports, wait_until

MANNERS = ("answers", "slow", "503", "486")
"""What a target may do with each call; `slow` answers, but only after 5 s without a word."""

SILENCE = 2.0
"""`target_timeout` of the trunks that are tested with them."""


def _scenario(manner: str) -> Scenario:
    flow = Scenario(f"target-{manner}").expect_request("INVITE")
    if manner in ("503", "486"):
        reason = "Service Unavailable" if manner == "503" else "Busy Here"
        return flow.answer(f"{manner} {reason}", tag="t[call_number]").expect_request("ACK")
    if manner == "slow":
        flow.pause(5_000)
    flow.answer("200 OK", OFFER, tag="t[call_number]").expect_request("ACK")
    return flow.expect_request("BYE", within_ms=60_000).answer("200 OK")


class SippTarget:
    """A sipp that takes call after call in one manner, which `becomes` changes; `dies` leaves nobody at its port."""

    def __init__(self, directory: Path, name: str) -> None:
        self.port = ports(1)
        self.name = name
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.becomes("answers")
        return self

    def __exit__(self, *_: object) -> None:
        self.dies()

    def becomes(self, manner: str) -> None:
        """Take calls in this manner from now on; what it had under way is gone."""
        self.dies()
        file = self._directory / f"{manner}.xml"
        file.write_text(_scenario(manner).xml())
        command = [
            "sipp", "-sf", str(file), "-i", "127.0.0.1", "-p", str(self.port), "-mi", "127.0.0.1", "-nostdin",
            "-skip_rlimit", "-deadcall_wait", "0", "-trace_err", "-error_file", str(self._directory / "errors.log"),
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(
                command, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise AssertionError(f"sipp is missing: {APT}") from error
        process = self._process
        wait_until(lambda: process.poll() is not None or is_bound(self.port), 30, "sipp does not start")

    def dies(self) -> None:
        """Be gone, with all that was under way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
