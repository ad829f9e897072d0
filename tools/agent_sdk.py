"""docs/reference/agent-sdk.md, made from the docstrings of the SDK as they stand in its source."""

import ast
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "python" / "offhook" / "agent"

BEFORE = """\
# The agent SDK

`from offhook import Agent, Call, Turn`: a voice agent in Python. It runs in a process of its own, a *worker*, on the
gateway's machine or any other that reaches its HTTP port, and speaks [a protocol](worker-protocol.md) that other
languages may speak, too. [Your first agent](../start/first-agent.md) is the way in; this page is what there is.

```python
from offhook import Agent, Call, Turn

agent = Agent("front-desk", greeting="Hello, how can I help?")


@agent.on_turn
async def reply(call: Call, turn: Turn) -> None:
    await call.say(f"You said: {turn.text}")


agent.run()
```

This page is written by `make docs` from the docstrings.

## How a call goes

1. It rings: `on_ringing` may look up, `reject`, let it `ring` on. When it returns, the call is answered.
2. The greeting is said, then `on_call` runs. When it returns, what was said last is played and the call is hung up.
   Without an `on_call` the call goes on until somebody ends it.
3. Meanwhile `on_turn` answers what the caller says, `on_dtmf` keys.
4. It ends: everything that runs for the call is cancelled, and `on_hangup` gets 30 s.

All of a call's handlers run in one group of tasks. An exception in one of them ends that call, with `apology` or by the
route's fallback, and leaves its traceback in the log; other calls never notice. What waits in a handler must be
awaited: code that blocks the event loop stops every call of the process, and is named in the log with its stack.

## Who speaks when

* What the agent says begins when the caller has finished. While the caller speaks it is held back, for 20 s at most.
* A caller who speaks over the agent interrupts it, as `barge_in` has it: `say` returns with `interrupted`, and the
  words that were heard. An "mm-hm" is no interruption, and no turn.
* A turn is over after some half a second of silence: longer where the words are unfinished, and as this caller's pauses
  ask.
* When a turn is over, the task of the turn before is cancelled, and what it was saying falls silent. Where nothing of
  that was heard yet, the caller had not finished: the new turn has the words of both.
* A noise without words changes nothing: what was held back goes on, and what it cut off is said after all, a second
  later (unless the agent has `resumes=False`, or its handler is saying something else by then). The agent's own voice
  that the line returns is no turn.
* While the caller has put the agent on hold (`call.is_held`, events `Held` and `Resumed`), nobody hears the agent. What
  it was saying is cut off (`Said.held`), what it begins to say waits until the caller is back, and so do the times of
  `ask` and `collect_digits`. A second after the return the rest of what was cut off is said, unless the agent has
  `resumes=False` or is saying something else by then. What the agent says while it holds the caller itself
  (`call.hold()`) is not heard.
* `call.history` has what was heard, not what was meant to be said.
"""

PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("The agent", "agent.py", ("Agent",)),
    ("The call", "call.py", ("Call",)),
    (
        "What they give",
        "events.py",
        (
            *(
                "Turn",
                "Said",
                "Digits",
                "Transferred",
                "Key",
                "SpeechStarted",
                "SpeechEnded",
                "WantsFloor",
                "Recording",
                "Held",
                "Resumed",
                "Interrupted",
            ),
            *("Heard", "CallEvent", "BargeIn", "RecordingState"),
        ),
    ),
    ("Who calls", "caller.py", ("Identity", "Claim", "Diversion", "UserToUser", "EndCause")),
    ("Headers of ours", "headers.py", ("CallHeaders",)),
    ("History", "history.py", ("History", "Line")),
    ("Calls out", "gateway.py", ("Gateway", "PlacedCall", "Outcome", "DialRefused")),
    ("Errors", "errors.py", ("AgentError", "CallEnded", "HoldFailed")),
    ("Testing an agent", "rehearsal.py", ("", "rehearse", "Caller")),
)


def page() -> str:
    """The page."""
    lines = [BEFORE]
    for title, file, names in PARTS:
        lines += [f"## {title}", ""]
        tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
        for name in names:
            lines += _of(tree, name)
    return "\n".join(lines).rstrip() + "\n"


def _of(tree: ast.Module, name: str) -> list[str]:
    if not name:
        return [_indented_is_code(ast.get_docstring(tree) or ""), ""]
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _class(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return [f"### `{name}({_arguments(node)})`", "", _text(node), ""]
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            text = tree.body[at + 1]
            assert isinstance(text, ast.Expr), name
            assert isinstance(text.value, ast.Constant), name
            words = textwrap.dedent(f"    {text.value.value}").strip()
            return [f"### `{name}`", "", f"`{ast.unparse(node.value)}`", "", words, ""]
    raise AssertionError(f"{name} is gone")


def _class(node: ast.ClassDef) -> list[str]:
    init = next((found for found in node.body if isinstance(found, ast.FunctionDef) and found.name == "__init__"), None)
    is_public = node.name in ("Agent", "Gateway")
    fields = [ast.unparse(found) for found in node.body if isinstance(found, ast.AnnAssign)]
    if fields:
        head = f"{node.name}({', '.join(fields)})"
    else:
        head = f"{node.name}({_arguments(init)})" if init is not None and is_public else node.name
    lines = [f"### `{head}`", "", _text(node), ""]
    for found in node.body:
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and not found.name.startswith("_"):
            lines += [f"* **`{_signature(node, found)}`**", "", textwrap.indent(_text(found), "  "), ""]
    return lines


def _signature(owner: ast.ClassDef, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    own = f"{owner.name.lower()}.{node.name}"
    decorators = {found.id for found in node.decorator_list if isinstance(found, ast.Name)}
    returns = ast.unparse(node.returns).strip("'\"") if node.returns is not None else "None"
    gives = "" if returns == "None" else f" → {returns}"
    if "property" in decorators:
        return own + gives
    if owner.name == "Agent" and returns.startswith("_"):
        return f"@{own}"
    wait = "await " if isinstance(node, ast.AsyncFunctionDef) and "AsyncGenerator" not in returns else ""
    return f"{wait}{own}({_arguments(node)}){gives}"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    arguments = ast.unparse(node.args)
    return arguments.removeprefix("self").removeprefix(", ")


def _text(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    text = ast.get_docstring(node)
    assert text, f"{node.name} has a docstring"
    return text


def _indented_is_code(text: str) -> str:
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("    ") and not inside:
            lines.append("```python")
            inside = True
        elif inside and line and not line.startswith("    "):
            lines[-1:] = ["```", ""]
            inside = False
        lines.append(line[4:] if inside else line)
    return "\n".join(lines)
