"""The part of `[[trunk]]` about who our calls show: From, what stands beside it, and what is kept from the callee."""

from typing import Literal

from pydantic import Field

from offhook.config.schema.base import Section
from offhook.config.values import AssertIdentityValue, Domain, SipUser


class Identity(Section):
    """Who our calls to a trunk show."""

    from_user: SipUser | None = Field(
        default=None,
        description="User part of From in our calls to it, where it wants an account there instead of the number that "
        "is shown. The number goes into the header of `assert_identity` then, which has to be set.",
    )
    from_domain: Domain | None = Field(
        default=None,
        description="Host of From, and of the number in P-Asserted-Identity, in our calls to it, and of our address "
        "where we register. Without it, `host`, and for registering `registrar` if that is set.",
    )
    assert_identity: AssertIdentityValue = Field(
        default=False,
        description="Whether our calls to it have the caller's number in a header of its own, too: `true` in "
        "P-Asserted-Identity (RFC 3325), `preferred` in P-Preferred-Identity, for networks that assert it themselves, "
        "`remote-party-id` in Remote-Party-ID, its forerunner. For carriers that take it from there.",
    )
    pass_caller: bool = Field(
        default=False,
        description="Whether a call that goes on to it for a caller (a route to a number, a transfer that the gateway "
        "does) shows the caller's own number in From, with ours in Diversion, and in the header of `assert_identity`. "
        "Carriers take that only where it is agreed. Without it, one of our `caller_id` is shown. A caller who is "
        "withheld stays so.",
    )
    privacy: Literal["none", "id"] = Field(
        default="none",
        description="`id`: nobody who is called by it learns the number. From is anonymous, `Privacy: id` asks the "
        "network to tell nobody (RFC 3323, RFC 3325), and the number is for the trunk alone, in the header of "
        "`assert_identity`, in P-Asserted-Identity where that is `false`. A single call can wish so with `none`.",
    )
