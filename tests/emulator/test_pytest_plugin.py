"""The README's "Heroku for your tests": the pytest plugin as another project uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

pytestmark = pytest.mark.usefixtures("processes")


def test_the_plugin_example_of_the_readme_passes_in_another_project(tmp_path):
    (example,) = re.findall(r"```text\n# conftest.py\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    conftest, _, test = example.partition("# test_jobs.py\n")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_jobs.py").write_text(test)
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "Procfile").write_text("task: true\n")
    # Without our environment's other plugins, which take most of the time.
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
