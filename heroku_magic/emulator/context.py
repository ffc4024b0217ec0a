"""What all apps of one emulator share: its settings, its helper processes and the folders it keeps files in."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.emulator.certificate import Certificate
from heroku_magic.emulator.code.build_output import BuildOutput
from heroku_magic.emulator.dynos.reaper import Reaper
from heroku_magic.emulator.dynos.rendezvous import Rendezvous
from heroku_magic.emulator.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heroku_magic.emulator.faults import Faults
    from heroku_magic.emulator.timings import Timings


def _find_bash() -> Path:
    if found := shutil.which("bash"):
        return Path(found)
    raise StartError(
        "bash was not found on PATH. The embedded Heroku runs every command with it: "
        "install bash (on Windows use WSL), or use an app on Heroku."
    )


@dataclass
class Context:
    """Shared by the apps.

    one_offs: the most one-off dynos per app, whatever their size; None applies Heroku's own limits.
    state: the folder that outlives the emulator, if any. save: writes the state after a change.
    outputs: what builds and release commands print, by the secret in their URL.
    """

    timings: Timings
    faults: Faults
    one_offs: int | None
    state: Path | None
    save: Callable[[], None]
    bash: Path = field(default_factory=_find_bash)
    reaper: Reaper = field(default_factory=Reaper)
    outputs: dict[str, BuildOutput] = field(default_factory=dict)

    @cached_property
    def scratch(self) -> Path:
        """A temporary folder, created on first use; the reaper removes it at the end."""
        folder = Path(tempfile.mkdtemp(prefix="embedded-heroku-"))
        self.reaper.add_folder(folder)
        return folder

    @property
    def home(self) -> Path:
        """The folder for slugs, blobs and environments."""
        return self.state or self.scratch

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate of the TLS ports, made at its first use."""
        return Certificate(self.scratch)

    @cached_property
    def rendezvous(self) -> Rendezvous:
        """The listener for the clients of attached dynos."""
        return Rendezvous(lambda: self.certificate, self.faults, self.timings.round_trip)

    def new_output(self) -> BuildOutput:
        """Return an output that can be read by its secret."""
        output = BuildOutput()
        self.outputs[output.token] = output
        return output
