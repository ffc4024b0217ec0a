"""Describes a run as plain values: the command, its environment and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import fsum
from typing import TYPE_CHECKING

from heroku_magic.platform_facts.dyno_sizes import DOLLARS_PER_MONTH, dollars
from heroku_magic.runs.options import DEFAULT_TIMEOUT
from heroku_magic.runs.request import RunRequest
from heroku_magic.text.redact import Mask
from heroku_magic.text.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from heroku_magic.protocol.spool import Spool

    Kind = tuple[str | None, bool, tuple[str, ...]]  # of a warm dyno: its size, whether it keeps state, its packages

# Our variables of a dyno: how fast the helper may print, and the program that installs packages. Calls need neither.
OF_EACH_DYNO = frozenset({"RUN_PACE", "RUN_SETUP"})


@dataclass(frozen=True)
class RunSpec:
    """What to run and how.

    app_name and task are the names to show, such as "embedded". command: a process type or a command line, without
    the run's id. env: the dyno's environment; its Secrets are masked in the task's output. timeout: the time limit
    in seconds, boot included. counts_boot: for a call on a warm dyno, too, because a budget pays for the boot.
    is_detached: the run continues when this process ends. is_local: it runs on the embedded Heroku. is_compound:
    the command line may do more than run the helper once. sends_records: it begins with the helper. allow_pickle: a
    function's value may be unpickled. is_warm: it is a call on a warm dyno, which imports the task's module.
    falls_back: that is only a default, so a dyno of its own will do. keeps_state: the call runs in the process of
    the calls before. packages: exact versions that the dyno installs first. accepts_packages: whether there can be
    any, which a command does not allow. python: the minor version that they are for. requirements: the file of a
    served folder that lists the app's packages. request: what the ledger keeps of it. values: what travels over the
    connection to a warm dyno beside the environment. is_once: the dyno is attached for this call alone. prices:
    dollars per month by dyno size.
    """

    app: str
    app_name: str
    task: str
    command: str
    env: Mapping[str, str | Secret] = field(repr=False)
    size: str | None = None
    timeout: int = DEFAULT_TIMEOUT
    counts_boot: bool = False
    takes_rows: bool = True
    is_detached: bool = False
    is_local: bool = False
    is_compound: bool = False
    sends_records: bool = False
    allow_pickle: bool = False
    is_warm: bool = False
    falls_back: bool = False
    keeps_state: bool = False
    packages: tuple[str, ...] = ()
    accepts_packages: bool = True
    python: str = ""
    module: str | None = None
    requirements: Path | None = None
    request: RunRequest = field(default_factory=RunRequest, repr=False)
    values: Spool | None = field(default=None, repr=False)
    is_once: bool = False
    prices: Mapping[str, float] = field(default_factory=lambda: DOLLARS_PER_MONTH, repr=False)

    def after_boot(self, seconds: float) -> RunSpec:
        """Return the spec of a call that has waited for its dyno, with what is left of a limit that counts this."""
        return replace(self, timeout=max(1, int(self.timeout - seconds))) if self.counts_boot else self

    def price(self, size: str | None, seconds: float | None) -> float | None:
        """Return the list price of a dyno's seconds in dollars; None if unknown, 0 on the embedded Heroku."""
        if self.is_local:
            return 0.0
        return dollars(size, seconds, self.prices) if size and seconds is not None else None

    def total_price(self, billed: Iterable[tuple[str | None, float | None]]) -> float | None:
        """Return the list price of dynos by their sizes and seconds; None if one is unknown."""
        prices = [self.price(size, seconds) for size, seconds in billed]
        return None if None in prices else fsum(price or 0.0 for price in prices)

    @property
    def kind(self) -> Kind:
        """What a warm dyno has to have in common with its calls: the size, whether state stays, and the packages."""
        return self.size, self.keeps_state, self.packages

    @property
    def keeps_dyno(self) -> bool:
        """Whether the dyno stays for other calls when the run has ended."""
        return self.is_warm and not self.is_once

    @property
    def secrets(self) -> dict[str, Secret]:
        """The secret parameters."""
        return {name: value for name, value in self.env.items() if isinstance(value, Secret)}

    @property
    def mask(self) -> Mask:
        """The mask that hides the secret parameters in text."""
        return Mask(self.secrets.values())
