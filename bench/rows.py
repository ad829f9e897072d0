"""The rows of the benchmark: what is called, what stands behind it, which figures are read and what they should be."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number of a report: where it stands, and the bound that the design sets for it (`None`: only stated)."""

    label: str
    path: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    def read(self, report: dict[str, Any]) -> float | None:
        """The number, or `None` where the run had nothing to measure."""
        value: Any = report
        for key in self.path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        return None if value is None else float(value)

    def holds(self, value: float) -> bool:
        """Whether the bound is kept."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""


@dataclass(frozen=True)
class Agent:
    """An agent process behind the gateway: its port and the arguments that make its character; `tls` is `wss`.

    One with a `worker` name has no port: it dials the gateway, and serves the agent of that name.
    """

    port: int
    arguments: tuple[str, ...]
    tls: bool = False
    worker: str = ""


@dataclass(frozen=True)
class Row:
    """One measurement; `caller` says how its calls are made, those that warm the gateway included."""

    name: str
    title: str
    number: str
    destination: str
    figures: tuple[Figure, ...]
    agent: Agent | None = None
    command: str = "calls"
    arguments: tuple[str, ...] = ()
    target: str = "gateway"
    one_core: bool = False
    caller: tuple[str, ...] = ()
    ladder: tuple[int, ...] = field(default=())


GATEWAY = "processes/gateway"
ECHO = "media/echo"
RTP = "media/far_end_rtp"


def cost(at_most: float | None) -> tuple[Figure, ...]:
    """CPU of the gateway, of the agent process, of the tool."""
    return (
        Figure("gateway CPU", f"{GATEWAY}/cpu_ms_per_call_second", "ms per call-second", at_most=at_most),
        Figure("gateway context switches", f"{GATEWAY}/switches_per_second", "per second"),
        Figure("agent's CPU", "processes/agent/cpu_ms_per_call_second", "ms per call-second"),
        Figure("the tool's own CPU", "own/cpu_ms_per_call_second", "ms per call-second"),
        Figure("other load on the machine", "machine/others_core_percent", "% of a core"),
    )


def turnover(at_most: float | None) -> tuple[Figure, ...]:
    """CPU of the gateway for a call that is set up and torn down, and what went wrong."""
    return (
        Figure("gateway CPU", f"{GATEWAY}/cpu_ms_per_call", "ms per call", at_most=at_most),
        Figure("calls that failed", "sip/timed_out", at_most=0),
        Figure("requests sent again", "sip/requests_retransmitted"),
    )


MEMORY = (
    Figure("memory (PSS)", f"{GATEWAY}/memory/pss_kib_per_call", "KiB per call", at_most=60),
    Figure("memory (RSS)", f"{GATEWAY}/memory/rss_kib_per_call", "KiB per call"),
    Figure("idle gateway (PSS)", f"{GATEWAY}/memory/idle_pss_kib", "KiB"),
)
REGULARITY = (
    Figure("outgoing interval, from 20 ms, p50", f"{RTP}/interval_deviation/p50_ms", "ms"),
    Figure("outgoing interval, from 20 ms, p99", f"{RTP}/interval_deviation/p99_ms", "ms", at_most=2),
    Figure("longest gap", f"{RTP}/longest_gap_steady_ms", "ms", at_most=40),
    Figure("frames lost", f"{ECHO}/lost", at_most=0),
    Figure("frames heard twice", f"{ECHO}/duplicates", at_most=0),
    Figure("frames of another call", f"{ECHO}/of_another_call", at_most=0),
)
ROUND_TRIP = (
    Figure("round trip, p50", f"{ECHO}/round_trip/p50_ms", "ms", at_most=21),
    Figure("round trip, p99", f"{ECHO}/round_trip/p99_ms", "ms"),
    Figure("first frame's round trip, p50", f"{ECHO}/first_frame/p50_ms", "ms"),
    Figure("200 to first RTP, p50", f"{ECHO}/answer_to_first_rtp/p50_ms", "ms"),
)
SETUP = (
    Figure("INVITE to 100, p99", "sip/invite_to_100/p99_ms", "ms"),
    Figure("INVITE to 200, p50", "sip/invite_to_200/p50_ms", "ms", at_most=3),
    Figure("INVITE to 200, p99", "sip/invite_to_200/p99_ms", "ms", at_most=10),
    Figure("BYE to 200, p99", "sip/bye_to_200/p99_ms", "ms"),
)
UNDERRUN = (
    Figure("underruns (silence put between frames), in all", f"{ECHO}/insertions"),
    Figure("calls with an underrun", f"{ECHO}/calls_with_insertions"),
    Figure("frames lost", f"{ECHO}/lost", at_most=0),
    Figure("round trip, p50", f"{ECHO}/round_trip/p50_ms", "ms"),
    Figure("round trip, p99", f"{ECHO}/round_trip/p99_ms", "ms"),
)
FIRST_FRAME = (
    Figure("first frame of a talkspurt, p50", f"{ECHO}/first_frame/p50_ms", "ms", at_most=1),
    Figure("first frame of a talkspurt, p99", f"{ECHO}/first_frame/p99_ms", "ms"),
    Figure("interval after the first frame, p50", f"{RTP}/interval_after_marker/p50_ms", "ms"),
    Figure("round trip, p50", f"{ECHO}/round_trip/p50_ms", "ms", at_most=21),
    Figure("frames lost", f"{ECHO}/lost", at_most=0),
)
# The same figures without bounds.
UNBOUND_MEMORY = tuple(replace(figure, at_most=None) for figure in MEMORY)
UNBOUND_SETUP = tuple(replace(figure, at_most=None) for figure in SETUP)
FLOOR = tuple(replace(figure, at_most=None) for figure in (*cost(None), *ROUND_TRIP[:2], *REGULARITY[:3]))

TWILIO = Agent(19101, ("--dialect", "twilio"))
OFFHOOK = Agent(19102, ("--dialect", "offhook", "--format", "pcmu"))
PCM16 = Agent(19103, ("--dialect", "offhook", "--format", "pcm16@16000"))
TWILIO_JITTER = Agent(19104, ("--dialect", "twilio", "--jitter", "15"))
OFFHOOK_JITTER = Agent(19105, ("--dialect", "offhook", "--format", "pcmu", "--jitter", "15"))
OFFHOOK_GATED = Agent(19106, ("--dialect", "offhook", "--format", "pcmu", "--gate"))
WORKER = Agent(0, ("--format", "pcmu"), worker="bench")
TWILIO_TLS = Agent(19107, ("--dialect", "twilio"), tls=True)

ROWS = (
    Row(
        "floor",
        "Floor: an echo of two system calls a packet, on a 20 ms clock",
        "1000",
        "",
        FLOOR,
        target="floor",
    ),
    Row(
        "wire-floor",
        "Floor: µ-law to an offhook.v1 agent and back, four system calls a packet, on a 20 ms clock",
        "1002",
        "",
        FLOOR,
        OFFHOOK,
        target="floor",
    ),
    Row(
        "echo",
        "G.711 call, echo inside the gateway",
        "1000",
        "echo:",
        cost(0.9) + MEMORY + ROUND_TRIP + REGULARITY + SETUP,
    ),
    Row(
        "twilio",
        "G.711 call, agent on a Twilio media stream",
        "1001",
        f"twilio+ws://127.0.0.1:{TWILIO.port}/media",
        cost(1.8) + MEMORY + ROUND_TRIP + REGULARITY + SETUP,
        TWILIO,
    ),
    Row(
        "offhook",
        "G.711 call, agent on offhook.v1 with µ-law",
        "1002",
        f"ws://127.0.0.1:{OFFHOOK.port}/media",
        cost(1.8) + MEMORY + ROUND_TRIP + REGULARITY + SETUP,
        OFFHOOK,
    ),
    Row(
        "pcm16",
        "G.711 call, agent on offhook.v1 with PCM at 16 kHz",
        "1003",
        f"ws://127.0.0.1:{PCM16.port}/media",
        cost(1.8) + MEMORY + ROUND_TRIP + REGULARITY[:3],
        PCM16,
    ),
    Row(
        "worker",
        "G.711 call, agent on a worker that has dialled the gateway, all calls on one connection",
        "1008",
        f"worker:{WORKER.worker}",
        cost(1.3) + MEMORY + ROUND_TRIP + REGULARITY + SETUP,
        WORKER,
    ),
    Row(
        "g722",
        "G.722 call, agent on offhook.v1 with µ-law",
        "1002",
        f"ws://127.0.0.1:{OFFHOOK.port}/media",
        cost(3.0) + MEMORY + ROUND_TRIP[:2] + REGULARITY,
        OFFHOOK,
        caller=("--codec", "G722"),
    ),
    Row(
        "g722-pcm16",
        "G.722 call, agent on offhook.v1 with PCM at 16 kHz",
        "1003",
        f"ws://127.0.0.1:{PCM16.port}/media",
        cost(None) + MEMORY + ROUND_TRIP[:2] + REGULARITY,
        PCM16,
        caller=("--codec", "G722"),
    ),
    Row(
        "srtp",
        "G.711 call in SRTP (AES-CM 128, HMAC-SHA1 80), echo inside the gateway",
        "1000",
        "echo:",
        cost(None) + UNBOUND_MEMORY + ROUND_TRIP + REGULARITY + SETUP,
        caller=("--srtp", "sha1"),
    ),
    Row(
        "srtp-gcm",
        "G.711 call in SRTP (AES-GCM 128), echo inside the gateway",
        "1000",
        "echo:",
        cost(None) + UNBOUND_MEMORY + ROUND_TRIP + REGULARITY + SETUP,
        caller=("--srtp", "gcm"),
    ),
    Row(
        "wss",
        "G.711 call, agent on a Twilio media stream over TLS (wss)",
        "1007",
        "agent:encrypted",
        cost(None) + UNBOUND_MEMORY + ROUND_TRIP + REGULARITY + UNBOUND_SETUP,
        TWILIO_TLS,
    ),
    Row(
        "twilio-jitter",
        "Twilio agent whose chunks leave up to 15 ms early or late",
        "1004",
        f"twilio+ws://127.0.0.1:{TWILIO_JITTER.port}/media",
        UNDERRUN,
        TWILIO_JITTER,
    ),
    Row(
        "offhook-jitter",
        "offhook.v1 agent whose chunks leave up to 15 ms early or late",
        "1005",
        f"ws://127.0.0.1:{OFFHOOK_JITTER.port}/media",
        UNDERRUN,
        OFFHOOK_JITTER,
    ),
    Row(
        "talkspurts",
        "offhook.v1 agent that is silent between talkspurts of 1 s",
        "1006",
        f"ws://127.0.0.1:{OFFHOOK_GATED.port}/media",
        FIRST_FRAME,
        OFFHOOK_GATED,
        arguments=("--talk-ms", "1000", "--pause-ms", "1000"),
    ),
    Row(
        "signalling",
        "Calls set up and torn down at 50 a second, without audio of the caller's",
        "1000",
        "echo:",
        (*turnover(6), *SETUP),
        command="signalling",
        arguments=("--rate", "50"),
    ),
    Row(
        "signalling-tls",
        "Calls set up and torn down at 50 a second over one TLS connection",
        "1000",
        "echo:",
        (*turnover(None), *UNBOUND_SETUP),
        command="signalling",
        arguments=("--rate", "50"),
        caller=("--transport", "tls"),
    ),
    Row(
        "signalling-tls-each",
        "Calls set up and torn down at 50 a second, each over a TLS connection of its own, whose making counts",
        "1000",
        "echo:",
        (*turnover(None), *UNBOUND_SETUP),
        command="signalling",
        arguments=("--rate", "50", "--connect-each"),
        caller=("--transport", "tls"),
    ),
    Row(
        "signalling-rate",
        "Highest rate of calls with p99 of INVITE to 100 under 50 ms, the gateway on one core",
        "1000",
        "echo:",
        (Figure("calls a second", "highest_rate", at_least=120),),
        command="signalling",
        arguments=("--rate", "60", "--ramp"),
        one_core=True,
    ),
    Row(
        "echo-capacity",
        "Echo calls at once without loss, repetition, mix-up or a gap over 40 ms",
        "1000",
        "echo:",
        (Figure("calls", "highest", at_least=1000),),
        ladder=(200, 400, 600, 800, 1000, 1250, 1500),
    ),
    Row(
        "twilio-capacity",
        "Calls to a Twilio agent at once without loss, repetition, mix-up or a gap over 40 ms",
        "1001",
        f"twilio+ws://127.0.0.1:{TWILIO.port}/media",
        (Figure("calls", "highest", at_least=400),),
        TWILIO,
        ladder=(100, 200, 300, 400, 500, 600, 800),
    ),
    Row(
        "offhook-capacity",
        "Calls to an offhook.v1 agent at once without loss, repetition, mix-up or a gap over 40 ms",
        "1002",
        f"ws://127.0.0.1:{OFFHOOK.port}/media",
        (Figure("calls", "highest", at_least=400),),
        OFFHOOK,
        ladder=(100, 200, 300, 400, 500, 600, 800),
    ),
)
