"""Offers and answers of a caller's side, by whatever SIP message they came: each goes to the leg."""

from typing import TypeAlias, assert_never

from offhook.call.end_reason import EndReason
from offhook.call.leg import CallerLeg
from offhook.call.refused import Refused
from offhook.call.services import CallServices
from offhook.observe.printable import printable
from offhook.sip import events as sip

OfferOrAnswer: TypeAlias = (
    sip.Acknowledged | sip.Reinvited | sip.ReinviteAnswered | sip.ReinviteRefused | sip.Pracked | sip.PrackOffered
)
"""What carries an offer or an answer, or ends the wait for one. To be matched whole."""


def exchange(event: OfferOrAnswer, leg: CallerLeg, services: CallServices) -> Refused | None:
    """Let the leg have it. Returns why the call can't go on, if it can't."""
    match event:
        case sip.Acknowledged(_, body, answers):
            return services.perform(lambda now: leg.acknowledged(body, now, answers=answers))
        case sip.Reinvited(_, request):
            services.perform(lambda now: leg.reinvited(request, now))
        case sip.ReinviteAnswered(_, response, is_refresh):
            take = leg.refresh_answered if is_refresh else leg.reinvite_answered
            return take(response.sdp or b"", services.now())
        case sip.ReinviteRefused(_, response):
            if leg.reinvite_refused():
                said = f"{response.status} {response.reason}" if response is not None else "nothing"
                words = f"to the other port that we offered the caller said {printable(said)}"
                return Refused(EndReason.COLLISION, words)
        case sip.Pracked(_, request, answers):
            if answers:
                return services.perform(lambda now: leg.pracked(request.sdp or b"", now))
        case sip.PrackOffered(_, request):
            services.perform(lambda now: leg.prack_offered(request, now))
        case _:
            assert_never(event)
    return None
