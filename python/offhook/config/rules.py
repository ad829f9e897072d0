"""What takes two settings to tell: names that must exist, values that contradict each other, trunks that collide."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from offhook.config import platform_rules
from offhook.config.going_on import nobody_calls
from offhook.config.lines import Path
from offhook.config.presets import rules as presets
from offhook.config.problems import Finding, nearest
from offhook.config.routing import route_of, trunk_of
from offhook.config.schema import (
    AgentConfig,
    HttpConfig,
    KeyConfig,
    LimitsConfig,
    MediaConfig,
    RecordingConfig,
    RouteConfig,
    SipConfig,
    TalkConfig,
    TrunkConfig,
    media_listen,
)
from offhook.config.values import HostPort, Listen, ip_version, is_loopback
from offhook.route.called_name import is_short_name
from offhook.route.destination_uri import AgentUri, EchoUri, WireUri
from offhook.route.number import read_number
from offhook.route.trunk import conflicts

_HANDSHAKE_HEADERS = frozenset({
    "host", "upgrade", "connection", "content-length", "transfer-encoding",
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions",
})  # fmt: skip

_CALLING = (
    "port", "transport", "priority", "weight", "target_timeout", "options_interval", "from_user", "from_domain",
    "caller_id", "dial_to", "number_format", "assert_identity", "privacy", "rates", "tls_client_certificate",
)  # fmt: skip
"""Settings of a trunk that are about our calls to it."""

_FEW_PAIRS = 4
_SHORT_TOKEN = 16
_SHORT_PASSWORD = 8


@dataclass(slots=True)
class Draft:
    """The parts of a file that are valid by themselves; None and missing indices are those that aren't.

    `names` are all names that the file gives to a kind of table and `references` all that it uses (where, kind, name),
    also in entries that aren't valid: so one mistake neither hides another nor is told twice. `worker_agents` are the
    names of the agents that a reference to a `worker` may mean. `filled` are the settings of a trunk, by its name, that
    its preset knew.
    """

    sip: SipConfig | None = None
    media: MediaConfig | None = None
    http: HttpConfig | None = None
    talk: TalkConfig | None = None
    recording: RecordingConfig | None = None
    limits: LimitsConfig | None = None
    trunks: dict[int, TrunkConfig] = field(default_factory=dict)
    routes: dict[int, RouteConfig] = field(default_factory=dict)
    agents: dict[int, AgentConfig] = field(default_factory=dict)
    keys: dict[int, KeyConfig] = field(default_factory=dict)
    names: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    references: list[tuple[Path, str, str]] = field(default_factory=list)
    worker_agents: list[str] = field(default_factory=list)
    filled: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def known(self, kind: str) -> list[str]:
        """All names of `trunk`, `route` or `agent`."""
        return [name for _, name in self.names.get(kind, ())]


def errors(draft: Draft) -> Iterator[Finding]:
    """Everything that must not start."""
    yield from _duplicate_names(draft)
    yield from _references(draft)
    yield from _addresses(draft)
    if draft.sip is not None:
        yield from _tls(draft.sip)
    sound: dict[str, TrunkConfig] = {}
    for index, trunk in draft.trunks.items():
        found = [
            *_trunk(("trunk", index), trunk, draft.filled.get(trunk.name, ())),
            *presets.errors(("trunk", index), trunk, draft.sip),
        ]
        yield from found
        if not found:
            sound[trunk.name] = trunk
        if draft.sip is not None:
            yield from _trunk_over_tls(("trunk", index), trunk, draft.sip)
    yield from _colliding_trunks(draft.trunks)
    yield from _outbound(draft)
    for index, route in draft.routes.items():
        yield from _fallbacks(("route", index), route)
        yield from _early_media(("route", index), route, draft)
        if draft.recording is not None:
            yield from _recorded(("route", index), route, draft.recording)
    for index, agent in draft.agents.items():
        yield from _agent(("agent", index), agent)
        yield from platform_rules.errors(("agent", index), agent, sound)
    for index, key in draft.keys.items():
        if re.fullmatch("[0-9a-fA-F]{64}", key.sha256.reveal()) is None:
            hint = "printf %s KEY | sha256sum"
            yield Finding(("key", index, "sha256"), "is no SHA-256, which has 64 hexadecimal digits", hint)


def warnings(draft: Draft) -> Iterator[Finding]:
    """What works, but hardly as meant."""
    if draft.media is not None and draft.media.ports.pairs < _FEW_PAIRS:
        pairs = draft.media.ports.pairs
        yield Finding(
            ("media", "ports"),
            f"{draft.media.ports} has {pairs} {'pair' if pairs == 1 else 'pairs'} of ports",
            "as many callers behind one NAT address may be answered in the same moment, the next is refused; "
            "six pairs (12 ports) do for most",
        )
    if draft.limits is not None:
        for index, trunk in draft.trunks.items():
            if trunk.max_calls is not None and trunk.max_calls > draft.limits.max_calls:
                yield Finding(
                    ("trunk", index, "max_calls"),
                    f"{trunk.max_calls} is never reached, limits.max_calls is {draft.limits.max_calls}",
                )
    if draft.sip is not None and draft.media is not None:
        spoken = {ip_version(address) for address in media_listen(draft.sip, draft.media)}
        for version in sorted({ip_version(listen.host) or 0 for listen in draft.sip.listen} - spoken):
            yield Finding(
                ("media", "listen"),
                f"SIP is heard on IPv{version}, but media is not spoken there",
                f"calls whose SDP names an IPv{version} address are refused; "
                'media.listen = ["0.0.0.0", "::"] takes both',
            )
    yield from _talk_page(draft)
    if not draft.names.get("route") and (not draft.trunks or any(map(_takes_calls, draft.trunks.values()))):
        yield Finding((), "there is no [[route]], so every call is refused", "write one with a destination")
    yield from _hidden_routes(draft.routes)
    if len(draft.trunks) == len(draft.known("trunk")):
        # A trunk with a mistake of its own may be the one that is meant.
        yield from nobody_calls(draft.routes.items(), [trunk_of(trunk) for trunk in draft.trunks.values()])
    for index, agent in draft.agents.items():
        yield from platform_rules.warnings(("agent", index), agent, draft.http)
        if agent.kind == "worker" and agent.token is not None and len(agent.token.reveal()) < _SHORT_TOKEN:
            yield Finding(
                ("agent", index, "token"),
                f"a token of less than {_SHORT_TOKEN} characters can be guessed, and who has it gets calls",
                "make one with `openssl rand -hex 24`",
            )
        if not agent.tls_verify:
            yield Finding(
                ("agent", index, "tls_verify"),
                "its server need not prove who it is: whoever is on the way can listen in",
                "name its CA in tls_ca instead",
            )
    for index, trunk in draft.trunks.items():
        yield from presets.warnings(("trunk", index), trunk, draft.filled.get(trunk.name, ()))
        named = trunk.host is not None and "host" not in draft.filled.get(trunk.name, ())
        if named and not trunk.dial_to and trunk.refer == "refuse" and not trunk.register_:
            message = f"trunk '{trunk.name}' has a host, and no number is called by it"
            yield Finding(("trunk", index, "host"), message, 'list them in dial_to, such as dial_to = "+1415*"')
        yield from _keys_in_the_clear(("trunk", index), trunk)


def _takes_calls(trunk: TrunkConfig) -> bool:
    """Whether anybody can call in by it: who only calls out needs no route."""
    return bool(trunk.allow or trunk.inbound is not None or trunk.register_ or trunk.phones)


def _keys_in_the_clear(path: Path, trunk: TrunkConfig) -> Iterator[Finding]:
    """Keys of encrypted sound are in SDP: in that of calls to us, and in that of ours to the trunk."""
    if trunk.srtp == "off":
        return
    tls_alone = trunk.tls == "required" or trunk.tls_name is not None
    ways = []
    if (trunk.allow or trunk.inbound is not None) and not tls_alone:
        ways.append(("this trunk may send it over UDP or TCP", 'tls = "required" takes its calls over TLS alone'))
    if trunk.host is not None and not (trunk.transport == "tls" or (trunk.transport is None and tls_alone)):
        ways.append(
            ("our calls to this trunk may leave over UDP or TCP", 'transport = "tls" sends them over TLS alone')
        )
    for way, hint in ways:
        yield Finding((*path, "srtp"), f"keys come in SDP, and {way}: who reads that can decrypt", hint)


def _talk_page(draft: Draft) -> Iterator[Finding]:
    """A page that a browser gives no microphone, or that anybody may use."""
    talk, http = draft.talk, draft.http
    if talk is None or http is None:
        return
    if talk.token is not None and len(talk.token.reveal()) < _SHORT_TOKEN:
        yield Finding(
            ("talk", "token"),
            f"a token of less than {_SHORT_TOKEN} characters can be guessed, and who has it can call",
            "make one with `openssl rand -hex 24`, or leave it out",
        )
    if talk.enabled and not is_loopback(http.listen.host):
        yield Finding(
            ("talk", "enabled"),
            f"from other machines browsers give the page at {http.listen} no microphone without HTTPS",
            "put a proxy with TLS in front of it, and keep `/metrics` inside",
        )


def _duplicate_names(draft: Draft) -> Iterator[Finding]:
    for kind, names in draft.names.items():
        seen: set[str] = set()
        for index, name in names:
            if name in seen:
                yield Finding((kind, index, "name"), f"there is another {kind} '{name}' above", "names are unique")
            seen.add(name)


def _addresses(draft: Draft) -> Iterator[Finding]:
    sip, media, http = draft.sip, draft.media, draft.http
    if sip is not None:
        for index, listen in enumerate(sip.listen):
            for earlier in sip.listen[:index]:
                same_kind = (listen.transport == "udp") == (earlier.transport == "udp")
                if same_kind and _overlap(_address(listen), _address(earlier)):
                    yield Finding(("sip", "listen", index), f"{listen.uri} and {earlier.uri} need the same port")
            if http is not None and listen.transport != "udp" and _overlap(_address(listen), http.listen):
                yield Finding(
                    ("sip", "listen", index), f"{listen.uri} and http.listen {http.listen} need the same port"
                )
            inside = media is not None and listen.transport == "udp" and listen.port in media.ports
            if media is not None and inside and any(_same_host(listen.host, own) for own in media_listen(sip, media)):
                message = f"{listen.uri} lies in media.ports {media.ports}"
                yield Finding(("sip", "listen", index), message, "move one of them")
        if isinstance(sip.advertise, HostPort) and (version := ip_version(sip.advertise.host)):
            versions = {ip_version(listen.host) for listen in sip.listen if listen.advertise is None}
            if versions and version not in versions:
                yield Finding(
                    ("sip", "advertise"), f"{sip.advertise.host} is IPv{version}, but no listener is", "add a listener"
                )
        for index, listen in enumerate(sip.listen):
            if listen.advertise is not None and ip_version(listen.advertise.host) not in (
                None,
                ip_version(listen.host),
            ):
                message = f"{listen.advertise.host} and {listen.host} are of different IP versions"
                yield Finding(("sip", "listen", index, "advertise"), message)
    if sip is not None and media is not None and isinstance(media.advertise, tuple):
        versions = {ip_version(address) for address in media_listen(sip, media)}
        for told in media.advertise:
            if (version := ip_version(told)) not in versions:
                message = f"{told} is IPv{version}, but media.listen is not"
                yield Finding(("media", "advertise"), message, 'media.listen = ["0.0.0.0", "::"] listens on both')


def _address(listen: Listen) -> HostPort:
    return HostPort(listen.host, listen.port)


def _overlap(a: HostPort, b: HostPort) -> bool:
    return a.port == b.port != 0 and _same_host(a.host, b.host)


def _same_host(a: str, b: str) -> bool:
    wild = ("0.0.0.0", "::")  # noqa: S104  compared, not bound
    return a == b or (ip_version(a) == ip_version(b) and (a in wild or b in wild))


def _tls(sip: SipConfig) -> Iterator[Finding]:
    listens = [index for index, listen in enumerate(sip.listen) if listen.transport == "tls"]
    if listens and sip.tls_certificate is None:
        message = f"{sip.listen[listens[0]].uri} needs a certificate"
        yield Finding(("sip", "listen", listens[0]), message, "set tls_certificate and tls_key")
    if sip.tls_key is not None and sip.tls_certificate is None:
        yield Finding(("sip", "tls_key"), "there is no tls_certificate that it could belong to")


def _trunk_over_tls(path: Path, trunk: TrunkConfig, sip: SipConfig) -> Iterator[Finding]:
    needs = "tls_name" if trunk.tls_name is not None else "tls" if trunk.tls == "required" else None
    if needs is None:
        return
    if trunk.tls_name is not None and ip_version(trunk.tls_name) is not None:
        hint = "certificates of SIP prove domains (RFC 5922); for an address write allow"
        yield Finding((*path, "tls_name"), f"'{trunk.tls_name}' is an address, no domain", hint)
    if all(listen.transport != "tls" for listen in sip.listen):
        yield Finding((*path, needs), "asks for TLS, and no listener speaks it", "add tls://0.0.0.0:5061 to sip.listen")
    elif trunk.tls_name is not None and sip.tls_client_certificate == "off":
        hint = 'set sip.tls_client_certificate = "optional" or "required"'
        yield Finding((*path, "tls_name"), "no peer is asked for a certificate, so none can prove this name", hint)


def _trunk(path: Path, trunk: TrunkConfig, filled: Collection[str]) -> Iterator[Finding]:
    told = presets.missing(trunk)
    if not (trunk.allow or trunk.inbound or trunk.tls_name or trunk.host or trunk.phones or told):
        message = f"trunk '{trunk.name}' admits nobody: it has neither allow nor inbound, phones nor tls_name"
        if trunk.domain:
            message += " (a domain alone is nothing, as anybody can write it)"
        hint = "write the peer's networks into allow, give it an inbound user and password, or a host to call"
        yield Finding(path, message, hint)
    yield from _phones(path, trunk)
    if trunk.inbound is None and trunk.tls_name is None and not trunk.phones:
        for index, network in enumerate(trunk.allow):
            if network.prefixlen == 0:
                hint = "write the peer's networks, or add inbound"
                yield Finding((*path, "allow", index), f"{network} is everybody, and there is no password", hint)
    if (trunk.username is None) != (trunk.password is None):
        has, lacks = ("username", "password") if trunk.password is None else ("password", "username")
        yield Finding((*path, has), f"a {has} without a {lacks} proves nothing", f"add {lacks}, or leave both out")
    yield from _calls_out(path, trunk, filled)
    yield from _rates(path, trunk)
    for index, network in enumerate(trunk.media_allow):
        if network.prefixlen == 0:
            hint = "write the peer's media networks; nat = true copes with one that hides behind a router"
            yield Finding((*path, "media_allow", index), f"{network} would let anybody talk into a call", hint)


def _outbound(draft: Draft) -> Iterator[Finding]:
    """Money that is limited has to be known, and calls that are limited have to be possible."""
    calling = [trunk for trunk in draft.trunks.values() if trunk.host is not None or trunk.phones]
    for index, trunk in draft.trunks.items():
        for name in ("max_calls", "max_minutes_per_day", "max_spend_per_day"):
            if trunk not in calling and getattr(trunk.outbound, name) is not None:
                where: Path = ("trunk", index, "outbound", name)
                yield Finding(where, "has no meaning without host: it is about our calls to the trunk")
    entries = [
        *((("trunk", index), trunk.outbound, [trunk]) for index, trunk in draft.trunks.items() if trunk in calling),
        *((("agent", index), agent.outbound, calling) for index, agent in draft.agents.items()),
        *((("key", index), key.outbound, calling) for index, key in draft.keys.items()),
    ]
    for path, outbound, trunks in entries:
        if outbound.max_spend_per_day is not None and not any(trunk.rates for trunk in trunks):
            hint = 'add rates to the [[trunk]], such as { "+1" = 0.01 } for what a minute costs'
            yield Finding((*path, "outbound", "max_spend_per_day"), "no rate is known to count it by", hint)


def _phones(path: Path, trunk: TrunkConfig) -> Iterator[Finding]:
    """Phones that register with us, which are a trunk of their own."""
    if not trunk.phones:
        return
    for name in ("inbound", "host"):
        if getattr(trunk, name) is not None:
            hint = "give the phones a [[trunk]] of their own"
            yield Finding((*path, "phones"), f"a trunk with phones has no `{name}`: calls go to where they are", hint)
    if trunk.refer == "accept":
        yield Finding((*path, "refer"), "a trunk with phones takes no transfers from them", "leave refer out")
    seen: set[str] = set()
    for index, phone in enumerate(trunk.phones):
        if phone.username in seen:
            yield Finding((*path, "phones", index, "username"), f"there is another phone '{phone.username}' above")
        seen.add(phone.username)
        password = phone.password.reveal()
        if len(password) < _SHORT_PASSWORD or password == phone.username:
            message = f"the password of phone '{phone.username}' can be guessed, and whoever has it calls as that phone"
            hint = f"use {_SHORT_PASSWORD} characters or more, such as `openssl rand -hex 12` makes"
            yield Finding((*path, "phones", index, "password"), message, hint)


def _rates(path: Path, trunk: TrunkConfig) -> Iterator[Finding]:
    """A prefix without + is that of extensions or names which somebody lists: else it is a number that lacks it."""
    listed = [pattern.text for pattern in (*trunk.dial_to, *trunk.transfer_to, *trunk.refer_to)]
    inside = [*(phone.username for phone in trunk.phones), *(text for text in listed if text[:1] not in ("*", "+"))]
    for prefix in trunk.rates:
        if not prefix.startswith("+") and not any(_may_begin(text, prefix) for text in inside):
            hint = "write + and digits for numbers, such as +1 or +4479"
            yield Finding((*path, "rates", prefix), f"no extension or name that is listed begins with '{prefix}'", hint)


def _may_begin(text: str, prefix: str) -> bool:
    return text.startswith(prefix) or prefix.startswith(text.partition("*")[0])


def _calls_out(path: Path, trunk: TrunkConfig, filled: Collection[str]) -> Iterator[Finding]:
    """What our calls to it need, and what has no meaning without them; what a preset knows of them may wait."""
    if trunk.refer == "accept" and trunk.host is None:
        hint = "give the trunk a host: whom it refers us to is called by it"
        yield Finding((*path, "refer"), "accept has no meaning without host", hint)
    if trunk.refer == "accept" and not trunk.refer_to:
        hint = 'write refer_to, such as refer_to = "+1415*": without it every transfer is refused'
        yield Finding((*path, "refer"), "accept has no meaning without refer_to", hint)
    if trunk.refer_to and trunk.refer == "refuse":
        yield Finding((*path, "refer_to"), "has no meaning without refer", 'set refer = "accept"')
    if trunk.register_ and trunk.host is None:
        yield Finding((*path, "register"), "registers nowhere without host", "write the carrier's registrar into host")
    if trunk.register_ and trunk.username is None:
        hint = "write the user name and the password that the carrier has given you"
        yield Finding((*path, "register"), "registers nobody without username and password", hint)
    for name in ("register_expires", "registrar"):
        if not trunk.register_ and getattr(trunk, name) != type(trunk).model_fields[name].default:
            yield Finding((*path, name), "has no meaning without register", "set register = true")
    if trunk.tls_client_key is not None and trunk.tls_client_certificate is None:
        yield Finding((*path, "tls_client_key"), "there is no tls_client_certificate that it could belong to")
    over_tls = trunk.transport in ("tls", "auto") or (trunk.transport is None and trunk.tls == "required")
    if trunk.tls_client_certificate is not None and trunk.host is not None and not over_tls:
        message = "is shown in TLS alone, and our calls to this trunk leave without"
        yield Finding((*path, "tls_client_certificate"), message, 'set transport = "tls"')
    if trunk.host is None and not trunk.phones:
        for name in _CALLING if "host" not in presets.missing(trunk) else ():
            if name not in filled and getattr(trunk, name) != type(trunk).model_fields[name].default:
                yield Finding((*path, name), "has no meaning without host: it is about our calls to the trunk")
        return
    if "host" in filled and not (trunk.caller_id or trunk.dial_to or trunk.refer == "accept"):
        return
    if not trunk.caller_id and not trunk.phones and (trunk.dial_to or not trunk.register_):
        hint = "write the number, or the numbers, that the carrier has given you"
        yield Finding(path, f"trunk '{trunk.name}' has a host and no caller_id, so no call to it could be made", hint)
    for index, text in enumerate(trunk.caller_id):
        if read_number(text, trunk.country).e164 is None and not is_short_name(text):
            where = f" in {trunk.country}" if trunk.country else " without a country"
            hint = "write it with + and the country's code, such as +14155550100, or an extension or a user name"
            yield Finding((*path, "caller_id", index), f"'{text}' is no telephone number{where}", hint)
    if trunk.number_format == "national" and trunk.country is None:
        yield Finding((*path, "number_format"), "national numbers are those of a country", "set country")
    if trunk.from_user is not None and trunk.assert_identity is False:
        hint = "assert_identity = true sends it in P-Asserted-Identity"
        yield Finding((*path, "from_user"), "stands where the number would, which no other header has then", hint)
    if trunk.transport not in (None, "tls") and (trunk.tls == "required" or trunk.tls_name is not None):
        yield Finding((*path, "transport"), f"{trunk.transport} is not TLS, which this trunk requires", "write tls")


def _colliding_trunks(trunks: dict[int, TrunkConfig]) -> Iterator[Finding]:
    # Of two trunks of one name the second is refused already; it would only collide with itself.
    by_name: dict[str, int] = {}
    for index, trunk in trunks.items():
        by_name.setdefault(trunk.name, index)
    for conflict in conflicts([trunk_of(trunks[index]) for index in by_name.values()]):
        yield Finding(
            ("trunk", by_name[conflict.second]),
            f"nothing tells trunk '{conflict.second}' from trunk '{conflict.first}': {conflict.why}",
            "give them different networks, domains or inbound users",
        )


def _references(draft: Draft) -> Iterator[Finding]:
    names = {kind: dict.fromkeys(draft.known(kind)) for kind in ("trunk", "agent")}
    names["worker"] = dict.fromkeys(draft.worker_agents)
    for path, kind, name in draft.references:
        if name in names[kind]:
            continue
        if kind == "worker":
            yield _no_such_worker(path, name, draft)
            continue
        known = list(names[kind])
        near = nearest(name, known)
        hint = (
            f"did you mean '{near}'?" if near else f"known: {', '.join(known)}" if known else f"there is no [[{kind}]]"
        )
        yield Finding(path, f"no {kind} is called '{name}'", hint)


def _no_such_worker(path: Path, name: str, draft: Draft) -> Finding:
    """A route names workers that no token lets in."""
    if name in draft.known("agent"):
        return Finding(
            path, f"agent '{name}' is not of kind 'worker', so no worker may serve it", f"write agent:{name}"
        )
    near = nearest(name, draft.worker_agents)
    hint = (
        f"did you mean '{near}'?" if near else f'write an [[agent]] with name = "{name}", kind = "worker" and a token'
    )
    return Finding(path, f"no worker may serve '{name}': no [[agent]] of kind 'worker' is called so", hint)


def _fallbacks(path: Path, route: RouteConfig) -> Iterator[Finding]:
    tried = [route.destination]
    for index, fallback in enumerate(route.fallback):
        if fallback.to in tried:
            message = f"'{fallback.to.redacted}' was tried before it"
            yield Finding((*path, "fallback", index, "to"), message, "name another destination")
        tried.append(fallback.to)


def _early_media(path: Path, route: RouteConfig, draft: Draft) -> Iterator[Finding]:
    early, where = route.early_media, (*path, "early_media")
    if early.source == "off":
        return
    if route.answer == "at-once":
        yield Finding(where, 'nothing can be heard before the answer with answer = "at-once"', "leave one of them out")
    if early.source != "agent":
        return
    if route.answer == "first-audio":
        message = 'the agent\'s first sound is the answer with answer = "first-audio"'
        yield Finding(where, message, 'use answer = "when-ready": its `ready` answers the call')
    if route.record is True and draft.recording is not None and draft.recording.announcement != "off":
        message = "the agent would speak before recording.announcement does"
        yield Finding(where, message, "use ringback, or a WAV file")
    twilio = {agent.name for agent in draft.agents.values() if agent.kind == "twilio"}
    to = route.destination
    if isinstance(to, EchoUri):
        yield Finding(where, "an echo says nothing before the answer", "use ringback, or a WAV file")
    elif (isinstance(to, WireUri) and to.dialect == "twilio") or (isinstance(to, AgentUri) and to.name in twilio):
        message = "bots for Twilio Media Streams say nothing before the answer"
        yield Finding(where, message, "use ringback, or a WAV file")


def _recorded(path: Path, route: RouteConfig, recording: RecordingConfig) -> Iterator[Finding]:
    if route.record is True and route.answer == "first-audio" and recording.announcement != "off":
        message = "the agent would speak before recording.announcement does"
        yield Finding((*path, "answer"), message, 'use "when-ready" or "at-once" where calls are recorded')


def _agent(path: Path, agent: AgentConfig) -> Iterator[Finding]:
    if agent.kind in ("offhook", "twilio") and agent.url is None:
        yield Finding((*path, "url"), f"is required for kind '{agent.kind}'", "write wss://HOST/PATH")
    if agent.kind == "worker":
        yield from _worker_agent(path, agent)
    if agent.kind == "twilio":
        for name in ("encoding", "sample_rate"):
            if name in agent.model_fields_set:
                yield Finding((*path, name), "has no meaning for kind 'twilio', which is µ-law at 8000 alone")
    elif agent.encoding == "pcmu" and agent.audio_rate != 8000:
        yield Finding(
            (*path, "sample_rate"), f"{agent.sample_rate} does not go with encoding 'pcmu'", "8000, or leave it out"
        )
    if agent.tls_ca is not None and not agent.tls_verify:
        yield Finding((*path, "tls_ca"), "has no meaning with tls_verify = false", "leave tls_verify out")
    if agent.url is not None and not agent.url.secure:
        for name in ("tls_ca", "tls_verify"):
            if name in agent.model_fields_set:
                yield Finding((*path, name), "has no meaning for a ws:// URL", "write wss://")
    for name in agent.headers:
        where = (*path, "headers", name)
        if name.lower() in _HANDSHAKE_HEADERS:
            yield Finding(where, f"'{name}' is the WebSocket handshake's own")
        elif name.lower() == "authorization" and agent.token is not None:
            yield Finding(where, "token is sent in the same header", "keep one of the two")
        elif name.lower() == "origin" and agent.origin is not None:
            yield Finding(where, "origin is sent in the same header", "keep one of the two")
    lowered = [name.lower() for name in agent.headers]
    for name in sorted({name for name in lowered if lowered.count(name) > 1}):
        yield Finding((*path, "headers"), f"'{name}' is there twice", "header names have no case")


def _worker_agent(path: Path, agent: AgentConfig) -> Iterator[Finding]:
    """Its processes dial us, so nothing of how an agent is dialled applies."""
    if agent.token is None:
        yield Finding((*path, "token"), "is required for kind 'worker'", "its workers prove with it that they are ours")
    for name in ("url", "headers", "origin", "connect_timeout", "tls_ca", "tls_verify"):
        if name in agent.model_fields_set:
            yield Finding((*path, name), "has no meaning for kind 'worker', whose processes dial the gateway")


def _hidden_routes(configs: dict[int, RouteConfig]) -> Iterator[Finding]:
    # Beyond a few hundred routes the pairs become many; such tables are made by programs.
    if len(configs) > 500:
        return
    routes = sorted(
        ((index, route_of(config)) for index, config in configs.items()), key=lambda item: -item[1].priority
    )
    for position, (index, route) in enumerate(routes):
        for _, earlier in routes[:position]:
            if earlier.covers(route):
                yield Finding(
                    ("route", index),
                    f"route '{route.name}' is never used: '{earlier.name}' comes first and takes all its calls",
                    "put the narrower route first, or give it a higher priority",
                )
                break
