"""Speech engines for agents: recognising, speaking, and telling when a caller has finished.

A part of its own: it imports nothing of the gateway, and any Python program may use it. `protocol` says what an engine
is, `engines` finds one by its name.
"""
