"""Sends short messages to the user: printed by default, or handed to the callback that the current context names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any, ParamSpec, TypeAlias, TypeVar

from heroku_magic.text.sanitize import clean

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=type[Any])
MessageCallback: TypeAlias = Callable[[str], None]

_callback: ContextVar[MessageCallback | None] = ContextVar("heroku_magic_notifications", default=None)


def notify(message: str) -> None:
    """Send one sentence to the user, safe to show whatever names it contains."""
    (_callback.get() or print)(clean(message))


def discard(message: str) -> None:
    """Drop a message: for background work that the user did not start."""


@contextmanager
def notifications_to(callback: MessageCallback | None) -> Iterator[None]:
    """Send messages to a callback inside a `with`; None restores the default.

    >>> messages = []
    >>> with notifications_to(messages.append):
    ...     notify("The app has no release.")
    >>> messages
    ['The app has no release.']
    """
    token = _callback.set(callback)
    try:
        yield
    finally:
        _callback.reset(token)


def keeps_notifications(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function whose messages go where messages go now, whatever thread calls it.

    A thread starts with an empty context before Python 3.14, and what it prints lands in the cell that
    runs at that moment. So the target of every thread that may notify is wrapped.
    """
    callback = _callback.get()

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with notifications_to(callback):
            return function(*args, **kwargs)

    return wrapped


def notifies_owner(cls: C) -> C:
    """Class decorator: messages of the public methods go to the object's `on_message`.

    Where the caller has redirected them already, they go there.
    """
    for name, method in [*vars(cls).items()]:
        if isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(cls, name, _to_owner(method))
    return cls


def _to_owner(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> T:
        with notifications_to(_callback.get() or self.on_message):
            return method(self, *args, **kwargs)

    return wrapped
