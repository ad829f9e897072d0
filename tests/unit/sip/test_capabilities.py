"""Allow and Supported, peer by peer."""

from dataclasses import dataclass

import pytest
from tests.support.messages import request
from tests.support.pair import Peer
from tests.support.solo import Solo

from offhook.sip.capabilities import Capabilities
from offhook.sip.user_agent import UserAgentConfig

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Plain(Peer):
    """A peer with which one extension is not used."""

    unused_extensions: frozenset[str] = frozenset({"timer"})


def test_a_peer_is_not_told_of_what_is_not_used_with_it() -> None:
    made = Capabilities(("INVITE", "BYE"), ("uui", "timer"))
    assert made.headers(None) == (("Allow", "INVITE, BYE"), ("Supported", "uui, timer"))
    assert made.headers(Plain("plain")) == (("Allow", "INVITE, BYE"), ("Supported", "uui"))
    assert made.extensions(Plain("plain")) == {"uui"}
    assert Capabilities(("BYE",), ("timer",)).headers(Plain("plain")) == (("Allow", "BYE"),)


@pytest.mark.rfc(3261, "8.2.2.3")
def test_what_is_not_used_with_a_peer_is_not_taken_from_it() -> None:
    solo = Solo(UserAgentConfig(supported=("timer",)))
    assert [answer.status for answer in solo.receive(request("INVITE", "Require: timer"))] == [100]
    solo.peer = Plain("plain")
    (refusal,) = solo.receive(request("INVITE", "Require: timer", branch="z9hG4bKtwo", call_id="other"))
    assert (refusal.status, refusal.headers.get("Unsupported")) == (420, "timer")
    (options,) = solo.receive(request("OPTIONS", branch="z9hG4bKthree"))
    assert "Supported" not in options.headers
