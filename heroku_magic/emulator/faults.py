"""Faults on demand: which go wrong how often, decided by a seed alone; nothing goes wrong in here.

A decision hangs on the seed, the fault's name and a key (a line's number, a dyno's), never on the
order in which things happen: the same seed gives the same faults.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from heroku_magic.emulator.times import number

if TYPE_CHECKING:
    from collections.abc import Mapping

# What no clock or wait can be sensibly set to; dates end in the year 9999.
MOST = 1e9
PROBABILITY, SECONDS, COUNT = "a probability from 0 to 1", "seconds", "a whole number"

FAULTS = {
    "slow-boot": (SECONDS, "a dyno starts so much later"),
    "lose-lines": (PROBABILITY, "a line of a dyno is lost before the log's buffer, with an L12"),
    "drop-lines": (PROBABILITY, "a line is missing from a tail, with an L11"),
    "drop-lines-silent": (PROBABILITY, "a line is missing from a tail, and nothing says so"),
    "double-lines": (PROBABILITY, "a line comes twice in a tail"),
    "reorder-lines": (PROBABILITY, "a line comes after its successors in a tail"),
    "late-lines": (SECONDS, "a dyno's own lines come so much later in a tail, after its exit line"),
    "no-exit-line": (PROBABILITY, "a dyno ends without `Process exited` and `State changed`"),
    "cut-stream": (PROBABILITY, "a log stream breaks off, in the middle of a line"),
    "stale-stream": (PROBABILITY, "a tail shows that it lives but brings no further line"),
    "expired-session": (PROBABILITY, "the URL of a log session is refused"),
    "cut-upload": (COUNT, "so many times an archive's upload breaks off half-way"),
    "cut-output": (COUNT, "so many times a build's output breaks off, in the middle of a line"),
    "conflict-after-release": (COUNT, "so many dyno creates after a release are answered 409"),
    "dyno-not-visible": (COUNT, "so many first looks at a new dyno are answered 404"),
    "rate-limit": (PROBABILITY, "a request is answered 429"),
    "html-503": (PROBABILITY, "a request is answered 503 with a page of HTML"),
    "reset-before-create": (PROBABILITY, "the connection of a dyno create breaks before it took effect"),
    "reset-after-create": (PROBABILITY, "the connection of a dyno create breaks after it took effect"),
    "dyno-killed": (PROBABILITY, "a dyno is killed while it runs"),
    "over-memory": (PROBABILITY, "a dyno is over its memory (R14), then vastly (R15) and killed"),
    "run-twice": (PROBABILITY, "the platform runs a one-off's command a second time"),
    "clock-skew": (SECONDS, "the platform's clock, in answers and log lines, is so much ahead"),
}


class Faults:
    """The faults that are on, and the seed that decides when they strike."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._values: dict[str, float] = {}
        self._turns: Counter[tuple[object, ...]] = Counter()

    def __getitem__(self, name: str) -> float:
        """The value of a fault, 0 if it is off."""
        return self._values.get(name, 0)

    def set(self, name: str, text: str) -> None:
        """Set a fault, or raise ValueError with what was expected; 0 ends it."""
        if name not in FAULTS:
            raise ValueError(f"{name!r} is no fault; faults are {', '.join(FAULTS)}")
        self._values[name] = _checked(name, text)

    def replace(self, values: Mapping[str, float], seed: int) -> None:
        """Take these faults for those that were on, all or none; decisions begin anew."""
        fresh = Faults(seed)
        for name, value in values.items():
            fresh.set(name, str(value))
        self.seed, self._values, self._turns = fresh.seed, fresh._values, fresh._turns

    @property
    def values(self) -> dict[str, float]:
        """The faults that are on."""
        return {name: value for name, value in self._values.items() if value}

    def strikes(self, name: str, *key: object) -> bool:
        """Whether a fault with a probability strikes this key; without one, whether it strikes now."""
        if not self[name]:
            return False
        if not key:
            key = (self._turn(name),)
        return self.share(name, *key) < self[name]

    def takes(self, name: str, *key: object) -> bool:
        """Whether a fault with a count strikes: the first so many times for this key."""
        return self._values.get(name, 0) > 0 and self._turn(name, *key) < self._values[name]

    def share(self, name: str, *key: object) -> float:
        """Return a number from 0 up to 1, always the same for this seed, fault and key."""
        text = "/".join(map(str, (self.seed, name, *key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64

    def _turn(self, *key: object) -> int:
        self._turns[key] += 1
        return self._turns[key] - 1


def _checked(name: str, text: str) -> float:
    setting, kind = f"{name}={text}", FAULTS[name][0]
    value = number(text, setting) if name != "clock-skew" else _signed(text, setting)
    if abs(value) > MOST:
        raise ValueError(f"{setting!r}: {text!r} is more than {MOST:g}")
    is_wrong = (kind is PROBABILITY and value > 1) or (kind is COUNT and value != int(value))
    if is_wrong:
        raise ValueError(f"{setting!r}: {text!r} is not {kind}")
    return value


def _signed(text: str, setting: str) -> float:
    return -number(text[1:], setting) if text.startswith("-") else number(text, setting)
