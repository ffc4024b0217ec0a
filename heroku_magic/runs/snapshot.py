"""What is known of a run, as plain values that another process can use."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class RunSnapshot:
    """What was known of a run when its error was pickled; the attributes and methods are those of `Run`."""

    id: str
    task: str
    app: str
    state: str
    dyno: str | None
    size: str | None
    release: int | None
    started_at: float | None
    ends_at: float | None
    seconds: float | None
    exit_status: int | None
    was_evicted: bool
    partial: pd.DataFrame | None = field(repr=False)
    files: dict[str, bytes] = field(repr=False)
    metrics: pd.DataFrame = field(repr=False)
    output: str = field(repr=False)
    values: dict[str, Any] = field(repr=False)

    def logs(self) -> str:
        """Return everything that the task has printed, without the records."""
        return self.output

    def facts(self) -> dict[str, Any]:
        """Return small plain values such as the dyno and the price."""
        return self.values

    def snapshot(self) -> RunSnapshot:
        """Return this object."""
        return self


SAME_NAMES = [one.name for one in fields(RunSnapshot) if one.name not in {"output", "values"}]  # as of `Run`
