"""README examples and docstring examples are tests."""

from __future__ import annotations

import gc
import os
import re
from contextlib import contextmanager
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

from heroku_magic.ledger import location

if TYPE_CHECKING:
    from collections.abc import Iterator


pytest_plugins = ["heroku_magic.emulator.pytest"]

CONNECTS = re.compile(r"^\s*(>>>|\.\.\.) .*\bconnect\(", re.MULTILINE)


def pytest_configure() -> None:
    """Keep no history of tests: only those of the ledger choose a folder for it."""
    location.start_folder = lambda: None


def pytest_collection_finish() -> None:
    """Spare the collector the thousands of tests that it would look through each time."""
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let two processes run all tests with a browser: four browsers at once starve one another on two cores."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return f"browser {crc32(file.encode()) % 2}" if file.startswith("tests/browser/") else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test with the marker `alone` run while the other processes of this checkout wait between two tests."""
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """Hold a lock, which a test that runs alone does not share. Tests that come later wait behind it in a queue."""
    try:
        from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
    except ImportError:  # Windows
        yield
        return
    here = Path(__file__).parent
    with (here / "conftest.py").open() as queue, (here / "pyproject.toml").open() as lock:
        flock(queue, LOCK_EX)
        flock(lock, LOCK_EX if alone else LOCK_SH)
        flock(queue, LOCK_UN)
        yield
        flock(lock, LOCK_UN)  # closing is not enough: a process that the test has forked may keep the file


@pytest.fixture(scope="module")
def stand_in_checkout() -> Iterator[None]:
    """The README's examples are run from the checkout, as a reader would."""
    before = Path.cwd()
    os.chdir(Path(__file__).parent)
    yield
    os.chdir(before)


_readme = Sybil(parsers=[PythonCodeBlockParser()], patterns=["README.md"], fixtures=["stand_in_checkout"])
_docstrings = Sybil(
    parsers=[DocTestParser(optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)],
    patterns=["heroku_magic/*.py", "heroku_magic/*/*.py"],
    # Their examples send a function's source, which only doctest keeps: tests/sweeps/test_sweep_examples.py runs them.
    excludes=["heroku_magic/sweeps/executor.py", "heroku_magic/sweeps/sweep.py"],
)
pytest_collect_file = (_readme + _docstrings).pytest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples that start an embedded Heroku: the README's, and docstrings' that call `connect`."""
    for item in items:
        if isinstance(item, SybilItem):
            document = item.example.document
            if document.path.endswith(".md") or CONNECTS.search(document.text):
                item.add_marker("process")
