"""`[[route]]` and its fallbacks."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Name, Section, Text
from offhook.config.values import (
    Destination,
    EarlyMediaValue,
    HandOverPatterns,
    HeaderName,
    HeaderNamePattern,
    HeaderPattern,
    NumberPatterns,
    OutgoingHeaderPattern,
)
from offhook.route.early_media import NO_EARLY_MEDIA
from offhook.route.pattern import ANY
from offhook.route.table import AGENT_HEADERS


class FallbackConfig(Section):
    """Another destination for calls whose destination failed."""

    on: Annotated[tuple[Literal["refused", "late", "lost"], ...], Field(min_length=1)] = Field(
        default=("refused", "late", "lost"),
        description="`refused`: unreachable, or it said no. `late`: not ready in `ring_timeout`. "
        "`lost`: broke off during the call.",
    )
    to: Destination = Field(description="Destination URI.")


class RouteConfig(Section):
    """A rule: calls like this go there. The first that fits wins, in file order; a higher `priority` goes first."""

    name: Name = Field(description="Name of the route.")
    trunk: Name | None = Field(default=None, description="Only calls of this trunk.")
    to: NumberPatterns = Field(
        default=(ANY,),
        description="Dialled number (the user part of the Request-URI): exact, or with `*`, or a list of such. "
        "Compared in E.164 and as received.",
    )
    from_: NumberPatterns = Field(
        default=(ANY,),
        alias="from",
        description="Caller's number, in the same form. `anonymous` fits callers who withhold it.",
    )
    headers: Annotated[dict[HeaderName, HeaderPattern], Field(max_length=32)] = Field(
        default={},
        description="Headers that the INVITE must have, name to value; `*` is allowed in values. `Diversion`, "
        "`History-Info` and `P-Asserted-Identity` fit by the number in them, too.",
    )
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=0, description="Routes of higher priority are tried first."
    )
    pass_headers: Annotated[tuple[HeaderNamePattern, ...], Field(max_length=64)] | None = Field(
        default=None,
        description="Headers of the INVITE that the agent gets, in place of the trunk's `pass_headers`.",
    )
    agent_headers: Annotated[tuple[OutgoingHeaderPattern, ...], Field(max_length=64)] = Field(
        default=AGENT_HEADERS,
        description="Headers that the agent may set in our answer, our BYE and our other requests, by name; `*` at the "
        "end stands for the rest of a name. Never those that are the gateway's own, such as Contact.",
    )
    destination: Destination = Field(
        description="Where the calls go: `agent:NAME`, `worker:NAME`, `tel:NUMBER`, `echo:`, or another URI. "
        "`vapi:NAME`, `retell:AGENT_ID`, `elevenlabs+sip:NUMBER`, `livekit+sip:NUMBER` and `openai+sip:PROJECT` are "
        "short for an `[[agent]]` of that kind on the `[[trunk]]` with that preset; `?trunk=NAME` behind it says "
        "which. `retell:` takes its key from `RETELL_API_KEY` of the environment."
    )
    answer: Literal["when-ready", "at-once", "first-audio"] = Field(
        default="when-ready",
        description="When the caller is answered: when the agent is ready, at once, or with the agent's first audio.",
    )
    early_media: EarlyMediaValue = Field(
        default=NO_EARLY_MEDIA,
        description="What the caller hears before the answer. `off`: 180 goes out, and the caller's own side makes the "
        "ringing tone. The others send 183 and the sound itself: `ringback` (the ringing tone of the trunk's country, "
        "or of another, as in `ringback:GB`), the path of a WAV file (16-bit, mono, 8, 16, 24 or 48 kHz, a minute at "
        "most, over and over; a relative path starts at this file's directory), or `agent`: what the agent says before "
        "it takes the call, from its first sound on (180 until then).",
    )
    ring_timeout: Annotated[float, Field(gt=0, le=180, allow_inf_nan=False)] = Field(
        default=20.0,
        description="Seconds that the agent has to get ready; then the fallback, or the caller is refused.",
    )
    barge_in: Literal["auto", "off", "clear", "duck-then-decide", "agent"] = Field(
        default="auto",
        description="What the gateway does by itself when the caller speaks over the agent: nothing, silence it, lower "
        "its voice at once and silence it if the caller goes on, or only tell the agent. `auto` is `duck-then-decide` "
        "for what an agent sends as an `utterance`, which can say otherwise, and `off` for all else. The agent's own "
        "`clear` works in any case.",
    )
    record: bool | Literal["when-asked"] = Field(
        default=False,
        description="Record the call, from the answer or the end of `recording.announcement` on. `when-asked` leaves "
        "it to the agent: its `record` starts and stops the recording, the announcement first.",
    )
    hold_music: Text | None = Field(
        default=None, description="What its callers hear on hold; without it what their trunk says."
    )
    digits: Literal["show", "mask", "withhold"] = Field(
        default="mask",
        description="Who may know which keys are pressed. `show`: they are in the call's timeline, and so in what "
        "`offhook calls` shows. `mask`: the agent alone; SIP INFO is kept without its body, and recordings are silent "
        "where a key's tones were. `withhold`: nobody; the agent is told `?` for each key, and hears nothing that is "
        "like their tones. Agents can mask and withhold for a while where this does not.",
    )
    hand_over_to: HandOverPatterns = Field(
        default=(),
        description="Destinations that the agent may hand a call over to in mid-call, as URIs: `worker:billing`, or "
        "with `*` for agents of this file (`agent:*`); one, or a list of such. Without it none.",
    )
    fallback: Annotated[tuple[FallbackConfig, ...], Field(max_length=8)] = Field(
        default=(), description="Destinations to try in turn, each once, when this one fails."
    )
