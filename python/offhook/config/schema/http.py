"""`[http]`, and `[talk]` which it serves."""

from typing import Annotated

from pydantic import Field

from offhook.config.schema.base import Calls, Section
from offhook.config.values import HostPort, HttpListen, Origin, SecretValue


class HttpConfig(Section):
    """Health, metrics, the API, workers, webhooks and the talk page."""

    listen: HttpListen = Field(
        default=HostPort("127.0.0.1", 8080),
        description="Address of `/health/live`, `/health/ready` and `/metrics`, which ask for no password: keep them "
        "inside. Workers dial it too, each with its token, calls are placed here (`/v1/calls`, by a `[[key]]`), "
        "OpenAI's webhook comes here, commands such as `offhook workers` ask here, and so does the talk page.",
    )


class TalkConfig(Section):
    """The talk page, where a browser calls any agent."""

    enabled: bool | None = Field(
        default=None,
        description="Whether `http.listen` serves the page `/talk`. Without it, where that is an address of this "
        "machine alone.",
    )
    token: SecretValue | None = Field(
        default=None,
        description="What the page's link has to carry. Without it, one made at each start, which `offhook run` "
        "prints.",
    )
    origins: Annotated[tuple[Origin, ...], Field(max_length=64)] = Field(
        default=(),
        description="Origins that the page may be loaded from besides the address that the browser asks, such as "
        "`https://talk.example.net` of a proxy that does not pass the Host header on.",
    )
    max_calls: Calls = Field(default=4, description="Calls of the page at one time.")
