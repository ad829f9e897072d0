"""An agent that listens, says back what it understood, and can be interrupted. It needs no account and no key.

pip install 'offhook[agent]'
offhook run parrot.py
offhook phone sip:hello@127.0.0.1
"""

from offhook import Agent, Call, Turn

agent = Agent("parrot", greeting="Hello! Say something, and I'll say it back. Say goodbye when you've had enough.")


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    if turn.interrupted is not None:
        print(f"{call.id}: cut off after “{turn.interrupted.heard}”")
    if "bye" in turn.text.lower():
        await call.say("Goodbye!")
        await call.hang_up()
    await call.say(f"You said: {turn.text}")


@agent.on_hangup
async def over(call: Call) -> None:
    print(f"{call.id} ended ({call.end_reason}):\n{call.history}")


if __name__ == "__main__":
    agent.run()
