"""What all sections have in common, and the kinds of values that many of them have."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Calls = Annotated[int, Field(ge=1, le=100_000)]
CallsPerSecond = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
Amount = Annotated[float, Field(gt=0, le=1_000_000_000, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class Section(BaseModel):
    """What all sections have in common: unknown names are errors, types are as written, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
