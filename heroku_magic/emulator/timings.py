"""The platform's waiting times and timeouts: Heroku's own, unless `--time` changes them.

https://devcenter.heroku.com/articles/limits
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Timings:
    """Seconds; each field is a setting of `--time NAME=SECONDS`."""

    boot: float = 0  # from a dyno's creation to its start (seconds on Heroku, none here)
    grace: float = 30  # from SIGTERM to SIGKILL
    attach: float = 30  # in which the client of an attached dyno has to connect (R13)
    attach_idle: float = 3600  # for which an attached dyno may exchange no byte
    round_trip: float = 0  # of the network between an attached dyno and its client (none is added here)
    hangup: float = 5  # between SIGHUPs to a dyno whose client has left; R16 after the third
    memory: float = 20  # between two measurements of a dyno's memory
    restart: float = 10  # before a crashed dyno of the formation starts again
    session: float = 300  # for which the URL of a log session stays valid unopened
    stream: float = 900  # after which a log stream goes silent
    heartbeat: float = 15  # of silence after which a stream sends a heartbeat
    patience: float = 1  # for which a dyno waits for a log reader that reads nothing (L11)
    request: float = 60  # in which a request has to arrive completely


TIMINGS = tuple(field.name for field in fields(Timings))


def with_setting(timings: Timings, setting: str) -> Timings:
    """Return the timings changed by `NAME=SECONDS`, or raise ValueError."""
    name, _, text = setting.partition("=")
    name = name.replace("-", "_")
    if name not in TIMINGS:
        raise ValueError(f"{setting!r} is not NAME=SECONDS. Choose a NAME from {', '.join(TIMINGS)}")
    return replace(timings, **{name: number(text, setting)})


def number(text: str, setting: str) -> float:
    """Return a number of at least 0, or raise ValueError."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"{setting!r} is not valid: {text!r} is not a number of at least 0")
    return found
