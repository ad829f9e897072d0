"""A DNS zone on loopback: dnsmasq, authoritative for `test`, with the records that a test gives it."""

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

import dns.message
import dns.query
from tests.support.gateway import ports, wait_until

APT = "sudo apt-get install dnsmasq-base"
HOST = "127.0.0.1"


def host(name: str, address: str) -> str:
    """An A record."""
    return f"--host-record={name},{address}"


def srv(name: str, target: str, port: int, priority: int, weight: int = 0) -> str:
    """An SRV record."""
    return f"--srv-host={name},{target},{port},{priority},{weight}"


def naptr(name: str, order: int, service: str, replacement: str) -> str:
    """A terminal NAPTR record as RFC 3263 reads it."""
    return f"--naptr-record={name},{order},10,s,{service},,{replacement}"


class Zone:
    """A name server for as long as the `with` lasts."""

    def __init__(self, directory: Path, *records: str) -> None:
        assert shutil.which("dnsmasq"), f"dnsmasq is missing: {APT}"
        directory.mkdir(parents=True)
        self.port = ports(1)
        self._log = directory / "dnsmasq.log"
        command = [
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--local=/test/",
            f"--port={self.port}", f"--listen-address={HOST}", "--bind-interfaces", "--user=", "--group=",
            f"--pid-file={directory / 'pid'}", "--local-ttl=60", *records,
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(self._is_up, 30, lambda: f"dnsmasq does not start: {self._log.read_text()}")
        except BaseException:
            self._stop()
            raise

    @property
    def address(self) -> str:
        """As `sip.name_servers` has it."""
        return f"{HOST}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            dns.query.udp(dns.message.make_query("up.test.", "A"), HOST, timeout=0.2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return True

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port of UDP and TCP on which nobody listens."""
    port = ports(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, port))
    return port
