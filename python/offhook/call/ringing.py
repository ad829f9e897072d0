"""What a caller hears before the answer: nothing of ours (180), or a sound (183), on the leg of the whole call."""

from offhook.call.leg import CallerLeg
from offhook.call.services import CallServices
from offhook.destination.base import Destination
from offhook.report.timeline import Timeline
from offhook.route.early_media import EarlyMedia
from offhook.route.trunk import Trunk

_HALVES = ("offhook:early:1", "offhook:early:2")
"""The marks behind the halves of a sound that goes on: when one has left, it is queued again behind the other."""

_RINGBACK = EarlyMedia("ringback")


class Ringing:
    """The time of one call between its arrival and its answer, as its caller hears it."""

    def __init__(
        self, leg: CallerLeg, trunk: Trunk, early: EarlyMedia, timeline: Timeline, services: CallServices
    ) -> None:
        self._leg = leg
        self._early = early
        self._sound = services.early_sounds.of(early, trunk.country)
        self._country = trunk.country
        self._timeline = timeline
        self._services = services
        self._halves: tuple[bytes, bytes] | None = None
        self._playing = False
        self._wants_sound = False
        self._waiting: Destination | None = None
        self._agent_is_heard = False

    @property
    def is_playing(self) -> bool:
        """Whether a sound of ours is being played."""
        return self._playing

    @property
    def agent_is_heard(self) -> bool:
        """Whether the agent speaks already, before the answer."""
        return self._agent_is_heard

    def ring(self) -> bool:
        """180, or 183 and the sound that begins with the call. False if the caller has given up."""
        if not (self._early.is_at_once and self._leg.can_be_heard_early):
            if self._early.is_at_once:
                self._note("no sound before the answer: the INVITE has no SDP, and its sender takes no PRACK")
            return self._services.perform(self._leg.ring)
        if not self._services.perform(self._leg.ring_early):
            return False
        self._wants_sound = True
        self.go_on()
        return True

    def go_on(self) -> None:
        """Sound may flow now, or no longer: our offer in the 18x has its answer, or a hold has begun or ended."""
        rings = self._waiting is not None and not (self._leg.has_rung_early or self._leg.awaits_prack)
        if rings and not self._services.perform(self._leg.ring_early):
            self._waiting = None
        if not self._leg.is_heard_early:
            return
        if self._wants_sound:
            self._play()
        destination, self._waiting = self._waiting, None
        if destination is not None:
            self._agent_is_heard = True
            self._note("the agent is heard before the answer")
            destination.speak_early()

    def agent_spoke(self, destination: Destination) -> None:
        """The agent's first sound is here: the caller hears it, if the route lets it speak before the answer."""
        if self._early.source != "agent" or self._agent_is_heard or not self._leg.can_be_heard_early:
            return
        # Its 183 waits for the PRACK of what rang with our offer: what says that again would be another one.
        self._waiting = destination
        self.go_on()

    def agent_gone(self) -> None:
        """The agent is given up; the one that follows must not be heard behind it, and may be heard early, too."""
        self._waiting = None
        if self._agent_is_heard:
            self._agent_is_heard = False
            self._leg.rtp.clear()

    def put_through(self) -> None:
        """Somebody is called for a caller whose agent has left: ringing is heard until `over`."""
        if not self._playing:
            self._note("the agent has left, and the caller hears ringing")
            self._halves, self._early = None, _RINGBACK
            self._sound = self._services.early_sounds.of(_RINGBACK, self._country)
            self._play()

    def left(self, mark: str, *, played: bool) -> bool:
        """The end of a part of the sound was reached; False if the mark is somebody else's."""
        if mark not in _HALVES:
            return False
        if self._playing and played:
            self._queue(_HALVES.index(mark))
        elif self._playing:
            # A hold has cut it off; it begins anew when that is over.
            self._playing = False
        return True

    def over(self) -> None:
        """The call is answered, or has ended: the sound stops where it is."""
        self._wants_sound = False
        self._waiting = None
        if self._playing:
            self._playing = False
            self._leg.rtp.clear()

    def _play(self) -> None:
        if self._playing or self._sound is None:
            return
        if self._halves is None and self._early is not _RINGBACK:
            self._note(f"sound before the answer: {self._early.source} {self._early.detail}".rstrip())
        pcm16, _ = self._sound
        middle = len(pcm16) // 4 * 2
        self._halves = pcm16[:middle], pcm16[middle:]
        self._playing = True
        self._queue(0)
        self._queue(1)

    def _queue(self, half: int) -> None:
        assert self._halves is not None and self._sound is not None, "it is playing"  # noqa: PT018
        self._leg.rtp.play(self._halves[half], self._sound[1], _HALVES[half])

    def _note(self, what: str) -> None:
        self._timeline.add("media", self._services.now(), note=what)
