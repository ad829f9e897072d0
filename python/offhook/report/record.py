"""The record of a call: one flat row that says who, when, how it went and why it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from offhook.ids import CallId

CallDirection = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What is stored of one call. Times are UTC milliseconds since 1970, None where the call never came so far.

    `end_reason` is a slug of `offhook.call.end_reason`; None while the call is on. `end_detail` says what exactly, in
    words. Addresses are `host:port`. `signalling_tls` is what was agreed where the call came over TLS. `intervals` are
    milliseconds by the names of `offhook.report.setup.INTERVALS`. `media` holds the counters of the RTP leg
    (`received_…` from the caller, `sent_…` to the caller), `wire` those of the agent's connection. `encryption` is the
    SRTP suite of the caller's media, "none" if any of it went in the clear; `media_family` is its IP version, 4 or 6.
    `session_interval` is the session timer that was agreed on last, in seconds, None without one, `session_refreshes`
    how often it was refreshed.
    `session_id` is the pair of RFC 7989, our half first. `claims` is what the other side said, as far as it said any of
    it: of the caller's `identity`, of the `diversions` before, and its `causes` for the end.
    `recording` is empty if the call was not recorded, else the `file` in the directory of recordings, its
    `duration_ms`, `paused_ms`, `dropped_frames` (that had no room on their way to the disk), `key_id` and `error`.
    `transfer` is empty unless the agent transferred the call: then the last one's `target`, `outcome`, `status`,
    `reason`, whether it is `confirmed`, and its `duration_ms`; `earlier` has those before it.
    `answered_by` is empty unless that was to be told of a call out: `who`, `confidence`, `after_ms`, `evidence`.
    `hand_over` is empty unless an agent gave the call to another one: then the last one's `to`, `by`, `outcome`,
    `reason` and `duration_ms`; `earlier` has those before it.
    `variables` is what the other side, and whoever the call went on to, said in headers of its own after the INVITE: in
    an answer, a refusal, a REFER, a BYE. They are by name without `X-`, and claims.
    `bridged_to` is the call that this one went on to, by a number or for a transfer, and `bridged_from` the one that it
    was placed for: the same pair in the records of both.
    `billable_seconds` runs from answer to end, begun seconds counted whole.
    """

    call_id: CallId
    direction: CallDirection = "inbound"
    setup_at: int = 0
    ring_at: int | None = None
    answer_at: int | None = None
    end_at: int | None = None
    trunk: str | None = None
    route: str | None = None
    destination: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    sip_call_id: str | None = None
    session_id: str | None = None
    local_tag: str | None = None
    remote_tag: str | None = None
    transport: str | None = None
    remote_signalling: str | None = None
    local_signalling: str | None = None
    signalling_tls: str | None = None
    remote_media: str | None = None
    local_media: str | None = None
    codec: str | None = None
    encryption: str | None = None
    media_family: int | None = None
    session_interval: int | None = None
    session_refreshes: int | None = None
    user_agent: str | None = None
    post_dial_delay_ms: int | None = None
    billable_seconds: int | None = None
    end_reason: str | None = None
    end_detail: str = ""
    sip_status: int | None = None
    q850: int | None = None
    fault: str | None = None
    bridged_to: str | None = None
    bridged_from: str | None = None
    intervals: Mapping[str, float] = field(default_factory=dict)
    media: Mapping[str, int | float | str | None] = field(default_factory=dict)
    wire: Mapping[str, int | float | str | None] = field(default_factory=dict)
    recording: Mapping[str, int | float | str | None] = field(default_factory=dict)
    transfer: Mapping[str, Any] = field(default_factory=dict)
    hand_over: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    answered_by: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
    version: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "CallRecord":
        """Make a record of a mapping; names that this version does not know are left out."""
        # Columns that are younger than a row are empty in it.
        known = {name: value for name, value in values.items() if name in _NAMES}
        return cls(**{name: {} if name in _YOUNG and value is None else value for name, value in known.items()})

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, fit for JSON."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _NAMES}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    @property
    def was_answered(self) -> bool:
        """Whether the call ever was answered."""
        return self.answer_at is not None

    @property
    def duration_ms(self) -> int | None:
        """From the first INVITE to the end; None while the call is on."""
        return None if self.end_at is None else max(0, self.end_at - self.setup_at)


_YOUNG = frozenset({"recording", "transfer", "hand_over", "claims", "answered_by", "variables"})
_NAMES = tuple(item.name for item in fields(CallRecord))


def billable_seconds(answer_at: int | None, end_at: int) -> int:
    """Seconds between answer and end (UTC milliseconds), begun seconds counted whole; 0 if never answered."""
    return 0 if answer_at is None else max(0, -(-(end_at - answer_at) // 1000))


def post_dial_delay_ms(setup_at: int, ring_at: int | None, answer_at: int | None) -> int | None:
    """Milliseconds from the INVITE to the first sign of life, ringing or answer; None if there was none."""
    signs = [at for at in (ring_at, answer_at) if at is not None]
    return max(0, min(signs) - setup_at) if signs else None
