"""The composition root: a configuration in, a running gateway out. The only file that knows every layer."""

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import structlog
from starlette.applications import Starlette

from offhook._media import EngineConfig, EngineStats, Melody
from offhook.api.calls import CallDesk
from offhook.api.guard import Guard
from offhook.api.health import Readiness, health_routes
from offhook.api.keys import ApiKeys
from offhook.api.local_key import LocalKey, own_url
from offhook.api.openai_webhook import OpenAIDoor
from offhook.api.server import HttpServer
from offhook.api.trunks import trunk_routes
from offhook.api.worker_door import PATH as WORKER_PATH
from offhook.api.worker_door import Tokens, WorkerDoor
from offhook.api.workers import worker_routes
from offhook.call.end_reason import EndReason
from offhook.call.out.detect import DetectWish
from offhook.config import hold_music
from offhook.config.recordings import announcement_of, key_of
from offhook.config.schema import Config
from offhook.config.sounds import sound_in
from offhook.config.values import KeySource
from offhook.destination.agents import worker_tokens
from offhook.media import speech_network
from offhook.media.plane import MediaPlane
from offhook.observe.loop_lag import LoopLag
from offhook.observe.metrics import Metrics
from offhook.recording.recorder import Recorder, RecorderSettings
from offhook.recording.shelf import Shelf
from offhook.route.limits import MAX_LOOP_LAG
from offhook.route.usage import DayUse
from offhook.signalling import Signalling
from offhook.store.sqlite import CallStore
from offhook.talk.access import Access
from offhook.talk.choices import talk_trunk
from offhook.talk.desk import TalkDesk
from offhook.talk.pages import API as TALK_API
from offhook.talk.pages import PAGE, talk_routes
from offhook.transport import open_files
from offhook.transport.driver import SipStack
from offhook.transport.listener import Listener
from offhook.transport.resolver import DnsResolver
from offhook.transport.tls_reload import tell_reload

if TYPE_CHECKING:
    from offhook.recording.envelope import WrappingKey
    from offhook.transport.tls_files import TlsSettings
    from offhook.transport.tls_keeper import TlsKeeper

_log = structlog.get_logger("offhook")

_REFUSALS_CHECKED_EVERY = 1.0
_LAST_GOODBYES = 1.0


class Gateway:
    """One gateway process. `async with Gateway(config) as gateway: await gateway.serve()` is its whole life.

    Entering opens the store, the recordings, the media plane, the SIP listeners and HTTP in this order, and raises
    `TransportError`, `StoreError`, `RecordingError` or `MediaError` with one plain line when one of them can't be had;
    what was opened is closed again.
    """

    def __init__(self, config: Config, *, log_stats: Callable[[], Mapping[str, int]] = dict) -> None:
        self.config = config
        self._log_stats = log_stats
        self._lag = LoopLag()
        self._stop = asyncio.Event()
        self._end_now = asyncio.Event()
        self._tls: TlsKeeper | None = None
        self._recorder: Recorder | None = None
        self._used: Sequence[DayUse] = ()
        self._hold_music: Mapping[str, Melody] = {}
        self._talk_token = ""
        self._resources = contextlib.AsyncExitStack()
        self._version = _version()
        self._wall_offset = time.time() - time.monotonic()
        self._resolver = _resolver_of(config)

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    # -- what it is

    @property
    def listening(self) -> tuple[str, ...]:
        """Every SIP listener as it is bound, such as `udp://0.0.0.0:5060`."""
        return tuple(
            f"{transport}://[{host}]:{port}" if ":" in host else f"{transport}://{host}:{port}"
            for transport, host, port in self._stack.addresses
        )

    @property
    def sip_port(self) -> int:
        """The port of the first SIP listener."""
        return self._stack.addresses[0][2]

    @property
    def http_address(self) -> tuple[str, int]:
        """Where HTTP listens."""
        return self._http.address

    @property
    def talk_link(self) -> str:
        """The link of the talk page: with the token if it is this run's own; empty where there is no page."""
        return f"{own_url(self._http.address)}{PAGE}#{self._talk_token}" if self.config.talks else ""

    @property
    def tls_summary(self) -> str:
        """Our certificate and what TLS is spoken, in a line; empty without TLS."""
        return "" if self._tls is None else self._tls.summary()

    def has_worker(self, agent: str) -> bool:
        """Whether a worker of that agent is there for calls of every media thread."""
        return self._signalling.workers.take_calls_of(agent)

    @property
    def call_capacity(self) -> int:
        """Calls at one time that limits and media ports allow together."""
        return min(self.config.limits.max_calls, self._media.stats().leg_capacity)

    @property
    def unheard_capacity(self) -> int:
        """Calls from behind one NAT address that may be between their answer and their first sound at one time."""
        return self._media.stats().unheard_capacity

    # -- its life

    async def serve(self) -> None:
        """Run until `stop`: then refuse new calls (503), let running ones end for `drain_timeout`, hang up the rest."""
        await self._stop.wait()
        self._signalling.drain()
        self._worker_door.drain()
        # Whoever calls next finds another way sooner than a 503 would tell.
        await self._signalling.registrations.close()
        switchboard = self._signalling.switchboard
        waiting = switchboard.calls
        _log.info("gateway.draining", calls=waiting)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.limits.drain_timeout):
                await _first_of(switchboard.idle(), self._end_now.wait())
        if switchboard.calls:
            switchboard.hang_up_all(EndReason.GATEWAY_SHUTDOWN, "the gateway was stopped before the call ended")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_GOODBYES):
                    await switchboard.idle()

    def stop(self) -> None:
        """Begin to drain; a second time, end the calls that still run."""
        if self._stop.is_set():
            self._end_now.set()
        self._stop.set()

    # -- how it is put together

    async def _open(self) -> None:
        self._take_signals(asyncio.get_running_loop())
        if (files := open_files.raise_limit()) < open_files.LOW:
            _log.warning(
                "open_files.few", limit=files, wanted=open_files.LOW, hint="LimitNOFILE= in a unit file, ulimit"
            )
        await self._open_store()
        self._metrics = Metrics(node=self.config.node.name, version=self._version)
        # Closed behind the media plane, whose end is the end of the last recordings.
        self._recorder = await self._open_recorder()
        self._hold_music = await asyncio.to_thread(hold_music.melodies, self.config)
        await self._open_media()
        self._resources.push_async_callback(self._flush_refusals)
        self._signalling = signalling = self._make_signalling()
        # Closed behind the last calls, of which platforms are still told.
        self._resources.push_async_callback(signalling.platform_api.close)
        self._resources.push_async_callback(signalling.openai_calls.close)
        await self._open_sip(signalling)
        # Before the sockets close and before the store does: what still runs says goodbye and is written.
        self._resources.push_async_callback(signalling.switchboard.close)
        await self._open_http(signalling)
        await self._resources.enter_async_context(self._lag)
        await self._resources.enter_async_context(self._periodically())
        self._watch()

    def _take_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        # First in, last out: an impatient second signal must not kill us while records are still being written.
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop)
            self._resources.callback(loop.remove_signal_handler, name)
        if self.config.tls is not None:
            self._tls = _tls_keeper(self.config.tls)
            loop.add_signal_handler(signal.SIGHUP, self._reload_certificates)
            self._resources.callback(loop.remove_signal_handler, signal.SIGHUP)

    async def _open_store(self) -> None:
        self._store = CallStore(self.config.store_url, node=self.config.node.name)
        crashed = await asyncio.to_thread(self._store.open)
        self._used = await asyncio.to_thread(self._store.used)
        self._resources.push_async_callback(asyncio.to_thread, self._store.close)
        if crashed:
            _log.warning("store.crashed_calls_closed", calls=crashed)

    async def _open_media(self) -> None:
        network = speech_network.load()
        if network.weights is None:
            _log.warning("media.speech_network_missing", problem=network.problem, instead="the gate decides alone")
        plane = MediaPlane(_engine_config(self.config, network.weights))
        self._media = await self._resources.enter_async_context(plane)
        self._tell_ports()

    def _make_signalling(self) -> Signalling:
        return Signalling(
            self.config,
            self._media,
            self._store,
            self._metrics,
            # Not the loop's time: uvloop counts it in whole milliseconds.
            now=time.monotonic,
            wall=self._wall,
            loop_lag=lambda: self._lag.worst,
            version=self._version,
            recorder=self._recorder,
            hold_music=self._hold_music,
            used=self._used,
            keep=self._store.day_uses,
            resolve=self._resolver.resolve,
            keeps_phones=True,
        )

    async def _open_sip(self, signalling: Signalling) -> None:
        config = self.config
        self._stack = SipStack(
            signalling.user_agent,
            [
                Listener(
                    listen.uri, (told.host, told.port) if (told := config.advertised(listen)) is not None else None
                )
                for listen in config.sip.listen
            ],
            local_networks=config.sip.local_networks,
            resolver=self._resolver,
            gate=signalling.screen.gate,
            on_event=lambda event, now: signalling.switchboard.take(event),
            on_message=lambda direction, message, source, now: signalling.switchboard.see(direction, message, source),
            tls=self._tls,
            knows=signalling.screen.knows,
            on_tls_failure=signalling.tls_failed,
        )
        signalling.perform, signalling.reaches = self._stack.perform, self._stack.reaches
        self._resources.push_async_callback(self._stack.close)
        await self._stack.start()
        self._resources.push_async_callback(signalling.registrations.close)
        signalling.registrations.start()
        self._resources.push_async_callback(signalling.pings.close)
        signalling.pings.start()
        self._resources.push_async_callback(signalling.phones.close)
        await signalling.phones.start()

    async def _open_recorder(self) -> Recorder | None:
        """The recorder, if calls may be recorded, or if there are recordings that grow old."""
        config = self.config.recording
        directory = Path(config.directory or "")
        asked = any(route.record is not False for route in self.config.routes)
        # Whoever places a call may have it recorded.
        asked = asked or any(trunk.host is not None for trunk in self.config.trunks)
        if not asked and not await asyncio.to_thread(directory.exists):
            return None
        settings = RecorderSettings(
            transcript=None if config.transcript == "off" else config.transcript,
            mask_digits=config.transcript_digits == "mask",
            format="flac" if config.format == "flac" else "wav",
            key=_wrapping_key(config.key),
            keep_days=config.keep_days,
            announcement=announcement_of(config),
        )
        recorder = Recorder(Shelf(directory), settings, self._metrics)
        await recorder.open()
        self._resources.push_async_callback(recorder.close)
        return recorder

    async def _open_http(self, signalling: Signalling) -> None:
        """Health, metrics, the door of workers, and the API, whose key is left for commands on this machine."""
        token, listen = LocalKey.new_token(), self.config.http.listen
        keys = ApiKeys({key.name: key.sha256.reveal() for key in self.config.keys})
        guard = Guard(token, signalling.http_refused, keys, time.monotonic)
        desk = CallDesk(
            signalling.dialler,
            {agent.name for agent in self.config.agents},
            now=time.monotonic,
            wall=self._wall,
            detects=_detects(self.config),
        )
        self._worker_door = WorkerDoor(
            signalling.workers,
            Tokens(worker_tokens(self.config)),
            self._media,
            now=time.monotonic,
            refused=signalling.http_refused,
        )
        routes = [
            *health_routes(self._readiness, self._metrics.registry),
            *worker_routes(signalling.workers, guard, self._wall),
            *trunk_routes(
                self.config,
                signalling.registrations.states,
                signalling.target_states,
                signalling.phones.listed,
                guard,
            ),
            *desk.routes(guard),
            *self._openai_door(signalling).routes(),
        ]
        upgrades = {WORKER_PATH: self._worker_door.judge}
        if self.config.talks:
            talk = await self._open_talk(signalling)
            routes += talk_routes(talk, node=self.config.node.name, version=self._version)
            upgrades[TALK_API] = talk.judge
        self._http = HttpServer(
            Starlette(routes=routes), listen.host, listen.port, upgrades, refused=signalling.http_refused
        )
        self._resources.push_async_callback(self._http.close)
        await self._http.start()
        await self._leave_key(LocalKey(own_url(self._http.address), token), self.config.data_dir)

    def _openai_door(self, signalling: Signalling) -> OpenAIDoor:
        """Where OpenAI asks about calls that we have sent there."""
        return OpenAIDoor(
            signalling.openai_calls,
            signalling.openai_agents,
            now=time.monotonic,
            wall=time.time,
            refused=signalling.http_refused,
        )

    async def _open_talk(self, signalling: Signalling) -> TalkDesk:
        """Where the talk page's calls are made, on a line of its own to our signalling."""
        talk = self.config.talk
        if talk.token is None:
            self._talk_token = secrets.token_urlsafe(24)
        access = Access(
            self._talk_token if talk.token is None else talk.token.reveal(),
            talk.origins,
            now=time.monotonic,
            refused=signalling.http_refused,
        )
        desk = TalkDesk(
            signalling.choices,
            access,
            media=self.config.media_listen[0],
            max_calls=talk.max_calls,
            version=self._version,
            now=time.monotonic,
        )
        signalling.follower = desk.follower
        self._resources.push_async_callback(desk.close)
        signalling.screen.admit_inside(await desk.open(self._stack), talk_trunk(talk.max_calls))
        return desk

    async def _leave_key(self, key: LocalKey, directory: Path) -> None:
        try:
            await asyncio.to_thread(key.leave, directory)
        except OSError as error:
            _log.warning("api.key_not_left", directory=str(directory), why=error.strerror, lost="offhook workers")
            return
        self._resources.callback(key.take_away, directory)

    def _tell_ports(self) -> None:
        """What the media ports can carry, once, for whoever opens a firewall for them."""
        stats = self._media.stats()
        told = _log.warning if stats.ports_taken else _log.info
        told(
            "media.ports",
            ports=str(self.config.media.ports),
            ipv4_pairs=stats.ports_ipv4,
            ipv6_pairs=stats.ports_ipv6,
            held_by_others=stats.ports_taken,
            calls=self.call_capacity,
            unheard_behind_one_address=stats.unheard_capacity,
            receive_buffer=stats.receive_buffer,
        )

    def _readiness(self) -> Readiness:
        detail = {
            "calls": self._signalling.admission.calls,
            "capacity": self.call_capacity,
            "near_limits": self._signalling.gate.near_limits(time.monotonic()),
        }
        if self._stop.is_set():
            return Readiness(False, "draining", detail)
        if self._signalling.admission.calls >= self.call_capacity:
            return Readiness(False, "full", detail)
        if self._lag.worst > MAX_LOOP_LAG:
            return Readiness(False, "late", detail)
        return Readiness(True, "", detail)

    def _wall(self, at: float) -> int:
        return round((at + self._wall_offset) * 1000)

    def _watch(self) -> None:
        self._metrics.watch_sip(lambda: {**self._signalling.user_agent.counters, **self._stack.counters})
        self._metrics.watch_sip_open(self._sip_open)
        self._metrics.watch_certificate(self._certificate_days)
        self._metrics.watch_media(lambda: _numbers_of(self._media.stats()))
        self._metrics.watch_log(self._log_stats)
        workers = self._signalling.workers
        self._metrics.watch_workers(
            lambda: workers.by_agent(lambda worker: 1),
            lambda: workers.by_agent(lambda worker: worker.calls),
            lambda: workers.by_agent(lambda worker: worker.stalled),
            lambda: workers.events,
        )
        self._metrics.watch_phones(self._signalling.phones.registered)
        self._metrics.watch_registrations(self._signalling.registrations.registered)
        self._metrics.watch_targets(self._signalling.targets_down)
        self._metrics.watch_store(lambda: asdict(self._store.stats()))

    def _sip_open(self) -> dict[str, int]:
        user_agent = self._signalling.user_agent
        return {
            "transactions": user_agent.open_transactions,
            "dialogs": user_agent.open_dialogs,
            "connections": self._stack.open_connections,
            "handshakes": self._stack.open_handshakes,
        }

    def _certificate_days(self) -> dict[str, int]:
        own, days = (None, None) if self._tls is None else (self._tls.certificate, self._tls.days_left())
        return {} if own is None or days is None else {(own.names.identities or ("",))[0]: days}

    def _reload_certificates(self) -> None:
        if self._tls is not None:
            tell_reload(self._tls.reload())

    async def _flush_refusals(self) -> None:
        rows = self._signalling.refusals.flush(time.monotonic(), force=True)
        if rows:
            self._store.refusals(rows)

    @contextlib.asynccontextmanager
    async def _periodically(self) -> AsyncIterator[None]:
        async def turn() -> None:
            while True:
                await asyncio.sleep(_REFUSALS_CHECKED_EVERY)
                # A clock that was set meanwhile shows in later records, never in a timer.
                self._wall_offset = time.time() - time.monotonic()
                self._metrics.loop_lag(self._lag.worst)
                reload = self._tls.poll(time.monotonic()) if self._tls is not None else None
                if reload is not None:
                    tell_reload(reload)
                if self._recorder is not None:
                    self._recorder.poll(time.monotonic())
                rows = self._signalling.refusals.flush(time.monotonic())
                if rows:
                    self._store.refusals(rows)

        task = asyncio.get_running_loop().create_task(turn(), name="refusals")
        try:
            yield
        finally:
            task.cancel()


def _wrapping_key(source: KeySource | None) -> "WrappingKey | None":
    if source is None:
        return None
    from offhook.recording.envelope import WrappingKey

    return WrappingKey(key_of(source))


def _resolver_of(config: Config) -> DnsResolver:
    """Names are looked up for what we can send by: TCP needs no listener, UDP one of the IP version."""
    families: dict[Literal[4, 6], None] = dict.fromkeys(6 if ":" in listen.host else 4 for listen in config.sip.listen)
    return DnsResolver(
        name_servers=[(server.host, server.port) for server in config.sip.name_servers],
        speaks=("udp", "tcp", "tls") if config.tls is not None else ("udp", "tcp"),
        families=tuple(families),
    )


def _tls_keeper(settings: "TlsSettings") -> "TlsKeeper":
    # Its library takes a tenth of a second to load; a gateway without TLS goes without.
    from offhook.transport.tls_keeper import TlsKeeper

    return TlsKeeper(settings)


def _numbers_of(stats: EngineStats) -> dict[str, int]:
    """Every counter and gauge of the engine by name."""
    values = ((name, getattr(stats, name)) for name in dir(stats) if not name.startswith("_"))
    return {name: value for name, value in values if isinstance(value, int)}


def _engine_config(config: Config, speech_weights: bytes | None) -> EngineConfig:
    return EngineConfig(
        addresses=config.media_listen,
        port_min=config.media.ports.first,
        port_max=config.media.ports.last,
        threads=config.media.threads or 0,
        max_legs=max(64, config.limits.max_calls + 64),
        max_wires=max(64, 2 * config.limits.max_calls + 64),
        speech_weights=speech_weights,
    )


async def _first_of(*waits: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _version() -> str:
    try:
        return version("offhook")
    except PackageNotFoundError:
        return "unknown"


def _detects(config: Config) -> dict[str, DetectWish]:
    """What agents want to know of who answers their calls out; the messages are read once, here."""
    return {
        agent.name: DetectWish(agent.detect, agent.on_machine, sound_in(agent.voicemail) if agent.voicemail else None)
        for agent in config.agents
    }
