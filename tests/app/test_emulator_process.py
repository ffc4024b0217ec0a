"""The process of the embedded Heroku, as the notebook starts and ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from heroku_magic.app import emulator_process


@pytest.mark.usefixtures("processes")
def test_a_server_that_takes_too_long_to_end_is_killed_without_an_error(monkeypatch):
    monkeypatch.setattr(emulator_process, "END_PATIENCE", 0.1)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.PIPE)
    server = emulator_process.Embedded("http://127.0.0.1:1", None, "app", None, process)

    server.stop()

    assert process.returncode == -signal.SIGKILL
