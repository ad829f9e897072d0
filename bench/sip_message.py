"""What the message layer costs: `python bench/sip_message.py`. CPU microseconds, best of several rounds, one thread."""

import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from offhook.sip.message import Request
from offhook.sip.parser import StreamParser, parse_datagram, validate

SDP = (
    "v=0\r\no=- 3847 3847 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n"
    "m=audio 31000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
INVITE = (
    "INVITE sip:+14155550123@gw.example.net:5060;transport=udp SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKd1f7a9c2e4b8.0;rport\r\n"
    "Via: SIP/2.0/UDP 198.51.100.77:5080;received=198.51.100.77;rport=5080;branch=z9hG4bK98a6b1\r\n"
    "Record-Route: <sip:198.51.100.10;lr;ftag=7Xk2p>\r\n"
    "Max-Forwards: 69\r\n"
    'From: "+1 415 555 0199" <sip:+14155550199@carrier.example.com>;tag=7Xk2pQ\r\n'
    "To: <sip:+14155550123@gw.example.net>\r\n"
    "Call-ID: 2f6a7b1c-9d3e-4c55-a0b1-77e8d9f0a1b2@198.51.100.77\r\n"
    "CSeq: 10482 INVITE\r\n"
    "Contact: <sip:+14155550199@198.51.100.77:5080;transport=udp>\r\n"
    "User-Agent: Carrier-SBC 9.2\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r\n"
    "Supported: timer, path, replaces\r\n"
    "P-Asserted-Identity: <sip:+14155550199@carrier.example.com>\r\n"
    "Privacy: none\r\n"
    "Session-Expires: 1800\r\n"
    "Min-SE: 90\r\n"
    "X-Carrier-Call: 0192837465abcdef0192837465abcdef\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
).encode()


def cost(work: Callable[[], object], count: int = 2000) -> float:
    """CPU microseconds of one call, the best of nine rounds."""
    return min(timeit.repeat(work, number=count, repeat=9, timer=time.process_time)) / count * 1e6


def main() -> None:
    """Measure and print."""
    request = parse_datagram(INVITE)
    assert isinstance(request, Request)
    validate(request)
    answer = [("Contact", "<sip:203.0.113.7>")]
    rows = {
        f"parse a datagram of {len(INVITE)} bytes": lambda: parse_datagram(INVITE),
        "parse, validate (every typed field read)": lambda: validate(parse_datagram(INVITE)),
        "parse from a stream": lambda: StreamParser().receive(INVITE),
        "print": lambda: bytes(request),
        "stamp Via with its source": lambda: request.received_from("198.51.100.10", 5060),
        "build and print a 200": lambda: bytes(request.response(200, to_tag="a1b2", headers=answer, body=b"v=0\r\n")),
    }
    print(f"python {sys.version.split()[0]}")
    for name, work in rows.items():
        print(f"{cost(work):7.1f} us  {name}")


if __name__ == "__main__":
    main()
