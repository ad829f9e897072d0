"""Digest authentication against the worked examples of the RFCs, and its rules on both sides."""

import random

import pytest

from offhook.errors import LocalProtocolError
from offhook.sip.digest import (
    Challenger,
    Credentials,
    Exchange,
    Rejected,
    Stale,
    Unanswered,
    Verified,
    answer,
)
from offhook.sip.headers import AuthValue
from offhook.sip.message import Headers, Request
from offhook.sip.uri import parse_uri

pytestmark = pytest.mark.conformance

URI = "sip:desk@gw.example.org"
SOURCE = "198.51.100.9"
GATEWAY = frozenset({"gw.example.org", "203.0.113.8"})
ALICE = Credentials("alice", "wonder land", GATEWAY)


def users(name: str) -> str | None:
    return {"alice": "wonder land", "bob": 'quo"ted\\'}.get(name)


def challenger(*algorithms: str, **options: object) -> Challenger:
    return Challenger(
        "gw.example.org",
        algorithms or ("SHA-256", "SHA-512-256"),
        secret=b"sixteen bytes or more",
        rng=random.Random(1),
        **options,  # type: ignore[arg-type]
    )


def request(authorization: str | None, method: str = "INVITE", uri: str = URI) -> Request:
    headers = Headers() if authorization is None else Headers([("Authorization", authorization)])
    return Request(method, parse_uri(uri), headers)


def credentials_for(
    server: Challenger, now: float = 100.0, *, who: Credentials = ALICE, nc: int = 1, method: str = "INVITE"
) -> str:
    challenges = [AuthValue.parse(value) for value in server.challenge(now, SOURCE, method, URI)]
    value = answer(challenges, who, sent_to="gw.example.org", method=method, uri=URI, cnonce="c0ffee", nc=nc)
    assert isinstance(value, str)
    return value


@pytest.mark.rfc(7616, "3.9.1")
@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_worked_example(algorithm: str, expected: str) -> None:
    exchange = Exchange(
        algorithm,
        "GET",
        "/dir/index.html",
        "http-auth@example.org",
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert exchange.response("Mufasa", "Circle of Life") == expected


@pytest.mark.rfc(2617, "3.5")
def test_the_worked_example_of_the_older_rfc() -> None:
    exchange = Exchange(
        "MD5",
        "GET",
        "/dir/index.html",
        "testrealm@host.com",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce="0a4f113b",
    )
    assert exchange.response("Mufasa", "Circle Of Life") == "6629fae49393a05397450978507c4ef1"


@pytest.mark.rfc(8760, "2.4")
def test_one_challenge_for_each_algorithm_best_first() -> None:
    lines = challenger("SHA-512-256", "SHA-256", "MD5").challenge(5.0, SOURCE, "INVITE", URI)
    values = [AuthValue.parse(line) for line in lines]
    assert [value.get("algorithm") for value in values] == ["SHA-512-256", "SHA-256", "MD5"]
    assert {value.get("nonce") for value in values} == {values[0].get("nonce")}
    assert 'qop="auth"' in lines[0]
    assert "algorithm=SHA-512-256" in lines[0]
    assert "stale" not in lines[0]


@pytest.mark.rfc(8760, "2.2")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess", "SHA-512-256-sess"])
def test_both_sides_agree(algorithm: str) -> None:
    server = challenger(algorithm)
    assert server.verify(request(credentials_for(server)), 101.0, SOURCE, users) == Verified("alice")


def test_quotes_and_backslashes_in_a_name_and_password() -> None:
    server = challenger()
    who = Credentials('b"o\\b', 'p"w\\', GATEWAY)
    line = credentials_for(server, who=who)
    assert server.verify(request(line), 101.0, SOURCE, {'b"o\\b': 'p"w\\'}.get) == Verified('b"o\\b')


@pytest.mark.rfc(8760, "2.4")
def test_md5_is_refused_where_it_is_not_offered() -> None:
    weak, strong = challenger("MD5"), challenger("SHA-256")
    assert strong.verify(request(credentials_for(weak)), 101.0, SOURCE, users) == Rejected("wrong_algorithm")


@pytest.mark.rfc(8760, "2.4")
def test_a_client_without_md5_cannot_be_talked_down() -> None:
    careful = Credentials("alice", "wonder land", GATEWAY, algorithms=("SHA-256",))
    values = [AuthValue.parse(line) for line in challenger("MD5").challenge(1.0, SOURCE, "INVITE", URI)]
    got = answer(values, careful, sent_to="gw.example.org", method="INVITE", uri=URI, cnonce="x")
    assert got == Unanswered("wrong_algorithm")
    values += [AuthValue.parse(line) for line in challenger("SHA-256").challenge(1.0, SOURCE, "INVITE", URI)]
    got = answer(values, careful, sent_to="gw.example.org", method="INVITE", uri=URI, cnonce="x")
    assert isinstance(got, str)
    assert "algorithm=SHA-256" in got


@pytest.mark.rfc(7616, "3.4")
def test_a_count_serves_once() -> None:
    server = challenger()
    lines = {nc: credentials_for(server, 100.0) for nc in (1,)}
    first = AuthValue.parse(lines[1])
    challenge = AuthValue.digest(
        [("realm", first.get("realm")), ("nonce", first.get("nonce")), ("algorithm", "SHA-256"), ("qop", "auth")]
    )

    def line(nc: int) -> str:
        value = answer([challenge], ALICE, sent_to="203.0.113.8", method="INVITE", uri=URI, cnonce=f"c{nc}", nc=nc)
        assert isinstance(value, str)
        return value

    assert server.verify(request(line(1)), 101.0, SOURCE, users) == Verified("alice")
    assert server.verify(request(line(1)), 101.0, SOURCE, users) == Rejected("replayed")
    assert server.verify(request(line(4)), 101.0, SOURCE, users) == Verified("alice")
    assert server.verify(request(line(3)), 101.0, SOURCE, users) == Verified("alice"), "late, not replayed"
    assert server.verify(request(line(3)), 101.0, SOURCE, users) == Rejected("replayed")
    assert server.verify(request(line(400)), 101.0, SOURCE, users) == Verified("alice")
    assert server.verify(request(line(5)), 101.0, SOURCE, users) == Rejected("replayed"), "too far back to tell"


@pytest.mark.rfc(7616, "3.3")
def test_an_old_nonce_is_stale_and_the_next_challenge_says_so() -> None:
    server = challenger(lifetime=30.0)
    line = credentials_for(server, 100.0)
    assert server.verify(request(line), 130.5, SOURCE, users) == Stale("alice")
    assert "stale=true" in server.challenge(130.5, SOURCE, "INVITE", URI, stale=True)[0]


def test_a_nonce_is_good_for_its_source_method_and_uri_only() -> None:
    server = challenger()
    assert server.verify(request(credentials_for(server)), 101.0, "192.0.2.66", users) == Stale("alice")
    bye = answer(
        [AuthValue.parse(server.challenge(100.0, SOURCE, "INVITE", URI)[0])],
        ALICE,
        sent_to="gw.example.org",
        method="BYE",
        uri=URI,
        cnonce="c",
    )
    assert isinstance(bye, str)
    assert server.verify(request(bye, "BYE"), 101.0, SOURCE, users) == Stale("alice")
    other = challenger()
    other._secret = b"another process's secret"
    assert server.verify(request(credentials_for(other)), 101.0, SOURCE, users) == Stale("alice")


def test_a_nonce_from_the_future_is_stale() -> None:
    server = challenger()
    assert server.verify(request(credentials_for(server, 200.0)), 100.0, SOURCE, users) == Stale("alice")


def test_wrong_password_and_unknown_user_are_told_apart_in_the_log_only() -> None:
    server = challenger()
    wrong = credentials_for(server, who=Credentials("alice", "guess", GATEWAY))
    unknown = credentials_for(server, who=Credentials("mallory", "guess", GATEWAY))
    assert server.verify(request(wrong), 101.0, SOURCE, users) == Rejected("wrong_password")
    assert server.verify(request(unknown), 101.0, SOURCE, users) == Rejected("unknown_user")
    assert server.remembered == 0, "guesses cost no memory"


def test_used_nonces_are_bounded_and_what_is_forgotten_is_stale() -> None:
    server = challenger(max_nonces=3)
    lines = [credentials_for(server, 100.0 + at / 1000) for at in range(5)]
    for line in lines:
        assert server.verify(request(line), 101.0, SOURCE, users) == Verified("alice")
    assert server.remembered == 3
    assert server.verify(request(lines[0]), 101.0, SOURCE, users) == Stale("alice")
    assert server.verify(request(lines[4]), 101.0, SOURCE, users) == Rejected("replayed")


def test_the_digest_uri_must_name_the_request_uri() -> None:
    server = challenger()
    line = credentials_for(server)
    assert server.verify(request(line, uri="sip:vault@gw.example.org"), 101.0, SOURCE, users) == Rejected("wrong_uri")


@pytest.mark.rfc(3261, "22.4")
def test_no_qop_only_where_it_is_let() -> None:
    strict, lenient = challenger("MD5"), challenger("MD5", require_qop=False)
    for server, expected in ((strict, Rejected("no_qop")), (lenient, Verified("alice"))):
        offered = AuthValue.parse(server.challenge(100.0, SOURCE, "INVITE", URI)[0])
        bare = AuthValue("digest", tuple(pair for pair in offered.params if pair[0] != "qop"))
        line = answer([bare], ALICE, sent_to="gw.example.org", method="INVITE", uri=URI, cnonce="unused")
        assert isinstance(line, str)
        assert "cnonce" not in line
        assert "nc=" not in line
        assert server.verify(request(line), 101.0, SOURCE, users) == expected
    assert lenient.verify(request(line), 101.0, SOURCE, users) == Rejected("replayed")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (None, "no_credentials"),
        ("", "malformed"),
        ("Digest", "malformed"),
        ("Digest username", "malformed"),
        ("Digest username=", "malformed"),
        ('Digest username="alice', "malformed"),
        ('Digest username="alice", username="bob"', "malformed"),
        ("Digest " + ", ".join(f"p{n}=v" for n in range(500)), "malformed"),
        ("Basic YWxpY2U6eA==", "no_credentials"),
        ("FutureScheme a=b", "no_credentials"),
        ('Digest realm="elsewhere", username="alice"', "wrong_realm"),
        ('Digest realm="gw.example.org", algorithm=SHA-256, username="alice"', "malformed"),
        ('Digest realm="gw.example.org", algorithm=WHIRLPOOL, username="alice"', "wrong_algorithm"),
        ('Digest realm="gw.example.org", username="alice"', "wrong_algorithm"),
    ],
)
def test_broken_credentials_are_refused_and_raise_nothing(line: str | None, why: str) -> None:
    assert challenger().verify(request(line), 1.0, SOURCE, users) == Rejected(why)


@pytest.mark.parametrize(
    "nc", ["1", "00000000", "0000000g", "000000001", "0x000001", "+0000001", "0000_001", "٠٠٠٠٠٠٠١"]
)
def test_a_count_is_eight_hexadecimal_digits(nc: str) -> None:
    server = challenger()
    line = credentials_for(server).replace("nc=00000001", f'nc="{nc}"')
    assert server.verify(request(line), 101.0, SOURCE, users) == Rejected("bad_count")


def test_the_line_of_our_realm_counts_among_several() -> None:
    server = challenger()
    headers = Headers([("Authorization", 'Digest realm="elsewhere", username="alice"')])
    message = Request("INVITE", parse_uri(URI), headers.adding("Authorization", credentials_for(server)))
    assert server.verify(message, 101.0, SOURCE, users) == Verified("alice")


def test_proxy_credentials_stand_in_their_own_header() -> None:
    server = challenger()
    line = credentials_for(server)
    message = Request("INVITE", parse_uri(URI), Headers([("Proxy-Authorization", line)]))
    assert server.verify(message, 101.0, SOURCE, users) == Rejected("no_credentials")
    assert server.verify(message, 101.0, SOURCE, users, proxy=True) == Verified("alice")


@pytest.mark.rfc(3261, "22.1")
@pytest.mark.parametrize(
    ("who", "sent_to", "why"),
    [
        (ALICE, "gw.example.org", None),
        (ALICE, "GW.EXAMPLE.ORG", None),
        (ALICE, "203.0.113.8", None),
        (ALICE, "attacker.example", "foreign_host"),
        (Credentials("alice", "x", GATEWAY, frozenset({"other"})), "gw.example.org", "foreign_realm"),
        (Credentials("alice", "x", GATEWAY, frozenset({"gw.example.org"})), "gw.example.org", None),
        (Credentials("alice", "x", frozenset({"2001:db8::1"})), "[2001:db8::1]", None),
    ],
)
def test_a_stranger_gets_no_proof_of_our_password(who: Credentials, sent_to: str, why: str | None) -> None:
    value = AuthValue.parse(challenger().challenge(1.0, SOURCE, "INVITE", URI)[0])
    assert who.refusal(value, sent_to) == why
    got = answer([value], who, sent_to=sent_to, method="BYE", uri=URI, cnonce="c")
    assert got == Unanswered(why) if why else isinstance(got, str)


def test_the_first_answerable_challenge_is_taken() -> None:
    offered = [
        AuthValue.parse('Digest realm="r", nonce="n1", algorithm=SHA3-999, qop="auth"'),
        AuthValue.parse('Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth-int,auth", opaque="a/b"'),
        AuthValue.parse('Digest realm="r", nonce="n3", algorithm=MD5'),
    ]
    line = answer(offered, ALICE, sent_to="gw.example.org", method="INVITE", uri=URI, cnonce="c")
    assert isinstance(line, str)
    value = AuthValue.parse(line)
    assert (value.get("nonce"), value.get("qop"), value.get("opaque"), value.get("nc")) == (
        "n2",
        "auth",
        "a/b",
        "00000001",
    )
    assert "qop=auth," in line
    assert "nc=00000001" in line


@pytest.mark.rfc(7616, "3.4.3")
def test_auth_int_covers_the_body() -> None:
    offered = [AuthValue.parse('Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth-int"')]

    def line(body: bytes) -> object:
        return answer(offered, ALICE, sent_to="gw.example.org", method="INVITE", uri=URI, cnonce="c", body=body)

    assert line(b"v=0\r\n") != line(b"v=1\r\n")


def test_a_password_is_never_shown() -> None:
    assert "wonder" not in repr(ALICE)


def test_a_challenger_is_not_made_with_a_weak_secret_or_an_unknown_algorithm() -> None:
    with pytest.raises(LocalProtocolError):
        Challenger("r", ("SHA-256",), secret=b"short", rng=random.Random(1))
    with pytest.raises(LocalProtocolError):
        Challenger("r", ("SHA-1",), secret=b"x" * 16, rng=random.Random(1))
