"""A front desk that gives callers to a colleague, billing.py, who knows what was said; or takes a message.

pip install 'offhook[agent]'
offhook worker reception.py --url http://127.0.0.1:8080 --token …

The route says `hand_over_to = ["worker:billing"]`: docs/guides/hand-over.md has it whole.
"""

import os

from offhook import Agent, Call, Turn

COLLEAGUE = os.environ.get("COLLEAGUE", "worker:billing")

agent = Agent("front-desk", greeting="Hello! What is it about?")


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    if not any(word in turn.text.lower() for word in ("bill", "invoice", "refund", "money")):
        await call.say("I know about bills and refunds. What is it about?")
        return
    await call.say("One moment please, my colleague knows about that.")
    result = await call.hand_over(COLLEAGUE, note=turn.text, timeout=10)
    if result.completed:
        return  # the call is the colleague's
    print(f"{call.id} was not handed over, {result.outcome}: {result.reason}. {result.hint}")
    message = await call.ask("My colleague is busy. Please leave a message.")
    await call.say("Thank you. We will call you back." if message else "Goodbye.")
    await call.hang_up()


if __name__ == "__main__":
    agent.run()
