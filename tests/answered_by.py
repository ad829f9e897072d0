"""The page of who has answered: `make answered-by`. Exit 1 if a test failed."""

import sys

from figures_page import write_page

METHOD = """\
Lines that are made, not recorded from a network: what is heard of a callee from the answer on. Who speaks are
espeak-ng, flite and festival of Debian, the voice that comes with the built-in agent, and people: prompts of Asterisk
(Debian's asterisk-core-sounds-en-wav, some of which the voice activity beneath was tuned by) and a reader of Dickens.
Two sets share no phrase, no voice, no shape of a beep and no seed: thresholds were chosen by `tuning`, and this page is
of `test` (`tests/support/callees`). Real greetings, accents and handsets are more various than these: read the figures
as an upper bound, and try your own numbers.

Each line goes as RTP through the media core in virtual time: G.711 (90 %) or G.722, -6 to -30 dBov; behind 60 % of them
noise, a car, an office, music or other people 12 to 35 dB below (music and people 20 or more); up to 5 % of the packets
lost in a third of them, up to 6 ms of jitter. In 30 % our agent speaks from the answer on, and comes back 26 dB softer.
People begin to speak 0.12 s to 3 s after the answer, 0.5 s in the middle.

*Told* is the first verdict that a policy acts on (`human`, `machine`, `fax`, `sit`, `busy_tone`), or else the last one.
A greeting that is as short as a person's is taken for one; its beep corrects that, which is counted beside it.
`unknown` as the truth are lines of music, noise and people far away: `unknown` alone counts as right for them.

One thing was changed after a first reading of `test`: our own voice that comes back no longer counts as the callee's
sound, which lines of `tuning` had shown as well (`silence` was told as `unknown` there).
"""

if __name__ == "__main__":
    sys.exit(write_page("answered-by", "Who answered", ["tests/interop/answered_by"], METHOD))
