"""One gateway with a trunk by each preset; the tests play the other ends, at addresses of the loopback."""

import hashlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.certificates import authority
from tests.support.dialled_agent import DialledAgent
from tests.support.gateway import Gateway, ports, running_gateway

NAME = "sbc.example.com"
"""What the gateway is called, and what its certificate proves."""

KEY = "5f0d" * 16


def _own_address() -> str:
    """An address of this machine that is not of the loopback, whose peers are told ours as it is; else one that is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return "127.0.1.6"
        return str(probe.getsockname()[0])


HOSTS = {
    "twilio": "127.0.1.1",
    "twilio-secure": "127.0.1.2",
    "telnyx": "127.0.1.3",
    "plivo": "127.0.1.4",
    "vobiz": "127.0.1.5",
    "teams": _own_address(),
    "cisco-cube": "127.0.1.7",
    "asterisk": "127.0.1.8",
    "freeswitch": "127.0.1.9",
}
_LOGIN = 'username = "gw"\npassword = "not-a-secret"'
_SETTINGS = {
    "twilio-secure": 'preset = { name = "twilio", secure = true }',
    "vobiz": 'preset = "vobiz"\ncaller_id = "+918071387149"\ndial_to = "+91*"\n' + _LOGIN,
    "telnyx": 'preset = "telnyx"\n' + _LOGIN,
    "teams": f'preset = "teams"\nfrom_domain = "{NAME}"\ntrust_identity = true\noptions_interval = 5',
}
_MISTAKES = {
    "twilio-without-plus": ("twilio", 'preset = "twilio"\nnumber_format = "e164-no-plus"'),
    "twilio-in-the-clear": ("twilio-secure", 'preset = { name = "twilio", secure = true }\nsrtp = "off"'),
    "plivo-wideband": ("plivo", 'preset = "plivo"\ncodecs = ["G722"]'),
    "teams-another-name": ("teams", 'preset = "teams"\nfrom_domain = "pbx.example.com"'),
    "teams-in-the-clear": ("teams", f'preset = "teams"\nfrom_domain = "{NAME}"\nsrtp = "off"'),
}
"""Trunks with one setting that the real edge refuses, by the edge that they lead to."""


@dataclass(frozen=True, slots=True)
class Line:
    """The gateway, its agent, and where the edges are."""

    gateway: Gateway
    agent: DialledAgent
    ports: dict[str, int]
    directory: Path

    def server(self, host: str, *, asks: bool = False) -> ssl.SSLContext:
        """TLS as the edge at `host` speaks it; with `asks` to peers with a certificate alone."""
        certificate, key = authority().issue(addresses=[host]).write(self.directory, host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if asks:
            context.load_verify_locations(cadata=authority().pem.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        """TLS as an edge connects to us: our name has to be proven, and it shows a certificate."""
        certificate, key = authority().issue("sip.pstnhub.microsoft.com").write(self.directory, "client")
        context = ssl.create_default_context(cadata=authority().pem.decode())
        context.load_cert_chain(certificate, key)
        return context


def _trunk(name: str, edge: str, settings: str, port: int, *, admits: bool) -> str:
    ours = 'caller_id = "+14155550100"\ndial_to = "+1415*"\n' if "caller_id" not in settings else ""
    allow = f'allow = ["{HOSTS[edge]}"]' if admits else "allow = []"
    return f'[[trunk]]\nname = "{name}"\n{settings}\n{ours}{allow}\nhost = "{HOSTS[edge]}"\nport = {port}\n'


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A gateway that is told by its name over TLS, and every trunk."""
    directory = tmp_path_factory.mktemp("presets")
    (directory / "ca.pem").write_bytes(authority().pem)
    certificate, key = authority().issue(NAME).write(directory, "gateway")
    at = {name: ports(1) for name in HOSTS}
    agent = DialledAgent()
    trunks = [
        *(_trunk(name, name, _SETTINGS.get(name, f'preset = "{name}"'), at[name], admits=True) for name in HOSTS),
        *(_trunk(name, edge, text, at[edge], admits=False) for name, (edge, text) in _MISTAKES.items()),
    ]
    toml = "\n".join([
        *trunks,
        '[[route]]\nname = "all"\ndestination = "agent:bot"',
        f'[[agent]]\nname = "bot"\nkind = "offhook"\nurl = "ws://127.0.0.1:{agent.port}/"',
        f'[[key]]\nname = "crm"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"',
    ])  # fmt: skip
    sip = (
        f'listen = ["udp://127.0.0.1:0", {{ uri = "tls://{HOSTS["teams"]}:{ports(1)}", advertise = "{NAME}" }}]\n'
        f'tls_certificate = "{certificate}"\ntls_key = "{key}"\ntls_ca = "{directory}/ca.pem"\n'
        'tls_client_certificate = "optional"'
    )
    try:
        with running_gateway(directory, toml, sip=sip) as gateway:
            yield Line(gateway, agent, at, directory)
    finally:
        agent.close()
