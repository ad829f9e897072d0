"""Examines an agent's server: plays the gateway towards it in several calls, and says what is wrong with it."""
