"""The platform's time constants, Heroku's own unless they are shortened; nothing waits here."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Times:
    """Seconds, each a setting of `--time NAME=SECONDS`.

    boot: from a dyno's creation to its start (seconds on Heroku, nothing here).
    grace: from SIGTERM to SIGKILL. attach: until an attached dyno must have its client (R13).
    attach_idle: how long an attached dyno may exchange no byte. hangup: between two SIGHUPs to a dyno
    whose client has left; R16 after the third. memory: between two looks at a dyno's memory.
    restart: before a crashed dyno of the formation starts again.
    session: how long the URL of a log session lives unopened. stream: after this age a log stream goes
    silent. heartbeat: silence after which a stream shows that it lives. patience: how long a dyno waits
    for a log reader that takes nothing (L11). request: in which a request has to be here whole.

    https://devcenter.heroku.com/articles/limits
    """

    boot: float = 0
    grace: float = 30
    attach: float = 30
    attach_idle: float = 3600
    hangup: float = 5
    memory: float = 20
    restart: float = 10
    session: float = 300
    stream: float = 900
    heartbeat: float = 15
    patience: float = 1
    request: float = 60


TIMES = tuple(field.name for field in fields(Times))


def changed(times: Times, setting: str) -> Times:
    """Return the times with one of them set by `NAME=SECONDS`, or raise ValueError with what was expected."""
    name, _, text = setting.partition("=")
    name = name.replace("-", "_")
    if name not in TIMES:
        raise ValueError(f"{setting!r} is not NAME=SECONDS with a NAME of {', '.join(TIMES)}")
    return replace(times, **{name: number(text, setting)})


def number(text: str, setting: str) -> float:
    """Return a number of at least 0, or raise ValueError."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError(f"{setting!r}: {text!r} is no number of at least 0")
    return found
