"""Bootstrap confidence intervals of a list of numbers that the notebook passes in."""

from __future__ import annotations

import random
import statistics
from typing import Literal

from heroku_task import progress, task


@task
def bootstrap(
    data: list[float],
    statistic: Literal["mean", "median", "stdev"] = "mean",
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, object]:
    """Tell how sure a statistic of these numbers is, by the percentile bootstrap.

    data: the numbers, at least two.
    statistic: what to compute of them.
    samples: how many samples to draw, with replacement.
    confidence: between 0 and 1.
    seed: of the random numbers.
    """
    if len(data) < 2:
        raise ValueError(f"data holds {len(data)} numbers: expected at least 2")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: expected a number between 0 and 1")
    if samples < 1:
        raise ValueError(f"samples is {samples}: expected 1 or more")
    compute = getattr(statistics, statistic)
    rng = random.Random(seed)
    drawn = sorted(compute(rng.choices(data, k=len(data))) for _ in progress(range(samples), text=f"{statistic}s"))
    cut = (1 - confidence) / 2
    low, high = drawn[int(cut * samples)], drawn[min(samples - 1, int((1 - cut) * samples))]
    estimate = compute(data)
    print(f"{statistic} of {len(data)} numbers: {estimate:.4g}, {confidence:.0%} between {low:.4g} and {high:.4g}")
    return {
        "statistic": statistic,
        "estimate": estimate,
        "low": low,
        "high": high,
        "n": len(data),
        "samples": samples,
        "confidence": confidence,
    }
