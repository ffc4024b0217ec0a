"""The program that installs packages on a dyno, before its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from heroku_magic.bundle.packages import add_packages
from heroku_magic.bundle.remote import packages
from heroku_magic.runs.failures import NOT_INSTALLED, installer_message

PYTHON = "{}.{}".format(*sys.version_info)


def run(folder, installers, python=PYTHON, **more):
    """Run `env` on a dyno that gets a package with these installers."""
    command, env = add_packages("env", {}, ["tinypack==1.0"], python)
    path = os.pathsep.join([os.path.dirname(sys.executable), "/usr/bin", "/bin"])  # noqa: PTH120 - a text
    kept = {packages.KEPT: json.dumps({"folder": str(folder / "kept"), "installers": installers})}
    return subprocess.run(
        ["bash", "-c", command], env={"PATH": path, **env, **kept, **more}, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("processes")
def test_an_installer_sees_neither_the_key_nor_the_parameters_of_the_run(tmp_path):
    installer = ["sh", "-c", f"env > {tmp_path}/seen; mkdir -p {tmp_path}/kept"]
    hidden = {"RUN_KEY": "key-of-the-run", "password": "swordfish"}
    done = run(tmp_path, [installer], **hidden, PIP_INDEX_URL="https://index.example/simple")
    seen = (tmp_path / "seen").read_text()
    assert "PIP_INDEX_URL=https://index.example/simple" in seen
    assert not [value for value in hidden.values() if value in seen]
    assert all(f"{name}={value}" in done.stdout for name, value in hidden.items()), "the command sees them"
    assert packages.KEPT not in done.stdout
    assert "RUN_SETUP" not in done.stdout


@pytest.mark.usefixtures("processes")
def test_what_one_installer_leaves_does_not_reach_the_next_one_and_success_is_kept(tmp_path):
    broken = ["sh", "-c", "mkdir -p $3; touch $3/half; exit 1", "install"]  # --no-deps --target FOLDER …
    whole = ["sh", "-c", "test ! -e $3/half && mkdir -p $3 && touch $3/whole", "install"]
    first = run(tmp_path, [broken, whole])
    assert "installed 1 package in " in first.stderr
    (found,) = (tmp_path / "kept").glob("*/whole")
    assert f"PYTHONPATH={found.parent}" in first.stdout
    assert "install" not in run(tmp_path, [broken, whole]).stderr


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("installers", "python", "reason"),
    [
        ([], PYTHON, "The app has neither pip nor uv. Add uv to its dependencies and deploy."),
        ([["sh", "-c", "echo no index; exit 1"]], PYTHON, "tinypack==1.0:\nno index"),
        ([], "3.99", f"packages that were resolved for Python 3.99, as it has Python {PYTHON}."),
    ],
)
def test_a_failure_has_a_status_of_its_own_and_names_the_reason(tmp_path, installers, python, reason):
    done = run(tmp_path, installers, python)
    assert done.returncode == packages.FAILED == NOT_INSTALLED
    assert reason in installer_message(done.stderr.splitlines())
    assert done.stdout == ""
    assert not [*tmp_path.glob("kept/*.complete")]
