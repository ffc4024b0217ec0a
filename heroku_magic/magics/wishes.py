"""Wishes: a line's options -> those of submit(), sweep() and the form, which all lines that run something share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heroku_magic.magics.parser import Parsed


def task(parsed: Parsed) -> str | None:
    """Return the task that a line names."""
    return parsed.words[0] if parsed.words else None


def of_run(parsed: Parsed) -> dict[str, Any]:
    """Return what a line says of each run, as `submit()` takes it."""
    options = parsed.options
    return {
        "code": parsed.code,
        "size": options.get("size"),
        "timeout": options.get("timeout"),
        "any_type": bool(options.get("any_type")),
        "secrets": options.get("secret", ()),
        "override": options.get("override", ()),
        "rows": options.get("rows") != "none",
        "detach": bool(options.get("detach")),
        "max_cost": options.get("max_cost"),
    }


def of_sweep(parsed: Parsed) -> dict[str, Any]:
    """Return what a line says of a sweep alone, as `sweep()` takes it."""
    options = parsed.options
    return {
        "zip": bool(options.get("zip")),
        "jobs": options.get("jobs"),
        "chunk": options.get("chunk", 1) or "auto",
        "sample": options.get("sample"),
        "seed": options.get("seed"),
        "retries": options.get("retries", 0),
        "retry_tasks": bool(options.get("retry_tasks")),
        "fail_fast": bool(options.get("fail_fast")),
        "save": options.get("save"),
    }
