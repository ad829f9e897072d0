"""The gateway itself: its name, its records, what it takes at one time."""

from typing import Annotated

from pydantic import Field, StringConstraints

from offhook.config.schema.base import Calls, CallsPerSecond, Section, Text
from offhook.config.values import Refusal


class NodeConfig(Section):
    """This gateway."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$")] = Field(
        default="", description="Name of this gateway in logs, metrics and records. Without it, the host's name."
    )
    data_dir: Text = Field(
        default="./data",
        description="Directory for what the gateway keeps. A relative path starts at this file's directory "
        "(at the working directory if there is no file).",
    )


class StoreConfig(Section):
    """The records of calls."""

    url: Text | None = Field(
        default=None,
        description="`sqlite:///PATH`, PATH as in `node.data_dir`. Without it, `offhook.db` in `node.data_dir`.",
    )


class LimitsConfig(Section):
    """What the whole node takes. Above it calls get 503 with Retry-After."""

    max_calls: Calls = Field(default=500, description="Calls at one time.")
    max_cps: CallsPerSecond = Field(
        default=50.0, description="New calls a second; a burst of one second's worth is let through."
    )
    refuse: Refusal = Field(
        default="silence",
        description='What strangers get: `"silence"`, or a SIP status from 400 to 699 (not 401 or 407). '
        "They are counted and listed either way.",
    )
    drain_timeout: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = Field(
        default=300.0,
        description="Seconds that running calls have to end after SIGTERM; then they are hung up. "
        "The service manager's own limit must be longer.",
    )
