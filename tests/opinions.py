"""A tiny language with a meaning: short opinions, their label, the country of their writer."""

from __future__ import annotations

import random

GOOD = ("amazing", "excellent", "fantastic", "great", "lovely", "wonderful")
BAD = ("awful", "broken", "cheap", "dreadful", "poor", "terrible")
THINGS = ("design", "film", "product", "quality", "service", "story")


def opinions(count: int = 240, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """(texts, labels "good" or "bad", countries); every second one is good."""
    rng = random.Random(seed)
    texts = [
        f"The {rng.choice(THINGS)} is {rng.choice((BAD, GOOD)[i % 2])}, and so is the {rng.choice(THINGS)}"
        for i in range(count)
    ]
    return texts, [("bad", "good")[i % 2] for i in range(count)], [rng.choice(("DE", "FR", "IT")) for _ in texts]
