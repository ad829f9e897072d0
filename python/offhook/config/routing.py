"""From settings to the values that decide about calls: trunks, routes and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from offhook.config.schema import Config, OutboundConfig, RouteConfig, TrunkConfig
from offhook.ids import RouteName, TrunkName
from offhook.route.called_name import read_own
from offhook.route.limits import Limit, Limits
from offhook.route.pattern import Pattern
from offhook.route.table import AnswerPolicy, Fallback, FallbackCause, RecordPolicy, Route, RouteTable
from offhook.route.trunk import InboundDigest, Phone, Trunk, TrunkTable
from offhook.route.usage import OutboundLimits, Party


@dataclass(frozen=True, slots=True)
class Routing:
    """All that a new call is judged by. A reload builds another one and swaps it whole."""

    trunks: TrunkTable
    routes: RouteTable
    limits: Limits
    outbound: Mapping[Party, OutboundLimits]


def build_routing(config: Config) -> Routing:
    """Make the tables of a configuration."""
    outbound = {Party("trunk", trunk.name): _outbound(trunk.outbound) for trunk in config.trunks}
    outbound |= {Party("agent", agent.name): _outbound(agent.outbound) for agent in config.agents}
    outbound |= {Party("key", key.name): _outbound(key.outbound) for key in config.keys}
    return Routing(
        trunks=TrunkTable(trunk_of(trunk) for trunk in config.trunks),
        routes=RouteTable(route_of(route) for route in config.routes),
        limits=Limits(
            node=Limit(config.limits.max_calls, config.limits.max_cps),
            trunks={TrunkName(trunk.name): Limit(trunk.max_calls, trunk.max_cps) for trunk in config.trunks},
            agents={agent.name: agent.max_calls for agent in config.agents if agent.max_calls is not None},
        ),
        outbound=outbound,
    )


def _outbound(config: OutboundConfig) -> OutboundLimits:
    return OutboundLimits(
        max_calls=config.max_calls,
        max_cps=config.max_cps,
        max_minutes_per_day=config.max_minutes_per_day,
        max_spend_per_day=config.max_spend_per_day,
        max_transfers_per_day=config.max_transfers_per_day,
    )


def trunk_of(config: TrunkConfig) -> Trunk:
    """The trunk that a `[[trunk]]` describes. Its inbound password stays in the configuration."""
    tls_only = config.tls == "required" or config.tls_name is not None
    return Trunk(
        name=TrunkName(config.name),
        allow=config.allow,
        domain=config.domain,
        inbound=_inbound_of(config),
        media_allow=config.media_allow,
        # Phones are mostly behind a router; answering where they were seen does those that are not no harm.
        nat=config.nat or bool(config.phones),
        country=config.country,
        codecs=config.codecs,
        media_timeout=config.media_timeout,
        hold_music=config.hold_music,
        max_duration=config.max_duration,
        session_timer=config.session_timer,
        max_calls=config.max_calls,
        max_cps=config.max_cps,
        pass_headers=config.pass_headers,
        trust_identity=config.trust_identity,
        tls_name=config.tls_name,
        tls_only=tls_only,
        tls_identity=config.name if config.tls_client_certificate is not None else None,
        srtp=config.srtp,
        prack=config.prack,
        rates=tuple(config.rates.items()),
        transfer_to=config.transfer_to,
        emergency_to=config.emergency_to,
        premium_to=config.premium_to,
        transfer=config.transfer,
        transfer_domain=config.transfer_domain,
        transfer_timeout=config.transfer_timeout,
        transfer_reports=config.transfer_reports,
        may_refer=config.refer == "accept",
        refer_to=config.refer_to,
        dtmf=config.dtmf,
        dtmf_tones=config.dtmf_tones,
        detect=config.detect,
        on_machine=config.on_machine,
        host=config.host,
        port=config.port,
        transport=config.transport or ("tls" if tls_only else "udp"),
        caller_ids=tuple(read_own(text, config.country) for text in config.caller_id)
        or (("offhook",) if config.phones else ()),
        registers=config.register_,
        only_named=config.preset is not None and config.preset.preset.kind == "platform",
        register_expires=config.register_expires,
        registrar=config.registrar,
        phones=tuple(Phone(phone.username, phone.max_contacts) for phone in config.phones),
        dial_to=config.dial_to or tuple(Pattern(phone.username) for phone in config.phones),
        priority=config.priority,
        weight=config.weight,
        target_timeout=config.target_timeout,
        options_interval=config.options_interval,
        number_format=config.number_format,
        from_user=config.from_user,
        from_domain=config.from_domain,
        assert_identity=config.assert_identity,
        private=config.privacy == "id",
        pass_caller=config.pass_caller,
    )


def _inbound_of(config: TrunkConfig) -> InboundDigest | None:
    """Whom callers have to prove to be, if anybody: one user of the trunk, or its phones."""
    if config.phones:
        first, *others = (phone.username for phone in config.phones)
        return InboundDigest(first, config.phone_algorithms, tuple(others))
    asked = config.inbound
    return None if asked is None else InboundDigest(asked.username, asked.algorithms)


def route_of(config: RouteConfig) -> Route:
    """The route that a `[[route]]` describes."""
    return Route(
        name=RouteName(config.name),
        destination=config.destination,
        trunk=None if config.trunk is None else TrunkName(config.trunk),
        to=config.to,
        from_=config.from_,
        headers=tuple(config.headers.items()),
        priority=config.priority,
        answer=AnswerPolicy(config.answer),
        early_media=config.early_media,
        ring_timeout=config.ring_timeout,
        record=_record_policy(config.record),
        pass_headers=config.pass_headers,
        agent_headers=config.agent_headers,
        barge_in=None if config.barge_in == "auto" else config.barge_in,
        hold_music=config.hold_music,
        digits=config.digits,
        hand_over_to=config.hand_over_to,
        fallback=tuple(
            Fallback(frozenset(FallbackCause(cause) for cause in fallback.on), fallback.to)
            for fallback in config.fallback
        ),
    )


def _record_policy(record: bool | Literal["when-asked"]) -> RecordPolicy:
    if record == "when-asked":
        return RecordPolicy.WHEN_ASKED
    return RecordPolicy.ALWAYS if record else RecordPolicy.NEVER


def logins(config: Config) -> dict[TrunkName, tuple[str, str]]:
    """What we prove to the trunks that ask: user name and password by trunk."""
    return {
        TrunkName(trunk.name): (trunk.username, trunk.password.reveal())
        for trunk in config.trunks
        if trunk.username is not None and trunk.password is not None
    }


def inbound_passwords(config: Config, trunk: str) -> dict[str, str]:
    """The passwords by user name that callers of `trunk` must prove, for the digest verifier."""
    found = config.trunk(trunk)
    if found is None:
        return {}
    passwords = {phone.username: phone.password.reveal() for phone in found.phones}
    if found.inbound is not None:
        passwords[found.inbound.username] = found.inbound.password.reveal()
    return passwords
