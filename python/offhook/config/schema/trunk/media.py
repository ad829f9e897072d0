"""The part of `[[trunk]]` about media: codecs, encryption, keys."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Seconds, Section, Text


class TrunkMedia(Section):
    """What is spoken on a trunk, and how."""

    codecs: Annotated[tuple[Literal["PCMU", "PCMA", "G722", "opus"], ...], Field(min_length=1)] = Field(
        default=("PCMU", "PCMA"),
        description="Codecs, in our order of preference: the first that the caller offers too is spoken. `G722` is "
        "wideband, 16 kHz to the agent; so is `opus`, which stands losses and takes a third of the bytes for more "
        "work.",
    )
    srtp: Literal["off", "optional", "required"] = Field(
        default="off",
        description="Encryption of media (SRTP with keys in SDP). `off` refuses callers that insist on it. `optional` "
        "encrypts where the caller offers keys. `required` refuses whatever would go in the clear, at the start and "
        "later. The keys are as secret as the signalling that carries them: use it with TLS.",
    )
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = Field(
        default="auto",
        description="How keys come and go. `auto`: telephone events (RFC 4733) where they are agreed on, and SIP INFO; "
        "without them tones in the sound, too, and ours leave as tones. The others take keys in that way alone; with "
        "`info` and `inband` no telephone events are agreed on.",
    )
    dtmf_tones: Literal["remove", "keep"] = Field(
        default="remove",
        description="What the agent hears of a key that was found by its tones: silence in their place, but for the "
        "first 30 ms, or the tones.",
    )
    media_timeout: Seconds = Field(
        default=60.0,
        description="Seconds without any media from the caller, hold apart, after which the call is ended.",
    )
    hold_music: Text = Field(
        default="melody",
        description="What a caller hears while the agent holds it: `melody` (the gateway's own), `silence`, or a WAV "
        "file of 16 bits, mono or stereo, 8, 16, 24 or 48 kHz, ten minutes at most, which goes round and round.",
    )
