"""Shows sentences and small objects in the current cell: as HTML where a front end shows it, else as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.display.outputs import fitted, in_notebook, print_lines
from heroku_magic.display.words import with_commands

if TYPE_CHECKING:
    from collections.abc import Mapping


def show_notice(message: str) -> None:
    """Show a message to the user."""
    if not in_notebook():
        print_lines(*fitted(message))
        return
    # A front end breaks plain text in the middle of words.
    attributes = 'class="tex2jax_ignore mathjax_ignore" role="note" style="white-space:pre-line;overflow-wrap:anywhere"'
    show_bundle({"text/plain": message, "text/html": f"<div {attributes}>{with_commands(message)}</div>"})


def show_bundle(bundle: Mapping[str, str]) -> None:
    """Show what has a form as HTML and one as text."""
    if not in_notebook():
        print_lines(bundle["text/plain"])
        return
    from IPython.display import display

    display(dict(bundle), raw=True)  # type: ignore[no-untyped-call]  # no hints in IPython
