"""A way through which one SRTP suite alone passes, so that two stacks agree on it whatever they prefer."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

Address = tuple[str, int]


@contextmanager
def only_suite(suite: str, target: Address) -> Iterator[Address]:
    """A UDP address that stands for `target`: offers pass it without the `a=crypto` lines of other suites."""
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for end in (near, far):
        end.bind(("127.0.0.1", 0))
    callers: list[Address] = []

    def there() -> None:
        while True:
            message, caller = near.recvfrom(65_536)
            if not message:
                return
            callers[:] = [caller]
            far.sendto(_without_others(message, suite), target)

    def back() -> None:
        while message := far.recv(65_536):
            near.sendto(message, callers[0])

    threads = [threading.Thread(target=way, daemon=True) for way in (there, back)]
    for thread in threads:
        thread.start()
    try:
        yield near.getsockname()
    finally:
        for end in (near, far):
            end.sendto(b"", end.getsockname())
        for thread in threads:
            thread.join(5)
        near.close()
        far.close()


def _without_others(message: bytes, suite: str) -> bytes:
    head, blank, body = message.partition(b"\r\n\r\n")
    body = re.sub(rb"a=crypto:[0-9]+ (?!%s )[^\r\n]*\r\n" % suite.encode(), b"", body)
    head = re.sub(rb"(?im)^(Content-Length:) *[0-9]+", rb"\1 %d" % len(body), head)
    return head + blank + body
