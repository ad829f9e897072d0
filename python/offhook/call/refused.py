"""Why a leg can't be had, or not any more."""

from dataclasses import dataclass

from offhook._media import MediaError
from offhook.call.end_reason import EndReason


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the leg can't be had, in words too; `status` stands in for the SIP status of the reason."""

    reason: EndReason
    detail: str = ""
    status: int | None = None


_MEDIA_REFUSALS = {
    "no_port": EndReason.NO_PORT,
    "too_many": EndReason.NO_PORT,
    "collision": EndReason.COLLISION,
    "no_family": EndReason.NO_FAMILY,
}


def no_media(error: MediaError) -> Refused:
    """Why the media core gives no port, or not this one."""
    return Refused(_MEDIA_REFUSALS.get(error.code, EndReason.INTERNAL_ERROR), str(error))
