"""Whole calls over TLS: sound, who the peer is, certificates that change meanwhile, far ends that prove nothing."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.baresip.phone import RATE, Baresip, tone
from tests.interop.tls.caller import Caller
from tests.support.certificates import DAY, NOW, Issued, authority, stranger
from tests.support.gateway import Gateway, ports, wait_until
from tests.support.openssl import s_server
from tests.support.tls import peer_context
from tests.support.tone import purest
from tests.support.undisturbed import undisturbed

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "named"
allow = ["127.0.0.1"]
tls_name = "pbx.example.com"

[[trunk]]
name = "open"
allow = ["127.0.0.1"]
max_duration = 60

[[trunk]]
name = "short"
allow = ["127.0.0.2"]
max_duration = 1

[[route]]
name = "echo"
destination = "echo:"
"""


class Node:
    """A gateway with TLS, and its files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(authority().pem)
        self.show(authority().issue("sip.example.net", addresses=["127.0.0.1"]))
        sip = f"""
listen = ["tls://127.0.0.1:0", "udp://127.0.0.1:0"]
tls_certificate = "{directory}/edge.pem"
tls_key = "{directory}/edge.key"
tls_ca = "{self.ca}"
tls_client_certificate = "optional"
"""
        self.gateway = Gateway(directory, _TOML, sip=sip)

    def show(self, own: Issued) -> None:
        """Put new files into the place of the old ones."""
        own.write(self.directory, "new")
        os.replace(self.directory / "new.key", self.directory / "edge.key")
        os.replace(self.directory / "new.pem", self.directory / "edge.pem")

    def shown(self) -> str:
        """The name in the certificate that a new connection gets to see."""
        context = ssl.create_default_context(cadata=authority().pem.decode())
        context.check_hostname = False
        with Caller(self.gateway.tls, context) as caller:
            names = dict(caller.socket.getpeercert()["subjectAltName"])  # type: ignore[index]
        return str(names["DNS"])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("node"))
    with made.gateway:
        yield made


@pytest.fixture
def gateway(node: Node) -> Gateway:
    return node.gateway


def both_in_one(directory: Path, own: Issued) -> Path:
    path = directory / "phone.pem"
    path.write_bytes(own.pem + own.key_pem)
    return path


@pytest.mark.parametrize("own", [None, "pbx.example.com", "phone.example.com"])
@undisturbed
def test_baresip_hears_its_tone_over_tls(node: Node, tmp_path: Path, own: str | None) -> None:
    certificate = both_in_one(tmp_path, authority().issue(own)) if own else None
    gateway = node.gateway
    with Baresip(
        tmp_path / "phone", tone(440, 30), transport="tls", tls_ca=node.ca, tls_certificate=certificate
    ) as phone:
        call_id = phone.dial("echo", gateway.tls)
        phone.hears(440)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    shown = gateway.explained(call_id)
    record = shown["call"]
    assert (record["transport"], record["end_reason"]) == ("tls", "caller_hung_up")
    assert record["trunk"] == ("named" if own == "pbx.example.com" else "open")
    assert record["signalling_tls"].startswith("TLS")
    proven = f"its certificate is {own}" if own else "it showed no certificate"
    assert record["signalling_tls"].endswith(proven)
    assert any(
        f"it came over TLS: {record['signalling_tls']}" in str(e.get("note")) for e in shown["timeline"]["entries"]
    )
    assert record["signalling_tls"] in " ".join(gateway.run("calls", "show", record["call_id"]).split())


@undisturbed
def test_new_certificates_are_taken_while_a_call_goes_on(node: Node, tmp_path: Path) -> None:
    gateway = node.gateway
    with Baresip(tmp_path / "phone", tone(440, 60), transport="tls", tls_ca=node.ca) as phone:
        call_id = phone.dial("echo", gateway.tls)
        before = node.shown()
        node.show(authority().issue("second.example.net", addresses=["127.0.0.1"]))
        assert node.shown() == before, "a moment later it is still the old one"
        gateway.hang_up()
        wait_until(lambda: node.shown() == "second.example.net", 40, gateway.said)

        # By itself, too: files are looked at every few seconds.
        node.show(authority().issue("third.example.net", addresses=["127.0.0.1"]))
        wait_until(lambda: node.shown() == "third.example.net", 40, gateway.said)

        (node.directory / "edge.pem").write_bytes(b"rubbish")
        gateway.hang_up()
        wait_until(lambda: "tls.reload_failed" in gateway.said(), 40, gateway.said)
        assert '"kept": "third.example.net' in gateway.said()
        assert node.shown() == "third.example.net"

        node.show(authority().issue("sip.example.net", addresses=["127.0.0.1"]))
        gateway.hang_up()
        wait_until(lambda: node.shown() == "sip.example.net", 40, gateway.said)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
        heard = phone.heard()
    record = gateway.record(call_id)
    assert record["end_reason"] == "caller_hung_up"
    assert purest(heard[-3 * RATE :], 440) > 0.92, "the call heard nothing of it"


@pytest.mark.parametrize(
    ("own", "options", "cause"),
    [
        (authority().issue("other.example", rsa_bits=2048), (), "wrong_name"),
        (authority().issue(addresses=["127.0.0.1"], begins=NOW - 9 * DAY, ends=NOW - DAY), (), "certificate_expired"),
        (stranger().issue(addresses=["127.0.0.1"]), (), "unknown_issuer"),
        (authority().issue(addresses=["127.0.0.1"], rsa_bits=2048),
         ("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"), "old_version"),
        (authority().issue(addresses=["127.0.0.1"], rsa_bits=2048),
         ("-tls1_2", "-cipher", "AES256-SHA:@SECLEVEL=0"), "no_common_cipher"),
    ],
    ids=["name", "expired", "issuer", "version", "cipher"],
)  # fmt: skip
def test_a_bye_is_not_given_to_a_far_end_that_proves_nothing(
    gateway: Gateway, tmp_path: Path, own: Issued, options: tuple[str, ...], cause: str
) -> None:
    """The caller's own connection is gone; where its Contact leads, somebody else answers."""
    port = ports(2)
    call_id = f"gone-{cause}"
    with s_server(tmp_path, port, own, *options) as log:
        with Caller(gateway.tls, source="127.0.0.2") as caller:
            caller.call(call_id, contact=f"<sip:caller@127.0.0.1:{port};transport=tls>")
        shown = gateway.explained(call_id)
        assert b"BYE" not in log.read_bytes()
    assert shown["call"]["end_reason"] == "max_duration"
    notes = [str(entry.get("note", "")) for entry in shown["timeline"]["entries"]]
    (note,) = [note for note in notes if note.startswith("our BYE could not be delivered")]
    assert note.endswith(f"({cause})"), note
    assert gateway.metric("offhook_tls_handshake_failures_total", cause=cause, direction="out") >= 1


def test_a_bye_finds_a_far_end_that_proves_its_name(gateway: Gateway, tmp_path: Path) -> None:
    port = ports(2)
    with s_server(tmp_path, port, authority().issue(addresses=["127.0.0.1"])) as log:
        with Caller(gateway.tls, source="127.0.0.2") as caller:
            caller.call("found", contact=f"<sip:caller@127.0.0.1:{port};transport=tls>")
        wait_until(lambda: b"BYE sip:caller@127.0.0.1" in log.read_bytes(), 40, lambda: log.read_text(errors="replace"))
        assert b"Via: SIP/2.0/TLS " in log.read_bytes()


def test_a_sips_call(gateway: Gateway) -> None:
    with Caller(gateway.tls, peer_context(authority().issue("pbx.example.com"))) as caller:
        answered = caller.call("secure", uri="sips:echo@127.0.0.1")
        assert answered["Contact"].startswith("<sips:offhook@127.0.0.1:")
        caller.send("BYE", "secure", to_tag=answered["To"].partition("tag=")[2])
        assert caller.receive()[0].startswith("SIP/2.0 200")
    assert gateway.record("secure")["end_reason"] == "caller_hung_up"
