"""Fixtures of the worker's tests: an app with the helper, and the helper as a module of this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from worker_app import RUN_KEY, WORKER, App, load_helper, read_records


@pytest.fixture
def app(tmp_path):
    return App(tmp_path / "app")


@pytest.fixture
def shipped(app):
    """The complete shipped worker."""
    shutil.copytree(WORKER, app.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".heroku"))
    return app


@pytest.fixture(scope="session")
def helper():
    """The helper as a module of this process, for its pure functions."""
    return load_helper()


@pytest.fixture
def declared(helper, tmp_path):
    """Return the schema of a signature: `declared("n: int = 1")`."""

    def schema_of(signature, docstring="", head=""):
        path = tmp_path / "declared.py"
        path.write_text(f'{head}\n@task\ndef f({signature}):\n    """{docstring}"""\n', encoding="utf-8")
        return helper._Source(str(path)).schema()

    return schema_of


@pytest.fixture
def golden():
    folder = Path(__file__).resolve().parents[1] / "samples" / "records"
    return SimpleNamespace(folder=folder, run_key=RUN_KEY, nonce="00c0ffee", read_records=read_records)
