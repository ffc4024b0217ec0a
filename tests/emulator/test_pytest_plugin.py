"""The pytest plugin as another project uses it: the example of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

pytestmark = pytest.mark.usefixtures("processes")


def test_the_plugin_example_of_the_documentation_passes_in_another_project(tmp_path):
    page = (ROOT / "docs" / "howto" / "test-rig.md").read_text()
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL))
    assert files.keys() == {"conftest.py", "test_jobs.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "Procfile").write_text("task: true\n")
    # Without our environment's other plugins, which take most of the time.
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
