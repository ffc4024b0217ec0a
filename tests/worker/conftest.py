"""Fixtures of the worker's tests: an app with the helper, and the helper as a module of this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from worker_app import RUN_KEY, WORKER, App, load_helper, read_records

from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import RunKey


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


@pytest.fixture(scope="module")
def sent(processes):
    """Return a function that sends records with the helper and returns the decoder and the lines."""
    helper, key = load_helper(), RunKey("hm-0123abcd", bytes(32))

    def send(script, chunk=1_000_000):
        lines, decoder = [], RecordDecoder(key)
        helper._write, helper.CHUNK_BYTES = lines.append, chunk
        sender = helper._Sender(key.env())
        sender.start("t", None)
        script(sender)
        sender.end(0)
        for line in lines:
            assert len(line) < 4000
            assert decoder.feed(line)[0] is None
        return decoder, lines

    return send


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
