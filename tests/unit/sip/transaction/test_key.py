"""Which transaction a message belongs to, with branches and without."""

import pytest
from tests.support.messages import request, response

from offhook.sip.transaction.key import cancelled_key, client_key, response_key, server_key

pytestmark = pytest.mark.unit

OLD = {"branch": None, "via": "SIP/2.0/UDP 192.0.2.1"}


@pytest.mark.rfc(3261, "17.2.3")
def test_ack_finds_its_invite_and_cancel_has_a_key_of_its_own() -> None:
    invite = server_key(request("INVITE"))
    assert server_key(request("ACK", to="<sip:bob@192.0.2.2>;tag=x")) == invite
    assert server_key(request("CANCEL")) != invite
    assert cancelled_key(request("CANCEL")) == invite


@pytest.mark.rfc(3261, "17.2.3")
def test_branch_sent_by_and_method_decide() -> None:
    keys = {
        server_key(request("INVITE")),
        server_key(request("INVITE", branch="z9hG4bKtwo")),
        server_key(request("INVITE", via="SIP/2.0/UDP 192.0.2.1:5062")),
        server_key(request("BYE")),
    }
    assert len(keys) == 4
    assert server_key(request("INVITE", branch="Z9HG4BKONE", call_id="else")) == server_key(request("INVITE"))
    assert server_key(request("INVITE", via="SIP/2.0/UDP 192.0.2.1")) == server_key(request("INVITE"))


@pytest.mark.rfc(3261, "17.2.3")
@pytest.mark.parametrize("branch", [None, "1", "390skdjuw", "z9hG4bK"])
def test_without_the_cookie_the_old_rules_hold(branch: str | None) -> None:
    invite = request("INVITE", branch=branch)
    key = server_key(invite)
    assert server_key(request("INVITE", branch=branch)) == key
    assert server_key(request("ACK", branch=branch, to="<sip:bob@192.0.2.2>;tag=ours")) == key
    assert cancelled_key(request("CANCEL", branch=branch)) == key
    for other in (
        request("INVITE", branch=branch, call_id="other"),
        request("INVITE", branch=branch, cseq=2),
        request("INVITE", branch=branch, from_="<sip:alice@192.0.2.1>;tag=other"),
        request("INVITE", branch=branch, uri="sip:carol@192.0.2.2"),
        request("INVITE", branch=branch, via="SIP/2.0/UDP 192.0.2.7"),
        request("BYE", branch=branch),
    ):
        assert server_key(other) != key


@pytest.mark.rfc(3261, "17.1.3")
def test_a_response_belongs_to_its_branch_and_method() -> None:
    invite = request("INVITE", branch="z9hG4bKOurs")
    assert response_key(response(invite, 200)) == client_key("z9hG4bKours", "INVITE")
    assert response_key(response(request("CANCEL", branch="z9hG4bKours"), 200)) != client_key("z9hG4bKours", "INVITE")
