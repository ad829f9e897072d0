"""Digest authentication, both sides (RFC 7616, RFC 8760): pure, with time and chance as arguments.

Server: `Challenger` makes nonces that carry their own proof (bound to source, method, URI and time by a secret key) and
keeps memory only for nonces that were used with the right password. Client: `answer` picks the first challenge that may
be answered and writes the credentials; `Credentials.may_answer` keeps a password from strangers.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from offhook.errors import LocalProtocolError, RemoteProtocolError
from offhook.sip.headers.auth import AuthValue
from offhook.sip.message import Request
from offhook.sip.uri import SipUri, parse_uri

ALGORITHMS: Final = {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}
"""Algorithms by their registered names, in the order of preference of RFC 8760; each also with `-sess`."""

_BY_NAME: Final = {
    (name + suffix).lower(): (name + suffix, digest) for name, digest in ALGORITHMS.items() for suffix in ("", "-sess")
}


_NC = re.compile(r"[0-9A-Fa-f]{8}")


class Rng(Protocol):
    """Where chance comes from: `random.SystemRandom`, or a seeded `random.Random` in tests."""

    def getrandbits(self, k: int, /) -> int:
        """Return `k` random bits."""
        ...


def _hash(algorithm: str, *pieces: str) -> str:
    digest = _BY_NAME[algorithm.lower()][1]
    data = ":".join(pieces).encode("utf-8", "surrogateescape")
    return hashlib.new(digest, data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Exchange:
    """What goes into one response value. `qop` is None for the form of RFC 2069, which has no cnonce and no nc."""

    algorithm: str
    method: str
    uri: str
    realm: str
    nonce: str
    qop: str | None = "auth"
    cnonce: str = ""
    nc: int = 1
    body: bytes = b""

    def response(self, username: str, password: str) -> str:
        """Compute the `response` value (RFC 7616 section 3.4.1)."""
        a1 = _hash(self.algorithm, username, self.realm, password)
        if self.algorithm.lower().endswith("-sess"):
            a1 = _hash(self.algorithm, a1, self.nonce, self.cnonce)
        a2 = [self.method, self.uri]
        if self.qop == "auth-int":
            digest = hashlib.new(_BY_NAME[self.algorithm.lower()][1], self.body, usedforsecurity=False)
            a2.append(digest.hexdigest())
        middle = [] if self.qop is None else [f"{self.nc:08x}", self.cnonce, self.qop]
        return _hash(self.algorithm, a1, self.nonce, *middle, _hash(self.algorithm, *a2))


# --- server side ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """The request proves knowledge of `user`'s password."""

    user: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The password is right but the nonce may not be used (any more, here, or for this): challenge with `stale`."""

    user: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """No proof. `why` is a slug for counters and logs, never for the peer: it must not learn which part was wrong.

    One of no_credentials, malformed, wrong_realm, wrong_algorithm, no_qop, wrong_uri, bad_count, replayed,
    unknown_user, wrong_password.
    """

    why: str


Verdict = Verified | Stale | Rejected


@dataclass(slots=True)
class _Used:
    """The counts seen with one nonce: the highest, and which of the 63 below it."""

    highest: int
    seen: int = 1

    def take(self, nc: int) -> bool:
        """Take a count if it is new."""
        if nc > self.highest:
            self.seen = (self.seen << min(nc - self.highest, 64) | 1) & (1 << 64) - 1
            self.highest = nc
            return True
        back = self.highest - nc
        if back >= 64 or self.seen >> back & 1:
            return False
        self.seen |= 1 << back
        return True


class Challenger:
    """Challenges requests of one realm and judges their credentials.

    `algorithms` are offered in order and nothing else is accepted; MD5 only if named. `secret` is at least 16 bytes and
    made anew by each process. A nonce lives `lifetime` seconds and is good for requests of the same source, method and
    Request-URI only (no relay by way of another call). At most `max_nonces` used nonces are remembered; the
    oldest then turn stale.
    """

    def __init__(
        self,
        realm: str,
        algorithms: Sequence[str] = ("SHA-256", "SHA-512-256"),
        *,
        secret: bytes,
        rng: Rng,
        lifetime: float = 60.0,
        max_nonces: int = 10_000,
        require_qop: bool = True,
    ) -> None:
        unknown = [name for name in algorithms if name.lower() not in _BY_NAME]
        if unknown or not algorithms or len(secret) < 16:
            raise LocalProtocolError(f"challenger with algorithms {list(algorithms)} and {len(secret)} bytes of secret")
        self.realm = realm
        self.algorithms = tuple(_BY_NAME[name.lower()][0] for name in algorithms)
        self._secret = secret
        self._rng = rng
        self._lifetime_ms = int(lifetime * 1000)
        self._max_nonces = max_nonces
        self._require_qop = require_qop
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._forgotten_ms = -1

    def challenge(self, now: float, source: str, method: str, uri: str, stale: bool = False) -> tuple[str, ...]:
        """Make the values of WWW-Authenticate or Proxy-Authenticate, one line for each algorithm, best first.

        `source` is the address that the nonce is bound to, without the port (NAT may change it); `uri` the Request-URI.
        """
        nonce = self._make_nonce(int(now * 1000), self._rng.getrandbits(64), source, method, uri)
        return tuple(
            AuthValue.digest((
                ("realm", self.realm), ("nonce", nonce), ("algorithm", algorithm), ("qop", "auth"),
                ("stale", "true" if stale else None),
            )).write(quoted=("qop",))
            for algorithm in self.algorithms
        )  # fmt: skip

    def verify(
        self,
        request: Request,
        now: float,
        source: str,
        lookup: Callable[[str], str | None],
        *,
        proxy: bool = False,
    ) -> Verdict:
        """Judge a request's Authorization (Proxy-Authorization with `proxy`). Never raises for what the peer sent.

        `lookup` gives a user's password, None for an unknown user; an unknown user costs the same time as a known one.
        """
        name = "Proxy-Authorization" if proxy else "Authorization"
        verdict: Verdict = Rejected("no_credentials")
        for line in request.headers.get_all(name)[:4]:
            try:
                value = AuthValue.parse(line)
            except RemoteProtocolError:
                verdict = Rejected("malformed")
                continue
            if value.scheme != "digest":
                continue
            if value.get("realm") != self.realm:
                if verdict == Rejected("no_credentials"):
                    verdict = Rejected("wrong_realm")
                continue
            return self._judge(value, request, now, source, lookup)
        return verdict

    def _judge(
        self, value: AuthValue, request: Request, now: float, source: str, lookup: Callable[[str], str | None]
    ) -> Verdict:
        known = _BY_NAME.get((value.get("algorithm") or "MD5").lower())
        if known is None or known[0] not in self.algorithms:
            return Rejected("wrong_algorithm")
        username, nonce, uri = value.get("username"), value.get("nonce"), value.get("uri")
        response, qop, cnonce = value.get("response"), value.get("qop"), value.get("cnonce")
        if username is None or nonce is None or uri is None or response is None:
            return Rejected("malformed")
        if qop is None and (self._require_qop or known[0].endswith("-sess")):
            return Rejected("no_qop")
        if qop is not None and (qop.lower() != "auth" or not cnonce):
            return Rejected("no_qop")
        request_uri = str(request.request_uri)
        if uri != request_uri and not _same_uri(uri, request_uri):
            return Rejected("wrong_uri")
        nc = _parse_nc(value.get("nc")) if qop is not None else 1
        if nc is None:
            return Rejected("bad_count")
        exchange = Exchange(
            known[0], request.method, uri, self.realm, nonce, None if qop is None else qop, cnonce or "", nc
        )
        password = lookup(username)
        expected = exchange.response(username, password if password is not None else "\0unknown")
        right = hmac.compare_digest(expected.encode(), response.lower().encode("utf-8", "surrogateescape"))
        if password is None:
            return Rejected("unknown_user")
        if not right:
            return Rejected("wrong_password")
        return self._judge_nonce(username, nonce, nc, now, source, request.method, request_uri)

    def _judge_nonce(self, user: str, nonce: str, nc: int, now: float, source: str, method: str, uri: str) -> Verdict:
        parts = nonce.split(".")
        if len(parts) != 3 or len(nonce) > 128:
            return Stale(user)
        try:
            made_ms, chance = int(parts[0], 16), int(parts[1], 16)
        except ValueError:
            return Stale(user)
        proof = self._make_nonce(made_ms, chance, source, method, uri)
        if not hmac.compare_digest(proof.encode(), nonce.encode("utf-8", "surrogateescape")):
            return Stale(user)
        now_ms = int(now * 1000)
        if not made_ms <= now_ms <= made_ms + self._lifetime_ms or made_ms <= self._forgotten_ms:
            return Stale(user)
        used = self._used.get(nonce)
        if used is not None:
            return Verified(user) if used.take(nc) else Rejected("replayed")
        self._forget(now_ms)
        self._used[nonce] = _Used(nc)
        return Verified(user)

    def _forget(self, now_ms: int) -> None:
        """Drop what has expired; if the table is full still, drop the oldest and let all nonces up to it be stale."""
        while self._used:
            oldest = next(iter(self._used))
            made_ms = int(oldest.partition(".")[0], 16)
            if made_ms + self._lifetime_ms >= now_ms and len(self._used) < self._max_nonces:
                break
            del self._used[oldest]
            if made_ms + self._lifetime_ms >= now_ms:
                self._forgotten_ms = max(self._forgotten_ms, made_ms)

    @property
    def remembered(self) -> int:
        """How many used nonces are held now, at most `max_nonces`."""
        return len(self._used)

    def _make_nonce(self, made_ms: int, chance: int, source: str, method: str, uri: str) -> str:
        bound = "\0".join((f"{made_ms:x}.{chance:x}", self.realm, source, method, uri))
        proof = hmac.digest(self._secret, bound.encode("utf-8", "surrogateescape"), "sha256")[:18]
        return f"{made_ms:x}.{chance:x}.{urlsafe_b64encode(proof).decode()}"


def _parse_nc(text: str | None) -> int | None:
    """Read the eight hexadecimal digits of a nonce count, None if they are not that or zero."""
    if text is None or _NC.fullmatch(text) is None:
        return None
    return int(text, 16) or None


def _same_uri(left: str, right: str) -> bool:
    """Tell whether two URIs name the same user at the same host; proxies may change port and parameters."""
    try:
        a, b = parse_uri(left), parse_uri(right)
    except RemoteProtocolError:
        return False
    if not (isinstance(a, SipUri) and isinstance(b, SipUri)):
        return a.equivalent(b)
    return a.user == b.user and a.host.lower() == b.host.lower()


# --- client side ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's secret and to whom it may be proven.

    `hosts` are the names and addresses of the trunk, without ports: a challenge is answered only if the request went to
    one of them. `realms` narrows it further; None takes any realm of these hosts. `algorithms` are the acceptable ones:
    leave MD5 out and nobody can talk us down to it.
    """

    username: str
    password: str = field(repr=False)
    hosts: frozenset[str]
    realms: frozenset[str] | None = None
    algorithms: tuple[str, ...] = tuple(ALGORITHMS)

    def refusal(self, challenge: AuthValue, sent_to: str) -> str | None:
        """Say why `challenge` to a request sent to host `sent_to` is not answered, None if it may be.

        One of foreign_host, foreign_realm, unknown_scheme, wrong_algorithm, malformed.
        """
        if sent_to.lower().strip("[]") not in {host.lower().strip("[]") for host in self.hosts}:
            return "foreign_host"
        if challenge.scheme != "digest":
            return "unknown_scheme"
        realm, nonce = challenge.get("realm"), challenge.get("nonce")
        if realm is None or not nonce:
            return "malformed"
        if self.realms is not None and realm not in self.realms:
            return "foreign_realm"
        name, *_ = _BY_NAME.get((challenge.get("algorithm") or "MD5").lower(), ("",))
        if name.removesuffix("-sess") not in self.algorithms:
            return "wrong_algorithm"
        qop = challenge.get("qop")
        if qop is not None and not {"auth", "auth-int"} & set(_qops(qop)):
            return "malformed"
        return None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No challenge may be answered; `why` is the refusal of the first, `no_challenge` if there was none."""

    why: str


def answer(
    challenges: Iterable[AuthValue],
    credentials: Credentials,
    *,
    sent_to: str,
    method: str,
    uri: str,
    cnonce: str,
    nc: int = 1,
    body: bytes = b"",
) -> str | Unanswered:
    """Write the value of Authorization or Proxy-Authorization for the first challenge that may be answered.

    The server's order is its preference (RFC 8760 section 2.4). `sent_to` is the host that the challenged request
    was sent to, `uri` the Request-URI, `nc` the count of requests with this nonce. qop `auth` is chosen before
    `auth-int`; without qop the form of RFC 2069 is written.
    """
    why = "no_challenge"
    for challenge in challenges:
        refusal = credentials.refusal(challenge, sent_to)
        if refusal is not None:
            why = refusal if why == "no_challenge" else why
            continue
        offered = challenge.get("qop")
        qop = None if offered is None else "auth" if "auth" in _qops(offered) else "auth-int"
        algorithm = challenge.get("algorithm")
        realm, nonce = challenge.get("realm") or "", challenge.get("nonce") or ""
        exchange = Exchange(algorithm or "MD5", method, uri, realm, nonce, qop, cnonce, nc, body)
        needs_cnonce = qop is not None or exchange.algorithm.lower().endswith("-sess")
        value = AuthValue.digest((
            ("username", credentials.username), ("realm", realm), ("nonce", nonce), ("uri", uri),
            ("response", exchange.response(credentials.username, credentials.password)), ("algorithm", algorithm),
            ("cnonce", cnonce if needs_cnonce else None), ("opaque", challenge.get("opaque")),
            ("qop", qop), ("nc", f"{nc:08x}" if qop is not None else None),
        ))  # fmt: skip
        return str(value)
    return Unanswered(why)


def _qops(text: str) -> list[str]:
    return [piece.strip(" \t").lower() for piece in text.split(",")]
