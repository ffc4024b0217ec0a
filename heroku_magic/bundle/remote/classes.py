"""Rebuild the classes of a pickle on the dyno as they were, and publish what the notebook has in `__main__`.

Their hooks do not run a second time: what `__init_subclass__`, a metaclass or the `__init__` of an Enum did is part of
the state that travels.
"""

from __future__ import annotations

import sys
import types
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

MEMBERS = "$members"  # in the state of an Enum: the attributes of its members by name
SPAWNING = {"multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver"}
OF_METACLASS = ("__new__", "__init__", "__prepare__")


class ClassMaker:
    """Takes the place of cloudpickle's functions that make classes."""

    def __init__(self) -> None:
        self._made: list[Any] = []  # classes and functions

    def replace(self, name: str, function: Any) -> Any:
        """Return what to call in place of a function of cloudpickle."""
        if name == "_make_skeleton_class":
            return partial(self._make, function)
        if name == "_make_skeleton_enum":
            return partial(self._make_enum, function)
        if name == "_make_function":
            return partial(self._note, function)
        return partial(_set_state, function) if name == "_class_setstate" else function

    def publish(self) -> None:
        """Let `pickle` find functions and classes by their names, as a pool of forked processes needs."""
        main = vars(sys.modules["__main__"])
        main["__getattr__"], names = _look_up, main.setdefault("__published__", {})
        ours = [one for one in self._made if one.__module__ == "__main__"]
        names.update({one.__qualname__: one for one in ours})
        for one in ours:
            names.update(getattr(one, "__globals__", ()))

    def _note(self, make: Callable[..., Any], *args: Any) -> Any:
        self._made.append(make(*args))
        return self._made[-1]

    def _make(self, make: Callable[..., type], kind: type, name: str, bases: Sequence[Any], *rest: Any) -> type:
        hooks = [*self._hooks(kind, OF_METACLASS)]
        for base in types.resolve_bases(bases):
            hooks += self._hooks(base, ("__init_subclass__",))
        for owner, hook, _ in hooks:
            type.__delattr__(owner, hook)
        try:
            return self._note(make, kind, name, bases, *rest)  # type: ignore[no-any-return]
        finally:
            for owner, hook, function in hooks:
                type.__setattr__(owner, hook, function)

    def _hooks(self, kind: type, names: Sequence[str]) -> Iterator[tuple[type, str, Any]]:
        """Yield the methods of these names of the classes that have travelled."""
        for owner in kind.__mro__:
            if any(owner is one for one in self._made):
                yield from ((owner, name, vars(owner)[name]) for name in names if name in vars(owner))

    def _make_enum(self, make: Callable[..., type], bases: Sequence[type], *rest: Any) -> type:
        """Make an Enum of members as (arguments of its data type, value)."""
        name, qualname, members, module, tracker, extra = rest

        def build(_: type, name: str, bases: Sequence[type]) -> type:
            return make(bases, name, qualname, {"__new__": _new_member, **members}, module, tracker, extra)

        return self._make(build, type(bases[-1]), name, bases)


def _look_up(name: str) -> Any:
    """Return what is published, unless processes were spawned: a pool of them would wait forever for what they lack."""
    names = vars(sys.modules["__main__"])["__published__"]
    if name[:2] == "__" or name not in names or SPAWNING & sys.modules.keys():
        raise AttributeError(f"module '__main__' has no attribute '{name}'")
    return names[name]


def _new_member(kind: Any, *given: Any) -> Any:
    arguments, value = given[0] if len(given) == 1 else given  # one tuple, if the data type is tuple
    member = kind._member_type_.__new__(kind, *arguments)
    member._value_ = value
    return member


def _set_state(set_state: Callable[..., Any], kind: Any, state: tuple[dict[str, Any], Any]) -> Any:
    members = state[0].pop(MEMBERS, {})
    set_state(kind, state)
    for name, attributes in members.items():
        vars(kind.__members__[name]).update(attributes)
    return kind
