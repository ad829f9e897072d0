"""baresip as it comes, without a configuration or an account, calls the gateway as it comes: the line of the README."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.support.gateway import REPOSITORY, Gateway, ports, wait_until

pytestmark = pytest.mark.interop

WORDS = ("/uanew sip:me@127.0.0.1;regint=0", "/dial sip:hello@127.0.0.1")


def test_the_line_of_the_readme_reaches_the_gateway(tmp_path: Path) -> None:
    """baresip calls from this machine's own address, not from the loopback, where there is one."""
    readme = (REPOSITORY / "README.md").read_text()
    line = next(line for line in readme.splitlines() if line.startswith("$ baresip"))
    assert tuple(re.findall(r'-e "([^"]*)"', line)) == WORDS

    port = ports(1)
    with Gateway(tmp_path / "gateway", "", sip=f'listen = ["udp://0.0.0.0:{port}"]') as gateway:
        commands = [word for said in (WORDS[0], f"{WORDS[1]}:{port}") for word in ("-e", said)]
        with subprocess.Popen(
            ["baresip", "-f", str(tmp_path / "baresip"), *commands],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as phone:
            try:
                wait_until(lambda: gateway.metric("offhook_calls_answered_total") == 1, 30, gateway.said)
            finally:
                phone.terminate()
