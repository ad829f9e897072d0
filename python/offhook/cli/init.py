"""`offhook init`: a project to begin with."""

import re
from pathlib import Path
from typing import Annotated

import typer

from offhook.errors import OffhookError

AGENT = '''"""The agent {name}: says back what it hears. Replace `answer` by whatever yours does."""

from offhook import Agent, Call, Turn

agent = Agent("{name}", greeting="Hello, this is {spoken}. Say something.")


async def answer(call: Call, turn: Turn) -> str:
    return f"You said: {{turn.text}}"


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    if "bye" in turn.text.lower():
        await call.say("Goodbye.")
        await call.hang_up()
    await call.say(await answer(call, turn))


if __name__ == "__main__":
    agent.run()
'''

TEST = '''"""The agent, called on a telephone line of its own: real sound, no network, no waiting. Run `pytest`."""

from agent import agent
from offhook.testing import CallerFor


async def test_it_greets_and_answers_and_hangs_up(caller_for: CallerFor) -> None:
    async with caller_for(agent, line="mobile") as caller:
        await caller.hears("Hello")
        await caller.says("What a day.")
        answer = await caller.hears("You said: What a day")
        assert answer.latency_ms is not None
        assert answer.latency_ms < 2_000
        await caller.says("Bye!")
        await caller.hears("Goodbye")
        await caller.is_hung_up_on()
'''

README = """# {name}

    pip install 'offhook[agent]' pytest
    pytest                              # the agent, called in memory
    offhook run agent.py --dev          # a gateway with the agent; starts it again when a file changes
    offhook phone sip:hello@127.0.0.1   # call it, in another terminal, or with any softphone

`offhook worker agent.py` serves calls of a gateway elsewhere: set `OFFHOOK_URL` and `OFFHOOK_TOKEN`.
"""


def init(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to make, and the agent's name.")],
) -> None:
    """Make a folder with an agent of twenty lines and its test. What is there already is left as it is."""
    name = folder.absolute().name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise typer.BadParameter("letters, digits, - and _, such as front-desk", param_hint="NAME")
    spoken = name.replace("-", " ").replace("_", " ")
    texts = {"agent.py": AGENT, "test_agent.py": TEST, "README.md": README}
    there = [file for file in texts if (folder / file).exists()]
    if there:
        raise OffhookError(f"{folder} has a file {there[0]} already", code="init_exists", hint="choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        whole = text.format(name=name, spoken=spoken) if file != "test_agent.py" else text
        (folder / file).write_text(whole, encoding="utf-8")
    print(f"{folder}: {', '.join(texts)}\nTry it:  cd {folder} && pytest && offhook run agent.py")
