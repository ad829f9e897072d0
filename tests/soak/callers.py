"""What callers do to the gateway in a soak: each coroutine is one call, from a phone and port of its own."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.plain_phone import PhoneCall, PlainPhone

LOST_ACK_SECONDS = 50.0
"""64 x T1 of repeated 200s, then the BYE, and some time for a busy machine."""


class UnexpectedOutcome(Exception):
    """A call went as no call of its kind may go."""


@dataclass
class Book:
    """What was done, for the comparison with the gateway's records."""

    random: random.Random
    gateway: tuple[str, int]
    placed: dict[str, str] = field(default_factory=dict)
    """Call-ID to kind of call, of calls that the gateway must have a record of."""
    kinds: dict[str, int] = field(default_factory=dict)
    turned_away: int = 0
    """Calls that got 503 because the machine was too busy, which the gateway may say."""
    wrong: list[str] = field(default_factory=list)

    def dial(self, phone: PlainPhone, kind: str, to: str, **options: bool) -> PhoneCall:
        """Place a call and write it down."""
        call = phone.dial(self.gateway, to, **options)
        self.placed[call.call_id] = kind
        return call


async def taken(book: Book, call: PhoneCall, strict: bool = True) -> bool:
    """Wait for the final response; whether it is a 200. With `strict` it may be nothing else but 503."""
    final = await call.final(40)
    book.turned_away += final.status == 503
    if strict and final.status not in (200, 503):
        raise UnexpectedOutcome(final.first_line)
    return final.status == 200


async def finish(call: PhoneCall) -> None:
    """Hang up, and wait until that was answered, so that the phone doesn't vanish before its BYE arrived."""
    if not call.is_up:
        return
    call.hang_up()
    for _ in range(100):
        if any(heard.status and heard.method == "BYE" for heard in call.heard):
            return
        await asyncio.sleep(0.05)


async def talk(book: Book, kind: str, to: str, *, strict: bool) -> None:
    """An ordinary call: some seconds of sound, some keys, the caller hangs up."""
    async with PlainPhone.open() as phone:
        call = book.dial(phone, kind, to)
        if not await taken(book, call, strict):
            return
        await asyncio.sleep(book.random.uniform(0.2, 5))
        if book.random.random() < 0.5:
            call.press("12#")
            await asyncio.sleep(0.6)
        if strict and not call.packets:
            raise UnexpectedOutcome("no RTP of the gateway came")
        if strict and not call.is_up:
            raise UnexpectedOutcome("the gateway hung up")
        await finish(call)


async def echo(book: Book) -> None:
    """The one call that nothing excuses: no agent can die in it."""
    await talk(book, "echo", "echo", strict=True)


async def agent(book: Book) -> None:
    """A call to an agent that echoes, which may be killed meanwhile."""
    await talk(book, "agent", "agent", strict=False)


async def twilio(book: Book) -> None:
    """The same by Twilio's protocol."""
    await talk(book, "twilio", "twilio", strict=False)


async def troubled(book: Book) -> None:
    """An agent that refuses, dies, is deaf or rude."""
    await talk(book, "troubled", book.random.choice(("refuse", "die", "deaf", "rude")), strict=False)


async def cancel(book: Book) -> None:
    """CANCEL at any moment of a slow or a quick agent: it may cross the 200, which then is acknowledged and ended."""
    async with PlainPhone.open() as phone:
        to, latest = book.random.choice((("late", 3.0), ("agent", 0.02), ("echo", 0.004)))
        call = book.dial(phone, "cancel", to)
        await asyncio.sleep(book.random.uniform(0, latest))
        call.cancel()
        final = await call.final(40)
        if final.status == 200:
            await finish(call)
        elif final.status not in (487, 503) and to == "echo":
            raise UnexpectedOutcome(final.first_line)
        # The gateway may repeat its 200 before our ACK arrives; the phone answers for a moment more.
        await asyncio.sleep(0.2)


async def cross(book: Book) -> None:
    """The agent closes and the caller hangs up at about the same time: two BYEs pass each other."""
    async with PlainPhone.open() as phone:
        call = book.dial(phone, "cross", "leave")
        if not await taken(book, call, strict=False):
            return
        with suppress(AssertionError):
            await call.hung_up(book.random.uniform(0.8, 1.5))
        call.hang_up()
        await asyncio.sleep(0.3)


async def lose_ack(book: Book) -> None:
    """The ACK never arrives: the gateway repeats its 200 and says BYE when 64 x T1 are over."""
    async with PlainPhone.open() as phone:
        call = book.dial(phone, "lost ack", "echo", acknowledge=False)
        if not await taken(book, call):
            return
        if book.random.random() < 0.5:
            await asyncio.sleep(book.random.uniform(0.5, 5))
            call.ack()
            await asyncio.sleep(1)
            await finish(call)
        else:
            await call.hung_up(LOST_ACK_SECONDS)


async def vanish(book: Book) -> None:
    """The trunk restarts in mid-call: no RTP, no BYE, nobody answers. The gateway has to find out by itself."""
    async with PlainPhone.open() as phone:
        call = book.dial(phone, "vanished", book.random.choice(("echo", "agent")), talk=False)
        with suppress(AssertionError):
            await call.final(20)
        await asyncio.sleep(book.random.uniform(0, 1))
        call.rtp.close()
        phone.calls.clear()


async def misdial(book: Book) -> None:
    """A number without a route."""
    async with PlainPhone.open() as phone:
        final = await book.dial(phone, "misdialled", "nobody").final(20)
        if final.status not in (404, 503):
            raise UnexpectedOutcome(final.first_line)


async def intrude(book: Book) -> None:
    """Strangers, who get silence, and garbage from an address that may call."""
    for host in ("127.0.0.2", "127.0.0.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((host, 0))
            stranger.sendto(b"INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2\r\n\r\n", book.gateway)
            stranger.sendto(book.random.randbytes(book.random.randrange(1, 900)), book.gateway)
    await asyncio.sleep(0.2)


KINDS: dict[str, tuple[Callable[[Book], Awaitable[None]], int]] = {
    "echo": (echo, 20),
    "agent": (agent, 20),
    "twilio": (twilio, 10),
    "troubled": (troubled, 12),
    "cancel": (cancel, 16),
    "cross": (cross, 10),
    "lost ack": (lose_ack, 3),
    "vanished": (vanish, 3),
    "misdialled": (misdial, 4),
    "strangers": (intrude, 4),
}
"""Every kind of call, and how often it is made, in parts of the sum."""


async def keep_calling(book: Book, until: float) -> None:
    """One call after the other, until that time of the loop."""
    names, weights = list(KINDS), [weight for _, weight in KINDS.values()]
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        name = book.random.choices(names, weights)[0]
        try:
            await KINDS[name][0](book)
        except (AssertionError, TimeoutError, UnexpectedOutcome) as error:
            book.wrong.append(f"{name}: {str(error) or type(error).__name__}")
            if len(book.wrong) <= 20:
                print(f"  {book.wrong[-1]}", flush=True)
        book.kinds[name] = book.kinds.get(name, 0) + 1
        await asyncio.sleep(book.random.uniform(0, 0.3))
