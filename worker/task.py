"""The default task: watch an estimate of pi converge."""

import random
from collections.abc import Iterator

from heroku_task import progress, task

POINTS = 1000  # darts per row


@task
def pi(n: int = 10, seed: int = 0) -> Iterator[dict[str, float]]:
    """Estimate pi by throwing darts at a square: each row adds a thousand darts.

    n: number of rows, each with the estimate so far.
    seed: seed of the random numbers; the same seed throws the same darts.
    """
    if n < 0:
        raise ValueError(f"n is {n}: expected 0 or more rows")
    rng = random.Random(seed)
    inside = 0
    for row in progress(range(1, n + 1), text="throwing darts"):
        inside += sum(rng.random() ** 2 + rng.random() ** 2 < 1 for _ in range(POINTS))
        darts = row * POINTS
        estimate = 4 * inside / darts
        if row in {1, n} or row % max(1, n // 5) == 0:
            print(f"{darts:>7,} darts: pi is about {estimate:.4f}")
        yield {"darts": darts, "inside": inside, "estimate": estimate, "error": abs(estimate - 3.141592653589793)}
