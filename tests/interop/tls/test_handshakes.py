"""Handshakes that fail, by programs that are not ours: each is one event with its cause, in three places."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.certificates import DAY, NOW, authority, stranger
from tests.support.gateway import Gateway, running_gateway, wait_until
from tests.support.openssl import OLD, Client

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "open"
allow = ["127.0.0.1"]

[[trunk]]
name = "named"
allow = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
tls_name = "pbx.example.com"

[[route]]
name = "echo"
destination = "echo:"
"""

OPTIONS = (
    b"OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;rport;branch=z9hG4bK1\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def sip(directory: Path, client_certificate: str = "optional") -> str:
    """The `[sip]` of a node with a certificate for sip.example.net."""
    certificate, key = authority().issue("sip.example.net", addresses=["127.0.0.1"]).write(directory, "edge")
    (directory / "ca.pem").write_bytes(authority().pem)
    return f"""
listen = ["tls://127.0.0.1:0", "tcp://127.0.0.1:0"]
tls_certificate = "{certificate}"
tls_key = "{key}"
tls_ca = "{directory}/ca.pem"
tls_client_certificate = "{client_certificate}"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    with running_gateway(directory, _TOML, sip=sip(directory)) as running:
        yield running
        # Refusals are written once a minute, and at the end.
        running.stop()
        assert_listed(running)


_told: dict[int, set[str]] = {}
"""The causes that tests have provoked, by gateway."""


def assert_listed(gateway: Gateway) -> None:
    """Every cause is among the refusals with the peer's address, and with what to change."""
    rows = json.loads(gateway.run("calls", "refused", "--json"))
    expected = _told.pop(id(gateway), set())
    found = {row["rule"]: row for row in rows if row["rule"].startswith("tls_")}
    assert {f"tls_{cause}" for cause in expected} <= set(found)
    for cause in expected:
        row = found[f"tls_{cause}"]
        assert (row["source"], row["transport"]) == ("127.0.0.1", "tls")
        assert "; " in row["value"], "what happened; what to change"
    if "plain_sip" in expected:
        value = found["tls_plain_sip"]["value"]
        assert value.startswith("SIP without TLS came to the TLS port: it begins with 'OPTIONS")
        assert "set the peer's transport to TLS" in value
        assert "tls_plain_sip" in gateway.run("calls", "refused")


def count(gateway: Gateway, cause: str) -> float:
    return gateway.metric("offhook_tls_handshake_failures_total", cause=cause, direction="in")


def expect(gateway: Gateway, cause: str, *, at_least: float = 1) -> None:
    """Wait until it has been counted; the log has told it, now or a while ago."""
    wait_until(lambda: count(gateway, cause) >= at_least, 30, lambda: f"no {cause}: {gateway.said()}")
    wait_until(lambda: re.search(rf"tls\.failed.*\b{cause}\b", gateway.said()), 30, gateway.said)
    _told.setdefault(id(gateway), set()).add(cause)


def certificate(directory: Path, made: object) -> tuple[str, ...]:
    """s_client's options for a client certificate."""
    path, key = made.write(directory, "client")  # type: ignore[attr-defined]
    return ("-cert", str(path), "-key", str(key))


@pytest.mark.parametrize(
    ("options", "cause", "version"),
    [
        (lambda d: certificate(d, authority().issue("a.example", begins=NOW - 9 * DAY, ends=NOW - DAY)),
         "certificate_expired", "-tls1_3"),
        (lambda d: certificate(d, authority().issue("a.example", begins=NOW - 9 * DAY, ends=NOW - DAY)),
         "certificate_expired", "-tls1_2"),
        (lambda d: certificate(d, stranger().issue("a.example")), "unknown_issuer", "-tls1_3"),
        (lambda d: OLD, "old_version", "-tls1"),
        (lambda d: OLD, "old_version", "-tls1_1"),
        (lambda d: ("-cipher", "AES256-SHA"), "no_common_cipher", "-tls1_2"),
        (lambda d: ("-CAfile", str(d / "nobody.pem"), "-verify_return_error"), "our_certificate_refused", "-tls1_3"),
        (lambda d: ("-CAfile", str(d / "ca.pem"), "-verify_return_error", "-verify_hostname", "other.example"),
         "our_certificate_refused", "-tls1_3"),
    ],
    ids=["expired 1.3", "expired 1.2", "unknown", "1.0", "1.1", "cipher", "our issuer", "our name"],
)  # fmt: skip
def test_s_client(
    gateway: Gateway, tmp_path: Path, options: Callable[[Path], tuple[str, ...]], cause: str, version: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    (tmp_path / "nobody.pem").write_bytes(stranger().pem)
    before = count(gateway, cause)
    with Client(gateway.tls, version, *options(tmp_path)) as client:
        client.end()
    expect(gateway, cause, at_least=before + 1)
    assert count(gateway, cause) == before + 1, "one event"


def test_a_good_client_is_answered_and_told_what_it_is(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    options = ("-CAfile", str(tmp_path / "ca.pem"), "-verify_return_error", "-verify_hostname", "sip.example.net")
    with Client(gateway.tls, *options) as client:
        client.write(OPTIONS)
        assert b"SIP/2.0 200 OK" in client.read_until(b"\r\n\r\n")


def test_renegotiation_is_refused(gateway: Gateway) -> None:
    # Without -quiet a line with R alone asks for it.
    with Client(gateway.tls, "-tls1_2", quiet=False) as client:
        client.read_until(b"Verify return code")
        client.write(b"R\n")
        client.end()
    expect(gateway, "renegotiation")


@pytest.mark.parametrize(
    ("sent", "cause"), [(OPTIONS, "plain_sip"), (b"GET / HTTP/1.1\r\n\r\n", "plain_http"), (b"\x00\x00", "not_tls")]
)
def test_what_is_no_tls(gateway: Gateway, sent: bytes, cause: str) -> None:
    with socket.create_connection(gateway.tls) as plain:
        plain.sendall(sent)
        assert plain.recv(100) == b"", "it is closed without a word"
    expect(gateway, cause)


def test_nothing_sent_and_half_a_hello(gateway: Gateway) -> None:
    with socket.create_connection(gateway.tls) as silent, socket.create_connection(gateway.tls) as half:
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        silent.settimeout(20)
        half.settimeout(20)
        assert silent.recv(1) == b""
        assert half.recv(1) == b""
    expect(gateway, "nothing_sent")
    expect(gateway, "timeout")


def test_tls_on_the_plain_port(gateway: Gateway) -> None:
    with Client(gateway.tcp) as client:
        client.end()
    expect(gateway, "on_plain_port")


def test_the_start_and_the_metrics_state_the_certificate(gateway: Gateway) -> None:
    (line,) = [line for line in gateway.said().splitlines() if line.strip().startswith("TLS ")]
    assert re.search(r"sip\.example\.net, expires in (89|90) days \(\d{4}-\d\d-\d\d\); TLS 1\.2 and 1\.3", line)
    assert gateway.metric("offhook_tls_certificate_expiry_days", certificate="sip.example.net") in (89, 90)


def test_a_required_certificate_that_is_missing(tmp_path: Path) -> None:
    with running_gateway(tmp_path, _TOML, sip=sip(tmp_path, "required")) as gateway:
        for version in ("-tls1_2", "-tls1_3"):
            with Client(gateway.tls, version) as client:
                client.write(OPTIONS)
                assert "SIP/2.0" not in client.end()
        expect(gateway, "certificate_missing", at_least=2)
        gateway.stop()
        assert_listed(gateway)


@pytest.mark.parametrize(
    ("names", "source", "answer"),
    [
        (("pbx.example.com",), "127.0.0.2", b"SIP/2.0 200"),
        (("other.example.com",), "127.0.0.2", b"SIP/2.0 403"),
        (("*.example.com",), "127.0.0.3", b"SIP/2.0 403"),
        ((), "127.0.0.3", b"SIP/2.0 403"),
    ],
    ids=["its name", "another name", "a wildcard", "none"],
)
def test_a_trunk_is_known_by_its_certificate(
    gateway: Gateway, tmp_path: Path, names: tuple[str, ...], source: str, answer: bytes
) -> None:
    options = certificate(tmp_path, authority().issue(*names)) if names else ()
    with Client(gateway.tls, "-bind", f"{source}:0", *options) as client:
        client.write(OPTIONS)
        assert client.read_until(b"\r\n").startswith(answer)
    if answer.startswith(b"SIP/2.0 403"):
        wait_until(lambda: "tls_name 'pbx.example.com'" in gateway.said(), 30, gateway.said)


def test_the_same_trunk_in_the_clear_is_refused_by_name(gateway: Gateway) -> None:
    with socket.create_connection(gateway.tcp, source_address=("127.0.0.4", 0)) as plain:
        plain.sendall(OPTIONS.replace(b"/TLS", b"/TCP"))
        assert plain.recv(1000).startswith(b"SIP/2.0 403")
    wait_until(lambda: "takes TLS alone, but came by TCP" in gateway.said(), 30, gateway.said)


def test_strangers_learn_nothing(gateway: Gateway) -> None:
    with Client(gateway.tls, "-bind", "127.0.0.9:0") as client:
        said = client.end()
    assert "BEGIN CERTIFICATE" not in said
    assert "sip.example.net" not in said
