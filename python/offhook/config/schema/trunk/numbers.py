"""The part of `[[trunk]]` about numbers: how they are written, which may be called, and who is shown."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Rate, Section
from offhook.config.schema.outbound import OutboundConfig
from offhook.config.values import CallerIds, Country, ListedNumbers, NumberPrefix


class Numbers(Section):
    """How a trunk writes numbers, which may be called by it, and what that may cost."""

    country: Country | None = Field(
        default=None,
        description="Country by which its national numbers are read, such as `US`. Without it only numbers with `+` "
        "are E.164.",
    )
    caller_id: CallerIds = Field(
        default=(),
        description="The number that our calls to it show, or a list of those that they may show, the first where none "
        "is asked for: with `+`, or as they are read in `country`, or an extension or user name where the trunk is a "
        "phone system. Needed to call out.",
    )
    dial_to: ListedNumbers = Field(
        default=(),
        description="Who may be called by it: a pattern of numbers such as `+1415*`, of extensions (`2*`) or of user "
        "names (`alice`, `agent_*`), or a list of such. Without it nobody is called. Extensions and names need a "
        "pattern that begins as they do: `*` is the telephone numbers of the world. Premium rate numbers need "
        "`premium_to` besides, whatever stands here, and emergency numbers `emergency_to`.",
    )
    rates: Annotated[dict[NumberPrefix, Rate], Field(max_length=4096)] = Field(
        default={},
        description='What a minute costs, by prefix of the number: `{ "+1" = 0.01, "+4479" = 0.05 }`; the longest '
        "that fits counts. Phones that register here, extensions and user names cost nothing unless a prefix of theirs "
        'stands here, such as `"9"`. In any money, the same everywhere. For `max_spend_per_day` of an `outbound`.',
    )
    number_format: Literal["e164", "e164-no-plus", "national"] = Field(
        default="e164",
        description="How numbers are written in our calls to it: `+442079460018`, `442079460018`, or as they are "
        "dialled in `country`.",
    )
    emergency_to: ListedNumbers = Field(
        default=(),
        description="Emergency numbers that may be reached, if `dial_to` or `transfer_to` has them too: `112`, or a "
        "list of such. Without it none is, however it is written.",
    )
    premium_to: ListedNumbers = Field(
        default=(),
        description="Numbers that cost more than others which may be reached, if `dial_to` or `transfer_to` has them "
        "too: a pattern such as `+1900*`, or a list of such. They are premium rate, shared cost, personal "
        "numbers, pagers, satellites and networks of no country. Without it none is reached, however it is written.",
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what leaves by it.")
