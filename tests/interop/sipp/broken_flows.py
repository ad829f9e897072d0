"""Flows of callers, and of their agents, who do what they should or break off at a step: what sipp plays, how each call
ends in its record, and the gateway's configuration that they are played on.

Most flows end before the gateway has said its last word, so that it is left with what nobody answers any more.
"""

from dataclasses import dataclass

from tests.interop.sipp.scenario import OFFER, Scenario

LONGEST_CALL = 6
"""Seconds: who is held is not expected to send, so only the length of the call ends such a one."""
MEDIA_TIMEOUT = 2
PATIENT = "127.0.0.2"
"""Address of the callers whose silence is borne."""
UNANSWERED = 64 * 0.5
"""Seconds for which a 200 waits for its ACK, and then a BYE for its answer."""
AGENTS = ("echo", "late", "leave", "die", "refuse", "deaf", "hold", "hold-on", "transfer")

TOML = f"""
[limits]
max_calls = 2000
max_cps = 2000

[[trunk]]
name = "line"
allow = ["127.0.0.1"]
media_timeout = {MEDIA_TIMEOUT}
max_duration = {LONGEST_CALL}
transfer_to = "*"

[[trunk]]
name = "patient"
allow = ["{PATIENT}"]
media_timeout = 3600
max_duration = 100
transfer_to = "*"

[[route]]
name = "mirror"
to = "mirror"
destination = "echo:"
"""


def routes(port: int) -> str:
    """A route to each agent of `tests/soak/agent.py`, and one that rings with a sound until the agent is there."""
    found = [(name, name, "") for name in AGENTS] + [("ringing", "late", 'early_media = "ringback:GB"\n')]
    return "".join(
        f'\n[[route]]\nname = "{name}"\nto = "{name}"\ndestination = "ws://127.0.0.1:{port}/{agent}"\n'
        f"ring_timeout = 4\n{early}"
        for name, agent, early in found
    )


@dataclass(frozen=True)
class Flow:
    """What is played, and the end reasons that its records may have."""

    scenario: Scenario
    ends: tuple[str, ...]
    source: str = "127.0.0.1"
    is_long: bool = False
    """Whether it waits for what never comes, once or twice 64*T1."""

    @property
    def name(self) -> str:
        """As it stands in the Call-IDs of its calls."""
        return self.scenario.name


HOLD = OFFER.replace("o=sipp 1 1", "o=sipp 1 2") + "a=sendonly\n"
RESUMED = OFFER.replace("o=sipp 1 1", "o=sipp 1 3")
HELD = OFFER.replace("o=sipp 1 1", "o=sipp 1 2") + "a=recvonly\n"
DIGIT = "Signal=5\nDuration=160\n"
RELIABLY = ("Supported: 100rel",)
BY_US = ("Supported: timer", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE", "Session-Expires: 4;refresher=uas")
BY_THEM = ("Supported: timer", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE", "Session-Expires: 4;refresher=uac")
HUNG_UP, CANCELLED, NO_ACK, SILENT = ("caller_hung_up",), ("caller_cancelled",), ("no_ack",), ("media_timeout",)


def call(name: str, to: str = "mirror") -> Scenario:
    """The beginning of a flow in which what is not expected is passed over."""
    return Scenario(name, to, talks_over=True)


def report(scenario: Scenario, cseq: int, said: str, state: str = "terminated;reason=noresource") -> Scenario:
    """What the caller's side reports of a transfer, and our answer."""
    headers = ("Event: refer", f"Subscription-State: {state}")
    body, kind = f"SIP/2.0 {said}\n", "message/sipfrag;version=2.0"
    return scenario.request("NOTIFY", body, cseq=cseq, branch=f"n{cseq}", headers=headers, kind=kind).expect(
        200, routes=False
    )


def flows() -> list[Flow]:
    """All of them: the long ones first."""
    found = [*as_meant(), *before_the_answer(), *at_the_answer(), *in_the_call(), *changes(), *timers(), *transfers()]
    return sorted([*found, *by_the_agent()], key=lambda flow: not flow.is_long)


def as_meant() -> list[Flow]:
    """Calls in which nobody does anything wrong."""
    return [
        Flow(call("plain").set_up().pause(500).tear_down(), HUNG_UP),
        Flow(call("plain-agent", "echo").set_up().pause(500).tear_down(), HUNG_UP),
        Flow(call("late-agent", "late").set_up().tear_down(), HUNG_UP),
        Flow(call("refused", "refuse").invite().expect(480).ack_refusal(), ("agent_refused",)),
        Flow(call("cancelled", "late").invite().expect(180).cancel().expect(200).expect(487).ack_refusal(), CANCELLED),
        Flow(call("nobody", "nobody").invite().expect(404).ack_refusal(), ("no_route",)),
        Flow(
            call("pracked", "ringing").invite(headers=RELIABLY).expect_reliable(183).prack().expect(200)
            .expect(200).ack().tear_down(cseq=3),
            HUNG_UP,
        ),
        Flow(
            call("pracked-late", "ringing").invite(headers=RELIABLY).expect_reliable(183).pause(700).prack().expect(200)
            .expect(200).ack().tear_down(cseq=3),
            HUNG_UP,
        ),
        Flow(
            call("offer-in-the-183", "ringing").invite(None, headers=RELIABLY).expect_reliable(183).prack(OFFER)
            .expect(200).expect(200).ack().tear_down(cseq=3),
            HUNG_UP,
        ),
        Flow(
            call("update-before-the-answer", "ringing").invite(headers=RELIABLY).expect_reliable(183).prack()
            .expect(200).request("UPDATE", RESUMED, cseq=3, branch="u").expect(200).expect(200).ack().tear_down(cseq=4),
            HUNG_UP,
        ),
        Flow(
            call("held-and-resumed").set_up().invite(HOLD, cseq=2, branch="h", within=True).expect(200).ack(cseq=2)
            .invite(RESUMED, cseq=3, branch="r", within=True).expect(200).ack(cseq=3).tear_down(cseq=4),
            HUNG_UP,
        ),
        Flow(
            call("held-by-update").set_up().request("UPDATE", HOLD, cseq=2, branch="h").expect(200)
            .request("UPDATE", RESUMED, cseq=3, branch="r").expect(200).tear_down(cseq=4),
            HUNG_UP,
        ),
        Flow(
            call("a-key").set_up().request("INFO", DIGIT, cseq=2, branch="i", kind="application/dtmf-relay")
            .expect(200, routes=False).tear_down(cseq=3),
            HUNG_UP,
        ),
    ]  # fmt: skip


def before_the_answer() -> list[Flow]:
    """Who breaks off while it rings."""
    return [
        Flow(call("rings-and-gone", "late").invite().expect(100), NO_ACK, PATIENT, is_long=True),
        Flow(call("cancel-at-once", "late").invite().cancel(), CANCELLED),
        Flow(call("cancel-without-ack", "late").invite().expect(180).cancel().expect(200).expect(487), CANCELLED),
        Flow(
            call("cancel-of-nothing", "late").invite().expect(180).cancel(branch="other").expect(481).expect(200).ack()
            .tear_down(),
            HUNG_UP,
        ),
        Flow(call("bye-while-it-rings", "late").invite().expect(180).bye().expect(487).ack_refusal(), CANCELLED),
        Flow(call("refused-without-ack", "refuse").invite().expect(480), ("agent_refused",)),
        Flow(
            call("refused-by-sdp").invite(OFFER.replace("RTP/AVP 0 8 101", "RTP/AVP 18")).expect(488),
            ("no_common_codec",),
        ),
        Flow(call("unreadable-sdp").invite("v=what\n").expect(400), ("bad_sdp",)),
        Flow(
            call("never-a-prack", "ringing").invite(headers=RELIABLY).expect_reliable(183)
            .expect(504, within_ms=40_000).ack_refusal(),
            ("no_prack",), is_long=True,
        ),
        Flow(
            call("cancel-before-the-prack", "ringing").invite(headers=RELIABLY).expect_reliable(183).cancel()
            .expect(200).expect(487),
            CANCELLED,
        ),
        Flow(
            call("prack-and-gone", "ringing").invite(headers=RELIABLY).expect_reliable(183).prack().expect(200),
            NO_ACK, PATIENT, is_long=True,
        ),
        Flow(
            call("prack-and-bye", "ringing").invite(headers=RELIABLY).expect_reliable(183).prack().expect(200)
            .bye(cseq=3).expect(487).ack_refusal(),
            CANCELLED,
        ),
    ]  # fmt: skip


def at_the_answer() -> list[Flow]:
    """Who doesn't acknowledge it, or wants something else."""
    return [
        Flow(call("answered-without-ack").invite().expect(200), NO_ACK, PATIENT, is_long=True),
        Flow(call("bye-instead-of-ack").invite().expect(200).bye().expect(200), HUNG_UP),
        Flow(call("cancel-after-the-answer").invite().expect(200).cancel().expect(200).ack().tear_down(), HUNG_UP),
        Flow(call("invites-three-times").invite().invite().invite().expect(200).ack().invite().tear_down(), HUNG_UP),
        Flow(
            call("no-offer-no-answer").invite(None).expect(200).ack().expect_request("BYE").answer(),
            ("no_offer_answer",),
        ),
        Flow(call("no-offer-and-gone").invite(None).expect(200), NO_ACK, PATIENT, is_long=True),
    ]


def in_the_call() -> list[Flow]:
    """Who is gone in the call, or says goodbye in odd ways."""
    refer = ("Refer-To: <sip:a@[local_ip]>", "Contact: <sip:s@[local_ip]>")
    return [
        Flow(call("vanishes").set_up(), SILENT),
        Flow(call("vanishes-from-an-agent", "echo").set_up(), SILENT),
        Flow(call("bye-and-gone").set_up().bye(), HUNG_UP),
        Flow(call("bye-twice").set_up().bye().expect(200).bye(cseq=3).expect(481), HUNG_UP),
        # sipp takes the tag over from the 481, so it never finds its call again.
        Flow(
            call("bye-of-another").set_up().request("BYE", cseq=2, branch="b", to_tag=";tag=x").expect(481).bye(cseq=3),
            SILENT,
        ),
        Flow(
            call("info-and-gone").set_up().request("INFO", DIGIT, cseq=2, branch="i", kind="application/dtmf-relay"),
            SILENT,
        ),
        Flow(call("update-and-gone").set_up().request("UPDATE", cseq=2, branch="u"), SILENT),
        Flow(call("refer-to-us-and-gone").set_up().request("REFER", cseq=2, branch="r", headers=refer), SILENT),
        Flow(
            call("garbage").set_up().text("GARBAGE in SIP/2.0", "").text("BYE sip:x SIP/2.0", "CSeq: x", "")
            .tear_down(),
            HUNG_UP,
        ),
    ]  # fmt: skip


def changes() -> list[Flow]:
    """Who is gone in a change of the call, his own or the agent's."""
    bye_of_the_gateway = 1000 * round(LONGEST_CALL + UNANSWERED + 5)
    held = call("held-and-gone").set_up().invite(HOLD, cseq=2, branch="h", within=True).expect(200).ack(cseq=2)
    return [
        Flow(held, ("max_duration",)),
        Flow(
            call("hold-without-ack").set_up().invite(HOLD, cseq=2, branch="h", within=True).expect(200)
            .expect_request("BYE", within_ms=bye_of_the_gateway).answer(),
            ("max_duration",), is_long=True,
        ),
        Flow(
            call("hold-and-gone").set_up().invite(HOLD, cseq=2, branch="h", within=True),
            ("max_duration",), is_long=True,
        ),
        Flow(
            call("hold-and-bye").set_up().invite(HOLD, cseq=2, branch="h", within=True).bye(cseq=3).expect(200),
            HUNG_UP,
        ),
        Flow(
            call("asks-for-an-offer-and-gone").set_up().invite(None, cseq=2, branch="o", within=True).expect(200),
            SILENT, is_long=True,
        ),
        Flow(
            call("two-at-once").set_up().invite(HOLD, cseq=2, branch="h1", within=True)
            .invite(HOLD, cseq=3, branch="h2", within=True).bye(cseq=4),
            HUNG_UP,
        ),
        Flow(
            call("the-agent-holds", "hold").set_up().expect_request("INVITE").answer(body=HELD).expect_request("ACK")
            .expect_request("INVITE").answer(body=RESUMED).expect_request("ACK").tear_down(),
            HUNG_UP,
        ),
        Flow(call("held-by-the-agent-and-gone", "hold-on").set_up().expect_request("INVITE").answer(body=HELD),
             ("max_duration",)),
        Flow(
            call("takes-no-hold", "hold-on").set_up().expect_request("INVITE").answer("488 Not Acceptable Here")
            .expect_request("ACK").tear_down(),
            HUNG_UP,
        ),
        Flow(call("never-answers-the-hold", "hold-on").set_up().expect_request("INVITE"), SILENT),
        Flow(
            call("hold-crosses-hold", "hold-on").set_up().expect_request("INVITE", keep=True)
            .invite(HOLD, cseq=2, branch="glare", within=True).expect(491).answer("491 Request Pending")
            .tear_down(cseq=3),
            HUNG_UP,
        ),
    ]  # fmt: skip


def timers() -> list[Flow]:
    """Sessions of four seconds: refreshed, refused, forgotten, missed by either side."""
    expired = ("session_expired",)
    return [
        Flow(
            call("refreshed-by-us").set_up(headers=BY_US).expect_request("UPDATE")
            .answer(headers=("Session-Expires: 4;refresher=uac", "Require: timer")).tear_down(),
            HUNG_UP, PATIENT,
        ),
        Flow(
            call("refreshed-by-them").set_up(headers=BY_THEM).pause(1500)
            .request("UPDATE", cseq=2, branch="u", headers=BY_THEM).expect(200).tear_down(cseq=3),
            HUNG_UP, PATIENT,
        ),
        Flow(call("refresh-forgotten").set_up(headers=BY_US).expect_request("UPDATE")
             .answer("481 Call/Transaction Does Not Exist").expect_request("BYE"), expired, PATIENT),
        Flow(call("refresh-missed-by-them").set_up(headers=BY_THEM).expect_request("BYE").answer(), expired, PATIENT),
        Flow(call("refresh-and-gone").set_up(headers=BY_US), expired, PATIENT),
        Flow(call("interval-too-small").invite(headers=("Supported: timer", "Session-Expires: 3")).expect(422)
             .ack_refusal(), ("session_interval_too_small",), PATIENT),
    ]  # fmt: skip


def transfers() -> list[Flow]:
    """REFERs of which there is every kind of answer, and none."""
    referred = "202 Accepted"

    def asked(name: str) -> Scenario:
        return call(name, "transfer").set_up().expect_request("REFER")

    return [
        Flow(asked("refer-refused").answer("603 Decline").tear_down(), HUNG_UP),
        Flow(
            report(asked("refer-completed").answer(referred), 2, "200 OK").expect_request("BYE").answer(),
            ("transferred",),
        ),
        Flow(report(asked("refer-then-503").answer(referred), 2, "503 Service Unavailable").tear_down(cseq=3), HUNG_UP),
        Flow(asked("refer-and-silence").answer(referred).pause(2500).tear_down(), HUNG_UP, PATIENT),
        Flow(asked("refer-and-bye").answer(referred).tear_down(), ("transferred",)),
        Flow(
            report(asked("refer-rings-and-bye").answer(referred), 2, "180 Ringing", "active;expires=60")
            .tear_down(cseq=3),
            HUNG_UP,
        ),
        Flow(asked("refer-accepted-and-gone").answer(referred), SILENT),
        Flow(asked("refer-and-gone"), SILENT),
    ]  # fmt: skip


def by_the_agent() -> list[Flow]:
    """Agents that leave, die, hear nothing."""
    return [
        Flow(call("agent-dies", "die").set_up().expect_request("BYE").answer(), ("agent_lost",)),
        Flow(call("agent-dies-caller-gone", "die").set_up().pause(300), ("agent_lost", *SILENT)),
        Flow(call("agent-leaves", "leave").set_up().expect_request("BYE"), ("agent_hung_up",)),
        Flow(call("agent-is-deaf", "deaf").set_up().tear_down(), HUNG_UP),
        Flow(
            call("agent-dies-on-hold", "die").set_up().invite(HOLD, cseq=2, branch="h", within=True).expect(200)
            .ack(cseq=2).expect_request("BYE").answer(),
            ("agent_lost",),
        ),
    ]  # fmt: skip
