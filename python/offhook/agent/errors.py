"""What goes wrong between an agent and its gateway."""

from offhook.errors import OffhookError


class AgentError(OffhookError):
    """The agent can't be run as it is written or set up: a setting is missing, an engine is, the gateway refuses it.

    `code`: `agent_settings`, `agent_speech_missing`, `worker_refused`, `worker_protocol`.
    """

    code = "agent_settings"


class CallEnded(AgentError):
    """The call is over, so there is nobody to speak to. `reason` is its end reason, such as `caller_hung_up`.

    What runs for a call is cancelled when the call ends, so this is seen only by code that outlives it.
    """

    code = "call_ended"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the call is over: {reason}")
        self.reason = reason
