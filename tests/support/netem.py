"""A network that loses, delays, repeats and reorders datagrams, by a seed that a failing test prints."""

import random
from dataclasses import dataclass, field


@dataclass
class Netem:
    """What becomes of each datagram: a list of delays in seconds, empty if it is lost."""

    seed: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def fates(self) -> list[float]:
        """The copies of the next datagram that arrive, by the time each takes. Jitter alone reorders."""
        copies = 2 if self.rng.random() < self.duplicate else 1
        return [self.delay + self.rng.random() * self.jitter for _ in range(copies) if self.rng.random() >= self.loss]


PERFECT = Netem()
