"""Each hosted agent platform as data: how it is dialled, and by which headers it is told of a call.

What belongs to the line to it (host, transport, codecs, SRTP, login) is its trunk's. The facts are from the platforms'
own documents; nothing here has been tried on a live account.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

PlatformName: TypeAlias = Literal["livekit", "vapi", "retell", "elevenlabs", "openai-sip"]

VARIABLE_PREFIX = "X-"
"""What stands before a variable's name in its header; the platforms take headers of such names alone."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform.

    `dials` is what the user part of the Request-URI is unless the agent says otherwise: a text as in `variables.py`, or
    None where there is none that would do. `call_id_header` and `caller_header` are for our call id and who calls.
    `longest_line` is in bytes, name included. `transports` are what it takes on its line.
    `host` is that of all its customers, None where each has one of their own.
    """

    name: PlatformName
    title: str
    host: str | None
    dials: str | None
    call_id_header: str
    caller_header: str
    transports: tuple[str, ...]
    longest_line: int = 1024
    asks_by_webhook: bool = False
    """Whether it asks by a webhook of its own if it shall take a call."""
    registers: bool = False
    """Whether a call is registered by its HTTP API before it is dialled."""


PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        Platform(
            "livekit",
            "LiveKit",
            host=None,
            dials="{to}",
            call_id_header="X-Call-ID",
            caller_header="X-Caller-ID",
            transports=("udp", "tcp", "tls"),
        ),
        Platform(
            "vapi",
            "Vapi",
            host="sip.vapi.ai",
            dials=None,
            # Its variables are named by what follows the x-, and templates can't write a hyphen.
            call_id_header="X-call_id",
            caller_header="X-caller_id",
            transports=("udp", "tcp", "tls"),
        ),
        Platform(
            "retell",
            "Retell AI",
            host="sip.retellai.com",
            dials=None,
            call_id_header="X-call_id",
            caller_header="X-caller_id",
            transports=("udp", "tcp", "tls"),
            registers=True,
        ),
        Platform(
            "elevenlabs",
            "ElevenLabs",
            host="sip.rtc.elevenlabs.io",
            dials="{to}",
            # Its pre-call webhook and its system variables are fed by these two.
            call_id_header="X-CALL-ID",
            caller_header="X-CALLER-ID",
            transports=("tcp", "tls"),
        ),
        Platform(
            "openai-sip",
            "OpenAI",
            host="sip.api.openai.com",
            dials=None,
            call_id_header="X-Call-ID",
            caller_header="X-Caller-ID",
            transports=("tls",),
            asks_by_webhook=True,
        ),
    )
}
"""The platforms by the `kind` of their agents."""
