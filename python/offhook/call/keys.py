"""The keys of a call: those that the caller presses, those that the agent does, and who may know which they were."""

from offhook._media import MediaEvent
from offhook.call.dtmf import digits_of_info, info_of_digit
from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.destination.base import Destination, DigitsState, MaskAsked
from offhook.report.timeline import Timeline
from offhook.route.table import DigitPolicy
from offhook.route.trunk import DtmfWay, Trunk
from offhook.sip import events as sip
from offhook.sip.message import Request

_WAYS = {"rfc4733": "as telephone event", "info": "by INFO", "inband": "by its tones"}
_STRICTNESS: tuple[DigitsState, ...] = ("shown", "masked", "withheld")
_STATE_OF: dict[DigitPolicy, DigitsState] = {"show": "shown", "mask": "masked", "withhold": "withheld"}


class Keys:
    """What a call does about keys. The media core makes one press of what comes several ways, and tells the agent.

    What the route masks stays masked; the agent can mask and withhold more, and take that back.
    """

    def __init__(
        self, leg: CallerLeg, timeline: Timeline, services: CallServices, *, way: DtmfWay, policy: DigitPolicy
    ) -> None:
        self._leg = leg
        self._timeline = timeline
        self._services = services
        self._way = way
        self._route = _STATE_OF[policy]
        self.state = self._route
        self._asker: Destination | None = None
        self._told_refusal = False
        timeline.shows_digits = self.state == "shown"

    def take_trunk(self, trunk: Trunk) -> None:
        """The call goes by another trunk."""
        self._way = trunk.dtmf

    def begin(self) -> None:
        """There is an RTP leg from now on."""
        self._leg.rtp.mask_digits(self.state)

    def asked(self, wish: MaskAsked, destination: Destination) -> None:
        """The agent wants fewer to know of keys, or as many as before. It hears how things stand then."""
        wanted: DigitsState = ("withheld" if wish.withhold else "masked") if wish.on else "shown"
        state = max(wanted, self._route, key=_STRICTNESS.index)
        self._asker = destination
        if state != self.state:
            self._be(state)
            self._note(f"keys are {state} from here on, as the agent asks")
        destination.digits_masked(state)

    def joined(self, destination: Destination) -> None:
        """An agent has joined the call: what another one before it had asked for is over."""
        if self._asker is not None and self._asker is not destination:
            self._asker = None
            self._be(self._route)

    def info(self, request: Request) -> None:
        """Take an INFO: every one is answered, and one with a key is a press."""
        self._services.perform(lambda now: self._leg.session.answer_info(now=now))
        for digit, duration_ms in digits_of_info(request) if self._leg.is_open else ():
            if self._way in ("auto", "info"):
                self._leg.rtp.press(digit, duration_ms)
            else:
                self._note(f"a key by INFO is ignored: the trunk takes keys as dtmf = '{self._way}' alone")

    def pressed(self, event: MediaEvent) -> None:
        """The caller has pressed a key."""
        which = {} if event.digit is None or self.state != "shown" else {"digit": event.digit}
        way = _WAYS.get(event.by or "", "")
        self._timeline.add("media", event.at, note=f"DTMF digit {way}".rstrip(), duration_ms=event.duration_ms, **which)

    def send(self, event: MediaEvent) -> None:
        """A key of the agent's has its turn, and leaves by INFO."""
        assert event.digit is not None, "a key that leaves is known"
        kind, body = info_of_digit(event.digit, event.duration_ms or 160)
        headers = (("Content-Type", kind),)
        if not self._services.perform(lambda now: self._leg.session.ask("INFO", headers, body, now=now)):
            self._note("a key by INFO was not sent: too many wait for their answers")

    def answered(self, reply: sip.Replied) -> None:
        """The caller's side has answered an INFO of ours, or never will."""
        response = reply.response
        if (response is not None and response.status < 300) or self._told_refusal:
            return
        self._told_refusal = True
        said = f"{response.status} {response.reason}" if response is not None else "nothing"
        self._note(f"to a key by INFO the caller's side said {said}: perhaps it takes keys another way (dtmf)")

    def _be(self, state: DigitsState) -> None:
        self.state = state
        self._timeline.shows_digits = state == "shown"
        self._leg.rtp.mask_digits(state)

    def _note(self, what: str) -> None:
        self._timeline.add("media", self._services.now(), note=what)
