"""A gateway that turns no call away because the machine is short of breath: several of them share two processors."""

from offhook import app
from offhook.route import limits

MAX_LOOP_LAG = 5.0
"""Seconds, in place of the quarter of one that callers get: what tests ask of a call is not whether this is quick."""


def be_patient() -> None:
    """Make this process one."""
    limits.MAX_LOOP_LAG = app.MAX_LOOP_LAG = MAX_LOOP_LAG
