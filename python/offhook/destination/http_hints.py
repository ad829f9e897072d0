"""What it mostly means when an agent's server answers the WebSocket upgrade with an HTTP status."""

from collections.abc import Mapping
from typing import Final

HTTP_HINTS: Final[Mapping[int, str]] = {
    401: "its token is missing or wrong",
    403: "it does not want this gateway: check token, headers and origin of the [[agent]]",
    404: "the path of its URL is wrong",
    200: "there is a web server, but no WebSocket at this path",
    301: "it has moved: use the new URL",
    302: "it has moved: use the new URL",
    426: "it asks for another protocol version",
    502: "a proxy stands there, and the agent behind it is not running",
    503: "the agent is overloaded or not running",
}
"""Status -> hint, for the statuses that have one."""
