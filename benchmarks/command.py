"""The command: names of races and options -> races run one after the other, told as they end, written in the end."""

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
    """Run the named files' races, or all, or those of the one file that was started; return the exit status."""
    options = _parser(only).parse_args(arguments)
    outcomes = []
    for name in [only] if only else options.files or FILES:
        for race in importlib.import_module(f"benchmarks.{name}").races(quick=options.quick):
            outcomes.append(race_.run(race))
            print(report.details(outcomes[-1]), end="\n\n", flush=True)
            if options.json:  # after each race: what is cut short has what it measured
                report.write_json(options.json, outcomes)
    print(report.table(outcomes))
    if options.plot:
        report.write_plot(options.plot, outcomes)
    return 0


def _parser(only: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks{'.' + only if only else ''}",
        description="Race heroku_magic against what its users would pick instead, both sides in turns.",
    )
    if not only:
        parser.add_argument("files", nargs="*", choices=[[], *FILES], metavar="RACE", help=f"{', '.join(FILES)}")
    parser.add_argument("--quick", action="store_true", help="small and once: whether it runs, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios here (needs matplotlib)")
    return parser


def alone(file: str) -> None:
    """Run the races of one file: what `python -m benchmarks.NAME` calls."""
    sys.exit(main(only=Path(file).stem))
