"""`offhook phone` over TLS: a call, and far ends that prove nothing, in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.tls.test_handshakes import sip
from tests.support.certificates import authority, stranger
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.openssl import s_server

pytestmark = pytest.mark.interop

_TOML = """
[[trunk]]
name = "named"
allow = ["127.0.0.1"]
tls_name = "pbx.example.com"

[[trunk]]
name = "phones"
allow = ["127.0.0.1"]
srtp = "optional"

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    with running_gateway(directory, _TOML, sip=sip(directory)) as running:
        yield running


def call(gateway: Gateway, port: int, *options: str, scheme: str = "sips", code: int = 0) -> dict[str, Any]:
    uri = f"{scheme}:echo@127.0.0.1:{port}"
    found: dict[str, Any] = json.loads(gateway.run("phone", uri, "--seconds", "1", "--json", *options, code=code))
    return found


@pytest.mark.parametrize("scheme", ["sips", "sip"])
def test_a_call(gateway: Gateway, scheme: str) -> None:
    options = ["--tls-ca", str(gateway.directory / "ca.pem")] + (["--transport", "tls"] if scheme == "sip" else [])
    found = call(gateway, gateway.tls[1], *options, scheme=scheme)
    assert found["verdict"]["slug"] == "answered"
    record = gateway.record(found["sip_call_id"])
    assert (record["trunk"], record["transport"]) == ("phones", "tls")


def test_it_shows_a_certificate(gateway: Gateway, tmp_path: Path) -> None:
    own = authority().issue("pbx.example.com")
    (tmp_path / "phone.pem").write_bytes(own.pem + own.key_pem)
    shows = ("--tls-certificate", str(tmp_path / "phone.pem"))
    found = call(gateway, gateway.tls[1], "--tls-ca", str(gateway.directory / "ca.pem"), "--srtp", *shows, code=1)
    assert gateway.record(found["sip_call_id"])["trunk"] == "named", "which takes no encrypted sound"


def test_a_stranger_is_not_talked_to(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(stranger().pem)
    found = call(gateway, gateway.tls[1], "--tls-ca", str(tmp_path / "other.pem"), code=1)
    assert found["verdict"]["slug"] == "unreachable"
    assert "issued by nobody that we trust" in found["verdict"]["text"]
    assert "--tls-ca" in found["verdict"]["hint"]


def test_another_name_is_told(gateway: Gateway, tmp_path: Path) -> None:
    port = ports(2)
    with s_server(tmp_path, port, authority().issue("other.example")):
        found = call(gateway, port, "--tls-ca", str(gateway.directory / "ca.pem"), code=1)
    assert "it is for other.example, not for 127.0.0.1" in found["verdict"]["text"]


def test_a_plain_port_is_told(gateway: Gateway) -> None:
    found = call(gateway, gateway.tcp[1], "--tls-ca", str(gateway.directory / "ca.pem"), code=1)
    assert found["verdict"]["slug"] == "unreachable"
