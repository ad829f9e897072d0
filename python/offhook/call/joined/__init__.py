"""Two calls that are joined: each is placed for the other, has it as its agent, and tells it what its own side does."""
