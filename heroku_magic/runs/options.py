"""The options of a run and of a sweep: names, defaults, checks and command-line spelling, each defined here only.

`Heroku.submit()` and `Heroku.sweep()` repeat the names and defaults in their signatures, because Shift-Tab shows
signatures; `tests/app/test_options.py` compares the two. All other code passes a `RunOptions` or a `SweepOptions`.

Fields that `%heroku` offers carry their command-line option as metadata, with these keys:

- `names`: the spellings, the long one last, such as `("-s", "--size")`
- `metavar`: what the help calls the value; empty for a flag
- `help`: one line
- `convert`: converts the text to the field's value, or raises ValueError saying what was expected
- `many`: whether the option may be repeated; its values become a list
- `value`: what a flag stands for, where that is not True
- `completes`: the kind of value for completion, where `metavar` does not say it

`command_line(RunOptions, SweepOptions)` yields these mappings; `from_command_line()` turns the options of a line (keyed
by the long spelling without dashes, such as "fail_fast") into keyword arguments of `submit()` or `sweep()`.
"""

from __future__ import annotations

import math
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.values import python_scalar

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

DEFAULT_TIMEOUT = 3600  # seconds
DEFAULT_PACE = 200  # records per second, an estimate of what a dyno's log shipper and a tail's buffer can sustain
WARM_IDLE = 300.0  # seconds without a call after which a warm dyno ends
LONGEST_IDLE = 3600.0  # seconds: https://devcenter.heroku.com/articles/one-off-dynos#timeout
LONGEST_TIMEOUT = 86400  # seconds: https://devcenter.heroku.com/articles/platform-api-reference#dyno-create

_TIME = re.compile(r"([0-9]{1,8})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

T = TypeVar("T")


def check_count(name: str, value: Any, least: int = 1, shown: str = "", *, is_optional: bool = True) -> Any:
    """Return a whole number as one of Python, also that of numpy; None, too, if it is optional.

    shown: what the message says instead of `least`. Raises InvalidOptions for anything else, and below `least`.
    """
    count = python_scalar(value)
    if (count is None and is_optional) or (type(count) is int and count >= least):
        return count
    raise InvalidOptions(f"{name} is {value!r}: expected a whole number of at least {shown or least}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def is_lifetime(value: Any, most: float = LONGEST_TIMEOUT) -> bool:
    """Return whether a value is a number of seconds that a dyno may live."""
    return _is_number(value) and 0 < value <= most


def check_lifetime(name: str, value: Any) -> None:
    """Raise InvalidOptions unless the value is None or seconds that a dyno may live."""
    if value is not None and not is_lifetime(value):
        raise InvalidOptions(f"{name} is {value!r}: expected seconds from 1 to {LONGEST_TIMEOUT} (24 hours).")


def check_max_cost(value: Any) -> None:
    """Raise InvalidOptions unless the value is None or an amount that a price can exceed."""
    if value is not None and not (_is_number(value) and 0 < value < math.inf):
        raise InvalidOptions(f"max_cost is {value!r}: expected dollars, such as 0.5.")


def _store_flags(options: Any) -> None:
    """Make flags of numpy plain. Raises InvalidOptions for any other value, because a text such as "no" is true."""
    flags = [one for one in fields(options) if one.type in {"bool", "bool | None"}]
    for one in flags:
        value = getattr(options, one.name)
        if value is True or value is False or (value is None and one.type != "bool"):
            continue
        if type(value).__name__ not in {"bool", "bool_"}:
            raise InvalidOptions(f"{one.name} is {value!r:.80}: expected True or False.")
        object.__setattr__(options, one.name, bool(value))


def _check_program(command: Any, code: Any) -> None:
    """Raise InvalidOptions unless each is None, or something that a dyno could run."""
    if command is not None and not (isinstance(command, str) and _has_words(command)):
        raise InvalidOptions(f"command is {command!r:.80}: expected a command line, such as 'python --version'.")
    if code is not None and not isinstance(code, str) and not callable(code):
        raise InvalidOptions(f"code is {code!r:.80}: expected a cell's text or a function.")


def _has_words(command: str) -> bool:
    """Whether a shell finds more in a command line than comments and empty words."""
    with suppress(ValueError):  # a quote that only the shell understands
        return any(shlex.split(command, comments=True))
    return True


def _store_plain(options: Any, *names: str) -> None:
    """Replace numpy scalars, which neither a request nor a file can hold, with Python's."""
    for name in names:
        object.__setattr__(options, name, python_scalar(getattr(options, name)))


# -- from text to a value ----------------------------------------------------------------------------


def duration(text: str, least: int, most: float, expected: str) -> int:
    """Return the seconds of a time such as `90`, `90s`, `30m`, `8h` or `2d`."""
    match = _TIME.fullmatch(text)
    if match is None or not least <= (seconds := int(match[1]) * _SECONDS[match[2]]) <= most:
        raise ValueError(f"expected {expected}")
    return seconds


def lifetime(text: str) -> int:
    """Return the seconds that a dyno may live."""
    return duration(text, 1, LONGEST_TIMEOUT, "a time from a second to 24 hours, such as 90s, 30m or 8h")


def age(text: str) -> int:
    """Return the seconds that a run may be old."""
    return duration(text, 1, math.inf, "a time, such as 90s, 30m, 8h or 2d")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) < 10**8:
        raise ValueError("expected a whole number of at least 1")
    return int(text)


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _retries(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _chunk(text: str) -> int | str:
    try:
        return text if text == "auto" else _count(text)
    except ValueError:
        raise ValueError("expected a whole number of at least 1, or auto") from None


def _dollars(text: str) -> float:
    try:
        dollars = float(text.removeprefix("$"))
    except ValueError:
        dollars = 0.0
    if not 0 < dollars < 1e9:
        raise ValueError("expected dollars, such as 0.50")
    return dollars


def _no_rows(text: str) -> bool:
    if text != "none":
        raise ValueError("expected none")
    return False


def _option(default: Any, *names: str, metavar: str = "", help: str, **more: Any) -> Any:  # noqa: A002 - as argparse
    return field(default=default, metadata={"names": names, "metavar": metavar, "help": help, **more})


_MAX_COST = _option(
    None,
    "--max-cost",
    metavar="DOLLARS",
    help="refuse or stop anything that would cost more at list price",
    convert=_dollars,
)


# -- the options -------------------------------------------------------------------------------------

LISTS = ("secrets", "packages", "override", "inputs")  # the options that hold several texts


def as_list(name: str, value: Any) -> tuple[str, ...]:
    """Return the texts of an option, because an iterator is read once. Raises InvalidOptions for one text, or none."""
    if isinstance(value, ExactVersions):
        return value
    texts = tuple(value) if hasattr(value, "__iter__") and not isinstance(value, str) else (None,)
    if not all(isinstance(one, str) for one in texts):
        example = value if isinstance(value, str) else "NAME"
        raise InvalidOptions(f"{name} is {value!r}: expected a list of texts, such as [{example!r}].")
    return texts


class ExactVersions(tuple[str, ...]):
    """Packages with all that they need, in exact versions that an earlier run installed."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of one run besides its task and parameters; None means the connection's setting.

    command: any command instead of a task. code: a cell's text or a function instead of a task. secrets: names of
    parameters whose values are looked up. timeout: seconds, boot included. override: config vars that parameters may
    replace. packages: requirements that the dyno installs first. warm: use a dyno that stays. isolate: each call on
    it has a process of its own. rows: False collects no rows. detach: the run outlives this process. max_cost:
    dollars at list price. allow_pickle: a function's value may come back as a pickle. cache: an earlier run may answer;
    False: neither that, nor may this one answer a later call; None: the notebook's setting decides. max_age: seconds
    since that run, at most. refresh: run, and replace the earlier one. history: whether the ledger keeps the run.
    inputs: names of parameters of which it keeps only a hash. dry_run: set by `estimate()`; nothing starts, and no
    secret is requested.
    """

    command: str | None = None
    code: str | Callable[..., Any] | None = None
    secrets: Iterable[str] = _option(
        (),
        "--secret",
        metavar="NAME",
        help="read this parameter from the environment, the keyring or a hidden prompt",
        many=True,
        completes="secret",
    )
    size: str | None = _option(None, "-s", "--size", metavar="SIZE", help="dyno size, such as standard-2x")
    timeout: int | None = _option(
        None,
        "--timeout",
        metavar="TIME",
        help=f"longest life of the dyno, boot included, such as 90s or 30m (default: {DEFAULT_TIMEOUT // 3600}h)",
        convert=lifetime,
    )
    max_cost: float | None = _MAX_COST
    detach: bool = _option(False, "--detach", help="return a handle at once; the run continues after the kernel ends")
    warm: bool = _option(False, "--warm", help="keep the dyno for the next calls, which then need no boot")
    isolate: bool = _option(
        True, "--no-isolate", help="with --warm: keep the state of Python from call to call", value=False
    )
    packages: Iterable[str] = _option(
        (),
        "--with",
        metavar="REQUIREMENT",
        help='install a package on the dyno first, such as pandas or "scipy>=1.10,<2"',
        many=True,
    )
    rows: bool = _option(
        True, "--rows", metavar="none", help="collect no rows from the task's output", convert=_no_rows
    )
    any_type: bool = _option(False, "--any-type", help="accept a process type that is not a task, such as web")
    override: Iterable[str] = _option(
        (), "--override", metavar="NAME", help="let a parameter replace the config var NAME", many=True
    )
    allow_pickle: bool = False
    cache: bool | None = _option(None, "--cache", help="answer from an earlier run with the same code and parameters")
    max_age: float | None = _option(
        None,
        "--max-age",
        metavar="TIME",
        help="as --cache, but only from a run at most this old, such as 30m, 8h or 7d",
        convert=age,
    )
    refresh: bool = _option(False, "--refresh", help="run again, and let the result replace the cached one")
    history: bool = _option(True, "--no-history", help="do not remember this run", value=False)
    inputs: Iterable[str] = ()
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Check the values. Raises InvalidOptions."""
        _store_flags(self)
        _store_plain(self, "timeout", "max_cost", "max_age", "size")
        _check_program(self.command, self.code)
        check_lifetime("timeout", self.timeout)
        check_max_cost(self.max_cost)
        for name in LISTS:
            object.__setattr__(self, name, as_list(name, getattr(self, name)))
        if not self.isolate and not self.warm:
            raise InvalidOptions("isolate=False keeps state on a warm dyno: add warm=True (--warm).")
        if not self.isolate and self.wants_cache:
            raise InvalidOptions("--no-isolate keeps state, so its calls cannot be cached: leave out --cache.")
        if self.max_age is not None and not (_is_number(self.max_age) and self.max_age > 0):
            raise InvalidOptions(f"max_age is {self.max_age!r}: expected seconds.")
        if self.cache is False and (self.refresh or self.max_age is not None):
            raise InvalidOptions("--no-cache cannot be combined with --refresh or --max-age, which need the cache.")
        if self.warm and self.detach:
            raise InvalidOptions("warm and detach cannot be combined: a warm dyno ends with this process.")

    @property
    def wants_cache(self) -> bool:
        """Whether the options of the call request an answer from the cache, or replace one."""
        return bool(self.cache) or self.refresh or self.max_age is not None


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The options of a sweep as a whole; those of each of its runs are RunOptions.

    zip: walk the axes in step. jobs: most runs at once; None: as many as the app allows. chunk: combinations per
    dyno. sample, seed: run only that many combinations, drawn at random. retries: extra attempts after a failure of
    the platform, with retry_tasks also of the task. save: the journal's path. max_cost: dollars for all runs together.
    """

    zip: bool = _option(False, "--zip", help="pair the values of several --each instead of combining them")
    jobs: int | None = _option(None, "--jobs", metavar="N", help="at most N runs of a sweep at once", convert=_count)
    sample: int | None = _option(
        None, "--sample", metavar="K", help="run only K combinations of a sweep, chosen at random", convert=_count
    )
    seed: int | None = _option(None, "--seed", metavar="N", help="random seed for --sample", convert=_whole_number)
    chunk: int | Literal["auto"] = _option(
        1,
        "--chunk",
        metavar="K",
        help="run K combinations per dyno; auto: as many as the boot time justifies",
        convert=_chunk,
    )
    retries: int = _option(
        0, "--retries", metavar="N", help="retry a run up to N times if the platform fails it", convert=_retries
    )
    retry_tasks: bool = _option(False, "--retry-tasks", help="let --retries include runs whose task failed")
    fail_fast: bool = _option(False, "--fail-fast", help="stop a sweep at its first failure")
    save: str | os.PathLike[str] | None = _option(  # noqa: RUF009 - it returns a field
        None, "--save", metavar="FILE", help="record each finished run of a sweep in FILE, for %heroku resume"
    )
    max_cost: float | None = _MAX_COST
    plot: str | None = _option(
        None,
        "--plot",
        metavar="COLUMN",
        help="colour a sweep by this column or metric (default: the first numeric column; none: by state)",
    )

    def __post_init__(self) -> None:
        """Check the values. Raises InvalidOptions."""
        _store_flags(self)
        _store_plain(self, "jobs", "sample", "seed", "chunk", "retries", "max_cost")
        check_count("jobs", self.jobs)
        check_count("sample", self.sample)
        check_count("retries", self.retries, 0, is_optional=False)
        if self.chunk != "auto":
            check_count("chunk", self.chunk, 1, "1, or 'auto'", is_optional=False)
        if not isinstance(self.seed, int | None):
            raise InvalidOptions(f"seed is {self.seed!r}: expected a whole number.")
        check_max_cost(self.max_cost)
        for name, needed in (("retry_tasks", "retries"), ("seed", "sample")):
            if (one := getattr(self, name)) is not None and one is not False and not getattr(self, needed):
                raise InvalidOptions(f"{name} has no effect without {needed}: set {needed} (--{needed}) to 1 or more.")

    @property
    def chunk_size(self) -> int:
        """The number of combinations per dyno; 0: as many as justify its boot."""
        return 0 if self.chunk == "auto" else self.chunk


def option_names(kind: type[Any]) -> set[str]:
    """Return the names of the fields."""
    return {one.name for one in fields(kind)}


def pick(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return options of this kind, made of the values that are named like its fields; other values are ignored."""
    return kind(**{name: values[name] for name in option_names(kind) if name in values})


def split(values: Mapping[str, Any]) -> tuple[RunOptions, SweepOptions]:
    """Return keyword arguments as the options of each run and those of a sweep. Raises TypeError for unknown names."""
    refuse_unknown(values, RunOptions, SweepOptions)
    return pick(RunOptions, values), pick(SweepOptions, values)


def refuse_unknown(values: Mapping[str, Any], *kinds: type[Any]) -> None:
    """Raise TypeError for a name that is no option of these kinds; it may be a parameter of the task."""
    names = set[str]().union(*map(option_names, kinds))
    if name := min(values.keys() - names, default=""):
        near = get_close_matches(name, names, 1)
        hint = f"Parameters of the task go into a dict, such as {{{name!r}: 1}}."
        hint = f"Did you mean {near[0]}? {hint}" if near else hint
        message = "It is an option of sweep()." if name in option_names(SweepOptions) else hint
        raise TypeError(f"unexpected keyword argument {name!r}. {message}")


def command_line(*kinds: type[Any]) -> dict[str, Mapping[str, Any]]:
    """Return the metadata of the fields that have a command-line option, by field name."""
    return {one.name: one.metadata for kind in kinds for one in fields(kind) if one.metadata}


def from_command_line(options: Mapping[str, Any], *kinds: type[Any]) -> dict[str, Any]:
    """Return the keyword arguments that the options of a line stand for; options that are not set are left out."""
    rows = command_line(*kinds)
    keys = {name: row["names"][-1].lstrip("-").replace("-", "_") for name, row in rows.items()}
    return {name: rows[name].get("value", options[key]) for name, key in keys.items() if key in options}
