"""What signalling says after a call's end: its BYE answered or not, its refusal acknowledged or not."""

import asyncio
from collections.abc import Callable

from offhook.call.inbox import Inbox
from offhook.sip.events import HungUp
from offhook.sip.invite import InviteSession
from offhook.sip.session_state import State

# How long the record waits for the answer to our BYE, or for what may follow a refusal or the peer's own BYE.
BYE_ANSWER_LIMIT = 4.0
ACK_LIMIT = 0.5


async def hear_last_words(session: InviteSession, inbox: Inbox, note: Callable[[str], None]) -> None:
    """Let signalling finish, so that the record shows whether our BYE was answered, or our refusal acknowledged."""
    hung_up_by_us = session.state is not State.TERMINATED
    try:
        async with asyncio.timeout(BYE_ANSWER_LIMIT if hung_up_by_us else ACK_LIMIT):
            while True:
                event = await inbox.get()
                if isinstance(event, HungUp):
                    if event.detail:
                        note(f"our BYE could not be delivered: {event.detail}")
                    return
    except TimeoutError:
        if session.state is State.CLOSING:
            note("our 200 has not been acknowledged so far; the BYE waits for that")
        elif hung_up_by_us:
            note("our BYE has not been answered so far")
