"""`offhook` with session timers of seconds, where RFC 4028 wants 90 at least: for tests that can't wait that long.

Run as a program, it takes what `offhook` takes.
"""

import functools

from offhook import __main__, signalling
from offhook.sip.user_agent_config import UserAgentConfig

SHORTEST = 4
"""Seconds."""

if __name__ == "__main__":
    signalling.UserAgentConfig = functools.partial(  # type: ignore[assignment, misc]
        UserAgentConfig, min_session_interval=SHORTEST
    )
    __main__.main()
