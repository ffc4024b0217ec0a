"""Compute bootstrap confidence intervals for a list of numbers from the notebook."""

from __future__ import annotations

import random
import statistics
from typing import Annotated, Literal

from heroku_task import progress, task


@task
def bootstrap(
    data: Annotated[list[float], {"minItems": 2}],
    statistic: Literal["mean", "median", "stdev"] = "mean",
    samples: Annotated[int, {"minimum": 1}] = 2000,
    confidence: Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}] = 0.95,
    seed: int = 0,
) -> dict[str, object]:
    """Compute the confidence interval of a statistic by the percentile bootstrap.

    data: the numbers.
    statistic: the statistic to compute.
    samples: number of samples to draw, with replacement.
    confidence: confidence level, 0.95 for 95 %.
    seed: seed of the random numbers.
    """
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
