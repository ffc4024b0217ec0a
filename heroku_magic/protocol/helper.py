"""The worker folder that ships with the package, and the helper in it."""

from __future__ import annotations

from pathlib import Path


def shipped_worker() -> Path:
    """Return the worker that comes with the package: inside the wheel, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    wheel, checkout = package / "_worker", package.parent / "worker"
    return wheel if wheel.is_dir() else checkout
