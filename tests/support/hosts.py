"""Hosts that are network namespaces, joined by a switch: a private network behind NAT, a firewall, a stranger.

Needs root. Nothing is left behind: a namespace lives as long as this process holds its descriptor.
"""

import ctypes
import os
import re
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000
_SELF = "/proc/thread-self/ns/net"
_LIBC = ctypes.CDLL(None, use_errno=True)
_ETH_P_IP = 0x0800
_UDP = 17
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33

_NAT = """\
table ip nat {{
  chain leaving {{
    type nat hook postrouting priority 100;
    oifname "{outside}" masquerade {how};
  }}
}}
"""

_FIREWALL = """\
table ip wall {{
  chain entering {{
    type filter hook input priority 0; policy accept;
    iifname "lo" accept
    ip protocol udp udp dport != {{ {ports} }} counter drop
  }}
  chain leaving {{
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    ip protocol udp udp sport != {{ {ports} }} counter drop
  }}
}}
"""


class Host:
    """A host of its own: sockets opened and processes started under `with host:` belong to it.

    Under `with`, this thread is on that host; await nothing there that opens the sockets of others.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self._outside: list[int] = []
        before = os.open(_SELF, os.O_RDONLY)
        if _LIBC.unshare(_CLONE_NEWNET) != 0:
            os.close(before)
            why = os.strerror(ctypes.get_errno())
            raise AssertionError(f"network namespaces need root: {why}. Run the tests as root, or leave this file out.")
        self._inside = os.open(_SELF, os.O_RDONLY)
        _enter(before)
        os.close(before)
        self.run("ip", "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        self._outside.append(os.open(_SELF, os.O_RDONLY))
        _enter(self._inside)
        return self

    def __exit__(self, *_: object) -> None:
        outside = self._outside.pop()
        _enter(outside)
        os.close(outside)

    def close(self) -> None:
        """Let go of it; it ends with its last socket and process."""
        os.close(self._inside)

    @property
    def path(self) -> str:
        """A file that stands for its network."""
        return f"/proc/{os.getpid()}/fd/{self._inside}"

    def run(self, *command: str, said: str = "") -> str:
        """Run a command on it and give what it printed; fails if it fails."""
        assert shutil.which(command[0]), f"{command[0]} is missing: tools/peers.sh installs it"
        with self:
            done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{self.name}: {' '.join(command)}: {done.stderr}"
        return done.stdout

    def add_address(self, address: str, interface: str = "outside") -> None:
        """Give it one more address, as `192.168.7.11/24`."""
        self.run("ip", "address", "add", address, "dev", interface)

    def masquerade(self, *, same_port: bool = False) -> None:
        """Be a NAT router for what leaves by `outside`: by another port each time, or by the same one where it can."""
        with self:
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.run("nft", "-f", "-", said=_NAT.format(outside="outside", how="" if same_port else "fully-random"))

    def forget_connections(self) -> None:
        """Drop the NAT's table, as a router does that was restarted: what leaves next gets another port."""
        self.run("conntrack", "--flush")

    def open_only(self, ports: str) -> None:
        """Drop all UDP that enters to or leaves from other ports than `5060, 30000-30011`."""
        self.run("nft", "-f", "-", said=_FIREWALL.format(ports=ports))

    def dropped(self) -> int:
        """Packets that the firewall dropped."""
        return sum(int(number) for number in re.findall(r"counter packets (\d+)", self.run("nft", "list", "ruleset")))


class Internet:
    """A switch and the hosts at it. `outside` is the interface of each that leads there."""

    def __init__(self) -> None:
        self._hosts = [Host("switch")]
        self._switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self._switch.run("ip", "link", "set", "bridge", "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.close()

    @property
    def _switch(self) -> Host:
        return self._hosts[0]

    def host(self, name: str, address: str) -> Host:
        """A host with this public address, as `198.51.100.1/24`."""
        host = self._named(name, address)
        port = f"port{len(self._hosts)}"
        _cable(self._switch, port, host, "outside")
        self._switch.run("ip", "link", "set", port, "master", "bridge")
        host.add_address(address)
        return host

    def behind(self, router: Host, name: str, address: str, gateway: str) -> Host:
        """A host in the private network behind a router, which has the address `gateway` there."""
        host = self._named(name, address)
        _cable(router, "inside", host, "outside")
        router.add_address(gateway, "inside")
        host.add_address(address)
        host.run("ip", "route", "add", "default", "via", gateway.partition("/")[0])
        return host

    def _named(self, name: str, address: str) -> Host:
        host = Host(name)
        host.address = address.partition("/")[0]
        self._hosts.append(host)
        return host


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP packet."""

    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes

    @classmethod
    def read(cls, packet: bytes) -> Self:
        """From an IPv4 packet, not a later fragment."""
        start = (packet[0] & 0x0F) * 4
        from_port, to_port = struct.unpack_from("!HH", packet, start)
        source, target = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
        return cls((source, from_port), (target, to_port), packet[start + 8 :])


class Capture:
    """Every UDP packet that arrives at a host, or leaves it, while it is open; `interface` may be `lo`."""

    def __init__(self, host: Host, interface: str = "outside", *, outgoing: bool = False) -> None:
        self._outgoing = outgoing
        with host:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            self._socket.bind((interface, _ETH_P_IP))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def packets(self) -> list[Datagram]:
        """What came since the last time."""
        found = []
        while True:
            try:
                data, (_, _, kind, *_) = self._socket.recvfrom(65_535)
            except BlockingIOError:
                return found
            if (kind == _PACKET_OUTGOING) == self._outgoing and data[9] == _UDP:
                found.append(Datagram.read(data))


def _cable(one: Host, its_end: str, other: Host, other_end: str) -> None:
    """Join two hosts."""
    one.run("ip", "link", "add", its_end, "type", "veth", "peer", "name", other_end, "netns", other.path)
    one.run("ip", "link", "set", its_end, "up")
    other.run("ip", "link", "set", other_end, "up")


def _enter(network: int) -> None:
    if _LIBC.setns(network, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
