"""Tests of heroku_magic.sweeps.plot."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from heroku_magic import InvalidOptions
from heroku_magic.protocol.records import Rows
from heroku_magic.sweeps.grid import grid
from heroku_magic.sweeps.measure import Measurer
from heroku_magic.sweeps.outcomes import Outcome
from heroku_magic.sweeps.plan import Plan
from heroku_magic.sweeps.plot import plot_sweep


@pytest.fixture(autouse=True)
def figures(processes):
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("agg")
    yield
    plt.close("all")


def sweep(each, rows=2, bad=()):
    """The plan and the outcomes of a sweep over a grid, whose runs have rows with x = place and place + 2."""
    made = grid(each)
    known = [
        Outcome(place, combination, "failed", 1, {})
        if place in bad
        else Outcome(place, combination, "done", 1, {}, parts=[Rows([{"x": place + 2.0 * i} for i in range(rows)])])
        for place, combination in enumerate(made)
    ]
    return Plan(None, made, range(len(made)), None, None), known


def plotted(sweep, y, agg, ax):
    plan, known = sweep
    return plot_sweep(plan, Measurer(lambda: known, plan.grid.names, y).measure(), agg, ax)


def test_one_axis_is_a_line_with_failures_marked():
    axes = plotted(sweep({"n": [10, 20, 40]}, bad=[1]), None, "mean", None)
    line, failed = axes.lines
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([10, 40], [1.0, 3.0])
    assert failed.get_xdata().tolist() == [20]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n", "mean of x over 2 rows")


def test_texts_are_labels_of_a_line():
    axes = plotted(sweep({"region": ["eu", "us"]}), "x", "max", None)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["eu", "us"]
    assert axes.lines[0].get_ydata().tolist() == [2.0, 3.0]
    assert axes.get_ylabel() == "max of x"


@pytest.mark.parametrize("others", [{}, {"n": [1, 2]}, {"n": [1, 2], "m": [1, 2]}])
def test_dollar_signs_are_no_formula(others):
    axes = plotted(sweep({"price $\\bad$": ["$\\bad$", "5 $"], **others}), None, "mean", None)
    axes.figure.canvas.draw()


def test_an_integer_that_no_axis_can_hold_is_a_label():
    axes = plotted(sweep({"n": [10**400, 2]}), None, "mean", None)
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1" + 39 * "0", "2"]


@pytest.mark.parametrize("kind", ["int64", "float32"])
def test_numbers_of_numpy_are_where_they_are(kind):
    axes = plotted(sweep({"n": np.array([1, 10, 100], kind)}), "x", "mean", None)
    assert axes.lines[0].get_xdata().tolist() == [1, 10, 100]


def test_two_axes_are_a_heatmap_with_a_colour_bar():
    axes = plotted(sweep({"region": ["eu", "us"], "n": range(3)}, rows=1, bad=[5]), None, "mean", None)
    (image,) = axes.images
    assert image.get_array().filled(-1).tolist() == [[0, 1, 2], [3, 4, -1]]
    assert (axes.get_ylabel(), axes.get_xlabel(), image.colorbar.ax.get_ylabel()) == ("region", "n", "x")


def test_more_axes_are_bars_on_the_given_axes():
    from matplotlib import pyplot as plt

    given = plt.subplots()[1]
    axes = plotted(sweep({"a": range(3), "b": range(3), "c": range(3)}), "x", len, given)
    assert axes is given
    assert len(axes.patches) == 20


def test_a_column_without_numbers_is_refused():
    with pytest.raises(InvalidOptions, match=r'no number "y" to plot\. The runs have numbers in x\.'):
        plotted(sweep({"n": [1, 2]}), "y", "mean", None)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InvalidOptions, match="%pip install matplotlib"):
        plotted(sweep({"n": [1, 2]}), None, "mean", None)
