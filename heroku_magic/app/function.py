"""Function: a plain function whose calls run on dynos: `f.remote(x)`, `f.map(xs)`; it ships its own source."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.protocol.records import Rows
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep

OPTIONS = frozenset({"secrets", "size", "timeout", "override", "max_cost"})
P = ParamSpec("P")
T = TypeVar("T")


class Caller(Protocol):
    """What starts calls: a connection."""

    @property
    def submit(self) -> Callable[..., Run]:
        """Start one call."""

    @property
    def sweep(self) -> Callable[..., Sweep]:
        """Start a call for each of several arguments."""


class Function(Generic[P, T]):
    """A function that runs here when it is called, and on a dyno by `remote` and `map`.

    Arguments have the types of parameters, or are DataFrames; what is returned comes back as JSON has
    it (a tuple as a list, a date as text), a DataFrame as it was. Made by `heroku.function`.
    """

    def __init__(self, function: Callable[P, T], caller: Callable[[], Caller], options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._caller = caller
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it here, as if it was not decorated."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<heroku function {getattr(self.__wrapped__, '__name__', '?')}>"

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it on a dyno; wait, and return what it returned. Raises TaskFailed with its own lines."""
        run = self.submit(*args, **kwargs)
        try:
            run.wait()
        except KeyboardInterrupt:
            run.cancel()
        return value(run)  # type: ignore[no-any-return]  # what came through a log has no type

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Start it on a dyno and return the run at once; `value(run)` of this module waits for its value."""
        arguments = bound(self.__wrapped__, args, kwargs)
        return self._caller().submit(None, arguments, code=self.__wrapped__, **self._options)

    def map(self, *iterables: Iterable[Any], jobs: int | None = None, chunk: int | Literal["auto"] = 1) -> list[T]:
        """Run it for each item as `map` would, and return what they returned, in order.

        jobs: most dynos at once. chunk: items that share a dyno, one after another; "auto": as many as its
        boot is worth. Raises SweepFailed if some failed; its `.sweep` has the others.
        """
        rows = [bound(self.__wrapped__, row, {}) for row in zip(*iterables, strict=False)]
        if not rows:
            return []
        sweep = self._caller().sweep(
            None, {"arguments": rows}, code=self.__wrapped__, jobs=jobs, chunk=chunk, **self._options
        )
        try:
            sweep.wait()
        except KeyboardInterrupt:
            sweep.cancel()
            sweep.wait()
        if error := sweep.exception():
            raise error.with_traceback(None)
        return [returned(outcome.parts, outcome.facts) for outcome in sorted(sweep.known(), key=lambda one: one.place)]


class Decorator:
    """Makes a function one whose calls may run on dynos: `f.remote(x)` on one, `f.map(xs)` on many; `f(x)` runs here.

    Its source is shipped, with the module-level names that it uses: values by value, modules by import,
    other functions of its module with their own source. With options it is `@function(size="standard-2x")`:
    secrets, size, timeout, override and max_cost are those of `submit()`.

    >>> @Decorator(lambda: None)
    ... def double(x):
    ...     return 2 * x
    >>> double(3), double
    (6, <heroku function double>)
    """

    def __init__(self, caller: Callable[[], Caller]) -> None:
        self._caller = caller

    @overload
    def __call__(self, function: Callable[P, T], /) -> Function[P, T]: ...

    @overload
    def __call__(
        self,
        /,
        *,
        secrets: Iterable[str] = (),
        size: str | None = None,
        timeout: int | None = None,
        override: Iterable[str] = (),
        max_cost: float | None = None,
    ) -> Callable[[Callable[P, T]], Function[P, T]]: ...

    def __call__(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Return the Function, or for options alone what makes it one."""
        if unknown := sorted(options.keys() - OPTIONS):
            known = ", ".join(sorted(OPTIONS))
            raise InvalidOptions(f"{', '.join(unknown)}: no option of a function, which are {known}.")
        if function is None:
            return lambda function: Function(function, self._caller, options)
        return Function(function, self._caller, options)


def value(run: Run) -> Any:
    """Wait for a run that is one call, and return what the function returned."""
    if (error := run.exception()) is not None:
        raise error.with_traceback(None)
    return returned(run.parts, run.facts())


def returned(parts: Sequence[Rows | Table] | None, facts: Mapping[str, Any]) -> Any:
    """Return the value that a call's records hold: a table is a DataFrame, all else stands in one row."""
    if parts and isinstance(parts[0], Table):
        return frame(parts, facts)
    (row,) = (row for part in parts or () if not isinstance(part, Table) for row in part.rows)
    return row["value"]


def bound(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name; by place ("0", "1") where some have no other.

    Raises TypeError for those that do not fit, as a call does.
    """
    placed = {str(place): one for place, one in enumerate(args)}
    try:
        given = inspect.signature(function).bind(*args, **kwargs)
    except ValueError:  # one of Python's own, written in C
        return {**placed, **kwargs}
    kinds = {name: given.signature.parameters[name].kind for name in given.arguments}
    if set(kinds.values()) & {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}:
        return {**placed, **kwargs}
    named: dict[str, Any] = {}
    for name, one in given.arguments.items():
        named.update(one if kinds[name] is inspect.Parameter.VAR_KEYWORD else {name: one})
    return named
