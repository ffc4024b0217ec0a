"""Where the ledger is."""

from __future__ import annotations

import os

import pytest

from heroku_magic.ledger import location


def test_a_deleted_folder_gets_no_ledger(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("Windows does not delete the current folder")
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    assert location._current_folder() is None
