"""The part of `[[trunk]]` about who answers our calls to it."""

from typing import Literal

from pydantic import Field

from offhook.config.schema.base import Section


class Answerer(Section):
    """Whether calls by a trunk are listened to for who answers, where neither call nor agent says so."""

    detect: bool = Field(
        default=False,
        description="Whether it is told who answers our calls to it: a person, a machine and when its greeting is "
        "over, a fax, a tone of the network. For calls of which neither the call nor its agent says so (`detect`).",
    )
    on_machine: Literal["tell", "hang_up", "voicemail"] | None = Field(
        default=None,
        description="What is done with a call to it that is listened to so and that no person answers, where neither "
        "the call nor its agent says so: `tell`, `hang_up` or `voicemail`, as in `[[agent]]`, whose `voicemail` is "
        "the message. Without it, `tell`.",
    )
