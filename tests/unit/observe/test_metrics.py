"""The metrics are those of the page, and no caller makes new time series."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from offhook.ids import CallId
from offhook.observe.metrics import COUNTERS_LIMIT, LABELS_LIMIT, METRICS, Metrics, page
from offhook.report.record import CallRecord

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def call(**values: Any) -> CallRecord:
    return CallRecord.of({"call_id": CallId("a"), "trunk": "acme", **values})


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make docs"


def test_every_metric_of_the_page_is_exported_and_no_other() -> None:
    metrics = Metrics(node="edge", version="1")
    watches = (
        metrics.watch_sip,
        metrics.watch_sip_open,
        metrics.watch_certificate,
        metrics.watch_media,
        metrics.watch_store,
        metrics.watch_log,
        metrics.watch_registrations,
        metrics.watch_targets,
        metrics.watch_phones,
    )
    for watch in watches:
        watch(lambda: {"counted": 1})
    metrics.watch_workers(*[lambda: {"counted": 1}] * 4)
    text = generate_latest(metrics.registry).decode()
    exported = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE offhook_")}
    exported = {name for name in exported if not name.endswith("_created")}
    assert exported == {spec.name for spec in METRICS}
    assert len({spec.name for spec in METRICS}) == len(METRICS)


def test_a_call_from_start_to_end() -> None:
    metrics = Metrics()
    metrics.call_started("acme")
    assert value(metrics, "offhook_calls_active", trunk="acme") == 1
    metrics.call_answered(call(answer_at=0))
    metrics.call_ended(
        call(
            answer_at=0, end_at=65_000, end_reason="caller_hung_up", fault="none",
            intervals={"answer": 49.0, "own": 2.0},
            media={"received_packets": 100, "sent_packets": 90, "received_lost": 3, "sent_audio_packets": 10},
        )
    )  # fmt: skip
    assert value(metrics, "offhook_calls_active", trunk="acme") == 0
    assert value(metrics, "offhook_calls_total", trunk="acme") == 1
    assert value(metrics, "offhook_calls_answered_total", trunk="acme") == 1
    assert value(metrics, "offhook_calls_ended_total", trunk="acme", reason="caller_hung_up", fault="none") == 1
    assert value(metrics, "offhook_call_talk_seconds_sum") == 65
    assert value(metrics, "offhook_call_own_seconds_sum") == pytest.approx(0.002)
    assert value(metrics, "offhook_call_greeting_seconds_count") == 0
    assert value(metrics, "offhook_rtp_packets_total", direction="received") == 100
    assert value(metrics, "offhook_rtp_packets_lost_total") == 3
    assert value(metrics, "offhook_calls_one_way_total", silent="caller") is None


def test_one_way_calls() -> None:
    metrics = Metrics()
    metrics.call_ended(call(answer_at=0, end_at=1, media={"received_packets": 0, "sent_audio_packets": 1}))
    metrics.call_ended(call(answer_at=0, end_at=1, media={"received_packets": 1, "sent_audio_packets": 0}))
    metrics.call_ended(call(end_at=1, media={"received_packets": 0}))
    assert value(metrics, "offhook_calls_one_way_total", silent="caller") == 1
    assert value(metrics, "offhook_calls_one_way_total", silent="agent") == 1


def test_rules_and_counters_are_bounded() -> None:
    metrics = Metrics()
    for number in range(1_000):
        metrics.refused(f"rule{number}")
    assert value(metrics, "offhook_refused_requests_total", rule="other") == 1_000 - LABELS_LIMIT
    metrics.watch_sip(lambda: {f"e{number}": number for number in range(1_000)})
    text = generate_latest(metrics.registry).decode()
    assert text.count("offhook_sip_events_total{") == COUNTERS_LIMIT


def test_what_others_count_is_read_when_asked() -> None:
    metrics = Metrics()
    counters: dict[str, int | float | str | None] = {"legs": 1, "driver": "linux", "none": None}
    metrics.watch_media(lambda: counters)
    counters["legs"] = 7
    assert value(metrics, "offhook_media_engine", counter="legs") == 7
    assert value(metrics, "offhook_media_engine", counter="driver") is None
    metrics.loop_lag(0.25)
    assert value(metrics, "offhook_loop_lag_seconds") == 0.25


def test_a_component_that_fails_does_not_hide_the_others() -> None:
    def broken() -> dict[str, int]:
        raise AttributeError("no")

    metrics = Metrics()
    metrics.watch_sip(broken)
    metrics.watch_store(lambda: {"queued": 3})
    assert 'offhook_store{counter="queued"} 3.0' in generate_latest(metrics.registry).decode()
