"""A sweep's results as a picture of matplotlib, which is imported only here."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.values import python_scalar
from heroku_magic.sweeps.measure import columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from heroku_magic.sweeps.grid import Axis
    from heroku_magic.sweeps.measure import Measure
    from heroku_magic.sweeps.plan import Plan

_EXTREMES = 10  # highest and lowest runs that are drawn each
_LONGEST_LABEL = 40
_FAILED: dict[str, Any] = {"marker": "x", "color": "#dd3333", "linestyle": "none", "zorder": 3}


def plot_sweep(plan: Plan, measure: Measure, agg: Any, ax: Axes | None) -> Axes:
    """Plot the number of each run over the parameters. Raises InvalidOptions without numbers or matplotlib."""
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise InvalidOptions(
            "plot() needs matplotlib, which is not installed here. Run: %pip install matplotlib"
        ) from None
    if not measure.name:
        raise InvalidOptions("The runs have no numeric column to plot. Name a column or a metric: plot(y).")
    values = _aggregated(plan, measure, agg)
    if not values:
        raise InvalidOptions(measure.problem or f'No run has a number "{measure.name}" to plot yet.')
    axes = ax if ax is not None else plt.subplots()[1]
    title = measure.title if agg == "mean" else f"{getattr(agg, '__name__', agg)} of {measure.name}"
    failed = [run for run, outcome in measure.outcomes.items() if outcome.state == "failed"]
    draw = {1: _line, 2: _heatmap}.get(len(plan.axes), _extremes)
    draw(plan, values, failed, title, axes)
    return axes


def _aggregated(plan: Plan, measure: Measure, agg: Any) -> dict[int, float]:
    """Return the numbers with the rows of each run made one by `agg`; a single row or a metric stays as it is."""
    if agg == "mean":
        return dict(measure.values)
    import pandas as pd

    numbers = dict(measure.values)
    for run in dict(numbers):
        own = [rows for name, rows in columns(measure.outcomes[run], plan.grid.names) if name == measure.name]
        if own:
            numbers[run] = float(pd.Series([*chain(*own)]).agg(agg))
    return numbers


def _line(plan: Plan, values: dict[int, float], failed: list[int], title: str, axes: Axes) -> None:
    axis = plan.grid.axes[0]
    places, labels = _places([_value(plan[run], axis) for run in range(len(plan))])
    known = sorted(values, key=places.__getitem__)
    axes.plot([places[run] for run in known], [values[run] for run in known], marker="o", markersize=4)
    if failed:
        floor = min(values.values())
        axes.plot([places[run] for run in failed], [floor] * len(failed), label="failed", **_FAILED)
        axes.legend()
    if labels:
        axes.set_xticks(places, labels)
    axes.set_xlabel(_label(", ".join(axis.names)))
    axes.set_ylabel(_label(title))


def _heatmap(plan: Plan, values: dict[int, float], failed: list[int], title: str, axes: Axes) -> None:
    down, across = plan.grid.axes
    rows, width = len(down.values), len(across.values)
    table = [[values.get(row * width + column, float("nan")) for column in range(width)] for row in range(rows)]
    image = axes.imshow(table, aspect="auto", interpolation="nearest")
    if failed:
        axes.plot([run % width for run in failed], [run // width for run in failed], label="failed", **_FAILED)
    _label_ticks(axes.set_xticks, [_value(across[column], across) for column in range(width)])
    _label_ticks(axes.set_yticks, [_value(down[row], down) for row in range(rows)])
    axes.set_xlabel(_label(", ".join(across.names)))
    axes.set_ylabel(_label(", ".join(down.names)))
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(image, ax=axes, label=_label(title))


def _extremes(plan: Plan, values: dict[int, float], failed: list[int], title: str, axes: Axes) -> None:
    ordered = sorted(values, key=values.__getitem__)
    shown = ordered if len(ordered) <= 2 * _EXTREMES else ordered[:_EXTREMES] + ordered[-_EXTREMES:]
    names = [", ".join(f"{name}={value}" for name, value in plan[run].items()) for run in shown]
    axes.barh(range(len(shown)), [values[run] for run in shown])
    axes.set_yticks(range(len(shown)), [_label(name[:_LONGEST_LABEL]) for name in names])
    axes.set_xlabel(_label(title))
    axes.set_title(f"{len(shown)} of {len(values)} runs" + (f", {len(failed)} failed" if failed else ""))


def _value(parameters: Mapping[str, Any], axis: Axis) -> Any:
    found = [python_scalar(parameters.get(name)) for name in axis.names]
    return found[0] if len(found) == 1 else ", ".join(map(str, found))


def _places(values: list[Any]) -> tuple[list[Any], list[str]]:
    """Return places on an axis and their labels: numbers are where they are, and need no labels."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        with suppress(OverflowError):  # an integer is too large for an axis
            return [float(value) for value in values], []
    return [*range(len(values))], [_label(str(value)[:_LONGEST_LABEL]) for value in values]


def _label(text: str) -> str:
    """Return a text as matplotlib shows it unchanged; it takes what is between dollar signs for a formula."""
    return text.replace("$", r"\$")


def _label_ticks(set_ticks: Any, values: list[Any]) -> None:
    step = -(-len(values) // 12)
    set_ticks(range(0, len(values), step), [_label(str(value)[:_LONGEST_LABEL]) for value in values[::step]])
