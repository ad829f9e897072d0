"""The page of how calls sound: `make sound`. Exit 1 if a test failed."""

import sys

from figures_page import write_page

METHOD = """\
PESQ is ITU-T P.862 with the mapping of P.862.1, wide band P.862.2: 1 is bad, 4.5 is as good as it gets; G.711 alone
comes to about 4.36. Speech of 13 seconds, the project's own recordings, goes through a running gateway: an RTP end of
plain sockets, G.711 or G.722 that is not ours, `offhook run`, a WebSocket agent of `websockets`. In between,
`tests/support/impair.py` spoils the stream; seed and packet number decide, so baresip 1.0.0 (its defaults, with `plc`)
gets the very same one. What baresip's listener hears comes back by RTP (`aubridge`). Of several seeds, the mean of all
is stated, and the worst.

The sweep is a sine from 200 Hz up. What no linear filter of it explains is noise: its distance in dB, and how much more
of it the noisiest half millisecond of the 20 ms of a frame has than the usual one (1 is even; a click at each frame's
edge would stand out).

Speech by codec and loss needs no clock: two media cores in memory (`tests/support/lossy_line.py`), both ends ours, a
network between them that loses by seed. The speech is said twice, and the second time is rated, wide band, when RTCP
has told the encoder what is lost. Lost packets are the same for all codecs. What a leg costs is the processor time of
such a call whose two ends both speak and hear, halved: the best of five, without sockets.
"""

# Barge-in has a page of its own.
TESTS = [
    *("tests/interop/media", "--ignore", "tests/interop/media/test_barge_in.py"),
    "tests/scenario/test_sound_by_loss.py",
]

if __name__ == "__main__":
    sys.exit(write_page("sound", "Sound", TESTS, METHOD))
