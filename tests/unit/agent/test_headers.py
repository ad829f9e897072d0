"""Headers of the SDK: what is known of the caller, what an agent sets, and what becomes of both on the wire."""

from typing import Any

import pytest
from tests.support.agent_line import AgentLine
from tests.support.clock import in_virtual_time

from offhook.agent import Agent, Call, Diversion, EndCause, Identity, UserToUser
from offhook.agent.caller import CallerFacts, Claim, causes_of
from offhook.agent.headers import CallHeaders, Place
from offhook.agent.rehearsal import rehearse
from offhook.agent.session import Session
from offhook.agent.wire_line import facts_of

pytestmark = pytest.mark.unit


class Sent:
    """What headers were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str | None], Place]] = []

    def headers(self, *allowed: str, place: Place = "all") -> CallHeaders:
        return CallHeaders(place, allowed, lambda headers, place: self.sent.append((dict(headers), place)))


def test_what_is_set_and_deleted_is_sent_at_once_and_names_have_no_case() -> None:
    told = Sent()
    headers = told.headers("X-*")
    headers["X-Ticket"] = " 4711 "
    headers["x-ticket"] = "4712"
    assert (dict(headers), headers["X-TICKET"], len(headers)) == ({"x-ticket": "4712"}, "4712", 1)
    del headers["X-Ticket"]
    assert not headers
    assert told.sent == [({"X-Ticket": "4711"}, "all"), ({"x-ticket": "4712"}, "all"), ({"X-Ticket": None}, "all")]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Subject", "x", "Subject is not among the headers that the route lets agents set (X-*): agent_headers"),
        ("Via", "x", "Via is not among"),
        ("X-A", "b\r\nVia: c", "the value of X-A holds a line end or control character"),
        ("X-A", "\x7f", "line end or control character"),
        ("X-A", "  ", "delete the header instead"),
        ("X-A", "ü" * 1025, "longer than 2048 bytes"),
        ("X A", "b", "no header name"),
        ("X-" + "a" * 63, "b", "no header name"),
        ("X-Ü", "b", "no header name"),
    ],
)
def test_what_cannot_be_set_is_a_clear_error_and_nothing_is_sent(name: str, value: str, why: str) -> None:
    told = Sent()
    with pytest.raises(ValueError, match=name[:1]) as caught:
        told.headers("X-*")[name] = value
    assert why in str(caught.value)
    assert told.sent == []


def test_no_more_than_sixteen_and_text_alone() -> None:
    headers = Sent().headers("X-*")
    for number in range(16):
        headers[f"X-{number}"] = "a"
    headers["x-0"] = "b"
    with pytest.raises(ValueError, match="more than 16"):
        headers["X-17"] = "a"
    with pytest.raises(TypeError):
        headers["X-0"] = 7  # type: ignore[assignment]
    with pytest.raises(KeyError):
        del headers["X-99"]


def test_ringing_of_any_gateway_is_read() -> None:
    told: dict[str, Any] = {
        "call_id": "c",
        "identity": {
            "source": "asserted",
            "trusted": True,
            "withheld": False,
            "privacy": ["none"],
            "claims": [{"header": "From", "number": "+1", "name": "A"}],
        },
        "diversions": [{"number": "+2", "name": "B", "reason": "user-busy", "counter": 3, "header": "Diversion"}],
        "user_to_user": [{"hex": "6869", "text": "hi", "purpose": "p", "content": "c"}],
        "session_id": "a;remote=b",
        "agent_headers": ["X-*"],
    }
    assert facts_of(told).caller == CallerFacts(
        Identity("asserted", True, False, ("none",), (Claim("From", "+1", "A"),)),
        (Diversion("+2", "B", "user-busy", 3, "Diversion"),),
        (UserToUser(b"hi", "hi", "p", "c"),),
        "a;remote=b",
        ("X-*",),
    )
    # An older gateway says nothing of it; whatever else stands there is no exception.
    nothing = CallerFacts(agent_headers=())
    assert facts_of({"call_id": "c"}).caller == nothing
    odd = {"identity": 1, "diversions": {"a": 1}, "user_to_user": [7], "session_id": None, "agent_headers": "X"}
    assert facts_of(odd).caller == nothing
    wrong = {"user_to_user": [{"hex": "zz", "text": 1}], "diversions": [{"counter": True}], "identity": {"claims": [1]}}
    assert facts_of(wrong).caller.user_to_user == (UserToUser(b"", None),)
    assert facts_of(wrong).caller.diversions == (Diversion("", "", "", 1, ""),)
    assert causes_of({"causes": [{"protocol": "SIP", "cause": "x"}, 7]}) == (EndCause("SIP", None),)


@in_virtual_time
async def test_a_call_knows_its_caller_and_what_it_sets_goes_to_its_line() -> None:
    line = AgentLine()
    call = Session(Agent("front-desk"), line).call
    assert (call.identity, call.diversions, call.user_to_user, call.session_id) == (Identity(), (), (), "")
    assert call.first_dialled == call.to_number
    call.headers_out["X-A"] = "1"
    call.answer_headers["X-B"] = "2"
    call.bye_headers["X-C"] = "3"
    call.send_user_to_user("hi", purpose="crm", on="bye")
    call.send_user_to_user(b"")
    with pytest.raises(ValueError, match="is no purpose"):
        call.send_user_to_user("hi", purpose="a;b")
    assert line.said == [
        ("headers", {"X-A": "1"}, "all"),
        ("headers", {"X-B": "2"}, "answer"),
        ("headers", {"X-C": "3"}, "bye"),
        ("headers", {"User-to-User": "6869;purpose=crm;encoding=hex"}, "bye"),
        ("headers", {"User-to-User": '"";encoding=hex'}, "all"),
    ]


async def test_a_rehearsed_caller_brings_them_and_sees_them() -> None:
    agent = Agent("front-desk", greeting="Hello.")
    seen: list[object] = []

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        seen.extend([call.identity.withheld, call.first_dialled, call.user_to_user[0].text, call.headers["X-Queue"]])
        call.answer_headers["X-Agent"] = "me"
        call.headers_out["X-All"] = "1"

    @agent.on_hangup
    async def over(call: Call) -> None:
        seen.append(call.end_causes)

    async with rehearse(
        agent,
        headers={"X-Queue": "sales"},
        identity=Identity(withheld=True),
        diversions=[Diversion("+14155550142", reason="user-busy")],
        user_to_user=[UserToUser.of_text("ticket")],
    ) as caller:
        await caller.hears()
        assert caller.call.end_causes == ()
        caller.hangs_up(EndCause("Q.850", 16))
    assert seen == [True, "+14155550142", "ticket", "sales", (EndCause("Q.850", 16),)]
    assert caller.answer_headers == {"X-Agent": "me", "X-All": "1"}
    assert caller.bye_headers["X-All"] == "1"
