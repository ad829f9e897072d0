"""An agent to be called: it answers what it hears in a few known ways."""

from offhook import Agent, Call, Turn

STORY = (
    "Once upon a time there was a gateway that stood at the edge of a great network. Every day it carried voices from "
    "one side to the other. Nobody had ever asked it how it was, and it never complained. One evening somebody called."
)


def desk(rate: int = 16_000) -> Agent:
    """A new one."""
    agent = Agent("desk", greeting="Hello, how can I help you today?", rate=rate)

    @agent.on_ringing
    async def ringing(call: Call) -> None:
        if call.headers.get("X-Blocked"):
            await call.reject(486)

    @agent.on_turn
    async def reply(call: Call, turn: Turn) -> None:
        text = turn.text.lower()
        if "bye" in text:
            await call.say("Goodbye, and thank you for calling.")
            await call.hang_up()
        elif "story" in text:
            await call.say(STORY)
        elif "table" in text:
            await call.say("A table for two, very well.")
            await call.say("At what time would you like to come?")
        elif "fail" in text:
            raise KeyError("a mistake of the agent's author")
        elif "menu" in text:
            digits = await call.collect_digits(prompt="Please enter your number, then hash.")
            await call.say(f"You entered {' '.join(digits.digits)}.")
            await call.send_dtmf(digits.digits)
        else:
            await call.say(f"You said: {turn.text}")

    @agent.on_dtmf
    async def key(call: Call, digit: str) -> None:
        if digit == "0":
            await call.clear()

    return agent
