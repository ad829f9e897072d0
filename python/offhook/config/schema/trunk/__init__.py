"""`[[trunk]]`, put together from its parts: one flat table in the file, one noun a module here."""

from pydantic import Field

from offhook.config.presets.use import PresetValue
from offhook.config.schema.base import Name, Section
from offhook.config.schema.trunk.answerer import Answerer
from offhook.config.schema.trunk.identity import Identity
from offhook.config.schema.trunk.media import TrunkMedia
from offhook.config.schema.trunk.numbers import Numbers
from offhook.config.schema.trunk.signalling import Signalling
from offhook.config.schema.trunk.source import InboundConfig, PhoneConfig, Source
from offhook.config.schema.trunk.target import Target
from offhook.config.schema.trunk.transfer import Transfer


class _Named(Section):
    name: Name = Field(description="Name of the trunk: letters, digits, `_`, `-`.")
    preset: PresetValue | None = Field(
        default=None,
        description="A carrier, PBX or platform whose settings are known: its name, or a table with parameters such as "
        '`{ name = "telnyx", region = "eu" }`. It fills in the settings below that this trunk does not have; '
        "`offhook trunks presets` lists them, and where each is from.",
    )


# The reference lists the settings of the last base first.
class TrunkConfig(Transfer, Answerer, Signalling, TrunkMedia, Identity, Numbers, Target, Source, _Named):
    """A peer that sends us calls, or that we call by: a carrier, a PBX, phones, a platform."""


__all__ = ["InboundConfig", "PhoneConfig", "TrunkConfig"]
