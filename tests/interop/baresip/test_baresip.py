"""baresip calls the gateway: a tone sent is that tone heard, the prompt is the prompt, hold holds."""

import math
import re
import socket
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.baresip.phone import RATE, Baresip, read_wav, tone
from tests.support.gateway import REPOSITORY, Gateway, running_gateway
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

PROMPT = REPOSITORY / "python/offhook/destination/prompts/welcome.wav"
FRAME = RATE // 50

_TOML = """
[[trunk]]
name = "phones"
allow = ["127.0.0.1"]

[[route]]
name = "welcome"
to = "welcome"
destination = "echo:welcome"

[[route]]
name = "late"
to = "late"
destination = "ws://127.0.0.1:{silent}/"
ring_timeout = 1.5
early_media = "ringback:FR"
fallback = [{{ to = "echo:" }}]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Connections to it are taken by the kernel and never by us: an agent that does not get ready.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        toml = _TOML.format(silent=silent.getsockname()[1])
        with running_gateway(tmp_path_factory.mktemp("gateway"), toml) as gateway:
            yield gateway


def door(gateway: Gateway, transport: str) -> tuple[str, int]:
    return gateway.udp if transport == "udp" else gateway.tcp


@pytest.mark.parametrize(("transport", "codec"), [("udp", "PCMU"), ("tcp", "PCMA")])
def test_a_tone_sent_is_that_tone_heard(gateway: Gateway, tmp_path: Path, transport: str, codec: str) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), transport=transport, codec=codec) as phone:
        call_id = phone.dial("echo", door(gateway, transport))
        second = phone.hears(440, seconds=1.0)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    record = gateway.record(call_id)
    assert (record["codec"], record["transport"]) == (codec, transport)
    assert record["end_reason"] == "caller_hung_up"
    assert record["media"]["received_lost"] == record["media"]["received_malformed"] == 0
    assert 0.8 < (level(second) * 2**0.5) / 9000 < 1.2, "and as loud"


@undisturbed
def test_the_prompt_is_heard_and_then_the_echo(gateway: Gateway, tmp_path: Path) -> None:
    # It is kept at 16 kHz; for its loudness every other sample will do.
    prompt = read_wav(PROMPT)[::2]
    # Silence while the prompt plays, then a tone.
    with Baresip(tmp_path / "phone", [0] * (len(prompt) + RATE // 2) + tone(700, 20)) as phone:
        call_id = phone.dial("welcome", gateway.udp)
        phone.hears(700)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
        heard = phone.heard()
    assert gateway.record(call_id)["end_reason"] == "caller_hung_up"
    said, found = envelope(prompt), envelope(heard)
    likeness = max(
        statistics.correlation(said, found[at : at + len(said)]) for at in range(min(50, len(found) - len(said)))
    )
    assert likeness > 0.9, "what is heard rises and falls as the prompt does"


@pytest.mark.rfc(3960, "3.1")
def test_a_ringing_tone_of_ours_is_heard_before_the_answer(gateway: Gateway, tmp_path: Path) -> None:
    with Baresip(tmp_path / "phone", tone(1000, 20)) as phone:
        call_id = phone.dial("late", gateway.udp)
        # A French ring lasts 1.5 s; what follows is what the phone itself says, from the echo.
        phone.hears(440)
        phone.hears(1000)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    shown = gateway.explained(call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    assert "183 Session Progress" in str(shown["timeline"])


def envelope(samples: list[int]) -> list[float]:
    """The loudness of each 20 ms."""
    return [level(samples[at : at + FRAME]) for at in range(0, len(samples) - FRAME, FRAME)]


def level(samples: list[int]) -> float:
    """The root mean square."""
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def test_hold_and_resume_by_tcp(gateway: Gateway, tmp_path: Path) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), transport="tcp") as phone:
        call_id = phone.dial("echo", gateway.tcp)
        answered(phone)
        phone.hears(440)
        phone.command("hold")
        answered(phone)
        phone.command("resume")
        answered(phone)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    shown = gateway.explained(call_id)
    assert re.findall(r"(\w+), to ", decisions(shown)) == ["sendrecv", "recvonly", "sendrecv"]
    assert shown["call"]["end_reason"] == "caller_hung_up"


def answered(phone: Baresip) -> None:
    """Wait until an offer of the phone has its answer."""
    assert phone.wait_for("CALL_REMOTE_SDP")["param"] == "answer"


def decisions(shown: dict[str, Any]) -> str:
    """What the timeline of a call says of its SDP, in order."""
    return "\n".join(str(entry["note"]) for entry in shown["timeline"]["entries"] if entry["kind"] == "sdp")


@pytest.fixture(scope="module")
def strict_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that lets nobody talk longer than a second and a half."""
    toml = _TOML.format(silent=9).replace('allow = ["127.0.0.1"]', 'allow = ["127.0.0.1"]\nmax_duration = 1.5')
    with running_gateway(tmp_path_factory.mktemp("strict"), toml) as gateway:
        yield gateway


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_gateway_hangs_up(strict_gateway: Gateway, tmp_path: Path, transport: str) -> None:
    with Baresip(tmp_path / "phone", tone(440, 30), transport=transport) as phone:
        call_id = phone.dial("echo", door(strict_gateway, transport))
        phone.wait_for("CALL_CLOSED")
    record = strict_gateway.record(call_id)
    assert record["end_reason"] == "max_duration"
