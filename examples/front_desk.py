"""A desk that puts callers through to people by REFER, and has them back where nobody takes them.

pip install 'offhook[agent]'
SALES=tel:+14155550142 offhook run front_desk.py
"""

import os

from offhook import Agent, Call, Turn

PEOPLE = {"sales": os.environ.get("SALES", "tel:+14155550142"), "support": os.environ.get("SUPPORT", "2001")}

agent = Agent("front-desk", greeting="Hello! Sales or support?")


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    wanted = next((name for name in PEOPLE if name in turn.text.lower()), None)
    if wanted is None:
        await call.say("I can put you through to sales, or to support.")
        return
    await call.say(f"One moment, I put you through to {wanted}.")
    result = await call.transfer(PEOPLE[wanted], headers={"X-Wish": wanted}, timeout=30)
    # Behind a transfer that is completed the call is over.
    match result.outcome:
        case "busy" | "no_answer" | "timed_out":
            await call.say(f"Nobody in {wanted} is free just now. Can I help you?")
        case "refused":
            print(f"transfer refused: {result.reason}. {result.hint}")
            await call.say("I can't put you through today, sorry.")


if __name__ == "__main__":
    agent.run()
