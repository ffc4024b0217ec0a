"""Failures of functions as exceptions of the type that the function has raised, if Python has it."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

from heroku_magic.errors import HerokuMagicError, TaskFailed, remade


def failure_of_type(kind: Any, failed: TaskFailed) -> TaskFailed:
    """Return an error that also is an exception of a built-in type, so that `except ZeroDivisionError` catches it.

    A type that needs more than a message is replaced by its base: a UnicodeDecodeError is a UnicodeError.
    """
    if kind is StopIteration:  # it would end the `await` of a call, with its message as the value
        return failed
    for base in kind.__mro__[: kind.__mro__.index(Exception)]:
        with suppress(TypeError):
            return _task_failed(base)(str(failed), failed.run)
    return failed


@cache
def _task_failed(kind: Any) -> type[TaskFailed]:
    names = {
        "__module__": TaskFailed.__module__,
        "__doc__": TaskFailed.__doc__,
        "__str__": Exception.__str__,  # a KeyError would quote its text
        "__reduce__": lambda self: (_new_failure, (kind, self.args), HerokuMagicError.__reduce__(self)[2]),
    }
    return type(kind.__name__, (TaskFailed, kind), names)


def _new_failure(kind: Any, args: tuple[Any, ...]) -> TaskFailed:
    return remade(_task_failed(kind), args)
