"""One call of the test phone, from the look-up of the far end to the last goodbye."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Literal

from offhook._media import EngineConfig, LegConfig, MediaEvent
from offhook.errors import OffhookError, RemoteProtocolError
from offhook.ids import CallId
from offhook.media.leg import RtpLeg
from offhook.media.plane import MediaPlane
from offhook.media.remote import remote_media
from offhook.phone import outcome as came
from offhook.phone.account import Account, host_port
from offhook.phone.address import read_from
from offhook.phone.echo import Echo, find_echo
from offhook.phone.finding import Finding, Step
from offhook.phone.keys import Keys
from offhook.phone.outcome import Outcome
from offhook.phone.plan import Plan, rate_of
from offhook.phone.player import Player
from offhook.phone.reach import FoundTargets, is_closed, way_to, why_unreachable
from offhook.phone.recording import FRAMES_A_SECOND, Recording
from offhook.phone.sound import between_lines, from_bytes, level_db
from offhook.phone.turns import Turns
from offhook.report.timeline import Timeline
from offhook.sdp.crypto import RANDOM_BYTES, FreshKeys
from offhook.sdp.exchange import Exchange
from offhook.sdp.terms import LocalMedia, NegotiatedAudio, Terms
from offhook.sip import events as sip
from offhook.sip.causes import why
from offhook.sip.digest import Credentials
from offhook.sip.effects import Source, Target
from offhook.sip.forks import Forks
from offhook.sip.invite import InviteSession
from offhook.sip.message import Message, Request, Response
from offhook.sip.screening import Admit, Drop, Verdict
from offhook.sip.session_core import HeaderList
from offhook.sip.user_agent import UserAgent, UserAgentConfig
from offhook.transport.driver import SipStack
from offhook.transport.listener import Listener
from offhook.transport.resolver import DnsResolver

if TYPE_CHECKING:
    from offhook.transport.tls_keeper import TlsKeeper

HEARD_DB = -45.0
"""From here on a frame counts as sound: a telephone line's own noise lies below."""

MEDIA_PORTS = (49_152, 65_533)
"""The dynamic ports of RFC 6335."""

_PROBED_AFTER = 1.0
_NO_REPLY_AFTER = 10.0
_GOODBYE_SECONDS = 3.0
_EVERYWHERE = ("0.0.0.0/0", "::/0")


class Phone:
    """A phone that makes one call. `call()` is its whole life, `hang_up()` what Ctrl-C does.

    `steps`, `stage` and the two levels (decibels, -100 is silence) are there to be watched meanwhile.
    """

    def __init__(self, plan: Plan, version: str) -> None:
        self.plan = plan
        self.finding = Finding(plan, came.GaveUp(), Timeline(CallId("phone")))
        self._account = Account(self.finding, asyncio.get_running_loop().time)
        self.stage: Literal["finding", "calling", "ringing", "talking", "ending"] = "finding"
        self.sent_db = self.heard_db = -100.0
        self._version = version
        self._keys = Keys(plan, self.finding, self._account)
        self._terms = Terms(
            codecs=plan.codecs,
            telephone_event=plan.dtmf_by in ("auto", "rfc4733"),
            srtp="required" if plan.srtp else "off",
        )
        self._over: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._verdict: Outcome | None = None
        self._replied = asyncio.Event()
        self._picked_up = asyncio.Event()
        self._target: Target | None = None
        self._session: InviteSession | None = None
        self._stack: SipStack | None = None
        self._leg: RtpLeg | None = None
        self._exchange: Exchange | None = None
        self._player = Player(plan.sound, endless=plan.repeat == "on_and_on", rate=plan.rate)
        self._turns = Turns()
        self._forks = Forks()
        self._said = asyncio.Event()
        self._playing = False

    @property
    def steps(self) -> list[Step]:
        """The latest of what has happened."""
        return self._account.steps

    def packets(self) -> tuple[int, int]:
        """RTP packets sent and received so far."""
        if self._leg is None:
            return 0, 0
        stats = self._leg.stats()
        return stats.sent_packets, stats.received_packets

    def elapsed(self) -> float:
        """Seconds since the answer, or since the INVITE while there is none."""
        reached = self.finding.milestones
        begin = reached.get("answered", reached.get("invite"))
        return 0.0 if begin is None else asyncio.get_running_loop().time() - begin

    async def call(self) -> Finding:
        """Make the call and wait for its end. Raises `UsageError`, and `MediaError` or `TransportError` for a port."""
        finding = self.finding
        async with contextlib.AsyncExitStack() as resources:
            finding.outcome = await self._found(resources) or await self._talk()
            finding.milestones.setdefault("ended", asyncio.get_running_loop().time())
            if self._leg is not None:
                finding.stats = self._leg.stats().as_dict()
        if (recording := finding.recording) is not None:
            finding.echo = await asyncio.to_thread(_find_echo, recording)
        return finding

    def hang_up(self) -> None:
        """End the call politely, by CANCEL or BYE; a second time at once."""
        if self._verdict is not None or self._session is None:
            self._finish(self._verdict or came.GaveUp())
            return
        self._end(came.Answered("you") if self._picked_up.is_set() else came.GaveUp())

    # ------------------------------------------------------------------ the way there

    async def _found(self, resources: contextlib.AsyncExitStack) -> Outcome | None:
        """Look up the far end, open sockets and send the INVITE; why it can't be done, if so."""
        plan, resolver = self.plan, DnsResolver()
        targets = await self._or_hung_up(resolver.resolve(plan.uri))
        if targets is None:
            return came.GaveUp()
        if not targets:
            return came.UnknownHost(plan.uri.host)
        # One offer names one address: what follows keeps to the first target's family.
        first = targets[0]
        targets = tuple(target for target in targets if (":" in target.host) == (":" in first.host))
        self._target = first
        try:
            local = plan.listen[0] or way_to(first)
        except OSError:
            return came.Unreachable(first, await why_unreachable(first))
        await self._open(local, targets, resolver, resources)
        self._invite(local)
        return None

    async def _open(
        self, local: str, targets: tuple[Target, ...], resolver: DnsResolver, resources: contextlib.AsyncExitStack
    ) -> None:
        media = EngineConfig(
            addresses=(local,), port_min=MEDIA_PORTS[0], port_max=MEDIA_PORTS[1], threads=1, max_legs=4, max_wires=1
        )
        plane = await resources.enter_async_context(MediaPlane(media))
        self._leg = await resources.enter_async_context(
            plane.open_leg(LegConfig(media_timeout_ms=None), on_event=self._on_media, on_error=self._on_fault)
        )
        self._leg.tap(True)
        tls = _tls_of(self.plan) if any(target.transport == "tls" for target in targets) else None
        host, port = (f"[{local}]" if ":" in local else local), self.plan.listen[1]
        self._stack = SipStack(
            UserAgent(
                UserAgentConfig(
                    user_agent=f"offhook-phone/{self._version}",
                    contact_user="phone",
                    supported=("timer", "100rel", "199"),
                ),
                secrets.SystemRandom(),
                _screen,
            ),
            [Listener(f"udp://{host}:{port}"), Listener(f"tcp://{host}:{port}")],
            resolver=FoundTargets(self.plan.uri, targets, resolver),
            on_event=self._on_event,
            on_message=self._on_message,
            tls=tls,
        )
        resources.push_async_callback(self._stack.close)
        await self._stack.start()

    def _invite(self, local: str) -> None:
        plan = self.plan
        assert self._stack is not None and self._leg is not None and self._target is not None, "opened before"  # noqa: PT018
        media = LocalMedia(address=local, port=self._leg.local_address[1], session_id=secrets.randbits(31) + 1)
        self._exchange = Exchange(media, self._terms, fresh=_fresh_keys)
        self.finding.local_media = host_port((local, media.port))
        credentials = None
        if plan.user is not None:
            hosts = frozenset({plan.uri.host, self._target.host})
            credentials = Credentials(plan.user, plan.password or "", hosts)
        offer, user_agent = self._exchange.offer(), self._stack.user_agent
        # With a password we are a user of theirs, else a guest from here.
        caller = read_from(plan.caller or plan.user or "phone", local if plan.user is None else plan.uri.host)
        self.stage = "calling"
        self._session = self._stack.perform(
            lambda now: user_agent.invite(
                plan.uri,
                caller,
                f"<{plan.uri}>",
                offer,
                now,
                credentials=credentials,
                headers=plan.headers,
            )
        )
        self.finding.sip_call_id = self._session.sip_call_id

    # ------------------------------------------------------------------ the call

    async def _talk(self) -> Outcome:
        meanwhile = [self._lose_patience(), self._let_it_ring(), self._press_keys(), self._watch_the_clock()]
        if self.plan.repeat == "in_turn":
            meanwhile.append(self._say_it_again())
        async with _at_once(*meanwhile):
            return await self._over

    async def _lose_patience(self) -> None:
        """Nothing at all comes back: say why, where the system knows, and wait no 32 seconds."""
        target, began = self._target, asyncio.get_running_loop().time()
        assert target is not None, "found before"
        if target.transport == "udp":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PROBED_AFTER):
                    await self._replied.wait()
            if not self._replied.is_set() and await is_closed(target, self._local_host) and not self._replied.is_set():
                self._finish(came.NoReply(target, asyncio.get_running_loop().time() - began, closed=True))
                return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NO_REPLY_AFTER - (asyncio.get_running_loop().time() - began)):
                await self._replied.wait()
        if not self._replied.is_set():
            self._finish(came.NoReply(target, _NO_REPLY_AFTER))

    async def _let_it_ring(self) -> None:
        try:
            async with asyncio.timeout(self.plan.ring_seconds):
                await self._picked_up.wait()
        except TimeoutError:
            self._end(came.NoAnswer(self.plan.ring_seconds))

    async def _watch_the_clock(self) -> None:
        await self._picked_up.wait()
        await asyncio.sleep(self.plan.seconds)
        self._end(came.Answered("time"))

    async def _say_it_again(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._said.wait()
            self._said.clear()
            while (left := self._turns.due() - loop.time()) > 0:  # noqa: ASYNC110  a time that moves on meanwhile
                await asyncio.sleep(left)
            self._player.again()
            self._feed()

    async def _press_keys(self) -> None:
        await self._picked_up.wait()
        assert self._leg is not None, "opened before"
        await self._keys.press(self._leg)

    def _ask_by_info(self, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
        stack, session = self._stack, self._session
        assert stack is not None and session is not None, "opened before"  # noqa: PT018
        return stack.perform(lambda now: session.ask("INFO", headers, body, now=now))

    def _end(self, verdict: Outcome) -> None:
        """Hang up and wait a little for the far end to agree."""
        if self._over.done() or self._verdict is not None:
            return
        self._verdict = verdict
        self.stage = "ending"
        self._account.reach("ended")
        session, loop = self._session, asyncio.get_running_loop()
        assert session is not None and self._stack is not None, "there is a call to be ended"  # noqa: PT018
        if not self._stack.perform(lambda now: session.hang_up(_why(verdict), now=now)):
            self._finish(verdict)
        loop.call_later(_GOODBYE_SECONDS, self._finish, verdict)

    def _finish(self, verdict: Outcome) -> None:
        if not self._over.done():
            self._account.reach("ended")
            self._over.set_result(self._verdict or verdict)

    async def _or_hung_up(self, work: Coroutine[object, object, tuple[Target, ...]]) -> tuple[Target, ...] | None:
        """The result of `work`; None if the user hangs up first."""
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[object]] = {task, self._over}  # type: ignore[arg-type]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        return None

    # ------------------------------------------------------------------ what SIP says

    def _on_message(self, direction: Literal["in", "out"], message: Message, source: Source, now: float) -> None:
        self._account.see(direction, message, source, now)
        if direction == "in" and isinstance(message, Response):
            self._replied.set()

    def _on_event(self, event: sip.Event, now: float) -> None:
        match event:
            case sip.Provisional(_, response):
                self._on_provisional(response, now)
            case sip.Answered(_, response):
                self._on_answer(response, now)
            case sip.Refused(_, response):
                self._finish(came.Refused(response))
            case sip.Failed(_, cause, detail):
                self._on_failure(cause, detail)
            case sip.ByeReceived():
                self._account.step("the far end hung up")
                self._finish(came.Answered("far end") if self._picked_up.is_set() else came.GaveUp())
            case sip.SessionExpired(_, why):
                self._account.step(f"the session timer ran out: {why}")
                self._finish(came.Answered("lost"))
            case sip.HungUp():
                self._finish(came.GaveUp())
            case sip.Reinvited(session, request):
                self._on_reinvite(session, request, now)
            case sip.Acknowledged(_, body, True):
                self._on_acknowledged(body, now)
            case sip.InfoReceived(session, request):
                session.answer_info(now=now)
                if self._leg is not None:
                    self._keys.told(request, self._leg)
            case sip.Replied(_, "INFO"):
                self._keys.answered(event)
            case sip.SessionFailed(_, error):
                self._finish(came.Broken(f"{type(error).__name__}: {error}"))
            case _:
                return

    def _on_provisional(self, response: Response, now: float) -> None:
        if response.status in (180, 181, 182, 183) and self.stage == "calling":
            self.stage = "ringing"
        before = self._forks.count
        sdp = self._forks.rang(response)
        if self._forks.count > max(1, before):
            self._account.step(f"the call forks: {self._forks.count} far ends ring")
        if sdp is not None and self._agree(sdp, now) is None:
            # An announcement, or a ringing tone of the far end's own.
            self._account.reach("early_media", now, f"sound before the answer ({response.status} with SDP)")
            self._start(now)

    def _on_answer(self, response: Response, now: float) -> None:
        if self._picked_up.is_set():
            return
        self.finding.device = response.headers.get("Server") or response.headers.get("User-Agent") or ""
        heard_early = self._forks.heard
        sdp = self._forks.answered(response)
        problem = self._agree(sdp, now) if sdp else "the 200 has no SDP, so nobody knows where to send sound"
        if heard_early is not None and heard_early != self._forks.heard:
            self._account.step("another fork answers than the one that was heard")
        if problem is not None:
            self._end(came.NoCommonSound(problem))
            return
        self._start(now)
        self.stage = "talking"
        self._picked_up.set()
        self._playing = True
        self._feed()

    def _on_failure(self, cause: sip.FailureCause, detail: str) -> None:
        if self._picked_up.is_set():
            self._finish(came.Answered("lost"))
            return
        assert self._target is not None, "found before"
        match cause:
            case sip.FailureCause.UNRESOLVED:
                self._finish(came.UnknownHost(self.plan.uri.host))
            case sip.FailureCause.TIMEOUT:
                self._finish(came.NoReply(self._target, self.elapsed()))
            case sip.FailureCause.UNUSABLE:
                self._finish(came.NoCommonSound(detail))
            case sip.FailureCause.TRANSPORT if self._target.transport == "tls":
                # The address is said beside it.
                self._finish(came.Unreachable(self._target, detail.partition(" by TLS: ")[2] or detail))
            case sip.FailureCause.TRANSPORT:
                task = asyncio.get_running_loop().create_task(self._explain(self._target, detail))
                self._explaining = task
            case _:
                self._finish(came.GaveUp())

    async def _explain(self, target: Target, detail: str) -> None:
        if target.transport == "udp" and await is_closed(target, self._local_host):
            self._finish(came.NoReply(target, self.elapsed(), closed=True))
            return
        why = detail if target.transport == "udp" else ""
        self._finish(came.Unreachable(target, why or await why_unreachable(target)))

    @property
    def _local_host(self) -> str:
        return self.finding.local_signalling.rpartition(":")[0].strip("[]")

    def _on_reinvite(self, session: InviteSession, request: Request, now: float) -> None:
        exchange = self._exchange
        assert exchange is not None, "a re-INVITE comes within a call"
        if request.sdp is None:
            # RFC 3261 14.2: we are asked for an offer; the ACK brings the answer.
            session.answer_reinvite(exchange.offer(), now=now)
            return
        try:
            answer = exchange.offered(request.sdp, lambda audio: self._take(audio, now))
        except OffhookError:
            session.reject_reinvite(488, now=now)
            return
        session.answer_reinvite(answer, now=now)
        self._say_what_changed()

    def _on_acknowledged(self, body: bytes, now: float) -> None:
        if self._exchange is None or not self._exchange.is_waiting:
            return
        problem = self._agree(body, now)
        if problem is None:
            self._say_what_changed()
        else:
            self._account.step(f"the far end asked for an offer and took none: {problem}", "bad")

    def _say_what_changed(self) -> None:
        held = self.finding.audio is not None and self.finding.audio.remote_hold
        self._account.step("held by the far end" if held else "the far end changed the sound's way")

    # ------------------------------------------------------------------ what the media core says

    def _agree(self, body: bytes, now: float) -> str | None:
        """Take the answer to our offer; what is wrong with it, if anything is."""
        assert self._exchange is not None, "its offer was sent with the INVITE"
        try:
            self._exchange.answered(body, lambda audio: self._take(audio, now))
        except RemoteProtocolError as error:
            return str(error)
        except OffhookError as error:
            return f"its SDP can't be used: {error}"
        return None

    def _take(self, audio: NegotiatedAudio, now: float) -> None:
        assert self._leg is not None and self._session is not None and self._target is not None, "opened before"  # noqa: PT018
        # A phone listens to whoever sends in the right form; the report says where that was.
        peer = self._session.remote_address or self._target.remote
        self._leg.set_remote(remote_media(audio, peer[0], media_allow=_EVERYWHERE, dtmf=self.plan.dtmf_by))
        self.finding.audio = audio
        self.finding.timeline.add("sdp", now, note=str(audio))

    def _start(self, now: float) -> None:
        assert self._leg is not None, "opened before"
        if self.finding.recording is None:
            assert self.finding.audio is not None, "agreed before"
            self.finding.recording = Recording(now, rate_of((self.finding.audio.codec,)))
            self._leg.start(release_after=None)
            self._leg.release()

    def _feed(self) -> None:
        if self._playing and self._leg is not None:
            for pcm16, mark in self._player.take():
                self._leg.play(pcm16, self._player.rate, mark)

    def _on_media(self, event: MediaEvent) -> None:
        recording = self.finding.recording
        match event.kind:
            case "audio" if recording is not None:
                samples = from_bytes(event.pcm16 or b"")
                # The far end may change the codec, and the rate with it, in the middle of a call.
                samples = between_lines(samples, len(samples) * FRAMES_A_SECOND, recording.rate)
                recording.add_heard(samples, event.at, event.position or 0)
                self.heard_db = level_db(samples)
                self.finding.heard_db = max(self.finding.heard_db, self.heard_db)
                if self.heard_db >= HEARD_DB:
                    self.finding.heard_frames += 1
                    self._turns.heard(event.at)
                    self._account.reach("first_sound", event.at, "first sound heard", "good")
            case "mark" if recording is not None:
                samples = self._player.left(event.name or "") or from_bytes(b"")
                recording.add_sent(between_lines(samples, self._player.rate, recording.rate), event.at)
                self.sent_db = level_db(samples)
                self._feed()
                if self._player.has_played:
                    self._turns.said(event.at)
                    self._said.set()
            case "first_packet":
                self.finding.heard_from = host_port(event.address or ("", 0))
                self._account.reach("first_packet", event.at, f"first audio packet from {self.finding.heard_from}")
            case "source_changed":
                self.finding.heard_from = host_port(event.address or ("", 0))
                self._account.step(f"audio packets now come from {self.finding.heard_from}")
            case "digit":
                self._keys.heard(event)
            case "key_by_info":
                self._keys.send(event, self._ask_by_info)
            case "unreachable" if "ended" not in self.finding.milestones:
                # After the BYE nobody has to listen there any more.
                self.finding.unreachable_media = True
                self._account.step("the far end's host refuses our audio packets", "bad")
            case "internal_error":
                self._finish(came.Broken(event.text or "the media core ended the call"))
            case _:
                return

    def _on_fault(self, error: Exception) -> None:
        self._finish(came.Broken(f"{type(error).__name__}: {error}"))


def _why(verdict: Outcome) -> HeaderList:
    """What our CANCEL or BYE gives as its reason (RFC 3326); nothing special is the session's own."""
    match verdict:
        case came.NoAnswer():
            return why(487, "no answer", q850=19)
        case came.NoCommonSound():
            return why(488, "no common codec")
        case _:
            return ()


def _fresh_keys() -> FreshKeys:
    return FreshKeys(secrets.token_bytes(RANDOM_BYTES))


def _find_echo(recording: Recording) -> Echo | None:
    return find_echo(*recording.narrow(), recording.lateness_ms)


def _screen(request: Request, source: Source, user: str | None) -> Verdict:
    """The phone takes no calls; what belongs to its own is known by the dialog."""
    return Admit(None) if request.to.tag is not None or request.method == "OPTIONS" else Drop("no_calls_taken")


def _tls_of(plan: Plan) -> "TlsKeeper":
    # Its library takes a tenth of a second to load; a plain call goes without.
    from offhook.transport.tls_files import TlsSettings
    from offhook.transport.tls_keeper import TlsKeeper

    return TlsKeeper(TlsSettings(plan.tls_certificate, None, plan.tls_ca))


@contextlib.asynccontextmanager
async def _at_once(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run these meanwhile, and end them with the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
