"""The modules that travel with a function: those beside the notebook, which no package has installed."""

from __future__ import annotations

import functools
import importlib.util
import os
import site
import sys
import sysconfig
import threading
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cloudpickle

from heroku_magic.protocol.helper import HELPER

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()  # cloudpickle's list of modules that travel by value is global
_NOT_SENT = ("__main__", "heroku_magic", HELPER)


@contextmanager
def local_modules_by_value() -> Iterator[None]:
    """Let cloudpickle send the local modules that are imported as they are in memory."""
    with _LOCK:
        already = cloudpickle.list_registry_pickle_by_value()
        local = [
            sys.modules[name] for name in _local_modules(tuple(sys.modules), tuple(sys.path)) if name in sys.modules
        ]
        added = [one for one in local if one.__name__ not in already]
        try:
            for one in added:
                cloudpickle.register_pickle_by_value(one)
            yield
        finally:
            for one in added:
                cloudpickle.unregister_pickle_by_value(one)


@functools.lru_cache(maxsize=1)
def _local_modules(names: tuple[str, ...], _: tuple[str, ...]) -> list[str]:
    """Return which of the imported modules are local, as long as neither they nor the path change."""
    found = ((name, sys.modules.get(name)) for name in names)
    return [name for name, one in found if isinstance(one, ModuleType) and name == one.__name__ and is_local(one)]


def is_local(module: ModuleType) -> bool:
    """Whether a module belongs neither to the standard library nor to an installed package."""
    return _is_local_file(module.__name__, getattr(module, "__file__", None))


def is_local_name(name: str) -> bool:
    """Whether a module, which need not be imported, is local."""
    if name in sys.modules:
        return is_local(sys.modules[name])
    spec = importlib.util.find_spec(name)
    return spec is not None and _is_local_file(name, spec.origin)


def _is_local_file(name: str, file: Any) -> bool:
    is_ours = name.partition(".")[0] in _NOT_SENT
    if not isinstance(file, str) or is_ours or file.startswith(_installed()):
        return False
    roots = [str(parent) for parent in Path(file).parents if str(parent) in sys.path]
    return not any(map(_has_distributions, roots))


@functools.cache
def _has_distributions(folder: str) -> bool:
    """Whether packages were installed into a folder, as by `pip install --target`."""
    return any(Path(folder).glob("*.dist-info"))


@functools.cache
def _installed() -> tuple[str, ...]:
    """Return the folders of the standard library and of installed packages."""
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple({f"{path}{os.sep}" for one in found for path in (one, str(Path(one).resolve()))})
