"""Functions whose calls can run on dynos: `f.remote(x)` and `f.map(xs)` send their source along."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from heroku_magic.bundle.reducers import reduce_decorated
from heroku_magic.display.call_display import watch
from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.call_value import restore
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.tables import Table
from heroku_magic.runs.options import LISTS, as_list
from heroku_magic.runs.started_by_call import run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heroku_magic.protocol.records import Rows
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.outcomes import Outcome
    from heroku_magic.sweeps.sweep import Sweep

OPTIONS = frozenset(
    {
        *("secrets", "size", "timeout", "override", "packages", "max_cost", "warm", "isolate"),
        *("allow_pickle", "quiet", "cache", "max_age", "refresh", "history"),
    }
)
_ROWS = "the arguments"  # no argument has this name, so these are rows and not its values
P = ParamSpec("P")
T = TypeVar("T")


class Caller(Protocol):
    """Starts calls: a connection."""

    @property
    def submit(self) -> Callable[..., Run]:
        """Start one call."""

    @property
    def sweep(self) -> Callable[..., Sweep]:
        """Start a call for each of several arguments."""


class Function(Generic[P, T]):
    """A function that runs here when called, and on dynos with `remote`, `submit` and `map`.

    Created by the decorator `heroku.function`. The function and its arguments travel by cloudpickle, so the dyno needs
    the same minor version of Python. Its value comes back without pickle: plain values, those of the standard
    library, numpy and pandas arrive exactly as they were, and anything else is an error that names it.
    """

    is_heroku_function = True  # a pickle holds the undecorated function

    def __init__(self, function: Callable[P, T], caller: Callable[[], Caller], options: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function, updated=())
        self.__wrapped__ = function
        self._caller = caller
        self._options = {
            name: as_list(name, option) if name in LISTS else option  # each call reads it
            for name, option in options.items()
            if name != "quiet"
        }
        self._is_quiet = bool(options.get("quiet"))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return an attribute of the wrapped function, such as `cache_clear`."""
            if name.startswith("__") and name != "__isabstractmethod__":
                raise AttributeError(f"a heroku function has no attribute {name}")
            return getattr(self.__wrapped__, name)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function here, as if it were not decorated."""
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the function as a method of the instance or the class, if it is one."""
        bind = getattr(type(self.__wrapped__), "__get__", None)
        method = bind(self.__wrapped__, instance, owner) if bind else self.__wrapped__
        if method is self.__wrapped__:
            return self
        return Function(method, self._caller, {**self._options, "quiet": self._is_quiet})

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle by name, as functions are: a process pool here finds the function in its module."""
        wrapped: Any = self.__wrapped__
        if isinstance(wrapped, MethodType):
            return getattr, (wrapped.__self__, wrapped.__name__)
        pickler = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - nothing else tells who pickles
        is_by_value = pickler.endswith("cloudpickle")  # joblib has a copy of it
        return reduce_decorated(self) if is_by_value or not _is_named(self) else str(wrapped.__qualname__)

    def __repr__(self) -> str:
        return f"<heroku function {getattr(self.__wrapped__, '__name__', '?')}>"

    def remote(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function on a dyno, wait for it, and return its value.

        Raises
        ------
        TaskFailed
            If the function raises; the message has its own traceback lines.
        """
        return value(run_to_end(lambda: self.submit(*args, **kwargs), self._watch))  # type: ignore[no-any-return]  # what came through a log has no type

    async def remote_async(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function on a dyno as `remote` does, without blocking the event loop; cancelling stops the dyno."""
        import asyncio

        from heroku_magic.runs.event_loop import start_in_thread, wait_until_done

        run = await start_in_thread(lambda: self.submit(*args, **kwargs))
        await wait_until_done(run)
        return await asyncio.to_thread(value, run)

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Start a call on a dyno and return its run at once.

        Returns
        -------
        Run
            `heroku_magic.app.function.value(run)` waits for the function's value.
        """
        arguments = bound(self.__wrapped__, args, kwargs)
        return self._caller().submit(None, arguments, code=self.__wrapped__, **self._options)

    def _watch(self, job: Run | Sweep) -> None:
        if not self._is_quiet:
            watch(job, is_warm=bool(self._options.get("warm")))

    def map(
        self,
        *iterables: Iterable[Any],
        jobs: int | None = None,
        chunk: int | Literal["auto"] = 1,
        warm: bool | None = None,
    ) -> list[T]:
        """Run the function for each item, like the built-in `map`, and return the values in order.

        Parameters
        ----------
        *iterables
            The arguments of each call, as for `map`.
        jobs
            Most dynos at the same time; None: as many as the app allows.
        chunk
            Items that share a dyno, one after another; `"auto"` adapts this to the measured times.
        warm
            Whether warm dynos run the calls; None: as the decorator says.

        Raises
        ------
        SweepFailed
            If calls fail; its `.sweep` has the values of the others.
        """
        bind = binder(self.__wrapped__)
        rows = [bind(row, {}) for row in zip(*iterables, strict=False)]
        if not rows:
            return []
        options = self._options if warm is None else {**self._options, "warm": warm}
        sweep = run_to_end(
            lambda: self._caller().sweep(None, {_ROWS: rows}, code=self.__wrapped__, jobs=jobs, chunk=chunk, **options),
            self._watch,
        )
        if error := sweep.exception():
            raise error.with_traceback(None)

        def value_of(outcome: Outcome) -> Any:
            return returned(outcome.parts, lambda: outcome.facts)

        return [*map(value_of, sorted(sweep.known(), key=lambda one: one.place))]


class Decorator:
    """Decorates functions whose calls can run on dynos: `f(x)` runs here, `f.remote(x)` and `f.map(xs)` on dynos.

    The function travels by cloudpickle, with everything it uses: what is installed by import, all else by value, as it
    is in memory.

    Parameters
    ----------
    secrets, size, timeout, override, packages, max_cost, warm, isolate, allow_pickle
        As for `Heroku.submit`: `@function(size="standard-2x")`.
    cache, max_age, refresh, history
        As for `Heroku.submit`, too.
    quiet
        Show no live view of `remote` and `map` in the cell that calls them.

    Examples
    --------
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
        packages: Iterable[str] = (),
        max_cost: float | None = None,
        warm: bool = False,
        isolate: bool = True,
        allow_pickle: bool = False,
        quiet: bool = False,
        cache: bool | None = None,
        max_age: float | None = None,
        refresh: bool = False,
        history: bool = True,
    ) -> Callable[[Callable[P, T]], Function[P, T]]: ...

    def __call__(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Return the Function, or a decorator with these options. Raises InvalidOptions."""
        if unknown := sorted(options.keys() - OPTIONS):
            known = ", ".join(sorted(OPTIONS))
            raise InvalidOptions(f'"{unknown[0]}" is not an option of a function. Choose from {known}.')
        if function is None:
            return lambda function: self._decorated(function, options)
        return self._decorated(function, options)

    def _decorated(self, function: Any, options: Mapping[str, Any]) -> Function[..., Any]:
        if not callable(function) and not hasattr(function, "__func__"):  # a class method is not callable
            raise InvalidOptions(f"{function!r:.80} is not a function. Options are keywords: size='standard-2x'.")
        return Function(function, self._caller, options)


def value(run: Run) -> Any:
    """Wait for the run of a call, and return the function's value."""
    if (error := run.exception()) is not None:
        raise error.with_traceback(None)
    return returned(run.parts, run.facts)


def returned(parts: Sequence[Rows | Table] | None, facts: Callable[[], Mapping[str, Any]]) -> Any:
    """Return the value in the records of a call: a table is a DataFrame, any other value is in a single row."""
    if parts and isinstance(parts[0], Table):
        return restore(frame(parts, facts()), parts[0])
    (row,) = (row for part in parts or () if not isinstance(part, Table) for row in part.rows)
    return row["value"]


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a decorated function wraps; any other function itself."""
    return function.__wrapped__ if isinstance(function, Function) else function


def _is_named(function: Any) -> bool:
    """Whether the module of a function has it under its name."""
    try:
        return operator.attrgetter(function.__qualname__)(sys.modules[function.__module__]) is function
    except (AttributeError, KeyError):
        return False


def bound(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name, or by position ("0", "1") if some have no name.

    A wrapper gets them by position: its own signature counts, not that of the wrapped function.

    Raises TypeError for arguments that do not fit, as the call would.
    """
    return binder(function)(args, kwargs)


def binder(function: Callable[..., Any]) -> Callable[[Sequence[Any], Mapping[str, Any]], dict[str, Any]]:
    """Return `bound` for the calls of a function, whose signature is read once."""
    signature, name = _signature(function), getattr(function, "__name__", "the function")
    return lambda args, kwargs: _bound(name, signature, args, kwargs)


def declared_arguments(code: str | Callable[..., Any]) -> list[str] | None:
    """Return the names of a function's arguments; None for a cell's text, and for a function without a signature."""
    signature = None if isinstance(code, str) else _signature(undecorated(code))
    return None if signature is None else [*signature.parameters]


def misfits(function: Callable[..., Any], names: Iterable[str]) -> list[str]:
    """Return why arguments of these names, or positions ("0", "1"), do not fit a function; nothing if they may fit."""
    function = undecorated(function)
    name, signature = getattr(function, "__name__", "the function"), _signature(function)
    if signature is None:
        return []
    given = [*names]
    try:
        signature.bind(*filter(str.isdigit, given), **dict.fromkeys(one for one in given if not one.isdigit()))
    except TypeError as error:
        return [f"{name}(): {error}. It takes: {', '.join(signature.parameters) or 'no argument'}."]
    return []


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of a function; None for a built-in function that has none, or none of its own."""
    try:
        return inspect.signature(_callee(function), follow_wrapped=False)
    except ValueError:
        return None


def _bound(
    function: str, signature: inspect.Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    if numbers := [name for name in kwargs if name.isdigit()]:
        raise TypeError(f'"{numbers[0]}" cannot be the name of an argument on a dyno. Pass a dict instead.')
    placed = {str(place): one for place, one in enumerate(args)}
    if signature is None:
        return {**placed, **kwargs}
    try:
        given = signature.bind(*args, **kwargs)
    except TypeError as error:
        message = f"{function}(): {error}"
        raise TypeError(message) from None
    kinds = {name: signature.parameters[name].kind for name in given.arguments}
    if set(kinds.values()) & {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}:
        return {**placed, **kwargs}
    named: dict[str, Any] = {}
    for name, one in given.arguments.items():
        named.update(one if kinds[name] is inspect.Parameter.VAR_KEYWORD else {name: one})
    return named


def _callee(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a call runs: for an object with `__call__`, that method. May raise ValueError."""
    call = getattr(type(function), "__call__", None)  # noqa: B004 - the object's own may be borrowed
    callee = MethodType(call, function) if isinstance(call, FunctionType) else function
    if hasattr(callee, "__signature__"):
        raise ValueError("a decorator has replaced the signature")
    return callee
