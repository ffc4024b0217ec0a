"""Locates the worker folder that ships with the package."""

from __future__ import annotations

from pathlib import Path


def shipped_worker() -> Path:
    """Return the path of the worker folder: inside an installed wheel, or next to the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    wheel, checkout = package / "_worker", package.parent / "worker"
    return wheel if wheel.is_dir() else checkout
