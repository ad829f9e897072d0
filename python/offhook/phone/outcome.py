"""What a call of the phone came to, and what to tell the person who made it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from offhook.sip.effects import Target
from offhook.sip.message import Response
from offhook.sip.status import reason_phrase


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end took the call; `ended_by` says who or what ended it."""

    ended_by: Literal["time", "you", "far end", "lost"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The far end's final response was no success."""

    response: Response


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It rang, and nobody picked up in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NoReply:
    """Not one SIP message came back. `closed`: the far end's host says that nothing listens on that port."""

    target: Target
    seconds: float
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The far end's address can't be reached; `detail` is what the system said."""

    target: Target
    detail: str


@dataclass(frozen=True, slots=True)
class UnknownHost:
    """DNS and the system know no address of this name."""

    host: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """You hung up before there was an answer."""


@dataclass(frozen=True, slots=True)
class NoCommonSound:
    """The far end answered, but with no audio that can be spoken and heard here; the call was ended at once."""

    detail: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault of ours."""

    detail: str


Outcome: TypeAlias = (
    Answered | Refused | NoAnswer | NoReply | Unreachable | UnknownHost | GaveUp | NoCommonSound | Broken
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome in one sentence: a stable `slug` for programs, `hint` on what to do, and whether it went well.

    A call can be answered and have gone badly all the same: then `but` says what was wrong with its sound.
    """

    slug: str
    text: str
    hint: str = ""
    good: bool = False
    but: str = ""


def judge(outcome: Outcome, *, with_password: bool = False) -> Verdict:
    """Put an outcome into words. `with_password`: the phone had credentials to answer a challenge with."""
    match outcome:
        case Answered(ended_by):
            return Verdict("answered", f"Answered. {_ENDED[ended_by]}", good=True)
        case Refused(response):
            return _refused(response, with_password)
        case NoAnswer(seconds):
            hint = "It rings, so the way there works; --ring-seconds waits longer."
            return Verdict("no_answer", f"Nobody picked up in {seconds:.0f} s.", hint)
        case NoReply(target, seconds, closed):
            return _no_reply(target, seconds, closed)
        case Unreachable(target, detail):
            where = f"{_address(target)} by {target.transport.upper()}"
            hint = "Check address and port, and that this machine has a route to it."
            if target.transport == "tcp":
                hint = "Check address and port; if it only speaks UDP, use --transport udp."
            elif target.transport == "tls":
                hint = "The far end must prove the name in the URI by its certificate; --tls-ca names the CA of that."
            return Verdict("unreachable", f"Can't reach {where}: {detail}.", hint)
        case UnknownHost(host):
            hint = "Check the spelling, or write the IP address."
            return Verdict("unknown_host", f"There is no host {host}: DNS has no address for it.", hint)
        case GaveUp():
            return Verdict("gave_up", "You hung up before there was an answer.")
        case NoCommonSound(detail):
            hint = "The ladder below shows the SDP; try another --codec."
            return Verdict("no_common_sound", f"Answered, but without usable audio: {detail}.", hint)
        case Broken(detail):
            return Verdict("internal_error", f"The phone itself failed: {detail}.", "This is a bug; please report it.")
    assert_never(outcome)


_ENDED = {
    "time": "The time was up, so the phone hung up.",
    "you": "You hung up.",
    "far end": "The far end hung up.",
    "lost": "Then the far end no longer knew the call.",
}


def _no_reply(target: Target, seconds: float, closed: bool) -> Verdict:
    where = f"{_address(target)} by {target.transport.upper()}"
    if closed:
        hint = "Is the gateway running, and on this port? `offhook run` prints where it listens."
        return Verdict("port_closed", f"Nothing listens at {where}.", hint)
    hint = (
        "Nothing there, a firewall in between, or a far end that ignores strangers: offhook does so unless a [[trunk]] "
        "allows this address (`offhook calls refused` there shows it)."
    )
    if target.transport == "udp":
        hint += " If it only speaks TCP, use --transport tcp."
    return Verdict("no_reply", f"No reply at all from {where} in {seconds:.0f} s.", hint)


_REFUSALS: dict[int, tuple[str, str, str]] = {
    300: ("moved", "The far end names several other addresses.", ""),
    301: ("moved", "The far end has moved for good.", ""),
    302: ("moved", "The far end says to call another address.", ""),
    305: ("moved", "The far end must be called by way of a proxy.", ""),
    380: ("moved", "The far end proposes another service instead.", ""),
    400: ("bad_request", "The far end can't make sense of the call.", "--messages shows what was sent."),
    403: (
        "forbidden",
        "The far end does not allow this call.",
        "Most often the source address or the caller's number is not on its list: compare --from and this machine's "
        "address with what it allows.",
    ),
    404: (
        "unknown_number",
        "The far end knows no such number or user.",
        "Check the part before the @. With offhook, `offhook routes test` shows which route a number takes.",
    ),
    405: ("not_allowed", "The far end takes no calls (INVITE) at this address.", "Is it a registrar or a proxy only?"),
    408: ("timeout", "A server on the way got no answer from the one behind it.", "The called side is off or offline."),
    410: ("gone", "This number or user is gone for good.", "Check the part before the @."),
    415: ("no_common_codec", "The far end can't read our description of the audio (SDP).", ""),
    420: ("extension", "The far end misses a SIP extension.", ""),
    480: ("unavailable", "The called side is known, but not there now.", "Is the device or the agent online?"),
    481: ("unknown_call", "The far end no longer knows the call.", ""),
    482: ("loop", "The call came to the far end twice over different ways.", "A proxy forks to one place twice."),
    483: ("loop", "The call went in circles until its hops were used up.", "Two systems send the call to each other."),
    484: ("incomplete_number", "The far end wants more digits.", "Write the whole number, with country code."),
    485: ("ambiguous_number", "More than one number could be meant.", "Write the whole number, with country code."),
    486: ("busy", "Busy.", "Try again later; with an agent, look at its limit of calls at once."),
    488: (
        "no_common_codec",
        "The far end accepts none of the audio that we offered.",
        "Try another --codec. If only encrypted sound is taken there, use --srtp; if none is, leave it out.",
    ),
    491: ("try_again", "The far end was changing the call at the same moment.", "Try again."),
    500: ("far_end_error", "The far end had an internal error.", "Its log says more."),
    501: ("not_implemented", "The far end does not know how to take calls.", ""),
    502: ("far_end_error", "What stands behind the far end answered nonsense.", "Its log says more."),
    503: ("overloaded", "The far end is overloaded, full or being shut down.", "Try again later; its log says more."),
    504: ("far_end_error", "What stands behind the far end did not answer in time.", "Its log says more."),
    600: ("busy", "Busy everywhere.", "Try again later."),
    603: ("declined", "The far end declined the call.", ""),
    604: ("unknown_number", "The called number or user exists nowhere.", "Check the part before the @."),
    606: ("no_common_codec", "The far end accepts none of the audio that we offered.", "Try another --codec."),
    607: ("unwanted", "The called person does not want this call.", ""),
    608: ("unwanted", "A server on the way rejected the call as unwanted.", "Is --from on a spam list?"),
}  # fmt: skip


def _refused(response: Response, with_password: bool) -> Verdict:
    status = response.status
    said = f"SIP {status} {response.reason or reason_phrase(status)}".strip()
    if status in (401, 407):
        return _challenged(response, said, with_password)
    kinds = {3: "moved", 4: "refused", 5: "far_end_error", 6: "refused"}
    slug, text, hint = _REFUSALS.get(status, (kinds.get(status // 100, "refused"), "The far end refused the call.", ""))
    if status // 100 == 3:
        places = [str(contact.uri) for contact in response.contacts]
        hint = f"Call that instead: offhook phone '{places[0]}'" if places else "It did not say where to."
    wait = response.headers.get("Retry-After")
    if wait and status in (404, 413, 480, 486, 500, 503, 600, 603):
        text += f" It asks to wait {wait.partition(';')[0].partition('(')[0].strip()} s."
    said += "".join(f", {value}" for value in _explained(response))
    return Verdict(slug, f"{text} ({said})", hint)


def _challenged(response: Response, said: str, with_password: bool) -> Verdict:
    realm = next((realm for challenge in response.challenges if (realm := challenge.get("realm"))), None)
    of = f" for {realm!r}" if realm else ""
    if with_password:
        hint = "Check --user and --password (the SIP ones, which often differ from those of the web portal)."
        return Verdict("wrong_password", f"The far end rejects this user name or password{of}. ({said})", hint)
    hint = "Give them with --user NAME and --password SECRET, or OFFHOOK_PHONE_PASSWORD in the environment."
    return Verdict("password_wanted", f"The far end wants a user name and a password{of}. ({said})", hint)


def _explained(response: Response) -> list[str]:
    """What Reason and Warning add in words."""
    return [value[:120] for name in ("Reason", "Warning") for value in response.headers.get_all(name)[:2]]


def _address(target: Target) -> str:
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
