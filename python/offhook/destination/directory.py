"""The directory: from a destination's URI to the destination itself."""

from collections.abc import Mapping
from typing import assert_never

from offhook.destination.base import Destination, DestinationListener
from offhook.destination.echo import EchoDestination, prompt, prompt_names
from offhook.destination.openai_calls import OpenAICalls
from offhook.destination.platform_agent import Dial, PlatformDestination, PlatformSpec
from offhook.destination.platform_api import PlatformApi
from offhook.destination.wire import AgentSpec, Seat, WireDestination
from offhook.destination.worker import WorkerDestination
from offhook.destination.workers import Workers
from offhook.errors import DestinationError
from offhook.media.plane import MediaPlane
from offhook.route.destination_uri import (
    AgentUri,
    CallUri,
    DestinationUri,
    DialUri,
    EchoUri,
    OtherUri,
    WireUri,
    WorkerUri,
)
from offhook.route.limits import Admission


class Directory:
    """Makes destinations. `agents` are the `[[agent]]`s of the configuration by name, `workers` who serves some."""

    def __init__(
        self,
        media: MediaPlane,
        agents: Mapping[str, AgentSpec | PlatformSpec],
        admission: Admission,
        workers: Workers,
        *,
        node: str,
        platform_api: PlatformApi | None = None,
        openai_calls: OpenAICalls | None = None,
    ) -> None:
        # Read from disk now, not in the first call's set-up.
        for name in prompt_names():
            prompt(name)
        self.agents = agents
        self._media = media
        self._admission = admission
        self._workers = workers
        self._node = node
        self._platform_api = platform_api or PlatformApi()
        self._openai_calls = openai_calls or OpenAICalls(self._platform_api)

    def make(
        self, uri: DestinationUri, listener: DestinationListener, *, ready_within: float, dial: Dial | None = None
    ) -> Destination:
        """A new destination for one call; `ready_within` seconds is the time that it has, `dial` how it calls others.

        Raises `DestinationError` for an agent that the configuration doesn't have.
        """
        match uri:
            case EchoUri(name):
                return EchoDestination(name or None, listener)
            case WireUri():
                spec = AgentSpec(name="", dialect=uri.dialect, url=uri.url)
                return self._wire(uri.redacted, spec, listener, ready_within, None)
            case AgentUri(name) | WorkerUri(name) if name not in self.agents:
                raise DestinationError(f"no [[agent]] is called '{name}'", code="agent_unreachable")
            case AgentUri(name) | WorkerUri(name):
                seat, known = AgentSeat(name, self._admission), self.agents[name]
                if isinstance(known, PlatformSpec):
                    assert dial is not None, "who calls others says how"
                    return PlatformDestination(
                        str(uri),
                        known,
                        listener,
                        dial=dial,
                        api=self._platform_api,
                        calls=self._openai_calls,
                        seat=seat,
                    )
                spec = known
                if spec.dialect != "worker":
                    return self._wire(str(uri), spec, listener, ready_within, seat)
                return WorkerDestination(
                    str(uri),
                    spec,
                    self._media,
                    self._workers,
                    listener,
                    node=self._node,
                    ready_within=ready_within,
                    seat=seat,
                )
            case DialUri() | CallUri():
                raise AssertionError("calls make of each other what they are joined to")
            case OtherUri():
                raise AssertionError("refused when the configuration was loaded")
            case _:
                assert_never(uri)

    def _wire(
        self, uri: str, spec: AgentSpec, listener: DestinationListener, ready_within: float, seat: Seat | None
    ) -> WireDestination:
        return WireDestination(uri, spec, self._media, listener, node=self._node, ready_within=ready_within, seat=seat)


class AgentSeat:
    """One call's place at an agent that takes only so many."""

    def __init__(self, agent: str, admission: Admission) -> None:
        self._agent = agent
        self._admission = admission
        self._taken = False

    def take(self) -> None:
        """Take the place, or raise `DestinationError` (`limit_agent_calls`)."""
        refused = self._admission.enter_agent(self._agent)
        if refused is not None:
            raise DestinationError(refused.why, code=refused.slug)
        self._taken = True

    def give_back(self) -> None:
        """Leave the place to the next. May be repeated."""
        if self._taken:
            self._taken = False
            self._admission.leave_agent(self._agent)
