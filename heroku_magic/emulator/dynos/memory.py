"""How much memory the dynos' process groups use, all in one look at /proc; what follows from it is the dyno's."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def by_group() -> Counter[int]:
    """Return bytes of resident memory by process group; nothing where there is no /proc."""
    used: Counter[int] = Counter()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended while we looked
        used[int(fields[2])] += int(fields[21]) * _PAGE
    return used
