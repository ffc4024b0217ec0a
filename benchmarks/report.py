"""Report outcomes as a Markdown table, as JSON and as a plot."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.race import Outcome

HEAD = """\
| race | heroku_magic | alternative | ratio | aim | |
|---|---|---|---|---|---|"""
AIMS = {"ratio": "≤ {}", "least": "≥ {}", "more": "≤ theirs + {}", "alone": "itself ≤ {}"}
COLORS = {True: "#1e9e4a", False: "#e0352b", None: "#7a7a7a"}


def table(outcomes: Sequence[Outcome]) -> str:
    """Return one row per pair of sides: medians, ratio, aim, met or missed."""
    return "\n".join([HEAD, *(row for outcome in outcomes for row in _rows(outcome.as_json()))])


def details(outcome: Outcome) -> str:
    """Return one race with spreads, processor time and memory."""
    data = outcome.as_json()
    unit = data["unit"]
    sides = [data["ours"], *data["others"]]
    lines = [f"  {side['name']:34} {_spread(side, unit)}{_comparison(side, unit)}" for side in sides]
    return "\n".join([f"{data['race']} ({unit})", *lines])


def write_json(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write everything as JSON."""
    data = {"machine": machine(), "races": [outcome.as_json() for outcome in outcomes]}
    path.write_text(json.dumps(data, indent=1) + "\n")


def write_plot(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Plot how many times better heroku_magic is, with a mark for each aim that is a ratio."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    pairs = [(data, side) for outcome in outcomes for data, side in _run_pairs(outcome)][::-1]
    better = [_times_better(side["ratio"], data["unit"]) for data, side in pairs]
    figure, axes = plt.subplots(figsize=(13, 1 + 0.3 * len(pairs)), layout="constrained")
    names = [f"{data['race']} / {side['name']}" for data, side in pairs]
    bars = axes.barh(names, [one - 1 for one in better], left=1, color=[COLORS[side["met"]] for _, side in pairs])
    axes.bar_label(bars, [f"{one:.3g}" for one in better], padding=4)
    aims = {at: side["aim"].get("ratio", side["aim"].get("least")) for at, (_, side) in enumerate(pairs)}
    marks = {at: _times_better(aim, pairs[at][0]["unit"]) for at, aim in aims.items() if aim}
    axes.scatter([*marks.values()], [*marks], marker="|", s=200, color="black", zorder=3)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.1, y=0.01)
    figure.supxlabel(
        "times better than the other side · green: aim met, red: missed, grey: no aim · mark: an aim that is a ratio"
    )
    figure.savefig(path)
    plt.close(figure)


def _times_better(ratio: float, unit: str) -> float:
    """Return how many times better a ratio is: for lines per second larger is better, otherwise smaller."""
    return ratio if unit.endswith("/s") else 1 / ratio


def machine() -> dict[str, Any]:
    """Return the properties of the machine that affect the results."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "at": time.strftime("%Y-%m-%d %H:%M"),
    }


def _run_pairs(outcome: Outcome) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    data = outcome.as_json()
    return ((data, side) for side in data["others"] if "ratio" in side)


def _rows(data: dict[str, Any]) -> Iterator[str]:
    ours, unit = data["ours"], data["unit"]
    for side in data["others"]:
        if "ratio" in side:
            values = f"{_number(ours['median'], unit)} | {side['name']}: {_number(side['median'], unit)}"
            aim = f"{_aim_text(side, unit)} | {_met_text(side['met'])}"
            yield f"| {data['race']} | {values} | {side['ratio']:.3g} | {aim} |"
        else:
            why = side.get("not_run") or ours["not_run"]
            yield f"| {data['race']} | | {side['name']} | | {_aim_text(side, unit)} | not run: {why} |"


def _spread(side: dict[str, Any], unit: str) -> str:
    if "median" not in side:
        return f"not run: {side['not_run']}"
    low, high = _number(side["low"], unit), _number(side["high"], unit)
    used = f"cpu {side['cpu_seconds']:.3f} s, peak {side['peak_mb']:.0f} MB"
    return f"{_number(side['median'], unit):>12} ({low} to {high}; {used})"


def _comparison(side: dict[str, Any], unit: str) -> str:
    if "ratio" not in side:
        return ""
    return f"\n  {'':34} ratio {side['ratio']:.3g}, aim {_aim_text(side, unit)}: {_met_text(side['met'])}"


def _aim_text(side: dict[str, Any], unit: str) -> str:
    for kind, value in side["aim"].items():
        return AIMS[kind].format(_number(value, unit) if kind in {"more", "alone"} else f"{value:.3g}")
    return "none"


def _met_text(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: "no aim"}[met]


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
