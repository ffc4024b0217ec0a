"""The form of a task and the button that runs it. Which app runs it is decided in `form_factory.py`."""

from __future__ import annotations

from heroku_magic.widgets.form import Form

__all__ = ["Form"]
