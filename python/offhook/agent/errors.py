"""What goes wrong between an agent and its gateway."""

from offhook.errors import OffhookError


class AgentError(OffhookError):
    """The agent can't be run as it is written or set up: a setting is missing, an engine is, the gateway refuses it.

    `code`: `agent_settings`, `agent_speech_missing`, `worker_refused`, `worker_protocol`.
    """

    code = "agent_settings"


class HoldFailed(AgentError):
    """The caller could not be held, or not be had back: the call is as it was.

    `reason` is `refused` (its side said no: `status` is the SIP status, where there was one), `no_answer` (it said
    nothing), `not_answered` (the call itself has not been answered) or `busy` (the agent asks for two things at once).
    """

    code = "hold_failed"

    def __init__(self, message: str, *, reason: str, status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


class CallEnded(AgentError):
    """The call is over, so there is nobody to speak to. `reason` is its end reason, such as `caller_hung_up`.

    What runs for a call is cancelled when the call ends, so this is seen only by code that outlives it.
    """

    code = "call_ended"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the call is over: {reason}")
        self.reason = reason
