"""A callee's line through the media core: RTP, loss and all, in virtual time."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from tests.support.speech import speech

from offhook._media import EngineConfig, LegConfig, Line, MediaEvent, NetworkConfig, RemoteMedia, RtpLeg
from offhook.call.leg import CallerLeg
from offhook.call.out.answered_by import WhoAnswered
from offhook.call.out.detect import Detect, OnMachine

from .lines import Callee
from .voices import RATE

_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9}
_ECHO_DB = 26.0


@dataclass(slots=True)
class Told:
    """What was told of a line. Seconds since the answer."""

    verdicts: list[tuple[float, str, float, str, MediaEvent]] = field(default_factory=list)
    """When, who, how sure, why."""
    greeting_over: float | None = None
    beep_hertz: int | None = None

    @property
    def first(self) -> tuple[float, str, float, str]:
        """The first that a policy acts on, or else the last; `nothing` if nothing was told."""
        sure = [told for told in self.verdicts if told[1] not in ("silence", "music", "unknown", "no_one")]
        told = sure[0] if sure else self.verdicts[-1] if self.verdicts else None
        return told[:4] if told is not None else (0.0, "nothing", 0.0, "")


def acts(told: Told, policy: OnMachine) -> bool:
    """Whether the gateway does something about who it was, as on a machine."""
    answerer = WhoAnswered(Detect(policy), cast(CallerLeg, _NoLeg()), lambda told: None, lambda note: None)
    answerer.listen(early=False)
    return any(answerer.hear(event) is not None for *_, event in told.verdicts)


class _NoLeg:
    """What `WhoAnswered` asks of a leg."""

    def __init__(self) -> None:
        self.rtp = self

    def detect(self, stage: str, limit_ms: int) -> None:
        """It has been listened to before."""


def hear(callee: Callee) -> Told:
    """Play it to a leg that listens."""
    network = NetworkConfig(delay_ms=20, jitter_ms=callee.jitter_ms, loss=callee.loss, burst=1.5)
    line = Line(_engine("192.0.2.1", 30_000), _engine("192.0.2.2", 20_000), network, seed=callee.seed, start_ns=10**9)
    try:
        gateway = line.gateway.open_leg(LegConfig(family=4))
        phone = line.phone.open_leg(LegConfig(family=4))
        gateway.set_remote(_towards(phone, callee.codec))
        phone.set_remote(_towards(gateway, callee.codec))
        sound = callee.sound
        if callee.agent_speaks:
            ours = speech(RATE)[RATE // 2 : 4 * RATE]
            gateway.play(ours.astype("<i2").tobytes(), RATE)
            echo = np.zeros(len(sound))
            place = round(0.14 * RATE)
            part = ours[: len(sound) - place].astype(float) / 32_768 * 10 ** (-_ECHO_DB / 20)
            echo[place : place + len(part)] = part
            sound = sound + echo
        pcm = np.clip(np.rint(sound * 32_768), -32_768, 32_767).astype("<i2").tobytes()
        gateway.start(release_after_ms=None)
        gateway.release()
        phone.start(release_after_ms=None)
        phone.release()
        gateway.detect("answered", 60_000)
        phone.play(pcm, RATE)
        told, now = Told(), 10**9
        end = now + round((len(sound) / RATE + 0.3) * 1e9)
        while now < end:
            now = line.run(min(now + 200_000_000, end))
            if not _take(line.gateway.drain_events(256), told):
                break
            line.phone.drain_events(256)
        return told
    finally:
        line.gateway.close()
        line.phone.close()


def _take(events: list[MediaEvent], told: Told) -> bool:
    for event in events:
        match event.kind:
            case "answered_by":
                assert event.who is not None
                assert event.position_ms is not None
                told.verdicts.append(
                    (event.position_ms / 1000, event.who, event.confidence or 0.0, event.code or "", event)
                )
            case "greeting_over":
                assert event.position_ms is not None
                told.greeting_over = event.position_ms / 1000
                told.beep_hertz = event.tone[0] if event.tone is not None else None
            case "detection_over":
                return False
    return True


def _engine(address: str, port: int) -> EngineConfig:
    return EngineConfig(addresses=[address], port_min=port, port_max=port + 3, threads=1, max_legs=2, max_wires=2)


def _towards(peer: RtpLeg, codec: str) -> RemoteMedia:
    address, port = peer.local_address
    number = _TYPES[codec]
    return RemoteMedia(
        address=address,
        port=port,
        codec=codec,  # type: ignore[arg-type]
        payload_type=number,
        receive_payload_types={number: codec},
        signalling_address=address,
    )
