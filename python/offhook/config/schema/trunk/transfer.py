"""The part of `[[trunk]]` about transfers."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Section
from offhook.config.values import Domain, TransferPatterns


class Transfer(Section):
    """Where the calls of a trunk may be transferred to, from either side."""

    transfer_to: TransferPatterns = Field(
        default=(),
        description="Where an agent, or whom a call was joined to, may transfer the calls of this trunk to: a pattern "
        "or a list of such, of numbers (`+1415*`), of extensions (`2*`) and of URIs (`sip:*@example.com`). Without it, "
        "nowhere. `*` is everything but emergency and premium numbers.",
    )
    transfer: Literal["auto", "refer", "bridge"] = Field(
        default="auto",
        description="How an agent's transfers are done. `refer` asks the trunk to do them (SIP REFER), `bridge` has "
        "the gateway call the target and join the two calls, which costs two calls as long as they speak. `auto` asks "
        "first, and calls the target where the trunk refuses REFER, does not know it or says nothing.",
    )
    transfer_domain: Domain | None = Field(
        default=None,
        description="Host for the numbers that calls are transferred to, which the trunk then gets as "
        "`sip:NUMBER@HOST;user=phone`. Without it as `tel:NUMBER`.",
    )
    transfer_timeout: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = Field(
        default=60.0,
        description="Seconds that a transfer may take before the caller is back with the agent, unless the agent says "
        "otherwise: ringing at its target included.",
    )
    transfer_reports: bool = Field(
        default=True,
        description="Whether the trunk is to report how a transfer goes. `false` asks it not to (RFC 4488); that it "
        "succeeded is then known by its BYE alone.",
    )
    refer: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="Whether the other side of a call may transfer us to somebody else (REFER). `accept` needs `host` "
        "and `refer_to`: the gateway calls the target by this trunk, and the agent goes on with whoever answers. A "
        "call that was placed for a caller has the caller transferred, if `transfer_to` of the caller's trunk has it.",
    )
    refer_to: TransferPatterns = Field(
        default=(),
        description="Where the other side may transfer us to: a pattern or a list of such, of numbers (`+1415*`) and "
        "of extensions (`2*`). Without it, nowhere. `*` is everything but emergency and premium numbers.",
    )
