"""Failures of functions as exceptions of the type that the function has raised, if Python has it."""

from __future__ import annotations

from functools import cache
from typing import Any

from heroku_magic.errors import HerokuMagicError, TaskFailed, remade


def failure_of_type(kind: Any, failed: TaskFailed) -> TaskFailed:
    """Return an error that also is an exception of a built-in type, so that `except ZeroDivisionError` catches it."""
    if kind is StopIteration:  # it would end the `await` of a call, with its message as the value
        return failed
    try:
        return _task_failed(kind)(str(failed), failed.run)
    except TypeError:  # a type such as UnicodeDecodeError needs more than a message
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
