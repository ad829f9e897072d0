"""The scripts of calls that are meant to fail at each of their messages, and the gateway that they are played on.

Together they go through all that is done to a call: how it rings, PRACK, changes from both sides, session timers,
transfers, keys, and agents that are lost in the middle of each.
"""

from functools import partial
from typing import Any

from offhook.sip.user_agent import UserAgentConfig

from .rough import RoughCall, Script
from .world import CALLER, GATEWAY

# The longest that a call may last: its trunk says so.
LONGEST_CALL = 90.0
LONGEST_TIMED = 200.0

OTHER = "ws://other.example/voice"
RELIABLE, UPDATES, REINVITES, INFO = (f"192.0.2.{number}" for number in (11, 12, 13, 14))
"""Callers: whose ringing is acknowledged, whose session is refreshed by UPDATE or re-INVITE, whose keys go by INFO."""
WITHOUT_UPDATE = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
PHONES: dict[str, UserAgentConfig | None] = {
    CALLER: None,
    RELIABLE: None,
    UPDATES: UserAgentConfig(supported=("timer",)),
    REINVITES: UserAgentConfig(supported=("timer",), allow=WITHOUT_UPDATE),
    INFO: None,
}

TOML = f"""
[limits]
max_calls = 1000
max_cps = 1000

[[trunk]]
name = "acme"
allow = ["{CALLER}"]
max_duration = {LONGEST_CALL}
transfer_to = "*"

[[trunk]]
name = "reliable"
allow = ["{RELIABLE}"]
max_duration = {LONGEST_CALL}
transfer_to = "*"
prack = "always"

[[trunk]]
name = "timed"
allow = ["{UPDATES}", "{REINVITES}"]
max_duration = {LONGEST_TIMED}
media_timeout = 3600
session_timer = 90

[[trunk]]
name = "info"
allow = ["{INFO}"]
max_duration = {LONGEST_CALL}
transfer_to = "*"
dtmf = "info"

[[route]]
name = "offhook"
to = "offhook"
destination = "ws://agent.example/voice"
hand_over_to = ["{OTHER}", "agent:desk"]
ring_timeout = 8
fallback = [{{ on = ["refused", "lost", "late"], to = "twilio+ws://bot.example/media" }}]

[[route]]
name = "twilio"
to = "twilio"
destination = "twilio+ws://bot.example/media"
answer = "first-audio"

[[route]]
name = "ringback"
to = "ringback"
destination = "ws://agent.example/voice"
early_media = "ringback"
ring_timeout = 8
fallback = [{{ on = ["refused", "lost", "late"], to = "twilio+ws://bot.example/media" }}]

[[route]]
name = "speaks-early"
to = "speaks-early"
destination = "ws://agent.example/voice"
early_media = "agent"
fallback = [{{ on = ["lost"], to = "echo:" }}]

[[route]]
name = "early"
to = "early"
destination = "ws://agent.example/voice"
answer = "at-once"

[[agent]]
name = "desk"
kind = "worker"
token = "t-desk"

[[route]]
name = "worker"
to = "worker"
destination = "worker:desk"
fallback = [{{ on = ["lost"], to = "echo:" }}]

[[route]]
name = "echo"
to = "echo"
destination = "echo:"
"""


def offers(**changes: Any) -> Any:
    return partial(RoughCall.offers, **changes)


def updates(**changes: Any) -> Any:
    return partial(RoughCall.updates, **changes)


def sends(*what: Any) -> Any:
    return lambda call: call.sends(*what)


def agent(**message: Any) -> Any:
    return lambda call: call.says(**message)


TRANSFER = agent(type="transfer", target="tel:+14155550142", timeout_ms=20_000)


def reports(status: str, state: str = "active;expires=60") -> Any:
    """What the caller's side says of a transfer."""
    fields = (("Event", "refer"), ("Subscription-State", state))
    return sends("NOTIFY", "message/sipfrag", f"SIP/2.0 {status}\r\n".encode(), *fields)


def agent_hangs_up(call: RoughCall) -> None:
    if call.wire is not None and call.wire.leg is not None:
        call.wire.speaks(0.3)
        call.wire.hangs_up()


def nobody_takes_it(call: RoughCall) -> None:
    """The agent's connection is up, and it never gets ready."""
    if call.wire is not None:
        call.wire.accept()


def speaks_early(call: RoughCall) -> None:
    """The agent says something while it rings, and takes the call later."""
    if call.wire is not None:
        call.wire.accept()
        call.wire.speaks(2.0)


def refuses(call: RoughCall) -> None:
    if call.wire is not None:
        call.wire.refuse(486, "busy")


def breaks(call: RoughCall) -> None:
    """The agent's connection is gone."""
    if call.wire is not None:
        call.wire.breaks()


def breaks_first(call: RoughCall) -> None:
    """The connection of its first agent is gone."""
    if call.wires and not call.wires[0].is_over:
        call.wires[0].breaks()


def only_the_first_takes_it(call: RoughCall) -> None:
    """Of several agents in turn, only the first gets ready."""
    if call.wire is not None:
        call.wire.accept()
        if len(call.wires) == 1:
            call.wire.says(type="ready")


def refers_are(answer: int | None) -> Any:
    """What the caller's side answers to a REFER from now on; None is nothing."""

    def action(call: RoughCall) -> None:
        if call.phone is not None:
            call.phone.answers_refer = answer

    return action


def refuses_changes(call: RoughCall) -> None:
    """The caller takes no re-INVITE from now on."""
    if call.phone is not None:
        call.phone.refuses_reinvites = True


def offers_in_prack(call: RoughCall) -> None:
    """The caller's second PRACK brings an offer."""
    if call.phone is not None:
        call.phone.offers_in_prack = call.sdp(way="sendonly")


def loses(*methods: str) -> Any:
    """The caller's requests of these methods arrive no more."""
    return lambda call: call.lost.update(methods)


def the_agent_presses(digits: str) -> Any:
    """The media core has these keys of the agent's, which go by INFO."""

    def action(call: RoughCall) -> None:
        for digit in digits:
            if call.leg is not None:
                call.leg.tells("key_by_info", digit=digit, duration_ms=160)

    return action


def goes_silent(call: RoughCall) -> None:
    """Nothing of the caller arrives any more, and nothing reaches it."""
    call.muted |= {call.script.host, GATEWAY}


HANG_UP = (1.0, RoughCall.hang_up)
GONE = (100.0, RoughCall.hang_up)
"""The end of a caller of whom nothing is heard: its phone is rid of the call, too."""
DIGIT = ("INFO", "application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")

READY = agent(type="ready")


def ringing() -> list[Script]:
    """What may happen before the answer: PRACK, offers and answers in it, changes, forks."""
    waits = {"agent": nobody_takes_it}
    ready = ((0.5, READY), HANG_UP)
    return [
        Script("reliable", "offhook", (HANG_UP,), host=RELIABLE),
        Script("reliable no offer", "offhook", ready, host=RELIABLE, offers=False, **waits),
        Script("reliable ringback", "ringback", ready, host=RELIABLE, **waits),
        Script("reliable ringback no offer", "ringback", ready, host=RELIABLE, offers=False, **waits),
        Script("reliable as the agent speaks", "speaks-early", ready, host=RELIABLE, agent=speaks_early),
        Script("reliable and cancelled", "ringback", ((0.4, RoughCall.hang_up),), host=RELIABLE, **waits),
        Script("never a PRACK", "ringback", ((0.0, loses("PRACK")), (0.5, READY), (60.0, RoughCall.hang_up)),
               host=RELIABLE, **waits),
        Script("an offer in the PRACK", "ringback", ((0.0, offers_in_prack), (0.5, READY), HANG_UP),
               host=RELIABLE, **waits),
        Script("required 100rel", "offhook", ready, headers=(("Require", "100rel"),), **waits),
        Script("update after PRACK", "ringback",
               ((0.4, updates(port=4900)), (0.2, updates(way="sendonly")), (0.2, READY), (0.5, updates()), HANG_UP),
               host=RELIABLE, **waits),
        Script("an update as it is answered", "ringback", ((0.4, READY), (0.0, updates(port=4900)), HANG_UP),
               host=RELIABLE, **waits),
        Script("forked", "offhook", ((0.03, RoughCall.forks), (0.5, RoughCall.forks), (0.1, READY), HANG_UP), **waits),
        Script("forked after the answer", "offhook", ((0.6, RoughCall.forks), HANG_UP)),
        Script("never an ACK", "offhook", ((0.0, loses("ACK")), (70.0, RoughCall.hang_up))),
        Script("never an ACK or a BYE", "offhook", ((0.0, loses("ACK", "BYE")), (1.0, goes_silent), GONE)),
    ]  # fmt: skip


def changes() -> list[Script]:
    """Changes that cross, are refused, are never acknowledged, and agents who are lost in them."""
    held = (0.6, agent(type="hold"))
    return [
        Script("two changes at once", "offhook",
               ((0.6, offers(way="sendonly")), (0.0, RoughCall.offers_again), (0.5, offers()), HANG_UP)),
        Script("an update crosses the hold", "offhook",
               (held, (0.0, updates(way="sendonly")), (3.0, updates()), HANG_UP)),
        Script("never an ACK to a change", "offhook",
               ((0.6, loses("ACK")), (0.0, offers(way="sendonly")), (70.0, RoughCall.hang_up))),
        Script("never an ACK to our offer", "offhook",
               ((0.6, loses("ACK")), (0.0, RoughCall.asks_for_offer), (70.0, RoughCall.hang_up))),
        Script("a hold is refused", "offhook", ((0.5, refuses_changes), (0.1, agent(type="hold")), HANG_UP)),
        Script("a hold is never answered", "offhook", ((0.6, goes_silent), (0.0, agent(type="hold")), GONE)),
        Script("held and asked for an offer", "offhook", (held, (0.4, RoughCall.asks_for_offer), HANG_UP)),
        Script("hold upon hold", "offhook",
               (held, (0.0, agent(type="resume")), (0.0, agent(type="hold")), (0.3, agent(type="resume")), HANG_UP)),
        Script("lost on hold", "worker", ((0.8, agent(type="hold")), (0.5, breaks), HANG_UP)),
        Script("lost on the caller's hold", "worker",
               ((0.8, offers(way="sendonly")), (0.3, breaks), (0.3, offers()), HANG_UP)),
        Script("lost as it holds", "offhook", (held, (0.0, breaks), HANG_UP)),
        Script("hangs up on hold", "offhook", (held, (0.4, agent_hangs_up), (3.0, RoughCall.hang_up))),
        Script("held by update and offered again", "offhook",
               ((0.6, updates(way="inactive")), (0.3, offers()), (0.3, updates(port=4900)), HANG_UP)),
    ]  # fmt: skip


def refreshes() -> list[Script]:
    """Session timers: in both roles, by both methods, kept and missed."""
    found = [Script("422", "echo", (HANG_UP,), host=UPDATES, headers=(("Session-Expires", "30"),))]
    for host, method in ((UPDATES, "UPDATE"), (REINVITES, "re-INVITE")):
        for who, refresher in (("us", "uas"), ("them", "uac")):
            headers = (("Session-Expires", f"90;refresher={refresher}"),)
            found += [
                Script(
                    f"refreshed by {who} by {method}", "offhook", ((100.0, RoughCall.hang_up),), host, headers=headers
                ),
                Script(f"missed by {who} by {method}", "offhook", ((30.0, goes_silent), GONE), host, headers=headers),
            ]
        found.append(
            Script(
                f"held as it is refreshed by {method}",
                "offhook",
                ((44.98, agent(type="hold")), (0.02, offers(way="sendonly")), (60.0, RoughCall.hang_up)),
                host,
                headers=(("Session-Expires", "90;refresher=uas"),),
            )
        )
    return found


def transfers() -> list[Script]:
    """REFERs that are refused, never answered, never reported on, and calls that end meanwhile."""
    return [
        Script("transfer refused", "offhook", ((0.5, refers_are(603)), (0.1, TRANSFER), HANG_UP)),
        Script("transfer never answered", "offhook",
               ((0.5, refers_are(None)), (0.1, TRANSFER), (40.0, RoughCall.hang_up))),
        Script("202 and silence", "offhook", ((0.6, TRANSFER), (30.0, RoughCall.hang_up))),
        Script("202 and gone", "offhook", ((0.6, TRANSFER), (0.1, goes_silent), GONE)),
        Script("reports cross the BYE", "offhook",
               ((0.6, TRANSFER), (0.3, reports("180 Ringing")), (0.3, RoughCall.hang_up),
                (0.0, reports("200 OK", "terminated;reason=noresource")))),
        Script("lost in a transfer", "worker",
               ((0.8, TRANSFER), (0.3, breaks),
                (0.3, reports("486 Busy Here", "terminated")), HANG_UP)),
        Script("leaves in a transfer", "offhook",
               ((0.6, TRANSFER), (0.3, agent_hangs_up), (0.5, reports("503 Unavailable", "terminated")), HANG_UP)),
        Script("transfer of a held caller", "offhook",
               ((0.6, agent(type="hold")), (0.3, TRANSFER), (0.3, reports("603 Decline", "terminated")),
                (0.3, agent(type="resume")), HANG_UP)),
        Script("held in a transfer", "offhook",
               ((0.6, TRANSFER), (0.2, offers(way="sendonly")), (0.3, reports("200 OK", "terminated")), HANG_UP)),
    ]  # fmt: skip


def hand_overs() -> list[Script]:
    """Agents that hand their call to another one, which takes it, refuses it, or never says a word."""
    over, to_worker = (agent(type="hand_over", to=to) for to in (OTHER, "agent:desk"))
    lone = {"agent": only_the_first_takes_it}
    return [
        Script("handed to another agent", "offhook", ((0.6, over), (1.0, RoughCall.hang_up))),
        Script("handed to a worker and back", "offhook", ((0.6, to_worker), (0.5, over), HANG_UP)),
        Script("handed to nobody", "offhook", ((0.6, over), (12.0, RoughCall.hang_up)), **lone),
        Script("hangs up as it is handed over", "offhook", ((0.6, over), (0.05, RoughCall.hang_up))),
        Script("held as it is handed over", "offhook",
               ((0.6, agent(type="hold")), (0.3, over), (0.05, offers(way="sendonly")), (0.5, offers()), HANG_UP)),
        Script("lost as it is handed over", "offhook", ((0.6, over), (0.02, breaks_first), HANG_UP)),
        Script("transferred as it is handed over", "offhook", ((0.6, over), (0.02, TRANSFER), HANG_UP)),
    ]  # fmt: skip


def keys() -> list[Script]:
    """Keys by INFO, both ways and both bodies, and INFOs that nobody answers."""
    plain = ("INFO", "application/dtmf", b"7")
    presses = (0.6, the_agent_presses("12#"))
    return [
        Script("keys of the caller", "offhook", ((0.6, sends(*DIGIT)), (0.1, sends(*plain)), HANG_UP), host=INFO),
        Script("keys of the agent", "offhook", (presses, (2.0, RoughCall.hang_up)), host=INFO),
        Script("keys cross", "offhook", (presses, (0.0, sends(*DIGIT)), (0.1, sends(*plain)), HANG_UP), host=INFO),
        Script("keys that nobody takes", "offhook", ((0.6, goes_silent), (0.0, the_agent_presses("12#")), GONE),
               host=INFO),
        Script("keys on hold", "offhook",
               ((0.6, offers(way="sendonly")), (0.3, the_agent_presses("5")), HANG_UP),
               host=INFO),
    ]  # fmt: skip


SCRIPTS = [
    Script("plain", "echo", (HANG_UP,)),
    Script("agent", "offhook", (HANG_UP,)),
    Script("worker", "worker", ((1.5, RoughCall.hang_up),)),
    Script("first audio", "twilio", (HANG_UP,)),
    Script("at once", "early", (HANG_UP,)),
    Script("no offer", "offhook", (HANG_UP,), offers=False),
    Script("no route", "nobody", (HANG_UP,)),
    Script("cancelled", "offhook", ((0.05, RoughCall.hang_up),)),
    Script("cancelled late", "offhook", ((3.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("never ready", "offhook", ((25.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("refused", "offhook", (HANG_UP,), agent=refuses),
    Script("agent hangs up", "offhook", ((0.8, agent_hangs_up), (3.0, RoughCall.hang_up))),
    Script("too long", "echo", ((LONGEST_CALL + 5.0, RoughCall.hang_up),)),
    Script("ringback", "ringback", ((1.0, READY), HANG_UP), agent=nobody_takes_it),
    Script("ringback never ready", "ringback", ((12.0, RoughCall.hang_up),), agent=nobody_takes_it),
    Script("ringback no offer", "ringback", ((1.0, READY), HANG_UP), agent=nobody_takes_it, offers=False),
    Script("ringback gives up", "ringback", ((0.5, RoughCall.hang_up),), agent=nobody_takes_it),
    Script(
        "ringback update",
        "ringback",
        ((0.5, updates(port=4900)), (0.5, READY), (0.5, updates()), HANG_UP),
        agent=nobody_takes_it,
    ),
    Script("speaks early", "speaks-early", ((1.0, READY), HANG_UP), agent=speaks_early),
    Script(
        "hold",
        "offhook",
        (
            (0.6, offers(way="sendonly")),
            (0.4, offers()),
            (0.4, offers(host="0.0.0.0")),
            (0.4, offers(way="inactive")),
            (0.4, offers()),
            HANG_UP,
        ),
    ),
    Script(
        "the agent holds",
        "offhook",
        (
            (0.6, agent(type="hold")),
            (0.4, offers(way="recvonly")),
            (0.4, agent(type="resume")),
            (0.4, offers()),
            HANG_UP,
        ),
    ),
    Script("on hold to the end", "offhook", ((0.6, agent(type="hold")), (0.5, offers(way="inactive")), HANG_UP)),
    Script(
        "changes",
        "offhook",
        ((0.6, offers(codecs=["8 PCMA/8000"])), (0.4, offers(port=4900)), (0.4, RoughCall.asks_for_offer), HANG_UP),
    ),
    Script(
        "held from both sides",
        "offhook",
        (
            (0.6, agent(type="hold")),
            (0.0, offers(way="sendonly")),
            (3.0, agent(type="resume")),
            (0.0, offers()),
            (3.0, RoughCall.hang_up),
        ),
    ),
    Script(
        "updates",
        "offhook",
        (
            (0.6, updates(way="sendonly")),
            (0.3, updates()),
            # Both at once: one of them waits for the other.
            (0.3, updates(way="inactive")),
            (0.0, offers()),
            HANG_UP,
        ),
    ),
    Script(
        "requests",
        "offhook",
        (
            (0.6, sends(*DIGIT)),
            (0.2, sends("OPTIONS")),
            (0.2, sends("UPDATE")),
            (0.2, sends("MESSAGE", "text/plain", b"hello")),
            (0.2, sends("REFER", "", b"", ("Refer-To", "<sip:other@192.0.2.1>"))),
            HANG_UP,
        ),
    ),
    Script(
        "transferred",
        "offhook",
        (
            (0.6, TRANSFER),
            (0.2, reports("100 Trying")),
            (0.5, reports("180 Ringing")),
            (2.0, reports("200 OK", "terminated;reason=noresource")),
            HANG_UP,
        ),
    ),
    Script(
        "not transferred",
        "offhook",
        (
            (0.6, TRANSFER),
            (0.5, reports("486 Busy Here", "terminated;reason=noresource")),
            # The second one nobody reports on.
            (0.5, TRANSFER),
            (25.0, RoughCall.hang_up),
        ),
    ),
    Script("handed over", "offhook", ((0.6, TRANSFER), (0.3, RoughCall.hang_up))),
    *ringing(),
    *changes(),
    *refreshes(),
    *transfers(),
    *hand_overs(),
    *keys(),
]
