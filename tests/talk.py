"""The page of how the built-in agent talks and listens: `make talk`. Exit 1 if a test failed."""

import sys

from figures_page import write_page

METHOD = """\
The built-in agent with its offline engines, on a running gateway. Who calls is baresip 1.0.0, with `offhook run` as it
is without any file, or a phone of plain sockets; who speaks is a person who reads Dickens (the recording comes with the
recogniser's package). What the agent says is recorded at the phone and given to the offline recogniser, whose own
errors count as the agent's.

Times are those of packets beside the phone: the kernel's for what came, just before the system call for what was sent.
*From the last word to the answer* is the time between the last packet of the person's sentence that is no more than
30 dB below its loudest and the first packet of the answer in which there is sound. About 500 ms of it is the silence
that says that somebody has finished.

*The last word*: callers who end the call by a key at some moment of the greeting. The end of the goodbye, its last half
second and its last 60 ms alone, is compared sample by sample with what the voice had made (1 is the same; above 0.9
counts as heard).

*Text reported as heard*: a sentence is cut off at a moment that a seed decides, and `Said.heard` is compared with what
is recognised of the recording. Half a word may be recognised as itself, as another or not at all: all of it agrees.
"""

if __name__ == "__main__":
    sys.exit(write_page("talk", "Talk", ["tests/interop/builtin"], METHOD))
