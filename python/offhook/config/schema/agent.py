"""`[[agent]]`."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Calls, Name, Section, Text
from offhook.config.schema.outbound import OutboundConfig
from offhook.config.schema.platform import PlatformAgent
from offhook.config.values import HeaderName, HeaderSecret, Origin, WireUrl


class _Reached(Section):
    name: Name = Field(description="Name of the agent, for `agent:NAME`, and `worker:NAME` where it is of that kind.")
    kind: Literal[
        "offhook",
        "twilio",
        "worker",
        "livekit",
        "vapi",
        "retell",
        "elevenlabs",
        "openai-sip",
        "vobiz",
        "plivo",
        "telnyx",
        "openai",
    ] = Field(
        description="How it is reached: `offhook` (the gateway dials it and speaks our own protocol), `twilio` (the "
        "same in that of Twilio Media Streams), `worker` (its processes dial the gateway), or a platform that the "
        "gateway calls by SIP: `livekit`, `vapi`, `retell`, `elevenlabs`, `openai-sip`."
    )
    url: WireUrl | None = Field(default=None, description="Its WebSocket, `ws://` or `wss://`.")
    token: HeaderSecret | None = Field(
        default=None,
        description="Sent as `Authorization: Bearer …` when the WebSocket is opened. Of kind `worker` it is what each "
        "worker has to send so, and is required.",
    )
    headers: Annotated[dict[HeaderName, HeaderSecret], Field(max_length=32)] = Field(
        default={}, description="Further headers for that request; values are treated as secrets."
    )
    origin: Origin | None = Field(default=None, description="Origin header for that request, for servers that insist.")
    connect_timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = Field(
        default=5.0, description="Seconds for DNS, TCP, TLS and the WebSocket upgrade together."
    )
    tls_ca: Text | None = Field(
        default=None,
        description="File with the certificates that its `wss://` server is judged by, PEM. Without it, the system's. "
        "A relative path starts at this file's directory.",
    )
    tls_verify: bool = Field(
        default=True,
        description="Whether its `wss://` server has to prove its name. `false` takes any certificate: whoever is on "
        "the way can read and change what caller and agent say.",
    )
    encoding: Literal["pcm16", "pcmu"] = Field(
        default="pcm16",
        description="Audio of kinds `offhook` and `worker`: 16-bit linear PCM or µ-law, unless the agent's `ready` "
        "names another.",
    )
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = Field(
        default=None,
        description="Samples a second of those kinds. Without it 16000, with `pcmu` 8000, its only one.",
    )
    max_calls: Calls | None = Field(
        default=None, description="Calls that it takes at one time; more count as `refused`."
    )
    detect: bool | None = Field(
        default=None,
        description="Whether it is told who answers each of its calls out: a person, a machine and when its greeting "
        "is over, a fax, a tone of the network. A call may say otherwise (`detect`). Without it, as the trunk has it.",
    )
    on_machine: Literal["tell", "hang_up", "voicemail"] | None = Field(
        default=None,
        description="What is done with a call out that is listened to so and that no person answers: the agent is told "
        "(`tell`), the call ends (`hang_up`), or a message is left after the beep (`voicemail`): `voicemail` below, or "
        "what the agent says once it is told that the greeting is over. Who was heard as a person, and waits, is not "
        "hung up on. Without it, as the trunk has it, else `tell`.",
    )
    voicemail: Text | None = Field(
        default=None,
        description='The message that `on_machine = "voicemail"` leaves: a WAV file of 16 bits, mono, at most 60 s. A '
        "relative path starts at this file's directory. Without it the agent speaks.",
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what it has leave.")


# The reference lists the settings of the last base first.
class AgentConfig(PlatformAgent, _Reached):
    """An agent: how it is reached, and how much it takes."""

    @property
    def audio_rate(self) -> int:
        """Samples a second on its wire: as set, else by the encoding; Twilio Media Streams has 8000 alone."""
        if self.sample_rate is not None:
            return self.sample_rate
        return 8000 if self.encoding == "pcmu" or self.kind == "twilio" else 16000
