"""A folder of its own for the ledger, and runs to put into it."""

from __future__ import annotations

import pytest

from heroku_magic.ledger import location
from heroku_magic.ledger.recorder import recorder


@pytest.fixture
def ledger_folder(tmp_path, monkeypatch):
    """Keep the runs of this test in an empty folder, as if the kernel had started there."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(location, "start_folder", lambda: folder)
    yield folder
    recorder.flush()
