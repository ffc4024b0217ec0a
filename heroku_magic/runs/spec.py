"""RunSpec: what a run is to be of, as plain values; it is carried out elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heroku_magic.api.dyno_sizes import DOLLARS_PER_MONTH, dollars
from heroku_magic.text.redact import Mask
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class RunSpec:
    """What to run: `command` as the dyno gets it (a process type or a command line), without the run's id.

    task: the name to show. env: what the dyno's environment carries; its Secrets are hidden in
    whatever the task prints. timeout: the dyno's longest
    life in seconds, boot included. app_name: what to show, the app's name or "embedded". is_detached:
    it goes on when this process ends. is_local: it goes to the embedded Heroku. prices: dollars a month by size.
    """

    app: str
    app_name: str
    task: str
    command: str
    env: Mapping[str, str | Secret] = field(repr=False)
    size: str | None = None
    timeout: int = 3600
    takes_rows: bool = True
    is_detached: bool = False
    is_local: bool = False
    prices: Mapping[str, float] = field(default_factory=lambda: DOLLARS_PER_MONTH, repr=False)

    def price(self, size: str | None, seconds: float | None) -> float | None:
        """Return what a dyno's seconds cost at list price; None is unknown, and nothing on the embedded Heroku."""
        if self.is_local:
            return 0.0
        return dollars(size, seconds, self.prices) if size and seconds is not None else None

    @property
    def secrets(self) -> dict[str, Secret]:
        """The secret parameters."""
        return {name: value for name, value in self.env.items() if isinstance(value, Secret)}

    @property
    def mask(self) -> Mask:
        """What hides the secret parameters."""
        return Mask(self.secrets.values())
