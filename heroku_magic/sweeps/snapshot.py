"""What is known of a sweep, as plain values that another process can use."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import short

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.sweeps.outcomes import Outcome


@dataclass
class SweepSnapshot:
    """What was known of a sweep when its error was pickled; the attributes and methods are those of `Sweep`."""

    id: str
    partial: pd.DataFrame | None = field(repr=False)
    values: dict[str, Any]
    failed: list[Outcome] = field(repr=False)
    table: pd.DataFrame = field(repr=False)

    def failures(self) -> list[Outcome]:
        """Return the outcomes that failed, in the order of the combinations."""
        return self.failed

    def runs(self) -> pd.DataFrame:
        """Return one row per combination."""
        return self.table

    def facts(self) -> dict[str, Any]:
        """Return small plain values about the sweep."""
        return self.values

    def snapshot(self) -> SweepSnapshot:
        """Return this object."""
        return self


def portable(outcome: Outcome) -> Outcome:
    """Return an outcome with its parameters as they can be pickled, else as Python writes them."""
    return replace(outcome, parameters={name: _portable(value) for name, value in outcome.parameters.items()})


def _portable(value: Any) -> Any:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever pickling a value of the user raises
        return short(value)
    return value
