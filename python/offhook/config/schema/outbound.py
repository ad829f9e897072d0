"""The limits on what leaves, which trunks, agents and keys have alike."""

from pydantic import Field

from offhook.config.schema.base import Amount, Calls, CallsPerSecond, Section


class OutboundConfig(Section):
    """Limits on what leaves; from 80 % of a day's on there is a warning."""

    max_calls: Calls | None = Field(default=None, description="Calls out at one time, ringing ones included.")
    max_cps: CallsPerSecond | None = Field(
        default=None, description="Calls out and transfers a second; a burst of one second's worth is let through."
    )
    max_minutes_per_day: Amount | None = Field(
        default=None,
        description="Minutes of calls out in a day (UTC), from their answer. A call that uses them up ends.",
    )
    max_spend_per_day: Amount | None = Field(
        default=None,
        description="What calls out may cost in a day (UTC), by the minute begun at the `rates` of their trunk, which "
        "must be known then. A call ends before a minute that can't be paid.",
    )
    max_transfers_per_day: Calls | None = Field(
        default=None, description="Transfers in a day (UTC), those that fail at their target included."
    )
