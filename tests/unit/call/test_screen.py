"""Who may speak at all."""

import ipaddress

import pytest
from tests.support.messages import request

from offhook.call.screen import ScreenRules, TrunkScreen
from offhook.ids import TrunkName
from offhook.route.trunk import InboundDigest, Stranger, Trunk, TrunkTable
from offhook.sip.digest import Challenger
from offhook.sip.effects import Source, TlsSession
from offhook.sip.message import Request
from offhook.sip.screening import Admit, Challenge, Drop, Refuse

pytestmark = pytest.mark.unit


def trunk(name: str, *allow: str, domain: str | None = None, user: str | None = None, **more: object) -> Trunk:
    inbound = InboundDigest(user, ("SHA-256",)) if user else None
    networks = tuple(ipaddress.ip_network(network) for network in allow)
    return Trunk(TrunkName(name), networks, domain, inbound, **more)  # type: ignore[arg-type]


class Screened:
    def __init__(self, *trunks: Trunk, refuse: int | None = None) -> None:
        self.rows: list[tuple[str, str, Stranger]] = []
        self.dialogs: dict[str, tuple[Trunk, str]] = {}
        self.challengers: list[tuple[str, ...]] = []
        passwords = {t.name: {t.inbound.username: "secret"} for t in trunks if t.inbound}
        self.screen = TrunkScreen(
            ScreenRules(TrunkTable(trunks), passwords, refuse),
            self._make_challenger,
            lambda request: self.dialogs.get(request.to.tag or ""),
            lambda source, transport, stranger: self.rows.append((source, transport, stranger)),
        )

    def _make_challenger(self, algorithms: tuple[str, ...]) -> Challenger:
        self.challengers.append(algorithms)
        return Challenger("realm", algorithms, secret=bytes(32), rng=_Rng())

    def ask(self, message: Request, host: str = "192.0.2.1", user: str | None = None) -> object:
        return self.screen(message, Source("udp", (host, 5060), ("192.0.2.2", 5060), 1), user)


class _Rng:
    def getrandbits(self, k: int) -> int:
        return 7


ACME = trunk("acme", "192.0.2.1/32")
METHODS = ("INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "NOTIFY", "PUBLISH", "BYE", "INFO", "FROB")


@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_gets_no_answer_whatever_it_asks(method: str) -> None:
    screened = Screened(ACME)
    assert not screened.screen.gate("udp", "203.0.113.1")
    assert isinstance(screened.ask(request(method), "203.0.113.1"), Drop)
    assert isinstance(screened.ask(request(method, to="<sip:b@x>;tag=t"), "203.0.113.1"), Drop)
    assert {stranger.rule for _, _, stranger in screened.rows} == {"source"}
    assert {stranger.nearest for _, _, stranger in screened.rows} == {"acme"}


def test_strangers_who_are_to_be_told_are_read() -> None:
    screened = Screened(ACME, refuse=403)
    assert screened.screen.gate("udp", "203.0.113.1")
    assert screened.ask(request(), "203.0.113.1") == Refuse(403)
    assert len(screened.rows) == 1


def test_a_known_source_is_its_trunks() -> None:
    screened = Screened(ACME)
    assert screened.screen.gate("udp", "192.0.2.1")
    assert screened.ask(request()) == Admit(ACME)
    assert screened.rows == []


def test_a_wrong_domain_is_told_and_written_down_even_where_strangers_are_not() -> None:
    screened = Screened(trunk("acme", "192.0.2.1/32", domain="acme.example"))
    assert screened.ask(request()) == Refuse(403)
    assert [stranger.rule for _, _, stranger in screened.rows] == ["domain"]


def test_a_ping_that_names_our_address_is_answered() -> None:
    acme = trunk("acme", "192.0.2.1/32", domain="acme.example")
    assert Screened(acme).ask(request("OPTIONS")) == Admit(acme)


def test_a_trunk_with_a_password_is_challenged_by_what_it_takes() -> None:
    acme = trunk("acme", user="acme")
    screened = Screened(acme)
    challenge = screened.ask(request(), "203.0.113.1")
    assert isinstance(challenge, Challenge)
    assert screened.challengers == [("SHA-256",)]
    assert (challenge.lookup("acme"), challenge.lookup("other")) == ("secret", None)
    assert screened.ask(request(), "203.0.113.1", user="acme") == Admit(acme, "acme")
    assert challenge.failed is not None
    challenge.failed("wrong_password")
    [(source, _, stranger)] = screened.rows
    assert (source, stranger.rule, stranger.nearest) == ("203.0.113.1", "auth_failed", "acme")
    assert "secret" not in stranger.why


def test_within_a_dialog_the_dialogs_own_trunk_counts() -> None:
    other = trunk("other", "192.0.2.9/32")
    screened = Screened(ACME, other)
    screened.dialogs["ours"] = (ACME, "192.0.2.1")
    bye = request("BYE", to="<sip:b@192.0.2.2>;tag=ours")
    assert screened.ask(bye) == Admit(ACME)
    verdict = screened.ask(bye, "192.0.2.9")
    assert not isinstance(verdict, Admit), "another trunk's address does not make it this call's"
    assert isinstance(screened.ask(bye, "203.0.113.1"), Drop)


def test_within_a_dialog_of_a_password_another_address_has_to_prove_it() -> None:
    acme = trunk("acme", user="acme")
    screened = Screened(acme)
    screened.dialogs["ours"] = (acme, "192.0.2.1")
    bye = request("BYE", to="<sip:b@192.0.2.2>;tag=ours")
    assert screened.ask(bye) == Admit(acme), "another port of the same address"
    assert isinstance(screened.ask(bye, "203.0.113.1"), Challenge)
    assert screened.ask(bye, "203.0.113.1", user="acme") == Admit(acme)


def test_a_dialog_that_is_no_more_is_481_for_those_who_may_call_and_nothing_for_others() -> None:
    screened = Screened(ACME)
    bye = request("BYE", to="<sip:b@192.0.2.2>;tag=gone")
    assert screened.ask(bye) == Admit(ACME)
    assert isinstance(screened.ask(bye, "203.0.113.1"), Drop)


def test_a_flood_of_strangers_is_not_remembered_one_by_one() -> None:
    screened = Screened(ACME)
    for number in range(3000):
        screened.screen.gate("udp", f"10.{number // 256}.{number % 256}.1")
    assert len(screened.screen._strangers) <= 1024
    assert len(screened.rows) == 3000


def test_new_rules_forget_old_strangers() -> None:
    screened = Screened(ACME)
    screened.screen.gate("udp", "203.0.113.1")
    table = TrunkTable([trunk("more", "203.0.113.0/24")])
    screened.screen.rules = ScreenRules(table, {}, None)
    assert screened.screen.gate("udp", "203.0.113.1")


def over_tls(screened: Screened, message: Request, host: str, *proven: str, transport: str = "tls") -> object:
    session = TlsSession("TLSv1.3", "TLS_AES_256_GCM_SHA384", proven) if transport == "tls" else None
    return screened.screen(message, Source(transport, (host, 40_000), ("192.0.2.2", 5061), 1, session), None)


NAMED = trunk("named", "192.0.2.1/32", tls_name="pbx.example.com", tls_only=True)
ANYWHERE = trunk("anywhere", tls_name="pbx.example.com", tls_only=True)


@pytest.mark.parametrize("who", [NAMED, ANYWHERE])
def test_a_certificate_admits(who: Trunk) -> None:
    screened = Screened(who)
    for method in ("INVITE", "OPTIONS"):
        assert over_tls(screened, request(method), "192.0.2.1", "pbx.example.com") == Admit(who)
    assert screened.rows == []


@pytest.mark.parametrize("proven", [(), ("other.example.com",)])
def test_a_listed_peer_with_the_wrong_certificate_is_told_and_a_stranger_is_not(proven: tuple[str, ...]) -> None:
    assert over_tls(Screened(NAMED), request(), "192.0.2.1", *proven) == Refuse(403)
    assert over_tls(Screened(ANYWHERE), request(), "203.0.113.1", *proven) == Drop("tls")
    assert over_tls(Screened(ANYWHERE, refuse=404), request(), "203.0.113.1", *proven) == Refuse(404)


def test_each_request_of_a_call_proves_what_the_call_had_to() -> None:
    screened = Screened(NAMED)
    screened.dialogs["ours"] = (NAMED, "192.0.2.1")
    bye = request("BYE", to="<sip:b@x>;tag=ours")
    assert over_tls(screened, bye, "192.0.2.1", "pbx.example.com") == Admit(NAMED)
    for proven, transport in (((), "tls"), (("other.example",), "tls"), ((), "udp")):
        assert not isinstance(over_tls(screened, bye, "192.0.2.1", *proven, transport=transport), Admit)


def test_the_gate_knows_the_transport() -> None:
    screened = Screened(ANYWHERE)
    assert screened.screen.gate("tls", "203.0.113.1")
    assert not screened.screen.gate("udp", "203.0.113.1")
    assert not screened.screen.knows("203.0.113.1")
    assert Screened(NAMED).screen.knows("192.0.2.1")
