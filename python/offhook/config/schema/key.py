"""`[[key]]`."""

from pydantic import Field

from offhook.config.schema.base import Name, Section
from offhook.config.schema.outbound import OutboundConfig
from offhook.config.values import SecretValue


class KeyConfig(Section):
    """A key to the API: a program that has it may place calls. It is no key to the gateway's settings."""

    name: Name = Field(description="Name of the key, in records and logs.")
    sha256: SecretValue = Field(
        description="SHA-256 of the key, 64 hexadecimal digits: a string or `{ env = NAME }`. The key itself, "
        "32 characters or more that nobody can guess, stands nowhere in the gateway: `openssl rand -hex 32` makes one, "
        "and `printf %s KEY | sha256sum` this of it."
    )
    outbound: OutboundConfig = Field(default=OutboundConfig(), description="Limits on what it has leave.")
