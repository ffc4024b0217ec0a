"""Run all benchmarks with `python -m benchmarks`, or some with `python -m benchmarks load_ext warm_run`."""

from __future__ import annotations

import sys

from benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())
