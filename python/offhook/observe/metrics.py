"""The metrics that Prometheus reads, each named and explained once.

`make docs` writes docs/reference/metrics.md from this table. Labels hold only names of the configuration and slugs of
closed lists, so that no caller can make new time series.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

Counters = Mapping[str, int | float | str | None]
"""What a component counts, by name; values that are no numbers are left out."""

LABELS_LIMIT = 64
"""So many different rules get a time series of their own; further ones are `other`."""

COUNTERS_LIMIT = 256
"""So many counters of one component are exported, in the order of their names."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: its full name, kind, labels and what it says."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()


_SET_UP = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
_TALK = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)

CALLS = MetricSpec("offhook_calls_total", "counter", ("trunk",), "Calls admitted, answered or not.")
ACTIVE = MetricSpec("offhook_calls_active", "gauge", ("trunk",), "Calls that are on, ringing ones included.")
ANSWERED = MetricSpec("offhook_calls_answered_total", "counter", ("trunk",), "Calls answered.")
ENDED = MetricSpec(
    "offhook_calls_ended_total", "counter", ("trunk", "reason", "fault"),
    "Calls ended, by end reason (see end-reasons.md) and by who has to change something.",
)  # fmt: skip
TALK = MetricSpec("offhook_call_talk_seconds", "histogram", (), "From answer to end of answered calls.", _TALK)
ANSWER = MetricSpec("offhook_call_answer_seconds", "histogram", (), "From INVITE to our 200.", _SET_UP)
OWN = MetricSpec(
    "offhook_call_own_seconds", "histogram", (), "The gateway’s own share of that, without the agent’s.", _SET_UP
)
DIAL = MetricSpec("offhook_agent_dial_seconds", "histogram", (), "From dialling an agent to its connection.", _SET_UP)
GREETING = MetricSpec(
    "offhook_call_greeting_seconds", "histogram", (), "From our 200 to the first agent audio on the line.", _SET_UP
)
TRANSFERS = MetricSpec(
    "offhook_transfers_total", "counter", ("trunk", "outcome", "way"),
    "Transfers that agents asked for, by what they came to: `completed`, `refused`, `busy`, `no_answer`, `caller_gone` "
    "or `timed_out`, and by their `way`: by `refer` of the trunk, or a `bridge` of ours.",
)  # fmt: skip
DIAL_REFUSED = MetricSpec(
    "offhook_dial_refused_total", "counter", ("way", "rule"),
    "What was not dialled, by who asked (`dial`: a call out, `transfer`: an agent, to hand its caller over, `refer`: "
    "the other side of a call, to transfer us) and by rule (see docs/guides/what-may-be-dialled.md).",
)  # fmt: skip
REGISTRATIONS = MetricSpec(
    "offhook_registrations_total", "counter", ("trunk", "outcome"),
    "Our attempts to register with a trunk, by what they came to: `registered`, or the code of what stood against it "
    "(see docs/guides/register.md).",
)  # fmt: skip
REGISTERED = MetricSpec(
    "offhook_registered", "gauge", ("trunk",), "1 while we are registered with a trunk that has `register`, else 0."
)
PHONES = MetricSpec("offhook_phones_registered", "gauge", ("trunk",), "Phones that are registered with us.")
PHONE_REGISTRATIONS = MetricSpec(
    "offhook_phone_registrations_total", "counter", ("trunk", "status"),
    "REGISTERs of phones that have proven their password, by the SIP status that they got.",
)  # fmt: skip
DIAL_ALARMS = MetricSpec(
    "offhook_dial_alarms_total", "counter", ("kind", "limit"),
    "How often 80 % of a limit on what leaves were used, once a day for each: `kind` is `trunk`, `agent` or "
    "`key`, `limit` the setting in its `outbound`.",
)  # fmt: skip
TARGETS_TRIED = MetricSpec(
    "offhook_targets_tried_total", "counter", ("trunk", "outcome"),
    "Addresses of trunks that calls out went to: `answered` (by any final response but 503), `unavailable` (503) or "
    "`unreachable` (silent, or nothing got there). After the last two the next address, or trunk, is asked.",
)  # fmt: skip
TARGETS_DOWN = MetricSpec(
    "offhook_targets_down", "gauge", ("trunk",), "Addresses of a trunk that are asked last, since they have failed."
)
HAND_OVERS = MetricSpec(
    "offhook_hand_overs_total", "counter", ("trunk", "outcome"),
    "Hand-overs to other agents that agents asked for, by what they came to: `handed_over`, `not_allowed`, "
    "`unreachable`, `no_capacity`, `refused`, `timed_out` or `caller_gone`.",
)  # fmt: skip
ANSWERED_BY = MetricSpec(
    "offhook_answered_by_total", "counter", ("trunk", "who"),
    "Calls out that were listened to, by who answered: `human`, `machine`, `fax`, `sit`, `busy_tone`, `no_one`, "
    "`silence`, `music` or `unknown`.",
)  # fmt: skip
ONE_WAY = MetricSpec(
    "offhook_calls_one_way_total", "counter", ("silent",),
    "Answered calls without any audio from one side: `caller` or `agent`.",
)  # fmt: skip
PACKETS = MetricSpec(
    "offhook_rtp_packets_total", "counter", ("direction",), "RTP packets of ended calls: `received` or `sent`."
)
LOST = MetricSpec("offhook_rtp_packets_lost_total", "counter", (), "RTP packets of ended calls that never came.")
REFUSED = MetricSpec(
    "offhook_refused_requests_total", "counter", ("rule",), "Requests turned away before they became a call."
)
TLS_FAILURES = MetricSpec(
    "offhook_tls_handshake_failures_total", "counter", ("direction", "cause"),
    "TLS of SIP that came to nothing, by cause: handshakes, and connections ended for what the peer did on them. "
    "`direction` is `in` where the peer connected to us.",
)  # fmt: skip
TLS_EXPIRY = MetricSpec(
    "offhook_tls_certificate_expiry_days", "gauge", ("certificate",),
    "Days until our certificate of SIP over TLS expires, by the first name in it; negative once it has.",
)  # fmt: skip
LOOP_LAG = MetricSpec(
    "offhook_loop_lag_seconds", "gauge", (), "How late the event loop of the signalling ran when last measured."
)
INFO = MetricSpec("offhook_info", "gauge", ("version", "node"), "Always 1; says which version runs on which node.")
SIP = MetricSpec(
    "offhook_sip_events_total", "counter", ("event",),
    "What the SIP stack counts: messages, retransmissions, refused and broken input, exceptions in callbacks.",
)  # fmt: skip
SIP_OPEN = MetricSpec(
    "offhook_sip_open", "gauge", ("kind",),
    "What the SIP stack holds now: `transactions`, `dialogs`, `connections` (TCP and TLS), unfinished TLS "
    "`handshakes`. Without calls all go back to 0.",
)  # fmt: skip
MEDIA = MetricSpec(
    "offhook_media_engine", "gauge", ("counter",),
    "What the media engine counts and holds: legs, wires, ports, dropped and late packets (see media-counters.md).",
)  # fmt: skip
STORE = MetricSpec(
    "offhook_store", "gauge", ("counter",),
    "The writer of call records: `queued`, `written`, `dropped`, `timelines_dropped`, `retries`.",
)  # fmt: skip
RECORDINGS = MetricSpec(
    "offhook_recordings_total", "counter", ("ending",),
    "Recordings that ended: `complete`, `incomplete` (a full disk, a killed gateway: whole up to there) or `failed`.",
)  # fmt: skip
RECORDING_LOST = MetricSpec(
    "offhook_recording_frames_lost_total", "counter", (),
    "Frames of 20 ms that had no room on their way to the disk and are silence in the recording.",
)  # fmt: skip
RECORDINGS_DELETED = MetricSpec(
    "offhook_recording_files_deleted_total", "counter", (), "Files of recordings deleted because of their age."
)
WORKERS = MetricSpec("offhook_workers", "gauge", ("agent",), "Workers that are connected.")
WORKER_CALLS = MetricSpec(
    "offhook_worker_calls", "gauge", ("agent",), "Calls that workers have, those included that they are asked to take."
)  # fmt: skip
WORKERS_STALLED = MetricSpec(
    "offhook_workers_stalled", "gauge", ("agent",), "Workers of which nothing has come for a second after a ping."
)  # fmt: skip
WORKER_EVENTS = MetricSpec(
    "offhook_worker_events_total", "counter", ("event",),
    "What workers did: `connected`, `disconnected`, `stalled`, `recovered`, `draining`, `refused` (token or name), "
    "`garbage`, `passed_on` (calls that one did not take), `dropped_audio_ms` (of callers, for want of credit or of "
    "reading).",
)  # fmt: skip
LOG = MetricSpec(
    "offhook_log_lines_missing_total", "counter", ("cause",),
    "Log lines never written: `suppressed` by the rate limit, `dropped` because nobody read the log.",
)  # fmt: skip

METRICS: tuple[MetricSpec, ...] = (
    CALLS, ACTIVE, ANSWERED, ENDED, TALK, ANSWER, OWN, DIAL, GREETING, TRANSFERS, HAND_OVERS, DIAL_REFUSED, DIAL_ALARMS,
    REGISTRATIONS, REGISTERED, PHONES, PHONE_REGISTRATIONS, ANSWERED_BY,
    TARGETS_TRIED, TARGETS_DOWN,
    ONE_WAY, PACKETS, LOST, REFUSED, TLS_FAILURES, TLS_EXPIRY, LOOP_LAG, INFO, SIP, SIP_OPEN, MEDIA, STORE, RECORDINGS,
    RECORDING_LOST, RECORDINGS_DELETED, WORKERS, WORKER_CALLS, WORKERS_STALLED, WORKER_EVENTS, LOG,
)  # fmt: skip


class FinishedCall(Protocol):
    """What is counted of a call: the names are those of its record, times are milliseconds."""

    @property
    def trunk(self) -> str | None: ...
    @property
    def answer_at(self) -> int | None: ...
    @property
    def end_at(self) -> int | None: ...
    @property
    def end_reason(self) -> str | None: ...
    @property
    def fault(self) -> str | None: ...
    @property
    def intervals(self) -> Mapping[str, float]: ...
    @property
    def media(self) -> Counters: ...
    @property
    def transfer(self) -> Mapping[str, Any]: ...
    @property
    def hand_over(self) -> Mapping[str, Any]: ...
    @property
    def answered_by(self) -> Mapping[str, Any]: ...


class Metrics:
    """All metrics of one gateway. `registry` is what the HTTP side renders; counting is safe from any thread."""

    def __init__(self, *, node: str = "", version: str = "") -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._calls = self._counter(CALLS)
        self._active = self._gauge(ACTIVE)
        self._answered = self._counter(ANSWERED)
        self._ended = self._counter(ENDED)
        self._histograms = {
            "answer": self._histogram(ANSWER),
            "own": self._histogram(OWN),
            "agent_dial": self._histogram(DIAL),
            "greeting": self._histogram(GREETING),
        }
        self._talk = self._histogram(TALK)
        self._transfers = self._counter(TRANSFERS)
        self._hand_overs = self._counter(HAND_OVERS)
        self._answered_by = self._counter(ANSWERED_BY)
        self._dial_refused = self._counter(DIAL_REFUSED)
        self._dial_alarms = self._counter(DIAL_ALARMS)
        self._registrations = self._counter(REGISTRATIONS)
        self._targets_tried = self._counter(TARGETS_TRIED)
        self._phone_registrations = self._counter(PHONE_REGISTRATIONS)
        self._one_way = self._counter(ONE_WAY)
        self._packets = self._counter(PACKETS)
        self._lost = self._counter(LOST)
        self._refused = self._counter(REFUSED)
        self._rules: set[str] = set()
        self._recordings = self._counter(RECORDINGS)
        self._recording_lost = self._counter(RECORDING_LOST)
        self._recordings_deleted = self._counter(RECORDINGS_DELETED)
        self._tls_failures = self._counter(TLS_FAILURES)
        self._loop_lag = self._gauge(LOOP_LAG)
        self._gauge(INFO).labels(version=version, node=node).set(1)

    def call_started(self, trunk: str) -> None:
        """A call was admitted."""
        self._calls.labels(trunk=trunk).inc()
        self._active.labels(trunk=trunk).inc()

    def call_answered(self, call: FinishedCall) -> None:
        """A call was answered."""
        self._answered.labels(trunk=call.trunk or "").inc()

    def call_ended(self, call: FinishedCall) -> None:
        """A call that was started ended; its record is complete."""
        self._active.labels(trunk=call.trunk or "").dec()
        self._ended.labels(trunk=call.trunk or "", reason=call.end_reason or "", fault=call.fault or "").inc()
        for name, histogram in self._histograms.items():
            value = call.intervals.get(name)
            if value is not None:
                histogram.observe(value / 1000)
        for attempt in (*call.transfer.get("earlier", ()), call.transfer) if call.transfer else ():
            way = attempt.get("way") or "refer"
            self._transfers.labels(trunk=call.trunk or "", outcome=attempt["outcome"] or "", way=way).inc()
        for attempt in (*call.hand_over.get("earlier", ()), call.hand_over) if call.hand_over else ():
            self._hand_overs.labels(trunk=call.trunk or "", outcome=attempt["outcome"] or "").inc()
        if call.answered_by and call.answer_at is not None:
            self._answered_by.labels(trunk=call.trunk or "", who=call.answered_by["who"]).inc()
        received, sent = _number(call.media, "received_packets"), _number(call.media, "sent_packets")
        self._packets.labels(direction="received").inc(received)
        self._packets.labels(direction="sent").inc(sent)
        self._lost.inc(_number(call.media, "received_lost"))
        if call.answer_at is None or call.end_at is None:
            return
        self._talk.observe(max(0, call.end_at - call.answer_at) / 1000)
        if call.media and not received:
            self._one_way.labels(silent="caller").inc()
        if call.media and not _number(call.media, "sent_audio_packets"):
            self._one_way.labels(silent="agent").inc()

    def refused(self, rule: str) -> None:
        """A request was turned away by `rule`."""
        if rule not in self._rules and len(self._rules) >= LABELS_LIMIT:
            rule = "other"
        self._rules.add(rule)
        self._refused.labels(rule=rule).inc()

    def dial_refused(self, way: str, rule: str) -> None:
        """Something was not dialled; ways and rules are those of the gate."""
        self._dial_refused.labels(way=way, rule=rule).inc()

    def target_tried(self, trunk: str, outcome: str) -> None:
        """A call out went to an address of a trunk: `answered`, `unavailable` or `unreachable`."""
        self._targets_tried.labels(trunk=trunk, outcome=outcome).inc()

    def watch_targets(self, down: Callable[[], Counters]) -> None:
        """Ask for the addresses of each trunk that are down, at each reading."""
        self.registry.register(_Watched(TARGETS_DOWN, down))

    def dial_limit_near(self, kind: str, limit: str) -> None:
        """80 % of a limit on what leaves are used."""
        self._dial_alarms.labels(kind=kind, limit=limit).inc()

    def tls_failed(self, direction: str, cause: str) -> None:
        """TLS came to nothing; causes are those of `transport/tls_failure.py`."""
        self._tls_failures.labels(direction=direction, cause=cause).inc()

    def recording_ended(self, ending: str, lost_frames: int) -> None:
        """A recording came to its end."""
        self._recordings.labels(ending=ending).inc()
        self._recording_lost.inc(lost_frames)

    def recordings_deleted(self, files: int) -> None:
        """So many files were old enough to go."""
        self._recordings_deleted.inc(files)

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran so late."""
        self._loop_lag.set(seconds)

    def watch_sip(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the counters of the SIP stack whenever metrics are read."""
        self.registry.register(_Watched(SIP, read))

    def watch_sip_open(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for what the SIP stack holds whenever metrics are read."""
        self.registry.register(_Watched(SIP_OPEN, read))

    def watch_certificate(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the days that our certificate has left, by its name, whenever metrics are read."""
        self.registry.register(_Watched(TLS_EXPIRY, read))

    def watch_media(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the counters of the media engine whenever metrics are read."""
        self.registry.register(_Watched(MEDIA, read))

    def watch_workers(
        self,
        workers: Callable[[], Counters],
        calls: Callable[[], Counters],
        stalled: Callable[[], Counters],
        events: Callable[[], Counters],
    ) -> None:
        """Ask for the workers of each agent, their calls, the stalled ones, and what happened, at each reading."""
        for spec, read in ((WORKERS, workers), (WORKER_CALLS, calls), (WORKERS_STALLED, stalled)):
            self.registry.register(_Watched(spec, read))
        self.registry.register(_Watched(WORKER_EVENTS, events))

    def registration_attempted(self, trunk: str, outcome: str) -> None:
        """A REGISTER of ours has its final answer, or will get none."""
        self._registrations.labels(trunk=trunk, outcome=outcome).inc()

    def phone_registered(self, trunk: str, status: int) -> None:
        """A phone that has proven who it is got this status to its REGISTER."""
        self._phone_registrations.labels(trunk=trunk, status=str(status)).inc()

    def watch_phones(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the registered phones of each trunk, whenever metrics are read."""
        self.registry.register(_Watched(PHONES, read))

    def watch_registrations(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for 1 or 0 of each trunk that we register with, whenever metrics are read."""
        self.registry.register(_Watched(REGISTERED, read))

    def watch_store(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the counters of the store's writer whenever metrics are read."""
        self.registry.register(_Watched(STORE, read))

    def watch_log(self, read: Callable[[], Counters]) -> None:
        """Ask `read` for the lines that the log left out whenever metrics are read."""
        self.registry.register(_Watched(LOG, read))

    def _counter(self, spec: MetricSpec) -> Counter:
        return Counter(spec.name, spec.text, spec.labels, registry=self.registry)

    def _gauge(self, spec: MetricSpec) -> Gauge:
        return Gauge(spec.name, spec.text, spec.labels, registry=self.registry)

    def _histogram(self, spec: MetricSpec) -> Histogram:
        return Histogram(spec.name, spec.text, spec.labels, registry=self.registry, buckets=spec.buckets)


class _Watched(Collector):
    """Counters that another component keeps, as one metric with a label for the counter's name."""

    def __init__(self, spec: MetricSpec, read: Callable[[], Counters]) -> None:
        self._spec = spec
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        try:
            counted = self._read()
        except Exception:  # one component that can't tell its counters must not hide those of all others
            logger.exception("counters of %s can't be read", self._spec.name)
            return [family]
        numbers = [(name, value) for name, value in counted.items() if isinstance(value, int | float)]
        for name, value in sorted(numbers)[:COUNTERS_LIMIT]:
            family.add_metric([name], value)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if self._spec.kind == "counter" else GaugeMetricFamily
        return kind(self._spec.name, self._spec.text, labels=self._spec.labels)


def _number(counters: Counters, name: str) -> float:
    value = counters.get(name)
    return value if isinstance(value, int | float) else 0


def page() -> str:
    """docs/reference/metrics.md as it has to be."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` of the HTTP listener gives these in the text format of Prometheus, and the usual `process_…` ones.",
        "Times are seconds. Histograms have `_bucket`, `_sum` and `_count` as always.",
        "",
        "This page is written by `make docs`.",
        "",
        "| metric | kind | labels | what it says |",
        "|---|---|---|---|",
    ]
    for spec in METRICS:
        labels = ", ".join(f"`{label}`" for label in spec.labels) or "–"
        lines.append(f"| `{spec.name}` | {spec.kind} | {labels} | {spec.text} |")
    return "\n".join(lines) + "\n"
