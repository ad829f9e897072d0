"""How many files and sockets the process may have open.

Shells and services begin with 1,024, which a crowd of connections uses up: then no call gets its port and no agent is
reached. What the system allows beyond that is ours to take.
"""

import contextlib
import resource

WANTED = 65_536
LOW = 8_192
"""Below that, the connections that the bounds allow (SIP, HTTP, workers) leave too few for calls."""


def raise_limit() -> int:
    """Raise the limit to `WANTED`, or to what the system allows; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= WANTED:
        return WANTED
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    # Not every system takes what it says that it would.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
