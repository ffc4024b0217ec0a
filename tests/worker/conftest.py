"""Fixtures of the worker's tests: an app with the helper, and the helper as a module of this process."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from worker_app import RUN_KEY, WORKER, App, read_records


@pytest.fixture
def app(tmp_path):
    return App(tmp_path / "app")


@pytest.fixture
def shipped(app):
    """The shipped worker, whole."""
    shutil.copytree(WORKER, app.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".heroku"))
    return app


@pytest.fixture
def helper(monkeypatch):
    """The helper as a module of this process, for its pure parts."""
    spec = importlib.util.spec_from_file_location("heroku_task", WORKER / "heroku_task.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def declared(helper, tmp_path):
    """What a signature declares: `declared("n: int = 1")`."""

    def schema_of(signature, docstring="", head=""):
        path = tmp_path / "declared.py"
        path.write_text(f'{head}\n@task\ndef f({signature}):\n    """{docstring}"""\n', encoding="utf-8")
        return helper._Source(str(path)).schema()

    return schema_of


@pytest.fixture
def golden():
    folder = Path(__file__).resolve().parents[1] / "samples" / "records"
    return SimpleNamespace(folder=folder, run_key=RUN_KEY, nonce="00c0ffee", read_records=read_records)
