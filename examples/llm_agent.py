"""A language model on the phone, any that speaks OpenAI's chat completions: a service, or a server of your own.

    pip install 'offhook[agent]' openai
    OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none MODEL=llama3.2 offhook run llm_agent.py

It is spoken sentence by sentence as its tokens come. What the caller cuts off is not in the history, so the model never
believes that it has said what nobody heard.
"""

import os

from openai import AsyncOpenAI

from offhook import Agent, Call, Turn

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
SYSTEM = "You answer the phone of a small hotel, in two sentences at most and without lists. Caller: {caller}"

agent, llm = Agent("hotel", greeting="Hotel Offhook, good day! How can I help?"), AsyncOpenAI()


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    messages = call.history.messages(system=SYSTEM.format(caller=call.from_number or "withheld"))
    stream = await llm.chat.completions.create(model=MODEL, messages=messages, stream=True)
    await call.say(chunk.choices[0].delta.content async for chunk in stream if chunk.choices)


if __name__ == "__main__":
    agent.run()
