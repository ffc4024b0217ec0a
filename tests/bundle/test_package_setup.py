"""The program that installs packages on a dyno, before its command."""

from __future__ import annotations

import contextlib
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


@pytest.mark.usefixtures("processes")
def test_a_dyno_that_waits_for_the_installation_of_another_one_says_so(tmp_path):
    held = tmp_path / "held"
    with packages._locked(held, "1 package"):
        command = f"from {packages.__name__} import *; from {packages.__name__} import _locked\nwith _locked(Path({str(held)!r}), '2 packages'): pass"
        waiting = subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.PIPE, text=True)
        line = waiting.stderr.readline()
    assert line == "waiting for another dyno, which installs 2 packages\n"
    with waiting:
        assert waiting.wait() == 0


def test_packages_that_another_dyno_removes_at_the_same_time_are_gone(tmp_path, monkeypatch):
    marks = [tmp_path / f"set{number}.complete" for number in range(packages._MOST_SETS + 1)]
    for mark in marks:
        mark.touch()
        os.utime(mark, (0, 0))
    locked = packages._locked

    @contextlib.contextmanager
    def locked_later(path, what):
        with locked(path, what):
            path.with_suffix(".complete").unlink()  # by the dyno that had the lock
            yield

    monkeypatch.setattr(packages, "_locked", locked_later)
    packages._remove_old(tmp_path)
    assert sum(mark.exists() for mark in marks) == packages._MOST_SETS


def test_packages_that_were_not_used_for_the_longest_time_are_removed_unless_a_dyno_may_still_use_them(tmp_path):
    count = packages._MOST_SETS + 3
    for age in range(count):
        folder = tmp_path / f"set{age}"
        folder.mkdir()
        mark = folder.with_suffix(".complete")
        mark.touch()
        hours = 0 if age < packages._MOST_SETS + 1 else 100 + age
        os.utime(mark, (mark.stat().st_mtime - hours * 3600 - age,) * 2)
    packages._remove_old(tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {f"set{age}" for age in range(count - 2)}
    assert not (tmp_path / f"set{count - 1}.complete").exists()
