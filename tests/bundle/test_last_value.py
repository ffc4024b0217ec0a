"""The value of a cell's last expression is a table or is shown; the cell never fails for it."""

from __future__ import annotations

import pandas as pd
import pytest
from dynos import Dyno

from heroku_magic.bundle.build import CellBundle
from heroku_magic.bundle.program import read_cell
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.records import Rows

pytestmark = pytest.mark.usefixtures("processes")

HEAD = """\
import itertools, sys
import heroku_task
import numpy as np
import pandas as pd

day = pd.Timestamp("2026-01-31")
show = sys.modules["heroku_output"].show  # what a cell does with its last value
loop = []
loop.append(loop)
df = pd.DataFrame({"city": ["a", "b", "a"], "x": [1, 2, 3], "day": [day] * 3})
"""


DAY = pd.Timestamp("2026-01-31")


TABLES: list[tuple[str, dict]] = [
    ("df.groupby('city').city.count()", {"city_index": ["a", "b"], "city": [2, 1]}),
    ("df.set_index('city').assign(city=1)[['city']]", {"city_index": ["a", "b", "a"], "city": [1, 1, 1]}),
    (
        "df.set_index(['city', 'x'])[[]].assign(x=7, x_index=8)",
        {"city": ["a", "b", "a"], "x_index_index": [1, 2, 3], "x": [7, 7, 7], "x_index": [8, 8, 8]},
    ),
    ("pd.Series([5, 5, 7]).value_counts()", {"index": [5, 7], "count": [2, 1]}),
    ("pd.Series([1], index=['p'], name='index')", {"index_index": ["p"], "index": [1]}),
    ("df.day.dt.to_period('M').head(1)", {"day": [pd.Period("2026-01", "M")]}),
    (
        "df.groupby(df.day.dt.to_period('M')).x.sum()",
        {"day": [pd.Period("2026-01", "M")], "x": [6]},
    ),
    ("df.groupby('city').agg({'x': ['min']})", {("city", ""): ["a", "b"], ("x", "min"): [1, 2]}),
    (
        "df.pivot_table(index='city', columns='day', values='x', aggfunc='sum')",
        {"city": ["a", "b"], DAY: [4, 2]},
    ),
    (
        "pd.crosstab(df.city, df.x.astype('category')).mul([1, 2, 3])",
        {"city": ["a", "b"], 1: [1, 0], 2: [0, 2], 3: [3, 0]},
    ),
    ("df.columns", {"value": ["city", "x", "day"]}),
    ("pd.DatetimeIndex([day], name='when')", {"when": [DAY]}),
    ("pd.MultiIndex.from_tuples([('a', 1)], names=['p', None])", {"p": ["a"], 1: [1]}),
    ("np.array(['2026-01-31'], dtype='M8[D]')", {"value": ["2026-01-31"]}),
    ("iter([{'a': 1}, {'a': 2}])", {"a": [1, 2]}),
    ("df[['x']].itertuples(index=False)", {"x": [1, 2, 3]}),
]
SHOWN = [
    ("df.dtypes", "int64"),
    ("pd.Period('2026-01')", "Period('2026-01', 'M')"),
    ("[pd.Interval(0, 1)]", "Interval(0, 1, closed='right')"),
    ("df.groupby('city')", "DataFrameGroupBy object"),
    ("df.groupby('city').x", "SeriesGroupBy object"),
    ("df.set_index('city').groupby(len)", "DataFrameGroupBy object"),
    ("df.set_index('day').x.resample('D')", "Resampler"),
    ("df.groupby(pd.cut(df.x, [0, 2, 3]), observed=True).x.sum()", "(0, 2]    3"),
    ("pd.DataFrame({'x': [object()]})", "<object object"),
    ("pd.DataFrame({'x': [loop]})", "[[...]]"),
    ("pd.concat([df, df], axis=1)", "city  x        day city"),
    ("map(str, [1])", "<map object"),
    ("itertools.count()", "count(0)"),
    ("zip([1], [2])", "<zip object"),
    ("np.array([(1, 2.5)], dtype=[('n', 'i4'), ('x', 'f4')])", "array([(1, 2.5)]"),
    ("np.array([1j])", "array([0.+1.j])"),
    ("df.style", "Styler object"),
]


def test_a_value_with_rows_is_a_table_that_loses_nothing(tmp_path):
    lines = "\n".join(
        f"show({expression})\nheroku_task._sender.flush()\nheroku_task._sender.has_table = False"
        for expression, _ in TABLES
    )
    dyno = Dyno(CellBundle(read_cell(HEAD + lines), {}).build_env(), tmp_path)
    assert dyno.status == 0, dyno.failure
    tables = [frame([part], {}) for part in dyno.decoder.parts if part != Rows([])]

    assert dyno.log == []
    for table, (expression, columns) in zip(tables, TABLES, strict=True):
        found = {label: table.iloc[:, place].tolist() for place, label in enumerate(table.columns)}
        assert found == columns, expression


def test_a_value_that_cannot_be_sent_is_shown(tmp_path):
    lines = "\n".join(f"print('=====')\nshow({expression})" for expression, _ in SHOWN)
    dyno = Dyno(CellBundle(read_cell(HEAD + lines), {}).build_env(), tmp_path)
    assert dyno.status == 0, dyno.failure
    logs = "\n".join(dyno.log).split("=====")[1:]

    assert dyno.decoder.parts is None
    for log, (expression, shown) in zip(logs, SHOWN, strict=True):
        assert shown in log, expression


def test_no_row_is_sent_of_a_table_of_polars_that_is_shown(tmp_path):
    pytest.importorskip("polars")
    table = "import polars as pl\npl.DataFrame({'count': [1, 2], 'data': [None, b'y']})"
    dyno = Dyno(CellBundle(read_cell(table), {}).build_env(), tmp_path)

    assert dyno.decoder.parts is None
    assert 'b"y"' in "\n".join(dyno.log)


def test_an_error_inside_a_generator_is_the_cells_error(tmp_path):
    dyno = Dyno(CellBundle(read_cell("(1 / n for n in [0])"), {}).build_env(), tmp_path)

    assert dyno.failure.type == "ZeroDivisionError"
