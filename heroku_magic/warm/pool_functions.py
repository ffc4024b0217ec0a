"""Wrappers of the user's functions. They travel to the dyno by value, so they use nothing of this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

INITIALIZER_ERROR = "InitializerError"  # the name of the exception that `with_initializer` raises


def with_initializer(
    fn: Callable[..., Any], initializer: Callable[..., object], initargs: tuple[Any, ...]
) -> Callable[..., Any]:
    """Return a function that prepares its process before its first call there."""
    is_prepared, failure = False, INITIALIZER_ERROR

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_prepared
        try:
            if not is_prepared:
                initializer(*initargs)
                is_prepared = True
        except BaseException as error:
            # A class that is defined here would give the pickle other bytes each time.
            raise type(failure, (Exception,), {})(f"{type(error).__name__}: {error}") from error
        return fn(*args, **kwargs)

    call.__name__ = call.__qualname__ = getattr(fn, "__name__", type(fn).__name__)
    return call


def for_each(fn: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Return a function of a chunk of arguments."""

    def call(chunk: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [fn(*args) for args in chunk]

    call.__name__ = call.__qualname__ = getattr(fn, "__name__", type(fn).__name__)
    return call


def run_batch() -> Callable[[Callable[[], Any]], Any]:
    """Return a function that calls its argument, so that all batches of calls share one program."""

    def call(batch: Callable[[], Any]) -> Any:
        return batch()

    return call
