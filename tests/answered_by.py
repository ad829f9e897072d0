"""The page of who has answered: `make answered-by`. Exit 1 if a test failed."""

import sys

from figures_page import write_page

METHOD = """\
Lines that are made, not recorded from a network: what is heard of a callee from the answer on. Who speaks are
espeak-ng, flite and festival of Debian, the voice that comes with the built-in agent, and people: prompts of Asterisk
(Debian's asterisk-core-sounds-en-wav, some of which the voice activity beneath was tuned by) and a reader of Dickens.
Music is that of a game (Debian's neverball-data; a quarter is chords made here); thresholds were chosen by that of
Asterisk's queues. Two sets share no phrase, no voice, no piece, no shape of a beep and no seed: thresholds were
chosen by `tuning`, and this page is of `test` (`tests/support/callees`). Real greetings, accents and handsets are
more various than these: read the figures as an upper bound, and try your own numbers.

Each line goes as RTP through the media core in virtual time: G.711 (90 %) or G.722, -6 to -30 dBov; behind 60 % of
them noise, a car, an office, music or other people 12 to 35 dB below (music and people 20 or more); up to 5 % of the
packets lost in a third of them, up to 6 ms of jitter. In 30 % our agent speaks from the answer on, and comes back 26
dB softer. People begin to speak 0.12 s to 3 s after the answer, 0.5 s in the middle; a quarter of them has much to
say 2.5 s or more later.

*Told* is the first verdict that a policy acts on (`human`, `machine`, `fax`, `sit`, `busy_tone`), or else the last
one. A person is told early, in a pause that may turn out to be a breath of a machine. Where it goes on, or beeps, a
second verdict corrects the first, and a policy acts on that one: sections 4 and 5 count what becomes of such lines.
`unknown` as the truth are lines of noise and of people far away: `unknown` alone counts as right for them.

A first reading of this version (e5bcb34bb1, seeds of its own) had 15 people of 220 who
were taken for music or for nobody: a few words, or steady voices. From then on only
long sound that is plainly steady counts as music; no line was looked at for that, and those of this page were drawn
anew. Phrases and voices are those of before.
"""

if __name__ == "__main__":
    sys.exit(write_page("answered-by", "Who answered", ["tests/interop/answered_by"], METHOD))
