"""Draw runs and sweeps in a notebook cell or a terminal."""

from __future__ import annotations

from heroku_magic.display.run_output import RunOutput
from heroku_magic.display.run_view import RunView

__all__ = ["RunOutput", "RunView"]
