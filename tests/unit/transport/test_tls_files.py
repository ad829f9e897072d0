"""Certificate files: what can be used, what is warned of, and how new ones are taken."""

import contextlib
import os
import ssl
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.certificates import DAY, NOW, Authority, Issued, authority
from tests.support.tls import Peer, peer_context

from offhook.transport.certificate import names_in, read_chain
from offhook.transport.tls import Wrap
from offhook.transport.tls_files import TlsFileError, TlsIdentity, TlsSettings, load, warnings
from offhook.transport.tls_keeper import CHECK_INTERVAL, TlsKeeper

pytestmark = pytest.mark.unit

OWN = authority().issue("sip.example.net")


def settings(directory: Path, own: Issued = OWN, **options: object) -> TlsSettings:
    certificate, key = own.write(directory, "edge")
    return TlsSettings(certificate, key, **options)  # type: ignore[arg-type]


def refused(made: TlsSettings) -> TlsFileError:
    with pytest.raises(TlsFileError) as raised:
        load(made)
    return raised.value


def test_good_files_make_contexts_of_both_sides(tmp_path: Path) -> None:
    made = load(settings(tmp_path))
    assert made.server is not None
    assert made.own is not None
    assert made.own.names.identities == ("sip.example.net",)
    assert {cipher["name"] for cipher in made.server.get_ciphers() if cipher["protocol"] == "TLSv1.2"} == {
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
    }
    assert made.server.minimum_version is ssl.TLSVersion.TLSv1_2
    assert list(warnings(settings(tmp_path), made, NOW)) == []


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    (tmp_path / "edge.pem").write_bytes(OWN.key_pem + OWN.pem)
    (tmp_path / "edge.pem").chmod(0o600)
    assert load(TlsSettings(tmp_path / "edge.pem")).server is not None


@pytest.mark.parametrize("broken", ["certificate", "key", "ca"])
@pytest.mark.parametrize(
    "content", [None, b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_none_is_named(tmp_path: Path, broken: str, content: bytes | None) -> None:
    certificate, key = OWN.write(tmp_path, "edge")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority().pem)
    path = {"certificate": certificate, "key": key, "ca": ca}[broken]
    path.unlink() if content is None else path.write_bytes(content)
    error = refused(TlsSettings(certificate, key, ca))
    assert error.problem.setting == f"tls_{broken}"
    assert str(path) in str(error)
    assert "\n" not in str(error)


def test_a_key_of_another_certificate_is_told_as_such(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (tmp_path / "edge.key").write_bytes(authority().issue("other.example").key_pem)
    error = refused(made)
    assert (error.problem.setting, "does not belong" in str(error)) == ("tls_key", True)


def test_an_encrypted_key_is_told_as_such_and_asks_nobody(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (tmp_path / "edge.key").write_bytes(OWN.encrypted_key(b"secret"))
    assert "is encrypted" in str(refused(made))


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    error = refused(settings(tmp_path, authority().issue("sip.example.net", rsa_bits=1024)))
    assert "weak" in str(error)


@pytest.mark.parametrize(
    ("own", "at", "said"),
    [
        (authority().issue("sip.example.net", ends=NOW + 13 * DAY), NOW, "expires in 13 days"),
        (authority().issue("sip.example.net", ends=NOW + 15 * DAY), NOW, None),
        (OWN, NOW + 91 * DAY, "expired on"),
        (authority().issue("sip.example.net", begins=NOW + DAY), NOW, "not valid before"),
        (authority().issue("*.example.net"), NOW, "speaks for no SIP domain (RFC 5922): *.example.net"),
        (authority().issue("sip.example.net", usage=[ExtendedKeyUsageOID.CLIENT_AUTH]), NOW, "not made for servers"),
        (authority().issue(addresses=["192.0.2.1"]), NOW, None),
    ],
)
def test_what_will_go_wrong_is_warned_of(tmp_path: Path, own: Issued, at: datetime, said: str | None) -> None:
    made = settings(tmp_path, own)
    found = [str(problem) for problem in warnings(made, load(made), at)]
    assert [said in problem for problem in found if said] == ([True] if said else [])
    assert len(found) == (1 if said else 0)


def test_a_chain_out_of_order_is_warned_of(tmp_path: Path) -> None:
    below = Authority("intermediate", parent=authority())
    own = below.issue("sip.example.net")
    made = settings(tmp_path, own)
    assert list(warnings(made, load(made), NOW)) == []
    leaf = own.pem[: -len(below.pem)]
    made.certificate.write_bytes(leaf + authority().pem + below.pem)  # type: ignore[union-attr]
    (problem,) = warnings(made, load(made), NOW)
    assert "certificate 2 in it is not the issuer of certificate 1" in str(problem)


def test_a_key_that_every_user_can_read_is_warned_of(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (tmp_path / "edge.key").chmod(0o640)
    assert list(warnings(made, load(made), NOW)) == []
    (tmp_path / "edge.key").chmod(0o644)
    (problem,) = warnings(made, load(made), NOW)
    assert (problem.setting, problem.hint) == ("tls_key", f"chmod o-r {tmp_path}/edge.key")


def test_a_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    made = settings(tmp_path)
    (tmp_path / "edge.pem").write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger than" in str(refused(made))


def test_a_chain_without_end_is_not_read_whole() -> None:
    assert len(read_chain(OWN.pem * 200)) <= 21


# ---------------------------------------------------------------------- new files


class Node:
    """A keeper in a directory, and a peer that looks at what it shows."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wall = NOW
        self.now = 0.0
        self.settings = settings(directory, client_certificate="optional")
        self.keeper = TlsKeeper(self.settings, lambda: self.wall)

    def replace(self, own: Issued) -> None:
        """As certbot does it: new files under other names, then a link or a rename."""
        own.write(self.directory, "new")
        os.replace(self.directory / "new.pem", self.directory / "edge.pem")
        os.replace(self.directory / "new.key", self.directory / "edge.key")

    def looks(self, count: int = 3) -> list[object]:
        """What came of so many looks at the files."""
        found = []
        for _ in range(count):
            self.now += CHECK_INTERVAL
            found.append(self.keeper.poll(self.now))
        return [reload for reload in found if reload is not None]

    def shows(self) -> tuple[str, ...]:
        """The identities in the certificate that a peer is shown now."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = self.keeper.as_server(incoming, outgoing)
        peer, data = Peer(peer_context()), b""
        for _ in range(3):
            incoming.write(peer.take(data))
            with contextlib.suppress(ssl.SSLWantReadError):
                ours.do_handshake()
            data = outgoing.read()
        der = peer.object.getpeercert(binary_form=True)
        assert der
        return read_chain(ssl.DER_cert_to_PEM_cert(der).encode())[0].names.identities


def test_new_files_are_taken_once_they_are_whole(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.looks() == []
    node.replace(authority().issue("new.example.net"))
    assert node.shows() == ("sip.example.net",)
    node.now += CHECK_INTERVAL
    assert node.keeper.poll(node.now) is None, "they may still be written"
    (reload,) = node.looks()
    assert reload.problem is None  # type: ignore[attr-defined]
    assert node.shows() == ("new.example.net",)
    assert node.looks() == []


def test_between_two_looks_nothing_is_read(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.keeper.poll(0.0)
    node.replace(authority().issue("new.example.net"))
    assert node.keeper.poll(CHECK_INTERVAL / 2) is None
    assert node.keeper.poll(CHECK_INTERVAL) is None
    assert node.keeper.poll(1.5 * CHECK_INTERVAL) is None
    assert node.keeper.poll(2 * CHECK_INTERVAL) is not None


@pytest.mark.parametrize("how", ["rubbish", "gone", "other key", "expired"])
def test_broken_files_change_nothing_and_are_told_once(tmp_path: Path, how: str) -> None:
    node = Node(tmp_path)
    match how:
        case "rubbish":
            (tmp_path / "edge.pem").write_bytes(b"rubbish")
        case "gone":
            (tmp_path / "edge.key").unlink()
        case "other key":
            authority().issue("new.example.net").write(tmp_path, "new")
            os.replace(tmp_path / "new.pem", tmp_path / "edge.pem")
        case _:
            node.replace(authority().issue("new.example.net", begins=NOW - 9 * DAY, ends=NOW - DAY))
    (reload,) = node.looks(6)
    assert reload.problem is not None  # type: ignore[attr-defined]
    assert node.shows() == ("sip.example.net",)
    node.replace(authority().issue("mended.example.net"))
    (reload,) = node.looks(6)
    assert reload.problem is None  # type: ignore[attr-defined]
    assert node.shows() == ("mended.example.net",)


def test_an_expired_one_is_taken_where_ours_is_no_better(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.wall = NOW + 400 * DAY
    node.replace(authority().issue("new.example.net"))
    reload = node.keeper.reload()
    assert reload.problem is None
    assert any("expired" in str(problem) for problem in reload.warnings)


def test_days_left_go_down(tmp_path: Path) -> None:
    node = Node(tmp_path)
    before = node.keeper.days_left()
    node.wall += timedelta(days=100)
    after = node.keeper.days_left()
    assert before is not None
    assert after is not None
    assert (before, after) == (90, -10)


def shown_to_a_trunk(directory: Path, issued: Issued, name: str = "bank") -> TlsSettings:
    certificate, key = issued.write(directory, name)
    ca = directory / "ca.pem"
    ca.write_bytes(authority().pem)
    return TlsSettings(ca=ca, identities=(TlsIdentity(name, certificate, key),))


def test_a_trunk_may_have_a_certificate_of_its_own(tmp_path: Path) -> None:
    made = shown_to_a_trunk(tmp_path, authority().issue("gw.bank.example", ends=NOW + 5 * DAY))
    contexts = load(made)
    assert contexts.server is None
    assert contexts.own is None
    assert contexts.identities["bank"].own.names.identities == ("gw.bank.example",)
    (warning,) = warnings(made, contexts, NOW)
    assert str(warning).startswith(
        "trunk.bank.tls_client_certificate: the certificate of gw.bank.example expires in 5 days"
    )


def test_what_is_wrong_with_it_names_the_trunk(tmp_path: Path) -> None:
    made = shown_to_a_trunk(tmp_path, OWN)
    (tmp_path / "bank.key").write_bytes(authority().issue("other.example").key_pem)
    error = refused(made)
    assert str(error).startswith("trunk.bank.tls_client_key: ")
    assert "does not belong" in str(error)
    server_only = authority().issue("gw.bank.example", usage=[ExtendedKeyUsageOID.SERVER_AUTH])
    error = refused(shown_to_a_trunk(tmp_path, server_only))
    assert "not made for clients" in str(error)
    assert error.problem.setting == "tls_client_certificate"


def test_new_files_of_a_trunk_are_taken_and_broken_ones_are_not(tmp_path: Path) -> None:
    keeper = TlsKeeper(shown_to_a_trunk(tmp_path, OWN), wall=lambda: NOW)

    def shows() -> str:
        return peer_sees(keeper.as_client("peer.example", "bank"))

    assert shows() == "sip.example.net"
    authority().issue("new.example").write(tmp_path, "bank")
    assert keeper.reload().problem is None
    assert shows() == "new.example"
    (tmp_path / "bank.key").write_bytes(b"rubbish")
    problem = keeper.reload().problem
    assert problem is not None
    assert problem.path == "trunk.bank.tls_client_key"
    assert shows() == "new.example"
    assert peer_sees(keeper.as_client("peer.example")) == "nothing"


def peer_sees(wrap: Wrap) -> str:
    """Which domain a server that asks for a certificate is shown."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(cadata=authority().pem.decode())
    with tempfile.TemporaryDirectory() as directory:
        server.load_cert_chain(*authority().issue("peer.example").write(Path(directory), "peer"))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near, far = wrap(back, there), server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (near, far):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    shown = far.getpeercert(binary_form=True)
    return names_in(shown).identities[0] if shown else "nothing"
