"""Workers that dial the gateway, written with `websockets` from the protocol's page, and a phone of plain text."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from tests.support.gateway import Gateway, ports, running_gateway
from tests.support.plain_phone import PhoneCall, PlainPhone
from tests.support.tone import has_tone, is_silent, lasting, tone
from tests.support.undisturbed import undisturbed
from tests.support.worker import TOKEN, Worker, WorkerCall, WorkerThread, worker_at
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

pytestmark = pytest.mark.interop

DESK, SAVED, OTHER = "+14155550120", "+14155550121", "+14155550122"
THREADS = 2
GAP = 0.25
"""Seconds between two packets of a call that nothing happened to, on a busy machine; a worker stands still for 4 s."""
TOML = f"""
[[trunk]]
name = "acme"
allow = ["127.0.0.1"]

[[route]]
name = "desk"
to = "{DESK}"
destination = "worker:desk"
ring_timeout = 8

[[route]]
name = "saved"
to = "{SAVED}"
destination = "agent:desk"
fallback = [{{ to = "echo:" }}]

[[route]]
name = "other"
to = "{OTHER}"
destination = "worker:other"

[[agent]]
name = "desk"
kind = "worker"
token = "{TOKEN}"

[[agent]]
name = "other"
kind = "worker"
token = "another-token-of-the-tests"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    first = ports(60)
    media = f'ports = "{first}-{first + 59}"\nthreads = {THREADS}'
    with running_gateway(tmp_path_factory.mktemp("workers"), TOML, media=media) as running:
        yield running
        # Refusals are written once a minute, and at the end: what the log tells is listed, too.
        running.stop()
        assert not (running.directory / "data" / "gateway.json").exists()
        assert ("worker_token" in running.said()) == ("worker_token" in running.run("calls", "refused"))
        assert "Traceback" not in running.said(), running.said()


async def is_saved(call: PhoneCall) -> None:
    """The fallback has the caller: what is said comes back."""
    await call.answered()
    call.say(lasting(600))
    await call.hears(600, frames=10)
    call.stop_talking()


def metric(gateway: Gateway, line: str) -> float:
    """The value of one line of `/metrics`, 0 if it is not there."""
    with urllib.request.urlopen(f"{gateway.http}/metrics", timeout=20) as answer:
        found = [text for text in answer.read().decode().splitlines() if text.startswith(line + " ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


async def shows(gateway: Gateway, line: str, value: float) -> None:
    """Wait until a line of `/metrics` has this value."""
    async with asyncio.timeout(30):
        while metric(gateway, line) != value:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.05)


def notes(shown: dict[str, Any]) -> list[str]:
    """What the timeline of a call notes."""
    return [str(entry.get("note", "")) for entry in shown["timeline"]["entries"]]


async def test_a_worker_takes_calls_and_both_sides_are_heard(gateway: Gateway) -> None:
    """pipecat-ai/pipecat#4436: digits did not reach the agent by another transport."""
    async with worker_at(gateway.http, instance="box 1") as worker, PlainPhone.open() as phone:
        assert worker.welcome["connections"] == THREADS
        assert (worker.welcome["gateway"], len(worker.sockets)) == ("test", THREADS)
        call = phone.dial(gateway.udp, DESK, caller="+14155550100")
        mine = await worker.next_call()
        ringing = await mine.text("ringing")
        assert (ringing["from_number"], ringing["to_number"], ringing["route"]) == ("+14155550100", DESK, "desk")
        await mine.take()
        await call.answered()
        await shows(gateway, 'offhook_workers{agent="desk"}', 1)
        await shows(gateway, 'offhook_worker_calls{agent="desk"}', 1)
        [listed] = json.loads(await asyncio.to_thread(gateway.run, "workers", "--json"))
        assert (listed["agent"], listed["instance"], listed["calls"]) == ("desk", "box 1", 1)
        await mine.play(b"".join(tone(700, 0.5)))
        await mine.say(type="mark", name="said")
        assert len(await call.hears(700, frames=24)) >= 24
        await mine.text("mark")
        call.say(tone(600, 2.0))
        await worker.until(lambda: sum(has_tone(sound, 600) for _, sound in mine.audio) >= 20, what="the caller's tone")
        call.press("5")
        assert (await mine.text("dtmf"))["digit"] == "5"
        positions = [position for position, _ in mine.audio]
        assert all(after - before == 20 for before, after in pairwise(positions)), "nothing is missing"
        assert all(len(sound) == 160 for _, sound in mine.audio)
        call.hang_up()
        assert (await mine.text("end"))["reason"] == "caller_hung_up"
        assert await mine.over() == (1000, "caller_hung_up")
    shown = gateway.explained(call.call_id)
    assert shown["call"]["end_reason"] == "caller_hung_up"
    assert any("worker box 1 is asked" in note for note in notes(shown))
    await shows(gateway, 'offhook_worker_calls{agent="desk"}', 0)


async def test_an_agents_hang_up_is_heard_out(gateway: Gateway) -> None:
    async with worker_at(gateway.http) as worker, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, DESK)
        mine = await worker.next_call()
        await mine.take()
        await call.answered()
        await mine.play(b"".join(tone(700, 0.6)))
        # Its CLOSE is the close frame of a connection of its own: what is queued is played first.
        await mine.close(1000)
        await call.hung_up()
        assert sum(has_tone(packet.payload, 700) for packet in call.packets) >= 29
    assert gateway.record(call.call_id)["end_reason"] == "agent_hung_up"


async def test_two_workers_share_calls_by_their_load(gateway: Gateway) -> None:
    async with (
        worker_at(gateway.http, max_calls=9, instance="large") as large,
        worker_at(gateway.http, max_calls=3, instance="small") as small,
        PlainPhone.open() as phone,
    ):
        calls = []
        for number in range(8):
            calls.append(phone.dial(gateway.udp, DESK))
            await large.until(lambda n=number: len(large.calls) + len(small.calls) == n + 1 or tick(large))
        assert (len(large.calls), len(small.calls)) == (6, 2), "by the share of what each takes"
        # One frees its place, and the next call goes where there is most room.
        for mine in small.calls.values():
            await mine.text("ringing")
            await mine.say(type="reject", status=486)
        await small.until(lambda: all(mine.closed for mine in small.calls.values()), what="the end of the rejected")
        calls.append(phone.dial(gateway.udp, DESK))
        await small.next_call(count=3)
        for call in calls:
            call.cancel()
        await large.until(lambda: all(mine.closed for mine in large.calls.values()), what="the end of the cancelled")


def tick(worker: Worker) -> bool:
    """Look again soon: the condition is on two workers."""
    asyncio.get_running_loop().call_later(0.02, worker._changed.set)
    return False


async def test_a_worker_that_is_full_or_declines_is_passed_over(gateway: Gateway) -> None:
    async with (
        worker_at(gateway.http, max_calls=1, instance="first") as first,
        worker_at(gateway.http, max_calls=1, instance="second") as second,
        PlainPhone.open() as phone,
    ):
        call = phone.dial(gateway.udp, DESK)
        await first.until(lambda: bool(first.calls or second.calls) or tick(first), what="a call")
        asked, other = (first, second) if first.calls else (second, first)
        mine = await asked.next_call()
        await mine.say(type="decline", reason="no model in memory")
        theirs = await other.next_call()
        assert (await theirs.text("ringing"))["call_id"] == (await mine.text("ringing"))["call_id"]
        await theirs.take()
        await call.answered()
        assert await mine.over() == (1000, "no_worker")
        # One is full, the other says no again: the caller is told, and the record knows why.
        busy = phone.dial(gateway.udp, DESK)
        again = await asked.next_call(count=2)
        await again.say(type="decline")
        assert (await busy.final()).status == 480
        call.hang_up()
        await theirs.over()
    record = gateway.record(busy.call_id)
    assert record["end_reason"] == "no_worker"
    assert "declined the call" in record["end_detail"]


async def test_without_a_worker_the_fallback_takes_the_call(gateway: Gateway) -> None:
    async with PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        await is_saved(call)
        refused = phone.dial(gateway.udp, DESK)
        assert (await refused.final()).status == 480
    record = gateway.record(refused.call_id)
    assert (record["end_reason"], record["end_detail"]) == ("no_worker", "no worker of 'desk' is connected")


@undisturbed
async def test_a_worker_that_dies_loses_its_calls_to_the_fallback_and_no_other(gateway: Gateway) -> None:
    async with (
        worker_at(gateway.http, instance="dies") as dies,
        worker_at(gateway.http, instance="lives") as lives,
        PlainPhone.open() as phone,
    ):
        calls = [phone.dial(gateway.udp, SAVED) for _ in range(6)]
        await dies.until(lambda: len(dies.calls) + len(lives.calls) == 6 or tick(dies), what="six calls")
        assert len(dies.calls) == len(lives.calls) == 3
        for mine in (*dies.calls.values(), *lives.calls.values()):
            await mine.take()
            await mine.play(b"".join(tone(700, 20)))
        for call in calls:
            await call.answered()
            await call.hears(700)
        lost = {(await mine.text("ringing"))["sip_call_id"] for mine in dies.calls.values()}
        dies.kill()
        for call in calls:
            if call.call_id in lost:
                call.say(lasting(600))
                await call.hears(600, frames=10)
        kept = [call for call in calls if call.call_id not in lost]
        for call in kept:
            before = len(call.packets)
            await call.hears(700, frames=50, since=before)
            assert largest_gap(call) <= GAP
        for call in calls:
            call.hang_up()
        await lives.until(lambda: all(mine.closed for mine in lives.calls.values()), what="the end")
        assert [mine.closed for mine in lives.calls.values()] == [(1000, "caller_hung_up")] * 3
    for call in calls:
        gateway.record(call.call_id)


def largest_gap(call: PhoneCall, since: int = 0) -> float:
    """The longest time between two packets that reached the caller, by the kernel's clock."""
    return max(after.at - before.at for before, after in pairwise(call.packets[since:]))


@undisturbed
async def test_a_worker_that_blocks_plays_on_and_gets_no_new_calls(gateway: Gateway) -> None:
    async def sing(call: WorkerCall) -> None:
        await call.take()
        await call.play(b"".join(tone(700, 20)))

    with WorkerThread(gateway.http, sing, instance="blocks") as blocks:
        async with PlainPhone.open() as phone:
            mine = [phone.dial(gateway.udp, DESK) for _ in range(2)]
            for call in mine:
                await call.answered()
            async with worker_at(gateway.http, serve=sing, instance="neighbour") as neighbour:
                theirs = [phone.dial(gateway.udp, DESK) for _ in range(2)]
                for call in (*mine, *theirs):
                    await call.answered()
                    await call.hears(700)
                assert (blocks.call_count, len(neighbour.calls)) == (2, 2)
                before = {call.call_id: len(call.packets) for call in (*mine, *theirs)}
                stalls = metric(gateway, 'offhook_worker_events_total{event="stalled"}')
                blocks.block(4.0)
                await shows(gateway, 'offhook_workers_stalled{agent="desk"}', 1)
                # Meanwhile it gets none, though its share is as small as the other's.
                more = [phone.dial(gateway.udp, DESK) for _ in range(3)]
                for call in more:
                    await call.answered()
                assert blocks.call_count == 2
                assert len(neighbour.calls) == 5
                await shows(gateway, 'offhook_workers_stalled{agent="desk"}', 0)
                for call in (*mine, *theirs):
                    came = call.packets[before[call.call_id] :]
                    assert len(came) >= 140, "four seconds of sound went on"
                    assert not any(is_silent(packet.payload) for packet in came), "what was queued is played"
                    assert largest_gap(call, before[call.call_id]) <= GAP
                assert metric(gateway, 'offhook_worker_events_total{event="stalled"}') == stalls + 1
                # And so is its share of what comes.
                last = phone.dial(gateway.udp, DESK)
                await last.answered()
                assert blocks.call_count == 3
                for call in (*mine, *theirs, *more, last):
                    call.hang_up()
                await neighbour.until(lambda: all(call.closed for call in neighbour.calls.values()), what="the end")
            for call in (*mine, *theirs, *more, last):
                assert gateway.record(call.call_id)["end_reason"] == "caller_hung_up"
    assert '"event": "worker.stalled"' in gateway.said() or "worker.stalled" in gateway.said()


async def test_a_call_that_a_stalled_worker_has_not_taken_goes_to_the_next(gateway: Gateway) -> None:
    async def take(call: WorkerCall) -> None:
        await call.take()

    with WorkerThread(gateway.http, take, instance="blocks") as blocks:
        async with PlainPhone.open() as phone:
            blocks.block(4)
            call = phone.dial(gateway.udp, DESK)
            await asyncio.sleep(0.3)
            async with worker_at(gateway.http, serve=take, instance="helps") as helps:
                await call.answered()
                assert len(helps.calls) == 1
                call.hang_up()
                await (await helps.next_call()).over()
    found = notes(gateway.explained(call.call_id))
    assert any("worker blocks did not take the call" in note for note in found), found


async def test_caller_audio_waits_for_credit_and_the_oldest_goes(gateway: Gateway) -> None:
    async with worker_at(gateway.http, credit_ms=200) as worker, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, DESK)
        mine = await worker.next_call()
        await mine.take()
        await call.answered()
        await worker.until(lambda: len(mine.audio) == 10, what="200 ms")
        await asyncio.sleep(0.5)
        assert len(mine.audio) == 10, "there is no more credit"
        await mine.grant(600)
        await worker.until(lambda: len(mine.audio) == 30, what="400 ms more")
        assert [position for position, _ in mine.audio] == list(range(0, 600, 20)), "it waited, and none was dropped"
        # 32 KiB are about 3.8 s of µ-law with its headers.
        await asyncio.sleep(4.6)
        await mine.grant(60_000)
        await worker.until(lambda: len(mine.audio) > 150, what="what has waited")
        positions = [position for position, _ in mine.audio]
        gaps = [after - before for before, after in pairwise(positions) if after - before != 20]
        assert len(gaps) == 1, "the oldest went, in one piece"
        call.hang_up()
        await mine.over()
    wire = gateway.explained(call.call_id)["call"]["wire"]
    assert wire["sent_dropped_us"] // 1000 == gaps[0] - 20


async def test_draining_and_coming_back(gateway: Gateway) -> None:
    async with worker_at(gateway.http, instance="leaves") as leaves, PlainPhone.open() as phone:
        call = phone.dial(gateway.udp, SAVED)
        mine = await leaves.next_call()
        await mine.take()
        await call.answered()
        await leaves.tell(type="drain")
        await asyncio.sleep(0.5)
        second = phone.dial(gateway.udp, SAVED)
        await is_saved(second)
        assert len(leaves.calls) == 1, "no new calls"
        await mine.play(b"".join(tone(700, 0.4)))
        await call.hears(700)
        # A second connection breaks and is opened anew; its calls are those of its thread.
        number = next(number for number in leaves.sockets if leaves.sockets[number] is not mine.socket)
        leaves.sockets[number].transport.abort()
        async with asyncio.timeout(30):
            while not await joins(leaves, number):  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.05)
        call.hang_up()
        second.hang_up()
        await mine.over()


async def joins(worker: Worker, number: int) -> bool:
    """Whether the gateway takes this connection anew; not before it knows that the old one is broken."""
    try:
        await worker.join(number)
    except InvalidStatus:
        return False
    return True


async def test_a_warm_worker_comes_before_one_that_is_not(gateway: Gateway) -> None:
    async with (
        worker_at(gateway.http, ready=0, max_calls=100, instance="cold") as cold,
        worker_at(gateway.http, ready=1, max_calls=4, instance="warm") as warm,
        PlainPhone.open() as phone,
    ):
        calls = [phone.dial(gateway.udp, DESK), phone.dial(gateway.udp, DESK)]
        await warm.next_call(count=2)
        assert not cold.calls
        await warm.tell(type="status", ready=0)
        await cold.tell(type="status", ready=1)
        await asyncio.sleep(0.5)
        calls.append(phone.dial(gateway.udp, DESK))
        await cold.next_call()
        for call in calls:
            call.cancel()
        await warm.until(lambda: all(mine.closed for mine in warm.calls.values()), what="the end")


# Who is turned away.


async def refusal(gateway: Gateway, query: str = "", *, token: str | None = TOKEN, protocol: str = "offhook.worker.v1",
                  source: str = "203.0.113.1") -> tuple[int, dict[str, object]]:  # fmt: skip
    """Try to connect, and give the status and body of the refusal. `source` is whom a proxy would name."""
    headers = {"X-Forwarded-For": source} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
    with pytest.raises(InvalidStatus) as refused:
        await connect(
            gateway.http.replace("http", "ws") + "/v1/worker" + query,
            subprotocols=[Subprotocol(protocol)],
            additional_headers=headers,
        )
    answer = refused.value.response
    return answer.status_code, json.loads(answer.body or b"{}")


async def test_who_is_no_worker_is_told_why_in_http(gateway: Gateway) -> None:
    assert [(await refusal(gateway, token=token))[0] for token in (None, "wrong")] == [401, 401]
    status, body = await refusal(gateway, token="wrong")
    assert (status, body["code"], set(body)) == (401, "wrong_token", {"code", "message", "hint", "field"})
    status, body = await refusal(gateway, protocol="offhook.worker.v2")
    assert (status, body["code"]) == (400, "wrong_subprotocol")
    assert "offhook.worker.v2" in str(body["message"])
    assert (await refusal(gateway, "?session=none&connection=1"))[1]["code"] == "no_session"
    async with worker_at(gateway.http) as worker:
        session = f"?session={worker.welcome['session']}"
        assert (await refusal(gateway, f"{session}&connection=1"))[1]["code"] == "connection_taken"
        assert (await refusal(gateway, f"{session}&connection=7"))[1]["code"] == "bad_upgrade"
        # Somebody else's session is none.
        stolen = await refusal(gateway, f"{session}&connection=1", token="another-token-of-the-tests")
        assert stolen[1]["code"] == "no_session"
    said = gateway.said()
    assert "worker_token" in said
    assert TOKEN not in said


async def test_guessing_tokens_is_limited_by_source(gateway: Gateway) -> None:
    statuses = [(await refusal(gateway, token=f"guess-{n}", source="203.0.113.9"))[0] for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    other, _ = await refusal(gateway, token="right-or-wrong", source="203.0.113.10")
    assert other == 401, "another source is another matter"


async def test_a_worker_of_another_name_or_of_none_is_closed(gateway: Gateway) -> None:
    for hello, code in (
        ({"type": "hello", "name": "other", "max_calls": 1}, 4003),
        ({"type": "hello", "name": "desk"}, 4000),
        ({"type": "status", "max_calls": 1}, 4000),
    ):
        worker = Worker(gateway.http.replace("http", "ws") + "/v1/worker", hello, TOKEN, None)
        first = await worker.dial()
        await first.send(json.dumps(hello))
        with pytest.raises(ConnectionClosed) as closed:
            await first.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_other_requests_for_a_websocket_find_nothing(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(gateway.http.replace("http", "ws") + "/somewhere")
    assert refused.value.response.status_code == 404
    host, port = gateway.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as bare:
        bare.sendall(
            f"GET /v1/worker HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAA\r\n\r\n".encode()
        )
        answer = bare.recv(4096)
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"Sec-WebSocket-Version: 13" in answer


async def test_the_gateway_takes_nobody_in_while_it_stops(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_gateway(tmp_path_factory.mktemp("stopping"), TOML) as gateway:
        async with worker_at(gateway.http) as worker, PlainPhone.open() as phone:
            call = phone.dial(gateway.udp, DESK)
            mine = await worker.next_call()
            await mine.take()
            await call.answered()
            gateway.terminate()
            await worker.until(lambda: any(told["type"] == "drain" for told in worker.told), what="drain")
            assert (await refusal(gateway))[1]["code"] == "draining"
            await mine.play(b"".join(tone(700, 0.4)))
            await call.hears(700)
            call.hang_up()
            assert await mine.over() == (1000, "caller_hung_up")
