"""What a phone makes of what the media core tells it."""

from types import SimpleNamespace
from typing import cast

import pytest

from offhook._media import MediaEvent
from offhook.phone.address import read_uri
from offhook.phone.call import Phone
from offhook.phone.plan import Plan

pytestmark = pytest.mark.unit

UNREACHABLE = cast(MediaEvent, SimpleNamespace(kind="unreachable", at=12.0))


@pytest.mark.parametrize(("milestones", "told"), [({}, True), ({"ended": 11.9}, False)])
async def test_who_has_hung_up_may_refuse_our_audio(milestones: dict[str, float], told: bool) -> None:
    phone = Phone(Plan(read_uri("sip:x@192.0.2.1")), "1")
    phone.finding.milestones.update(milestones)
    phone._on_media(UNREACHABLE)
    assert phone.finding.unreachable_media is told
    assert bool(phone.steps) is told
