"""The signalling plane without its sockets: who may speak, which calls there are, and where they go."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import structlog

from offhook._media import Melody
from offhook.call.early_sounds import EarlySounds
from offhook.call.news import Follower
from offhook.call.out.dial_gate import DialGate
from offhook.call.out.dialler import Dialler
from offhook.call.out.gatekeeper import Gatekeeper
from offhook.call.out.outbound_gate import OutboundGate
from offhook.call.out.placing import Placing
from offhook.call.out.target_health import TargetHealth, TargetRow, spelt
from offhook.call.out.target_pings import TargetPings
from offhook.call.out.way_out import Resolve, WayOut, no_names
from offhook.call.registered.phones import Phones
from offhook.call.registered.registrations import Registrations
from offhook.call.screen import ScreenRules, TrunkScreen
from offhook.call.services import CallServices, Perform
from offhook.call.switchboard import Records, Rules, Switchboard
from offhook.config.routing import build_routing, inbound_passwords, logins
from offhook.config.schema import Config
from offhook.config.sounds import early_sounds
from offhook.destination.agents import agent_spec, openai_agents
from offhook.destination.dialect.facts import AgentFacts
from offhook.destination.directory import Directory
from offhook.destination.openai_calls import OpenAICalls
from offhook.destination.platform_agent import PlatformSpec
from offhook.destination.platform_api import PlatformApi
from offhook.destination.wire import AgentSpec
from offhook.destination.workers import Workers
from offhook.media.plane import MediaPlane
from offhook.observe.metrics import Metrics
from offhook.recording.recorder import Recorder
from offhook.report.refusals import RefusalLog
from offhook.route.limits import Admission, Limit
from offhook.route.trunk import Stranger, TrunkTable, parse_source
from offhook.route.usage import DayUse, Usage
from offhook.sip.digest import Challenger
from offhook.sip.effects import Source, Target
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.talk.choices import TALK_TRUNK, choices_of
from offhook.transport.tls_failure import TlsFailure
from offhook.transport.udp import routed_address

_log = structlog.get_logger("offhook")

_REFUSED = {"worker_token": "worker.refused", "talk_token": "talk.refused", "talk_origin": "talk.refused"}


class Signalling:
    """The signalling plane of a configuration. `perform`, which its user sets, is how its calls speak, and
    `reaches` says whether the way to a target is open.

    `now` is monotonic seconds, `wall` turns them into UTC milliseconds, `loop_lag` is seconds. What its calls want to
    say leaves by `perform`, which is the stack's once there is one. `route` gives the address of ours by which the
    system reaches a peer. Without a `recorder` no call is recorded. `hold_music` is the music that callers on hold may
    hear, by its names in trunks and routes. `follower`, which its user may set, says who is told of a call while it
    goes on. `used` is what days have used of the limits on what leaves; `keep` is to write that down.
    `chance` is a number from 0 up to 1, by which trunks are drawn and pauses spread.
    `keeps_phones` says whether registrations of phones are kept in the data directory.
    """

    def __init__(
        self,
        config: Config,
        media: MediaPlane,
        records: Records,
        metrics: Metrics,
        *,
        now: Callable[[], float],
        wall: Callable[[float], int],
        loop_lag: Callable[[], float],
        version: str,
        route: Callable[[tuple[str, int]], str | None] = routed_address,
        recorder: Recorder | None = None,
        hold_music: Mapping[str, Melody] = MappingProxyType({}),
        used: Sequence[DayUse] = (),
        keep: Callable[[Sequence[DayUse]], None] = lambda rows: None,
        resolve: Resolve = no_names,
        gate: Gatekeeper | None = None,
        chance: Callable[[], float] | None = None,
        keeps_phones: bool = False,
    ) -> None:
        self.config = config
        self._route = route
        self.perform: Perform = _no_stack
        self.reaches: Callable[[Target], bool] = lambda target: True
        self.refusals = RefusalLog()
        self._metrics = metrics
        self._now = now
        self._wall = wall
        routing = build_routing(config)
        self.choices = choices_of(config, routing.routes)
        self.follower: Callable[[AgentFacts], Follower | None] = lambda facts: None
        talking = {TALK_TRUNK: Limit(config.talk.max_calls)}
        self.admission = Admission(replace(routing.limits, trunks={**routing.limits.trunks, **talking}))
        self.workers = Workers(threads=media.stats().threads, gateway=config.node.name, version=version)
        agents = {agent.name: agent_spec(agent, config) for agent in config.agents}
        self.openai_agents = openai_agents(agents)
        self.platform_api = PlatformApi()
        self.openai_calls = OpenAICalls(self.platform_api)
        self._chance = secrets.SystemRandom().random if chance is None else chance
        self.health = TargetHealth(self._chance, self._target_changed)
        self.gate = DialGate(
            Usage(routing.outbound, used),
            wall=wall,
            keep=keep,
            alarmed=metrics.dial_limit_near,
            refused=metrics.dial_refused,
        )
        services = self._make_services(media, agents, recorder, hold_music)
        self.switchboard = Switchboard(
            Rules(routing.routes, {TALK_TRUNK: self.choices.table}, logins(config)),
            self.admission,
            services,
            records,
            metrics,
            wall=wall,
            loop_lag=loop_lag,
            node=config.node.name,
            version=version,
        )
        self.screen = self._make_screen(routing.trunks)
        self.user_agent = UserAgent(
            UserAgentConfig(user_agent=f"offhook/{version}", supported=(*UserAgentConfig().supported, "uui")),
            secrets.SystemRandom(),
            self.screen,
        )
        gate = self._make_gate(routing.trunks, agents) if gate is None else gate
        self._way_out = self._make_way_out(resolve)
        self.dialler = self._make_dialler(gate, services, loop_lag)
        self.registrations = self._make_registrations(routing.trunks, resolve)
        self.placing = self._join(services.placing, routing.trunks)
        self.pings = self._make_pings(routing.trunks)
        self.phones = self._make_phones(routing.trunks, Path(config.data_dir) if keeps_phones else None)
        self.user_agent.registrar, self.user_agent.in_use = self.phones.take, self.phones.flows

    def _make_services(
        self,
        media: MediaPlane,
        agents: Mapping[str, AgentSpec | PlatformSpec],
        recorder: Recorder | None,
        hold_music: Mapping[str, Melody],
    ) -> CallServices:
        """What every call may use. What is made after it is looked up when it is needed."""
        directory = Directory(
            media,
            agents,
            self.admission,
            self.workers,
            node=self.config.node.name,
            platform_api=self.platform_api,
            openai_calls=self.openai_calls,
        )
        return CallServices(
            perform=lambda action: self.perform(action),
            media=media,
            make_destination=directory.make,
            media_address=self._media_address,
            now=self._now,
            answered=lambda call: self.switchboard.answered(call),
            ended=lambda call: self.switchboard.ended(call),
            recorder=recorder,
            follower=lambda facts: self.follower(facts),
            gate=self.gate,
            early_sounds=EarlySounds(early_sounds(self.config)),
            hold_music=hold_music,
        )

    def _make_way_out(self, resolve: Resolve) -> WayOut:
        """How calls get to trunks. What is made after it is looked up when it is needed."""
        return WayOut(
            self.user_agent,
            self.health,
            now=self._now,
            resolve=resolve,
            local=self._local,
            logins=logins(self.config),
            service_route=lambda trunk: self.registrations.service_route(trunk),
            places=lambda trunk, user: self.phones.places(trunk, user),
        )

    def _make_dialler(self, gate: Gatekeeper, services: CallServices, loop_lag: Callable[[], float]) -> Dialler:
        """What calls out."""
        return Dialler(
            gate,
            self.admission,
            services,
            self.switchboard,
            self.screen,
            self._way_out,
            loop_lag=loop_lag,
            health=self.health,
            tried=self._metrics.target_tried,
        )

    def _join(self, placing: Placing, trunks: TrunkTable) -> Placing:
        """Where a call has another one placed, joined to what places it."""
        placing.dialler = self.dialler
        placing.calls_out = any(trunk.calls_out for trunk in trunks)
        placing.routes = lambda trunk: self.switchboard.rules.of(trunk)
        return placing

    def _make_registrations(self, trunks: TrunkTable, resolve: Resolve) -> Registrations:
        """Where we register."""
        return Registrations(
            tuple(trunks),
            logins(self.config),
            self.user_agent,
            self.screen,
            perform=lambda action: self.perform(action),
            wall=self._wall,
            resolve=resolve,
            reaches=lambda target: self.reaches(target),
            attempted=self._metrics.registration_attempted,
            node=self.config.node.name,
        )

    def _make_pings(self, trunks: TrunkTable) -> TargetPings:
        """Who is asked by OPTIONS whether it works."""
        return TargetPings(
            trunks,
            self.user_agent,
            self.screen,
            self.health,
            perform=lambda action: self.perform(action),
            look_up=self._way_out.addresses_of,
            now=self._now,
            chance=self._chance,
        )

    def _make_phones(self, trunks: TrunkTable, directory: Path | None) -> Phones:
        """Who registers with us; kept in `directory`, if there is one."""
        return Phones(
            trunks,
            perform=lambda action: self.perform(action),
            ping=self.user_agent.keep_alive,
            wall=self._wall,
            directory=directory,
            counted=self._metrics.phone_registered,
        )

    def _make_gate(self, trunks: TrunkTable, agents: Mapping[str, AgentSpec | PlatformSpec]) -> OutboundGate:
        platforms = [name for name, spec in agents.items() if isinstance(spec, PlatformSpec)]
        return OutboundGate(trunks, self.gate, chance=self._chance, is_down=self.health.is_down, platforms=platforms)

    def _target_changed(self, row: TargetRow) -> None:
        """A target of a trunk has gone down, or come back."""
        if row.state == "up":
            _log.info("target.up", trunk=row.trunk, target=spelt(row.target))
        else:
            again = round(row.again - self._now(), 1) if row.again is not None else None
            _log.warning("target.down", trunk=row.trunk, target=spelt(row.target), why=row.why, tried_again_in=again)

    def target_states(self) -> dict[str, list[dict[str, Any]]]:
        """The addresses of each trunk that calls out, or OPTIONS, have gone to of late; times are UTC milliseconds."""
        states: dict[str, list[dict[str, Any]]] = {}
        for row in self.health.rows(self._now()):
            told = {
                "transport": row.target.transport,
                "address": row.target.host,
                "port": row.target.port,
                "state": row.state,
                "since": self._wall(row.since),
                "why": row.why,
                "again_at": None if row.again is None else self._wall(row.again),
            }
            states.setdefault(row.trunk, []).append(told)
        return states

    def targets_down(self) -> dict[str, int]:
        """How many addresses of each trunk are down."""
        down = Counter({str(trunk.name): 0 for trunk in self.screen.rules.trunks if trunk.host is not None})
        down.update(str(row.trunk) for row in self.health.rows(self._now()) if row.state != "up")
        return dict(down)

    def drain(self) -> None:
        """Take no new calls: 503 to INVITE and OPTIONS. Those that run go on."""
        self.admission.draining = self.user_agent.draining = True
        self.workers.drain("the gateway is stopping")

    def http_refused(self, source: str, rule: str, why: str) -> None:
        """Somebody came by HTTP without the right token: counted, listed with the refusals, told now and then."""
        now = self._now()
        self._metrics.refused(rule)
        if self.refusals.add(source, rule, now, self._wall(now), transport="http", value=why):
            event = _REFUSED.get(rule, "api.refused")
            _log.warning(event, source=source, rule=rule, why=why)

    def tls_failed(self, failure: TlsFailure) -> None:
        """A TLS handshake came to nothing: counted by cause, listed among the refusals, told once in a while."""
        now, cause = self._now(), failure.cause
        self._metrics.tls_failed(failure.direction, cause.slug)
        detail = f": {failure.detail[:80]}" if failure.detail else ""
        first = self.refusals.add(
            failure.remote[0],
            f"tls_{cause.slug}",
            now,
            self._wall(now),
            transport="tls",
            value=f"{cause.text}{detail}; {cause.hint}",
        )
        if first:
            _log.warning(
                "tls.failed",
                source=failure.remote[0],
                port=failure.remote[1],
                direction=failure.direction,
                cause=cause.slug,
                why=str(failure),
                hint=cause.hint,
            )

    def _make_screen(self, trunks: TrunkTable) -> TrunkScreen:
        config = self.config
        passwords = {trunk.name: found for trunk in trunks if (found := inbound_passwords(config, trunk.name))}
        rules = ScreenRules(
            trunks,
            passwords,
            config.limits.refuse if isinstance(config.limits.refuse, int) else None,
        )
        secret = secrets.token_bytes(32)

        def make_challenger(algorithms: tuple[str, ...]) -> Challenger:
            return Challenger(config.node.name, algorithms, secret=secret, rng=secrets.SystemRandom())

        return TrunkScreen(rules, make_challenger, self.switchboard.dialog_peer, self._on_stranger, self._now)

    def _media_address(self, source: Source, family: Literal[4, 6], towards: tuple[str, int] | None) -> str | None:
        bound = self.config.media_address(family)
        return None if bound is None else self._told(source, family, towards, bound)

    def _told(self, source: Source, family: Literal[4, 6], towards: tuple[str, int] | None, bound: str) -> str | None:
        """The address that this peer is told to send RTP to: ours on its own network, else the advertised one."""
        advertised = self.config.advertised_media(family)
        peer = parse_source(source.remote[0])
        inside = peer is not None and (
            peer.is_loopback or any(peer in network for network in self.config.sip.local_networks)
        )
        if advertised is not None and not inside:
            return advertised
        if not ip_address(bound).is_unspecified:
            return bound
        heard_at = parse_source(source.local[0])
        if heard_at is not None and heard_at.version == family and not heard_at.is_unspecified:
            return source.local[0]
        # Its signalling came by the other IP version, or the system did not say to which address.
        return self._route(towards or source.remote)

    def _local(self, target: Target) -> tuple[str, int]:
        """The address of ours that packets to a target leave from, and the port that it is told."""
        return self._route(target.remote) or "", self.user_agent.local_address(target).port

    def _on_stranger(self, source: str, transport: str, stranger: Stranger) -> None:
        now = self._now()
        self._metrics.refused(stranger.rule)
        first = self.refusals.add(
            source,
            stranger.rule,
            now,
            self._wall(now),
            transport=transport,
            value=stranger.why,
            nearest=stranger.nearest or "",
        )
        if first:
            _log.warning(
                "request.refused", source=source, rule=stranger.rule, why=stranger.why, nearest=stranger.nearest
            )


def _no_stack(action: Callable[[float], object]) -> Any:
    raise AssertionError("calls come by a stack")
