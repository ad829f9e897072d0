"""sipsak and sipvicious: whoever may call us is told what we speak, everybody else learns nothing."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, running_gateway, wait_until

pytestmark = pytest.mark.interop

STRANGER = "127.0.0.66"

_TOML = """
[[trunk]]
name = "friends"
allow = ["127.0.0.1"]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML) as gateway:
        yield gateway


def run(program: str, package: str, *arguments: str, within: float = 30.0) -> tuple[int, str]:
    """Exit code and everything printed."""
    assert shutil.which(program), f"{program} is missing: sudo apt-get install {package}"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=within, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_friend_is_told_what_we_speak(gateway: Gateway, transport: str) -> None:
    host, port = gateway.udp if transport == "udp" else gateway.tcp
    code, said = run("sipsak", "sipsak", "-vvv", "-E", transport, "-s", f"sip:ping@{host}:{port}")
    assert code == 0, said
    assert "SIP/2.0 200 OK" in said
    for line in ("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO", "Accept: application/sdp", "Server: offhook/"):
        assert line in said, said


def test_a_flood_of_questions_is_answered(gateway: Gateway) -> None:
    host, port = gateway.udp
    for _ in range(20):
        code, said = run("sipsak", "sipsak", "-s", f"sip:ping@{host}:{port}")
        assert code == 0, said


def ask(gateway: Gateway, source: str, data: bytes, within: float = 1.0) -> bytes | None:
    """One datagram from there, and its answer, if one comes within so many seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((source, 0))
        own.settimeout(within)
        own.sendto(data, gateway.udp)
        try:
            return own.recv(65535)
        except TimeoutError:
            return None


def question(method: str, source: str) -> bytes:
    lines = (
        f"{method} sip:100@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP {source}:5060;branch=z9hG4bK-{method}-{source};rport",
        f"From: <sip:scan@{source}>;tag=scan",
        "To: <sip:100@127.0.0.1>",
        f"Call-ID: {method}-{source}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:scan@{source}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE", "DANCE"])
def test_a_stranger_gets_silence(gateway: Gateway, method: str) -> None:
    assert ask(gateway, STRANGER, question(method, STRANGER)) is None
    assert ask(gateway, "127.0.0.1", question("OPTIONS", "127.0.0.1"), 20.0), "a friend is still heard"


def test_a_stranger_gets_silence_for_garbage_and_by_tcp_too(gateway: Gateway) -> None:
    assert ask(gateway, STRANGER, b"OPTIONS sip:x SIP/2.0\r\nVia: nonsense\r\n\r\n") is None
    with socket.socket() as own:
        own.bind((STRANGER, 0))
        own.settimeout(20)
        try:
            own.connect(gateway.tcp)
            own.sendall(question("OPTIONS", STRANGER))
            assert own.recv(4096) == b"", "closed without a word"
        except ConnectionResetError:
            pass


def test_scanners_of_sipvicious_learn_nothing(gateway: Gateway, tmp_path: Path) -> None:
    host, port = gateway.udp
    own = ["-x", STRANGER, "-b", STRANGER]
    _, said = run("svmap", "sipvicious", *own, "-p", str(port), host, within=60)
    assert "found nothing" in said.lower(), said
    assert "offhook" not in said.lower(), said
    _, said = run("svwar", "sipvicious", *own, "-e", "100-120", "-p", str(port), "-m", "INVITE", host, within=60)
    assert not re.search("reqauth|noauth", said), said
    wait_until(lambda: STRANGER in gateway.said(), 30, "the stranger is not written down")
