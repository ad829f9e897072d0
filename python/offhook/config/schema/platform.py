"""The part of `[[agent]]` that is of agents on a platform, which are called by SIP."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from offhook.config.platform_values import ApiUrl, VariableName, VariableText
from offhook.config.schema.base import Name, Section, Text
from offhook.config.values import HeaderSecret, SecretValue

_Instructions = Annotated[str, StringConstraints(min_length=1, max_length=32_000)]
_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class PlatformAgent(Section):
    """What an agent of kind `livekit`, `vapi`, `retell`, `elevenlabs` or `openai-sip` is called by."""

    trunk: Name | None = Field(
        default=None,
        description="The `[[trunk]]` that it is called by, of the kinds that are called by SIP (`livekit`, `vapi`, "
        "`retell`, `elevenlabs`, `openai-sip`): the line to the platform, which needs a `host`.",
    )
    dial: VariableText | None = Field(
        default=None,
        description="Whom to call there: the user part of the Request-URI, with fields as in `variables`. `{to}`, the "
        "number that the caller dialled, is the default for `livekit` and `elevenlabs`. Of `openai-sip` it is the "
        "project's id (`proj_…`), of `vapi` the name or number that the assistant has. `retell` has none: its calls "
        "are dialled by the id that its API gives.",
    )
    variables: Annotated[dict[VariableName, VariableText], Field(max_length=20)] = Field(
        default={},
        description="Variables that the platform gets besides the caller's `X-` headers that route or trunk pass on, "
        "and besides the `data` of a call that was placed: name to text, sent as header `X-NAME` (to `retell` by its "
        "API). Fields are `{from}`, `{to}`, `{call_id}`, `{trunk}`, `{route}`, `{header.NAME}` and `{data.NAME}`.",
    )
    agent_id: _Id | None = Field(
        default=None, description="Of kind `retell`: which agent of the account takes the call."
    )
    api_key: HeaderSecret | None = Field(
        default=None, description="Key to the platform's API, of kinds `retell` and `openai-sip`."
    )
    api_url: ApiUrl | None = Field(
        default=None,
        description="Where that API is, if it is not where the platform has it: `https://HOST`, with `/v1` behind it "
        "for `openai-sip`. Plain `http://` only to this machine.",
    )
    webhook_secret: SecretValue | None = Field(
        default=None,
        description="Of kind `openai-sip`: the signing secret (`whsec_…`) of the project's webhook for "
        "`realtime.call.incoming`, or of a `gpt-live` model for `live.transport.incoming`, which has to be sent to "
        "`/v1/webhooks/openai/NAME` of `[http]`. Without it another server of yours takes the webhook and accepts the "
        "calls.",
    )
    model: Text | None = Field(
        default=None,
        description="Of kind `openai-sip`: the model that takes the call. One named `gpt-live…` is of OpenAI's Live "
        "API, any other of its Realtime API.",
    )
    instructions: _Instructions | None = Field(
        default=None, description="Of kind `openai-sip`: what the model is told to be and do."
    )
    voice: Text | None = Field(default=None, description="Of kind `openai-sip`: the voice that it speaks with.")
    other_calls: Literal["ignore", "reject"] = Field(
        default="ignore",
        description="Of kind `openai-sip`: what happens to calls of the project that don't come from this gateway. "
        "`ignore` leaves them to other servers that get the webhook, too; `reject` refuses them (603).",
    )
