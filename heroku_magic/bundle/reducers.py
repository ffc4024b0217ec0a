"""How to rebuild objects that cloudpickle sends only by name, not at all, or not as they are."""

from __future__ import annotations

import functools
import io
import operator
import random
import sys
import weakref
from enum import EnumMeta
from types import FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple

from heroku_magic.bundle.remote.classes import MEMBERS, OF_METACLASS

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED_TYPES = frozenset({"NewType", "ParamSpec", "TypeVarTuple", "TypeAliasType"})
_OF_MEMBER = frozenset({"_name_", "_value_", "_sort_order_", "_inverted_", "__objclass__"})  # the class sets them
_OF_DECORATED = frozenset({"__wrapped__", "_caller", "_options", "_is_quiet", *functools.WRAPPER_ASSIGNMENTS})
_SHELL = "IPython.core.interactiveshell"
_CACHED = type(functools.lru_cache(len))


def reduce_standard(value: Any) -> Any:  # noqa: PLR0911 - one per type
    """Return how to rebuild objects of the standard library that pickle sends only by name, or not at all."""
    kind = type(value)
    if kind is _CACHED:  # pickle would send only its name
        options = value.cache_parameters().values()
        return _CACHED, (value.__wrapped__, *options, functools._CacheInfo), vars(value)  # noqa: SLF001
    if kind is functools.cached_property:  # before Python 3.12 it has a lock
        state = {name: one for name, one in vars(value).items() if name != "lock"}
        return functools.cached_property, (value.func,), state
    if kind is weakref.WeakKeyDictionary and all(isinstance(key, type) for key in value):  # of singledispatch
        return weakref.WeakKeyDictionary, (dict(value),)
    if kind.__module__ == "typing" and kind.__name__ in _NAMED_TYPES:  # pickle would send only its name
        parts = [getattr(value, one) for one in ("__supertype__", "__value__") if hasattr(value, one)]
        return kind, (value.__name__, *parts)
    if kind.__module__ == "IPython.core.autocall":  # a notebook's `exit` and `quit`
        return getattr, (sys, "exit")
    if kind is FunctionType and value.__globals__.get("__name__") == _SHELL and value.__name__ == "open":
        return getattr, (io, "open")  # a notebook's protects the descriptors of its kernel
    if kind is random.SystemRandom:  # it has no state
        return kind, ()
    return None


def reduce_decorated(function: Any) -> tuple[Any, ...]:
    """Return how to rebuild the function that `@heroku.function` wraps, with the attributes that were set on it."""
    assigned = {name: item for name, item in vars(function).items() if name not in _OF_DECORATED}
    return operator.getitem, ((function.__wrapped__,), 0), assigned or None


def reduce_class(kind: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how to rebuild a class with its slots and its qualified name, which cloudpickle leaves out."""
    if isinstance(kind, EnumMeta) or len(reduced) < 3:  # a type of Python's that no module has
        return reduced
    (make, (meta, name, bases, options, *more), (state, slots), *rest), own = reduced, vars(kind)
    members = [one for one, item in own.items() if type(item) is MemberDescriptorType and item.__objclass__ is kind]
    state = {one: item for one, item in state.items() if one not in members}
    if kind.__qualname__ != name:
        options = {**options, "__qualname__": kind.__qualname__}
    if "__slots__" in own and NamedTuple not in bases:
        members += [one for one in ("__dict__", "__weakref__") if one in own]
        options = {**options, "__slots__": tuple(members)}
    return (make, (meta, name, bases, options, *more), (state, slots), *rest)


def reduce_enum(kind: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how to rebuild an Enum with its aliases, and with what its `__new__` and `__init__` gave the members."""
    (make, args, (state, slots), *rest), named = reduced, kind.__members__
    members = {name: (_new_arguments(one, kind._member_type_), one.value) for name, one in named.items()}
    state = {name: item for name, item in state.items() if name not in named}
    state[MEMBERS] = {name: {k: v for k, v in vars(one).items() if k not in _OF_MEMBER} for name, one in named.items()}
    return (make, (*args[:3], members, *args[4:]), (state, slots), *rest)


def what_changes(kind: Any, travels: Callable[[type], bool]) -> str:
    """Return what cloudpickle alone would change about a class, for a message; empty if it keeps the class.

    travels: whether a class goes by value, so that its methods run on the dyno while other classes are made.
    """
    if isinstance(kind, EnumMeta) and not _is_plain_enum(kind):
        return f"the members of {kind.__name__} have aliases or attributes"
    hooks = [(one, "__init_subclass__") for one in kind.__mro__[1:]]
    hooks += [(one, name) for one in type(kind).__mro__ for name in OF_METACLASS]
    ran = next((f"{one.__name__}.{name}" for one, name in hooks if name in vars(one) and travels(one)), "")
    return f"{ran} has made the class {kind.__name__} and would run again on the dyno" if ran else ""


def _is_plain_enum(kind: Any) -> bool:
    """Whether an Enum has no aliases, and no attributes or data that its `__new__` gave."""
    has_new = any("__new_member__" in vars(one) and one.__module__ != "enum" for one in kind.__mro__)
    return not has_new and len(kind.__members__) == len([*kind]) and all(vars(one).keys() <= _OF_MEMBER for one in kind)


def _new_arguments(member: Any, data_type: Any) -> tuple[Any, ...]:
    if data_type.__new__ is object.__new__:
        return ()
    if hasattr(data_type, "__getnewargs__"):
        return tuple(data_type.__getnewargs__(member))
    return member.value if isinstance(member.value, tuple) else (member.value,)
