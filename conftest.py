"""README examples and docstring examples are tests."""

from __future__ import annotations

import os
import re
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


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let two processes run all tests with a browser: four browsers at once starve one another on two cores."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return f"browser {crc32(file.encode()) % 2}" if file.startswith("tests/browser/") else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


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
