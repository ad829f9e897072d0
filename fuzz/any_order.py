"""Messages, verbs, time-outs and failures in any order for one user agent, and what must hold of its machines.

Nothing is raised; no ACK is answered; an INVITE transaction has one final response; the tables keep to their limits;
and once everybody has hung up nothing is left: no transaction, no dialog, no timer.
"""

import random
from collections.abc import Iterable
from typing import Any

from tests.support.messages import SDP, TCP, UDP, request, response
from tests.support.solo import Solo

from offhook.sip.effects import SendRequest, SendResponse
from offhook.sip.events import InviteReceived, ReferOver, Reinvited, SessionFailed
from offhook.sip.user_agent import UserAgentConfig

METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "INFO", "OPTIONS", "UPDATE", "NOTIFY", "PRACK"]
REPORTS = [
    (), ("Event: refer",), ("Event: refer", "Subscription-State: terminated;reason=noresource"),
    ("Event: refer", "Subscription-State: active;expires=2"), ("Event: refer;id=9", "Subscription-State: active"),
]  # fmt: skip
TIMERS = [
    (), (), ("Supported: timer", "Session-Expires: 90;refresher=uas"), ("Session-Expires: 90", "Allow: UPDATE, INVITE"),
    ("Supported: timer", "x: 90;refresher=uac", "Min-SE: 100"), ("Require: timer", "Session-Expires: 5"),
    ("Supported: 100rel",), ("Require: 100rel",),
]  # fmt: skip
RELIABLE = [(), (("Require", "100rel"), ("RSeq", "7")), (("Require", "100rel"), ("RSeq", "8"))]
ANSWERED_TIMERS = [
    (),
    ("Session-Expires", "90;refresher=uac"),
    ("Session-Expires", "1;refresher=uas"),
    ("Min-SE", "600"),
]
FRAGMENTS = [b"SIP/2.0 100 Trying", b"SIP/2.0 200 OK", b"SIP/2.0 486 Busy Here\r\n", b"?"]
ANSWERS = [100, 180, 183, 199, 200, 202, 401, 422, 481, 486, 491, 503]
VERBS: dict[str, tuple[Any, ...]] = {
    "ring": (),
    "answer": (SDP,),
    "reject": (486,),
    "hang_up": (),
    "acknowledge": (SDP,),
    "reinvite": (SDP,),
    "update": (SDP,),
    "reject_reinvite": (488,),
    "ask": ("INFO",),
    "refer": ("<tel:+14155550100>",),
    "answer_info": (),
    "answer_prack": (SDP,),
    "answer_early": ("t1", SDP),
}
CONFIG = UserAgentConfig(max_transactions=24, max_dialogs=8)
OPTIONS: dict[str, dict[str, Any]] = {"refer": {"timeout": 6}, "ring": {"sdp": SDP, "reliable": True}}
OF_SESSIONS = 6
"""What a full table still takes for each session: the BYE of either side, a change, what ends it, INFO and REFER."""


def any_order(steps: Iterable[tuple[int, int]]) -> None:
    """Take these steps, kind and seed of each, then hang up and let all time pass."""
    solo = Solo(CONFIG)
    ours = []
    for kind, seed in steps:
        rng = random.Random(seed)
        sessions = [event.session for event in solo.told(InviteReceived)]
        session = rng.choice(sessions) if sessions else None
        asked = [effect.request for _, effect in solo.sent if isinstance(effect, SendRequest)]
        match kind % 12:
            case 0 | 1 | 2 | 3 | 4:
                tag = f";tag={session.local_tag}" if session is not None and rng.random() < 0.7 else ""
                known = session is not None and rng.random() < 0.8
                method = rng.choice(METHODS)
                reports = method == "NOTIFY"
                about = REPORTS if reports else [_rack(solo, rng)] if method == "PRACK" else TIMERS
                solo.receive(
                    request(
                        method,
                        *rng.choice(about),
                        branch=f"z9hG4bK{rng.randrange(6)}",
                        to=f"<sip:bob@192.0.2.2>{tag}",
                        call_id=session.sip_call_id if known else f"call-{rng.randrange(12)}",
                        cseq=rng.randrange(1, 6),
                        body=rng.choice([b"", *FRAGMENTS] if reports else [b"", SDP]),
                        content_type="message/sipfrag" if reports else "application/sdp",
                    ),
                    rng.choice([UDP, TCP]),
                )
            case 5 | 6 if asked:
                to = rng.choice(asked)
                if to.method != "ACK":
                    timer = rng.choice(ANSWERED_TIMERS)
                    status = rng.choice(ANSWERS)
                    reliable = rng.choice(RELIABLE) if status in (180, 183) else ()
                    body = rng.choice([b"", SDP]) if status < 300 else b""
                    extra = (*([timer] if timer else []), *reliable)
                    solo.receive(response(to, status, f"t{seed % 3}", *extra, body=body))
            case 7:
                solo.run(solo.clock.elapsed + rng.choice([0.1, 1, 5, 40, 50]))
            case 8 if session is not None:
                verb = rng.choice(list(VERBS))
                solo.do(getattr(rng.choice([session, *ours]), verb), *VERBS[verb], **OPTIONS.get(verb, {}))
            case 9:
                for event in solo.told(Reinvited):
                    solo.do(event.session.answer_reinvite, SDP)
            case 10:
                call = solo.invite("sip:bob@192.0.2.1", rng.choice([None, SDP]))
                ours.append(call)
                if rng.random() < 0.5:
                    solo.do(call.hang_up)
            case 11 if solo.sent:
                solo.user_agent.transport_failed(rng.choice(solo.sent)[1].transaction, solo.now)
                solo.drain()
        _keeps_its_limits(solo, len(ours))
    _says_what_it_may(solo)
    calls = [*ours, *(event.session for event in solo.told(InviteReceived))]
    for _ in range(2):
        for session in calls:
            solo.do(session.hang_up)
        solo.run(solo.clock.elapsed + 500)
    _says_what_it_may(solo)
    solo.assert_empty()


def _rack(solo: Solo, rng: random.Random) -> tuple[str, ...]:
    """What a PRACK says: mostly of a response that was sent."""
    sent = [e.response for _, e in solo.sent if isinstance(e, SendResponse) and e.response.rseq is not None]
    if not sent or rng.random() < 0.2:
        return rng.choice([(), ("RAck: 1 1 INVITE",)])
    said = rng.choice(sent)
    return (f"RAck: {said.rseq} {said.cseq.number} INVITE",)


def _keeps_its_limits(solo: Solo, ours: int) -> None:
    agent = solo.user_agent
    assert agent.open_dialogs <= CONFIG.max_dialogs + ours, "more dialogs than there may be"
    most = CONFIG.max_transactions + OF_SESSIONS * (CONFIG.max_dialogs + ours)
    assert agent.open_transactions <= most, "more transactions than there may be"
    next_timeout = agent.next_timeout()
    assert next_timeout is None or next_timeout >= solo.now, "a timer that was passed over"


def _says_what_it_may(solo: Solo) -> None:
    assert solo.told(SessionFailed) == [], "a session failed"
    ended = len(solo.told(ReferOver))
    assert ended <= len(solo.requests("REFER")), "a REFER ends once"
    finals: dict[int, set[tuple[int, str | None]]] = {}
    for _, effect in solo.sent:
        if not isinstance(effect, SendResponse):
            continue
        said = effect.response
        assert said.cseq.method != "ACK", "an answer to ACK"
        if effect.transaction is not None and said.cseq.method == "INVITE" and said.status >= 200:
            finals.setdefault(effect.transaction, set()).add((said.status, said.to.tag))
    assert all(len(said) == 1 for said in finals.values()), f"two final responses: {finals}"


def steps_in(data: bytes) -> list[tuple[int, int]]:
    """Sixty steps at most, of four bytes each."""
    data = data[: 4 * 60]
    return [(part[0], int.from_bytes(part[1:], "big")) for part in (data[at : at + 4] for at in range(0, len(data), 4))]
