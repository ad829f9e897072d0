"""The intervals of a set-up, and our own share without the time that an agent took."""

import pytest

from offhook.report.setup import SetUp

pytestmark = pytest.mark.unit


def test_a_call_that_waited_for_its_agent() -> None:
    setup = SetUp(10.0)
    for name, at in [
        ("trying", 10.001), ("routed", 10.002), ("ringing", 10.003), ("agent_dialled", 10.004),
        ("agent_connected", 10.054), ("agent_ready", 10.154), ("answered", 10.156), ("acknowledged", 10.2),
        ("agent_audio_received", 10.4), ("agent_audio_sent", 10.41), ("caller_audio_sent", 10.18),
    ]:  # fmt: skip
        setup.reach(name, at)  # type: ignore[arg-type]
    assert setup.intervals() == {
        "trying": 1.0, "routing": 2.0, "ringing": 3.0, "agent_dial": 50.0, "agent_ready": 100.0, "answer": 156.0,
        "ack": 44.0, "agent_audio": 244.0, "greeting": 254.0, "caller_audio": 24.0, "own": 6.0,
    }  # fmt: skip


def test_the_first_time_counts_and_what_was_not_reached_is_left_out() -> None:
    setup = SetUp(0.0)
    setup.reach("answered", 0.01)
    setup.reach("answered", 0.5)
    assert setup.intervals() == {"answer": 10.0, "own": 10.0}
    assert SetUp(0.0).intervals() == {}


def test_a_fallback_counts_both_waits_and_shows_the_last_agent() -> None:
    setup = SetUp(0.0)
    setup.reach("agent_dialled", 0.010)
    setup.reach("agent_connected", 0.020)
    setup.agent_gone(0.110)
    setup.reach("agent_dialled", 0.115)
    setup.reach("agent_connected", 0.135)
    setup.reach("agent_ready", 0.145)
    setup.reach("answered", 0.150)
    found = setup.intervals()
    assert (found["agent_dial"], found["agent_ready"]) == (20.0, 10.0)
    assert found["own"] == pytest.approx(150 - 100 - 30)


def test_an_answer_before_the_agent_is_ready_counts_the_wait_up_to_the_answer() -> None:
    setup = SetUp(0.0)
    setup.reach("agent_dialled", 0.002)
    setup.reach("answered", 0.005)
    setup.reach("agent_ready", 3.0)
    assert setup.intervals()["own"] == pytest.approx(2.0)


def test_a_packet_that_was_quicker_than_the_note_of_the_answer_counts_as_at_once() -> None:
    setup = SetUp(0.0)
    setup.reach("answered", 0.150)
    setup.reach("agent_audio_sent", 0.148)
    setup.reach("agent_audio_received", 0.050)
    found = setup.intervals()
    assert found["greeting"] == 0.0
    assert "agent_audio" not in found, "a greeting that waited for the answer did not come after it"
