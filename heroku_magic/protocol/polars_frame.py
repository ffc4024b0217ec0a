"""Converts a DataFrame of pandas to one of polars, exactly or not at all."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.text.sanitize import LINE, clipped

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

LIBRARIES = ("pandas", "polars")
_REFUSALS = (TypeError, ValueError, OverflowError, NotImplementedError)


def check_library(name: str) -> str:
    """Return the name of a library of DataFrames that is installed, or raise ValueError."""
    if name not in LIBRARIES:
        raise ValueError(f"expected {' or '.join(LIBRARIES)}")
    missing = [needed for needed in ("polars", "pyarrow") if name == "polars" and find_spec(needed) is None]
    if missing:
        raise ValueError(f'this needs {" and ".join(missing)}. Run `pip install "heroku-magic[polars]"`')
    return name


def converted(table: pd.DataFrame | None, library: str) -> pd.DataFrame | pl.DataFrame | None:
    """Return a table as a DataFrame of a library. Raises InvalidOptions if polars has no exact type for a column."""
    if table is None or library == "pandas":
        return table
    import polars as pl

    for label in table.columns:
        if not isinstance(label, str):
            raise _refusal(f"The column label {clipped(repr(label), LINE)} is not text, as polars requires")
    if table.columns.empty:
        return pl.from_pandas(table)
    return pl.DataFrame({name: _column(name, table[name]) for name in table.columns})


def _column(name: str, values: pd.Series) -> pl.Series:
    """Return a column with the same values and missing values; null and NaN stay distinct."""
    import polars as pl

    try:
        return _exact(name, values)
    except (*_REFUSALS, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = clipped(str(error).partition("\n")[0], LINE)
        raise _refusal(
            f'Column "{clipped(name, LINE)}" ({values.dtype}) has no exact type in polars: {reason}'
        ) from None


def _exact(name: str, values: pd.Series) -> pl.Series:
    import pandas as pd
    import polars as pl

    dtype: Any = values.dtype
    is_category = isinstance(dtype, pd.CategoricalDtype)
    inner = dtype.categories.dtype if is_category else dtype
    is_unknown = isinstance(inner, pd.PeriodDtype | pd.IntervalDtype | pd.SparseDtype)
    if is_unknown or str(inner).startswith("decimal256"):  # polars would print a Rust traceback
        raise TypeError("polars has no such type")
    if is_category and dtype.ordered:
        codes, kind = pl.Series(name, values.cat.codes.to_numpy()), pl.Enum([*dtype.categories])
        return codes.replace_strict(range(-1, len(dtype.categories)), [None, *dtype.categories], return_dtype=kind)
    column = pl.from_pandas(values.to_frame(name), nan_to_null=False).to_series()
    if pd.api.types.is_object_dtype(dtype) and not all(map(_is_same, values, column.to_list())):
        raise TypeError("its values are of several types")
    return column


def _is_same(one: Any, other: Any) -> bool:
    """Whether a value is unchanged; inside of lists and dicts, too."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return [*one] == [*other] and all(map(_is_same, one.values(), other.values()))
    return type(one) is type(other) and bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN


def _refusal(what: str) -> InvalidOptions:
    return InvalidOptions(f"{what.rstrip('.')}. The rows are kept: use pandas, with `result()` of `%heroku last`.")
