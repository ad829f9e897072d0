"""The keys of the phone's call: pressed as the plan has it, and those that the far end presses."""

import asyncio
from collections.abc import Callable

from offhook._media import MediaEvent
from offhook.call.dtmf import digits_of_info, info_of_digit
from offhook.media.leg import RtpLeg
from offhook.media.remote import dtmf_by
from offhook.phone.account import Account
from offhook.phone.finding import Finding
from offhook.phone.plan import Plan
from offhook.sip.events import Replied
from offhook.sip.message import Request

Ask = Callable[[tuple[tuple[str, str], ...], bytes], bool]
"""Sends an INFO with these headers and this body; False if it can't be sent."""

_AFTER = 1.0
_COMMA_SECONDS = 1.0
_WORDS = {"rfc4733": "", "info": " by INFO", "inband": " as tones"}


class Keys:
    """What a call does about keys. They leave as the plan has it, or else by what was agreed on."""

    def __init__(self, plan: Plan, finding: Finding, account: Account) -> None:
        self._plan = plan
        self._finding = finding
        self._account = account

    async def press(self, leg: RtpLeg) -> None:
        """Press those of the plan, a second after the answer, each comma a second more."""
        audio = self._finding.audio
        if not self._plan.dtmf or audio is None:
            return
        await asyncio.sleep(_AFTER)
        way = dtmf_by(audio, self._plan.dtmf_by)
        for number, digits in enumerate(self._plan.dtmf.split(",")):
            if number:
                await asyncio.sleep(_COMMA_SECONDS)
            if not digits:
                continue
            if way == "rfc4733" and audio.dtmf_send is None:
                self._account.step("digits not sent: the far end takes no telephone-event", "bad")
                return
            leg.send_dtmf(digits)
            self._finding.digits_sent += digits
            self._account.step(f"sent DTMF {digits}{_WORDS[way]}")

    def send(self, event: MediaEvent, ask: Ask) -> None:
        """A key has its turn, and leaves by INFO."""
        assert event.digit is not None, "a key that leaves is known"
        kind, body = info_of_digit(event.digit, event.duration_ms or 160)
        if not ask((("Content-Type", kind),), body):
            self._account.step(f"DTMF {event.digit} was not sent: too many wait", "bad")

    def answered(self, reply: Replied) -> None:
        """The far end has answered an INFO, or never will."""
        response = reply.response
        if response is None or response.status >= 300:
            said = f"{response.status} {response.reason}" if response is not None else "nothing"
            self._account.step(f"to DTMF by INFO the far end said {said}", "bad")

    def heard(self, event: MediaEvent) -> None:
        """The far end has pressed a key."""
        self._finding.digits_heard += event.digit or ""
        self._account.step(f"heard DTMF {event.digit}{_WORDS.get(event.by or '', '')}")

    def told(self, request: Request, leg: RtpLeg) -> None:
        """The far end has pressed a key by INFO; `heard` follows, unless the press has come another way, too."""
        for digit, duration_ms in digits_of_info(request):
            leg.press(digit, duration_ms)
