"""The colleague of reception.py: takes calls over in the middle, and knows what was said before.

pip install 'offhook[agent]'
offhook worker billing.py --url http://127.0.0.1:8080 --token …
"""

from offhook import Agent, Call, Turn

agent = Agent("billing", greeting=lambda call: "" if call.handed_over_by else "Billing, hello.")


@agent.on_call
async def begin(call: Call) -> None:
    if call.handed_over_by:
        await call.say(f"Billing here. My colleague told me: {call.hand_over_note}")
    await call.wait_until_over()


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    if "bye" in turn.text.lower():
        await call.say("Thank you for calling.")
        await call.hang_up()
    said = [line.text for line in call.history if line.role == "caller"]
    await call.say(f"I have noted: {' '.join(said)}")


if __name__ == "__main__":
    agent.run()
