"""Values as the labels of choices, safe to show."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from heroku_magic.text.sanitize import clean_line, clipped

if TYPE_CHECKING:
    from collections.abc import Sequence


def label(option: Any) -> str:
    """Return a value as a label, safe to show."""
    if option is None:
        return "none"
    return clipped(option if isinstance(option, str) else json.dumps(option))


def labels(options: Sequence[Any]) -> list[str]:
    """Return the label of each value; values whose labels would be equal are written whole, as JSON.

    >>> labels(["fast", 1, "1"])
    ['fast', '1', '"1"']
    """
    short = [label(option) for option in options]
    times = Counter(short)
    return [
        text if times[text] == 1 else clean_line(json.dumps(option, ensure_ascii=False))
        for text, option in zip(short, options, strict=True)
    ]
