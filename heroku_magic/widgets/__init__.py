"""Declared parameters -> a form -> runs; it neither chooses the app nor draws a run.

fields.py, series.py and cells.py are pure: what a control holds, which value or values that is, which cell
is equal. form.py keeps the values and the one run, with or without anybody to look at it; panel.py,
controls.py, sweeping.py and rows.py draw it with ipywidgets; static.py says it in a text that outlives the kernel.
"""

from __future__ import annotations

from heroku_magic.widgets.form import Form

__all__ = ["Form"]
