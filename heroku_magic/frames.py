"""Rows -> DataFrame; pandas is imported here and only when rows come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def frame(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows as a DataFrame: columns in the order of their first appearance, a fresh RangeIndex.

    `facts` becomes `attrs["heroku"]`: small plain values only, for pandas copies attrs at each step.
    """
    result = table(rows, list(dict.fromkeys(key for row in rows for key in row)))
    result.attrs["heroku"] = dict(facts)
    return result


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows as a DataFrame with these columns, which are there for no rows, too."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))
