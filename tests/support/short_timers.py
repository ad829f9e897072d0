"""`offhook` with session timers of seconds, where RFC 4028 wants 90 at least: for tests that can't wait that long.

Run as a program, it takes what `offhook` takes. The environment variable `T1` is RFC 3261's T1, in seconds; T2 is eight
times as much.
"""

import dataclasses
import functools
import os

from offhook import __main__, signalling
from offhook.sip.timers import DEFAULT_TIMERS
from offhook.sip.user_agent_config import UserAgentConfig

SHORTEST = 4
"""Seconds."""

if __name__ == "__main__":
    t1 = float(os.environ.get("T1", DEFAULT_TIMERS.t1))
    timers = dataclasses.replace(DEFAULT_TIMERS, t1=t1, t2=8 * t1)
    signalling.UserAgentConfig = functools.partial(  # type: ignore[assignment, misc]
        UserAgentConfig, min_session_interval=SHORTEST, timers=timers
    )
    # It stands beside this one, and that is where a program looks first.
    from patience import be_patient

    be_patient()
    __main__.main()
