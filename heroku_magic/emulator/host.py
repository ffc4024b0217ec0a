"""What all apps of one emulator share: the machine's parts and the platform's constants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heroku_magic.emulator.code.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heroku_magic.emulator.dynos.guard import Guard
    from heroku_magic.emulator.dynos.rendezvous import Rendezvous
    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.times import Times


@dataclass(frozen=True)
class Host:
    """one_offs: how many an app may run at once, whatever their size; None: as many as Heroku lets it.

    scratch: a temporary folder; home: where slugs lie, which may outlive the emulator. save: the state
    changed. outputs: what builds and release commands print, by the secrets of their URLs.
    """

    bash: Path
    guard: Guard
    times: Times
    faults: Faults
    one_offs: int | None
    rendezvous: Rendezvous
    scratch: Callable[[], Path]
    home: Callable[[], Path]
    save: Callable[[], None]
    outputs: dict[str, Output] = field(default_factory=dict)

    def new_output(self) -> Output:
        """Return an output that can be read by its secret."""
        output = Output()
        self.outputs[output.token] = output
        return output
