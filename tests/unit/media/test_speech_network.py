from pathlib import Path

import pytest
from tests.support.gateway import ports

from offhook._media import EngineConfig, MediaError
from offhook.media import speech_network
from offhook.media.plane import MediaPlane

pytestmark = pytest.mark.unit


async def test_the_weights_in_the_package_are_ours_and_the_engine_takes_them() -> None:
    network = speech_network.load()
    assert (network.problem, network.weights is not None) == ("", True)
    first = ports(2)
    config = EngineConfig(port_min=first, port_max=first + 1, speech_weights=network.weights)
    async with MediaPlane(config) as plane:
        assert plane.stats().speech_network
    async with MediaPlane(EngineConfig(port_min=first, port_max=first + 1)) as plane:
        assert not plane.stats().speech_network


def test_weights_that_are_missing_or_changed_are_not_used(tmp_path: Path) -> None:
    missing = speech_network.load(tmp_path / "none")
    assert missing.weights is None
    assert "No such file" in missing.problem
    changed = tmp_path / "changed"
    changed.write_bytes(b"\1" + speech_network.WEIGHTS.read_bytes()[1:])
    found = speech_network.load(changed)
    assert found.weights is None
    assert "SHA-256" in found.problem


def test_what_is_no_network_stops_the_start() -> None:
    with pytest.raises(MediaError, match="speech_weights"):
        MediaPlane(EngineConfig(port_min=30118, port_max=30119, speech_weights=b"1234"))
