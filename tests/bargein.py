"""The page of how soon a caller is let speak: `make bargein`. Interrupts some 700 times, as `make prove` does, and
writes the figures to `docs/benchmarks/DATE-COMMIT-bargein.md`. Exit 1 if a bound did not hold; the page is written all
the same.

`OFFHOOK_SPEECH` names the directory with the recordings of voices that interrupt. It should hold none that the gateway
was tuned by: `tests/bargein.py --recordings FROM TO` fills a directory with those of Debian's
`asterisk-core-sounds-en-wav` that were not.
"""

import os
import sys
import wave
from pathlib import Path

from figures_page import write_page

TESTS = ["tests/interop/media/test_barge_in.py"]
SHORTEST = 1.2
"""Seconds of a recording that is of use."""

METHOD = """\
A gateway (`offhook run`), an agent of `websockets` that speaks offhook.v1 in µ-law, phones of plain sockets on
loopback, twelve calls at a time. The agent says utterances of 8 s without a pause, our own synthetic voice at -23 dBov;
1.2 to 2.2 s later the caller begins to speak, {voice} at the same level. Times are from the caller's first packet
within 20 dB of the loud ones, just before it is sent, until the phone's kernel has the first packet whose second half
is lowered by 6 dB or more, and the first without sound. *Not let speak*: the voice was never cut off; where the caller
speaks for 1.2 s, that long a time. An echo is what the phone got 40, 160 or 400 ms before, mixed into what it sends.

Each interruption is compared with the capture: the milliseconds that the agent is told were played, and the marks that
came back as played and as dropped, are what left, to one frame; a difference fails the test.

In *what was taken for a caller* nobody speaks while the agent does all the time. Lowered for a moment is no
interruption, but is heard.
"""


def recordings(sounds: Path, to: Path) -> int:
    """Link every second recording that is long enough into a directory: what is here was tuned by the others."""
    to.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(sounds.glob("*.wav")):
        with wave.open(str(path), "rb") as file:
            if file.getnframes() >= SHORTEST * file.getframerate():
                found.append(path.resolve())
    others = found[1::2]
    for path in others:
        (to / path.name).unlink(missing_ok=True)
        (to / path.name).symlink_to(path)
    print(f"{len(others)} recordings in {to}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--recordings"]:
        sys.exit(recordings(Path(sys.argv[2]), Path(sys.argv[3])))
    directory = os.environ.get("OFFHOOK_SPEECH")
    count = len(list(Path(directory).glob("*.wav"))) if directory else 0
    voice = f"one of {count} recordings of a human voice" if directory else "another stretch of that"
    sys.exit(write_page("bargein", "Barge-in", TESTS, METHOD.replace("{voice}", voice)))
