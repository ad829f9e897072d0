"""What a caller wants, out of what a recogniser made of it: the nearest of a few phrases, letter by letter. Pure.

Free recognition and near phrases forgive misheard words, and what is like no phrase is told apart from what is.
"""

import re
from enum import Enum


class Intent(Enum):
    """What the built-in agent can be asked for."""

    WHO = "who"
    TIME = "time"
    NUMBER = "number"
    MESSAGE = "message"
    PLAY = "play"
    ECHO = "echo"
    QUALITY = "quality"
    HELP = "help"
    REPEAT = "repeat"
    HELLO = "hello"
    THANKS = "thanks"
    STOP = "stop"
    GOODBYE = "goodbye"


PHRASES: dict[Intent, tuple[str, ...]] = {
    Intent.WHO: (
        *("who am i", "who is calling", "who called", "what is my number", "where am i calling from", "caller id"),
        *("which number did i call", "which trunk is this", "what number am i calling from", "who do you think i am"),
    ),
    Intent.TIME: (
        "what time is it",
        "what is the time",
        "the time",
        "how late is it",
        "what is the date",
        "what day is it",
        "what day is today",
    ),
    Intent.NUMBER: (
        *("take a number", "take digits", "take some digits", "take down a number", "read back a number"),
        *("write down a number", "enter a number", "give you a number", "repeat a number"),
    ),
    Intent.MESSAGE: (
        *("take a message", "leave a message", "record a message", "leave you a message", "record me", "new message"),
        *("record my voice", "make a recording"),
    ),
    Intent.PLAY: (
        *("play my message", "play the message", "play it back", "play it", "hear my message", "listen to my message"),
        *("play it again", "play the recording"),
    ),
    Intent.ECHO: ("echo test", "echo", "start the echo", "let me hear myself", "play an echo", "do an echo test"),
    Intent.QUALITY: (
        *("how is the line", "how good is the line", "line quality", "how is the connection", "how do i sound"),
        *(
            "how is the quality",
            "test the line",
            "check the line",
            "how is my line",
            "sound quality",
            "connection quality",
        ),
        *("can you hear me", "how well do you hear me"),
    ),
    Intent.HELP: (
        *("help", "help me", "what can you do", "what can i say", "what are my options", "the menu", "what do you do"),
        *("what can i ask", "list the options"),
    ),
    Intent.REPEAT: ("say that again", "repeat that", "what did you say", "pardon", "come again", "once more", "repeat"),
    Intent.HELLO: ("hello", "hi", "hi there", "hello there", "good morning", "good evening", "hey"),
    Intent.THANKS: ("thank you", "thanks", "thank you very much", "thanks a lot", "great thanks"),
    Intent.STOP: ("stop", "stop it", "stop talking", "be quiet", "that is enough"),
    Intent.GOODBYE: (
        *("goodbye", "bye", "bye bye", "hang up", "that is all", "see you", "good night", "end the call", "i am done"),
        *("that was all", "nothing else", "no thank you", "stop the call", "thanks bye", "thank you bye"),
    ),
}

THRESHOLD = 0.5
"""How alike all that was said and a phrase must be, 0 to 1."""

_INSIDE = 0.8
"""How alike a part of it must be."""
_LONGEST = 120
_COURTESY = (Intent.HELLO, Intent.THANKS)
"""What comes beside it is what is wanted."""
_SHORT = 5
# What people put around what they want. It says nothing about what it is.
_AROUND = re.compile(
    r"\b(?:please|just|now|then|okay|ok|well|so|um|uh|er|ah|oh|and|could you|can you|would you|will you|"
    r"i would like to|"
    r"i would like you to|i want to|i want you to|i wanna|i need to|let us|let me know|tell me|may i|can i|could i|"
    r"offhook)\b"
)
_SHORTENED = {
    "what's": "what is",
    "who's": "who is",
    "how's": "how is",
    "that's": "that is",
    "it's": "it is",
    "i'm": "i am",
    "i'd": "i would",
    "let's": "let us",
}


def understand(text: str) -> Intent | None:
    """What is wanted, or None where it is like none of the phrases."""
    said = _plain(text)
    if not said:
        return None
    words = said.split()
    best, found = 0.0, None
    for phrase, intent in _KNOWN:
        alike = _alike(said, phrase, max(best, THRESHOLD))
        # A short word is soon like another one: "I" and "hi", "bye" and "by".
        if min(len(said), len(phrase)) < _SHORT and alike < _INSIDE:
            alike = 0.0
        size = phrase.count(" ") + 1
        if len(phrase) >= _SHORT and len(words) > size:
            for at in range(len(words) - size + 1):
                part = _alike(" ".join(words[at : at + size]), phrase, max(best, _INSIDE))
                # "No thank you" is more like itself than like "thank you".
                alike = max(alike, (0.85 if intent in _COURTESY else 0.95) * part)
        if alike > best:
            best, found = alike, intent
    return found


def _plain(text: str) -> str:
    """The words that say what is wanted, in small letters."""
    text = " ".join(re.findall(r"[a-z']+", text.lower().replace("’", "'"))[:40])
    for short, long in _SHORTENED.items():
        text = re.sub(rf"\b{short}\b", long, text)
    wanted = " ".join(_AROUND.sub(" ", text).split())
    return (wanted or text)[:_LONGEST]


def _alike(one: str, other: str, least: float) -> float:
    """1 minus the letters to be changed, as a share of the longer one; 0 where it is not above `least`."""
    longest = max(len(one), len(other))
    most = (1 - least) * longest
    if abs(len(one) - len(other)) > most:
        return 0.0
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, match in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != match))
        if min(row) > most:
            return 0.0
    return max(0.0, 1 - row[-1] / longest) if row[-1] <= most else 0.0


_KNOWN = tuple((_plain(phrase), intent) for intent, phrases in PHRASES.items() for phrase in phrases)
