"""A new worker folder runs at once, on the embedded Heroku and when deployed, and overwrites nothing."""

from __future__ import annotations

import sys

import pytest
from wheels import wheel_of

from heroku_magic import SettingsError, connect, init
from heroku_magic.deploy.archive import pack
from heroku_magic.deploy.checks import findings

pytestmark = pytest.mark.usefixtures("no_other_python")


@pytest.mark.usefixtures("processes")
def test_a_new_folder_runs_at_once(tmp_path, monkeypatch):
    wheel_of("cloudpickle", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    folder = init(tmp_path / "worker")
    heroku = connect(worker=folder, say=lambda _: None)
    assert heroku.run(parameters={"n": 3})["result"].tolist() == [0, 1, 4]
    assert heroku.submit(code=len, parameters={"0": "abc"}).result()["value"].tolist() == [3]
    (task,) = heroku.tasks()
    assert task.signature == "n: int = 10, power: int = 2"


def test_a_new_folder_can_be_deployed_unchanged(tmp_path):
    folder = init(tmp_path / "worker")
    (folder / ".env").write_text("SECRET=1\n")
    package = pack(folder)
    assert not any(finding.is_certain for finding in findings(package.names, package.texts))
    assert package.texts[".python-version"] == f"{sys.version_info.major}.{sys.version_info.minor}\n"
    assert package.names == [
        ".gitignore",
        ".python-version",
        ".slugignore",
        "Procfile",
        "heroku_task.py",
        "requirements.txt",
        "task.py",
    ]


def test_existing_files_are_not_overwritten(tmp_path):
    (tmp_path / "task.py").write_text("mine")
    with pytest.raises(SettingsError, match=r"already has task\.py; nothing was written"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["task.py"]


def test_a_folder_without_write_access_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        init(tmp_path / "file" / "worker")
