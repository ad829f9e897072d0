"""`[recording]`."""

from typing import Annotated, Literal

from pydantic import Field

from offhook.config.schema.base import Section, Text
from offhook.config.values import KeyValue


class RecordingConfig(Section):
    """How calls of routes with `record = true` are recorded."""

    directory: Text | None = Field(
        default=None,
        description="Where recordings go, by day. A relative path starts at this file's directory. Without it, "
        "`recordings` in `node.data_dir`.",
    )
    format: Literal["wav", "flac", "opus"] = Field(
        default="wav",
        description="`wav` (16-bit linear) or `flac` (the same sound in a half to a tenth of the bytes). Stereo: the "
        "caller on the left, the agent on the right; 8 kHz, or 16 kHz where the line speaks G.722 or Opus.",
    )
    key: KeyValue | None = Field(
        default=None,
        description='Key that recordings are encrypted by: `{ env = "NAME" }` or `{ file = "PATH" }` with 32 bytes in '
        "hex or base64, as `openssl rand -hex 32` makes them. Without it they lie there in the clear.",
    )
    keep_days: Annotated[float, Field(gt=0, le=36500, allow_inf_nan=False)] | None = Field(
        default=None, description="Days after which a recording is deleted. Without it, never."
    )
    announcement: Text = Field(
        default="off",
        description="A WAV file (16-bit, mono, 8, 16, 24 or 48 kHz) that is played to the caller before recording "
        'begins and the agent is joined, or `"off"`. A relative path starts at this file\'s directory.',
    )
    transcript: Literal["off", "jsonl", "vtt"] = Field(
        default="off",
        description="Transcripts beside the recordings, of the words that the agents tell: `jsonl` (JSON Lines) or "
        "`vtt` (WebVTT). Encrypted, deleted and kept as the recordings are.",
    )
    transcript_digits: Literal["mask", "keep"] = Field(
        default="mask",
        description="Whether transcripts show numbers. `mask` writes `#` for each digit of those with three or more, "
        "be they figures or English words.",
    )
