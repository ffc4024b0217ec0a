"""The command line: run the selected races one after another, and print, save and plot their results."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import race as race_
from benchmarks import report

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES = (
    "load_ext",
    "first_run",
    "warm_run",
    "warm_call",
    "transfer",
    "quota",
    "follow",
    "parse",
    "table",
    "latency",
    "stop",
    "completion",
    "notebook",
    "sweep",
)


def main(arguments: Sequence[str] | None = None, *, only: str = "") -> int:
    """Run the races of the named files, of all files, or of the file `only`, and return the exit status."""
    options = _parser(only).parse_args(arguments)
    outcomes = []
    for name in [only] if only else options.files or FILES:
        for race in importlib.import_module(f"benchmarks.{name}").races(quick=options.quick):
            outcomes.append(race_.run(race))
            print(report.details(outcomes[-1]), end="\n\n", flush=True)
            if options.json:  # after each race, so that an interrupted run keeps its results
                report.write_json(options.json, outcomes)
    print(report.table(outcomes))
    if options.plot:
        report.write_plot(options.plot, outcomes)
    return 0


def _parser(only: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks{'.' + only if only else ''}",
        description="Measure heroku_magic against the alternatives, both sides in turns.",
    )
    if not only:
        parser.add_argument("files", nargs="*", choices=[[], *FILES], metavar="RACE", help=f"{', '.join(FILES)}")
    parser.add_argument("--quick", action="store_true", help="run once with little data, to see whether it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="plot the ratios to this file (needs matplotlib)")
    return parser


def run_alone(file: str) -> None:
    """Run the races of one file, for `python -m benchmarks.NAME`."""
    sys.exit(main(only=Path(file).stem))
