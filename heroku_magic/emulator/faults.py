"""Faults on demand: what can go wrong, and a seed that alone decides when it does.

A decision depends on the seed, the fault's name and a key (the number of a line or a dyno), not on the order
of events: the same seed gives the same faults.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from heroku_magic.emulator.timings import number

if TYPE_CHECKING:
    from collections.abc import Mapping

# No clock or timer can sensibly be set to more; dates end in the year 9999.
MOST = 1e9


class Kind(NamedTuple):
    """What the value of a fault is, and the letter that stands for it in the help."""

    letter: str
    description: str


PROBABILITY = Kind("P", "a probability from 0 to 1")
SECONDS = Kind("S", "seconds")
OFFSET = Kind("±S", "seconds, negative ones too")
COUNT = Kind("N", "a whole number")

# The one definition of each fault; to add one, add a line here and use it where it strikes.
FAULTS = {
    "slow-boot": (SECONDS, "a dyno starts this much later"),
    "lose-lines": (PROBABILITY, "a line of a dyno is lost before it reaches the log, with an L12"),
    "drop-lines": (PROBABILITY, "a line is missing from a tail, with an L11"),
    "drop-lines-silent": (PROBABILITY, "a line is missing from a tail without notice"),
    "double-lines": (PROBABILITY, "a line appears twice in a tail"),
    "reorder-lines": (PROBABILITY, "a line appears after its successors in a tail"),
    "late-lines": (SECONDS, "a dyno's own lines reach a tail this much later, after its exit line"),
    "no-exit-line": (PROBABILITY, "a dyno ends without `Process exited` and `State changed`"),
    "cut-stream": (PROBABILITY, "a log stream breaks off in the middle of a line"),
    "stale-stream": (PROBABILITY, "a tail keeps sending heartbeats but no further line"),
    "expired-session": (PROBABILITY, "the URL of a log session is refused"),
    "cut-upload": (COUNT, "the upload of an archive breaks off this many times"),
    "cut-output": (COUNT, "the output of a build breaks off in the middle of a line this many times"),
    "conflict-after-release": (COUNT, "this many dyno creates after a release get a 409"),
    "dyno-not-visible": (COUNT, "this many of the first requests for a new dyno get a 404"),
    "rate-limit": (PROBABILITY, "a request gets a 429"),
    "html-503": (PROBABILITY, "a request gets a 503 with an HTML page"),
    "json-500": (PROBABILITY, "a request gets a 500 with Heroku's own JSON"),
    "reset-before-create": (PROBABILITY, "the connection of a dyno create breaks before it takes effect"),
    "reset-after-create": (PROBABILITY, "the connection of a dyno create breaks after it takes effect"),
    "json-500-after-create": (PROBABILITY, "a dyno create takes effect and gets a 500 with Heroku's own JSON"),
    "late-create": (PROBABILITY, "the connection of a dyno create breaks, and it takes effect six seconds later"),
    "dyno-killed": (PROBABILITY, "a dyno is killed while it runs"),
    "over-memory": (PROBABILITY, "a dyno exceeds its memory (R14), then vastly (R15), and is killed"),
    "attach-refused": (PROBABILITY, "the port of an attach URL is closed"),
    "attach-hang": (PROBABILITY, "the client of an attached dyno gets no greeting, and the dyno waits for it (R13)"),
    "attach-cut": (SECONDS, "the connection of an attached dyno breaks this long after its greeting"),
    "attach-silent": (PROBABILITY, "an attached connection is half-open within two seconds: nothing more arrives"),
    "attach-tail": (COUNT, "this many bytes of an attached dyno's output are lost if it ends within 0.1 s of them"),
    "attach-empty": (PROBABILITY, "the output of an attached dyno is lost"),
    "attach-stall": (PROBABILITY, "an attached dyno stops reading after 30 kB of input without output in between"),
    "attach-chop": (PROBABILITY, "the bytes of an attached connection arrive one by one"),
    "attach-7bit": (PROBABILITY, "the highest bit of each byte of an attached connection is lost"),
    "run-twice": (PROBABILITY, "the platform runs a one-off's command a second time"),
    "clock-skew": (OFFSET, "the platform's clock is this much ahead, in responses and log lines"),
    "log-skew": (OFFSET, "the clock of log lines is this much ahead of the API's"),
    "reuse-names": (
        COUNT,
        "one-offs share this many names while one is free; the log keeps the lines of earlier dynos",
    ),
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
        """Set a fault (0 ends it), or raise ValueError."""
        if name not in FAULTS:
            raise ValueError(f"{name!r} is not a fault. Choose one of {', '.join(FAULTS)}")
        self._values[name] = _value(name, text)

    def replace(self, values: Mapping[str, float], seed: int) -> None:
        """Replace all faults and the seed at once, or none if one is not valid; decisions start afresh."""
        fresh = Faults(seed)
        for name, value in values.items():
            fresh.set(name, str(value))
        self.seed, self._values, self._turns = fresh.seed, fresh._values, fresh._turns

    @property
    def values(self) -> dict[str, float]:
        """The faults that are on."""
        return {name: value for name, value in self._values.items() if value}

    def strikes(self, name: str, *key: object) -> bool:
        """Whether a fault with a probability strikes this key; without a key, whether it strikes now."""
        if not self[name]:
            return False
        return self.share(name, *(key or (self._turn(name),))) < self[name]

    def takes(self, name: str, *key: object) -> bool:
        """Whether a fault strikes whose value is a number of times: the first ones with each key."""
        return self[name] > 0 and self._turn(name, *key) < self[name]

    def share(self, name: str, *key: object) -> float:
        """Return a number from 0 to below 1, always the same for this seed, fault and key."""
        text = "/".join(map(str, (self.seed, name, *key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64

    def _turn(self, *key: object) -> int:
        self._turns[key] += 1
        return self._turns[key] - 1


def _value(name: str, text: str) -> float:
    setting, kind = f"{name}={text}", FAULTS[name][0]
    is_negative = kind is OFFSET and text.startswith("-")
    value = -number(text[1:], setting) if is_negative else number(text, setting)
    if abs(value) > MOST:
        raise ValueError(f"{setting!r} is not valid: {text!r} is more than {MOST:g}")
    if (kind is PROBABILITY and value > 1) or (kind is COUNT and value != int(value)):
        raise ValueError(f"{setting!r} is not valid: {text!r} is not {kind.description}")
    return value
