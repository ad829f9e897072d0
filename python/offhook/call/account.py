"""The account of a call: what its record says, at any moment of its life."""

from collections.abc import Callable

from offhook.call.call import Call
from offhook.call.facts import claims_of
from offhook.call.out.outbound import OutboundCall
from offhook.call.out.outcome import q850_in
from offhook.call.trace import host_port
from offhook.report.record import CallRecord, billable_seconds, post_dial_delay_ms


def record_of(call: Call, wall: Callable[[float], int], *, node: str, version: str) -> CallRecord:
    """The record of `call` as it stands. `wall` turns monotonic seconds into UTC milliseconds."""
    session, source, leg = call.leg.session, call.leg.source, call.leg
    setup_at, ring_at = wall(call.arrived_at), _at(wall, call.rang_at)
    answer_at, end_at = _at(wall, call.answered_at), _at(wall, call.ended_at)
    reason, audio = call.reason, leg.audio
    # What the INVITE was answered with, whoever decided it.
    final = session.response.status if session.response is not None else 0
    return CallRecord(
        call_id=call.id,
        direction=call.direction,
        setup_at=setup_at,
        ring_at=ring_at,
        answer_at=answer_at,
        end_at=end_at,
        trunk=call.trunk.name,
        # A call out has gone by none.
        route=call.route.name if call.route is not None and call.direction == "inbound" else None,
        destination=call.agent.uri.redacted if call.agent.uri is not None else None,
        from_number=call.facts.from_number,
        to_number=call.facts.to_number,
        sip_call_id=session.sip_call_id,
        session_id=str(session.letterhead.session_id),
        local_tag=session.local_tag,
        remote_tag=session.remote_tag,
        transport=source.transport,
        remote_signalling=host_port(source.remote),
        local_signalling=host_port(source.local),
        signalling_tls=str(source.tls) if source.tls is not None else None,
        remote_media=host_port(audio.remote) if audio is not None and audio.remote is not None else None,
        local_media=leg.local_media,
        codec=audio.codec if audio is not None else None,
        encryption=leg.encryption,
        session_interval=session.timer.interval,
        session_refreshes=session.timer.refreshes,
        media_family=leg.media_family,
        user_agent=_device_of(call),
        post_dial_delay_ms=post_dial_delay_ms(setup_at, ring_at, answer_at),
        billable_seconds=billable_seconds(answer_at, end_at) if end_at is not None else None,
        end_reason=reason.slug if reason is not None else None,
        end_detail=call.end_detail,
        sip_status=final if final >= 200 else None,
        q850=_q850_of(call),
        fault=reason.fault if reason is not None else None,
        bridged_to=call.bridging.to,
        bridged_from=call.bridging.for_,
        intervals=call.set_up.intervals(),
        media=leg.media_stats() | call.hold.counters() if leg.is_open else {},
        wire=call.agent.wire_stats,
        recording=call.tape.summary(),
        transfer=call.referral.summary(call.transfers.summary()),
        hand_over=call.hand_overs.summary(),
        claims=claims_of(call.facts, call.causes) | call.referral.claims,
        answered_by=call.answerer.summary() if isinstance(call, OutboundCall) else {},
        variables=call.variables.values,
        node=node,
        version=version,
    )


def _device_of(call: Call) -> str | None:
    """What the other side calls itself."""
    session = call.leg.session
    message = session.request if call.direction == "inbound" else session.response
    if message is None:
        return None
    return (message.headers.get("User-Agent") or message.headers.get("Server") or "")[:200] or None


def _q850_of(call: Call) -> int | None:
    """The cause of the end: of a call out that was refused, what the trunk says."""
    said = q850_in(call.causes) if call.direction == "outbound" and call.answered_at is None else None
    return said if said is not None else call.reason.q850 if call.reason is not None else None


def _at(wall: Callable[[float], int], at: float | None) -> int | None:
    return None if at is None else wall(at)
