"""Whole calls through Kamailio: what is sent within a dialog follows its Record-Routes, by UDP and by TCP."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.baresip.phone import Baresip, tone
from tests.interop.kamailio.proxy import HOST, Kamailio
from tests.interop.sipp.scenario import OFFER, Check, Player, Scenario
from tests.support.gateway import Gateway, running_gateway, wait_until

pytestmark = pytest.mark.interop

# Sound comes from the phones themselves, not from the proxy. baresip names the machine's outer address in its SDP and
# then sends from loopback, which is neither: without `media_allow` it is dropped and the record says so.
_TOML = f"""
[limits]
max_cps = 1000

[[trunk]]
name = "proxy"
allow = ["{HOST}"]
media_allow = ["127.0.0.1"]

[[route]]
name = "echo"
destination = "echo:"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), _TOML) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def short_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that hangs up after a second."""
    toml = _TOML.replace(f'allow = ["{HOST}"]', f'allow = ["{HOST}"]\nmax_duration = 1')
    with running_gateway(tmp_path_factory.mktemp("short"), toml) as gateway:
        yield gateway


def in_front_of(gateway: Gateway, directory: Path, transport: str) -> Kamailio:
    return Kamailio(directory / "kamailio", gateway.udp if transport == "udp" else gateway.tcp, transport)


Proxies = dict[str, Kamailio]
"""By the transport of their way to the gateway."""


@contextmanager
def proxies_of(gateway: Gateway, directory: Path) -> Iterator[Proxies]:
    with in_front_of(gateway, directory / "udp", "udp") as udp, in_front_of(gateway, directory / "tcp", "tcp") as tcp:
        yield {"udp": udp, "tcp": tcp}


@pytest.fixture(scope="module")
def proxies(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxies]:
    with proxies_of(gateway, tmp_path_factory.mktemp("proxies")) as found:
        yield found


@pytest.fixture(scope="module")
def short_proxies(short_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxies]:
    with proxies_of(short_gateway, tmp_path_factory.mktemp("short-proxies")) as found:
        yield found


def relayed(proxy: Kamailio, method: str, count: int, before: int) -> list[str]:
    """The requests of a method that the proxy has sent on after those before: so many, and what was repeated."""
    return wait_until(lambda: found if len(found := proxy.relayed(method)[before:]) >= count else None, 30, proxy.said)


@pytest.mark.parametrize(("there", "here"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "udp"), ("tcp", "tcp")])
def test_a_call_through_it(gateway: Gateway, proxies: Proxies, tmp_path: Path, there: str, here: str) -> None:
    proxy = proxies[here]
    acks, byes = len(proxy.relayed("ACK")), len(proxy.relayed("BYE"))
    flow = (
        Scenario(f"through-{there}-{here}")
        .invite()
        .expect(100)
        .expect(180, Check(re.escape(HOST), "Record-Route"), optional=True)
        .expect(200, Check(re.escape(HOST), "Record-Route"), Check("sip:offhook@127.0.0.1", "Contact"))
        .ack()
        .pause(200)
        .invite(OFFER + "a=sendonly\n", cseq=2, branch="hold", within=True)
        .expect(100, optional=True)
        .expect(200, Check("a=recvonly"), routes=False)
        .ack(cseq=2)
        .pause(200)
        .bye(cseq=3)
        .expect(200)
    )
    record = gateway.record(Player(tmp_path, proxy.address).play(flow, transport=there).call_id)
    relayed(proxy, "ACK", 2, acks)  # by loose routing, not to our Contact straight
    relayed(proxy, "BYE", 1, byes)
    assert (record["end_reason"], record["transport"]) == ("caller_hung_up", here)
    assert record["remote_signalling"].startswith(f"{HOST}:")


def test_updates_through_it(gateway: Gateway, proxies: Proxies, tmp_path: Path) -> None:
    proxy = proxies["udp"]
    before = len(proxy.relayed("UPDATE"))
    flow = (
        Scenario("update-through")
        .set_up()
        .request("UPDATE", OFFER + "a=sendonly\n", cseq=2, branch="hold")
        .expect(200, Check("a=recvonly"), Check("sip:offhook@127.0.0.1", "Contact"), routes=False)
        .request("UPDATE", OFFER, cseq=3, branch="resume")
        .expect(200, Check("a=sendrecv"), routes=False)
        .request("UPDATE", cseq=4, branch="refresh")
        .expect(200, Check("a=", absent=True), routes=False)
        .bye(cseq=5)
        .expect(200)
    )
    record = gateway.record(Player(tmp_path, proxy.address).play(flow).call_id)
    relayed(proxy, "UPDATE", 3, before)
    assert record["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize(("there", "here"), [("udp", "udp"), ("tcp", "udp"), ("udp", "tcp"), ("tcp", "tcp")])
def test_our_bye_follows_the_route_set(
    short_gateway: Gateway, short_proxies: Proxies, tmp_path: Path, there: str, here: str
) -> None:
    proxy = short_proxies[here]
    before = len(proxy.relayed("BYE"))
    flow = Scenario(f"bye-{there}-{here}").set_up().expect_request("BYE", Check("Q.850", "Reason")).answer()
    record = short_gateway.record(Player(tmp_path, proxy.address).play(flow, transport=there).call_id)
    assert all("from 127.0.0.1" in bye for bye in relayed(proxy, "BYE", 1, before))
    assert record["end_reason"] == "max_duration"
    timeline = str(short_gateway.show(record["call_id"])["timeline"])
    routes = re.search(r"BYE sip:sipp@127\.0\.0\.1.*?Route: ", timeline, re.S)
    assert routes, "the Request-URI is the phone's Contact and the proxy stands in Route"
    assert "lr" in timeline


def test_a_cancel_through_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        toml = _TOML.replace('destination = "echo:"', f'destination = "ws://127.0.0.1:{silent.getsockname()[1]}/"')
        with running_gateway(tmp_path / "gateway", toml) as gateway, in_front_of(gateway, tmp_path, "udp") as proxy:
            flow = (
                Scenario("cancel-through")
                .invite()
                .expect(100)
                .expect(180)
                .cancel()
                .expect(200, Check("CANCEL", "CSeq"))
                .expect(487)
                .ack_refusal()
            )
            record = gateway.record(Player(tmp_path, proxy.address).play(flow).call_id)
    assert record["end_reason"] == "caller_cancelled"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_through_it(gateway: Gateway, proxies: Proxies, tmp_path: Path, transport: str) -> None:
    proxy = proxies[transport]
    before = len(proxy.relayed("BYE"))
    with Baresip(tmp_path / "phone", tone(520, 60), transport=transport) as phone:
        call_id = phone.dial("echo", proxy.address)
        phone.hears(520)
        phone.command("hangup")
        phone.wait_for("CALL_CLOSED")
    relayed(proxy, "BYE", 1, before)
    assert gateway.record(call_id)["end_reason"] == "caller_hung_up"
