"""RTP as it is sent over loopback, where the program that gets it keeps nothing of it. Wants root."""

import socket
import time

_IPV4 = 0x0800
_ETHERNET, _UDP, _RTP = 14, 8, 12
"""Bytes of the headers."""


def captured(port: int, seconds: float) -> list[tuple[int, bytes]]:
    """The RTP packets (payload type, payload) that come to this UDP port from now on, for so long."""
    found = []
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_IPV4)) as line:
        line.bind(("lo", _IPV4))
        while (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                packet = line.recv(65_536)[_ETHERNET:]
            except TimeoutError:
                break
            if packet[9] != socket.IPPROTO_UDP:
                continue
            udp = packet[4 * (packet[0] & 0x0F) :]
            rtp = udp[_UDP:]
            if int.from_bytes(udp[2:4], "big") == port and len(rtp) > _RTP and rtp[0] >> 6 == 2:
                found.append((rtp[1] & 0x7F, rtp[_RTP:]))
    return found
