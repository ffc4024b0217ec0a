"""A folder is hashed again only if something in it may have changed, and then whatever has changed."""

from __future__ import annotations

import os
import time

import pytest

from heroku_magic.ledger import folder_hash
from heroku_magic.ledger.folder_hash import hash_folder, last_change, note_config_change

OLD = time.time() - 60


@pytest.fixture
def folder(tmp_path):
    """A folder with each kind of entry that decides the hash; an installed environment is none of its files."""
    app = tmp_path / "app"
    for name, text in {
        "app/task.py": "print(1)\n",
        "app/below/data.csv": "1,2\n",
        "app/empty/.gitignore": "*.tmp\n",
        "app/.gitignore": "*.log\n",
        "app/notes.log": "no file of the app\n",
        "app/requirements.txt": "-r ../more.txt\n-e ../project\n",
        "app/venv/pyvenv.cfg": "home = here\n",
        "app/venv/module.py": "x = 1\n",
        "more.txt": "attrs\n",
        "project/setup.py": "# none\n",
        "target.txt": "a",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (app / "link.txt").symlink_to(tmp_path / "target.txt")
    os.utime(app / "task.py", (OLD, OLD))
    return app


def settled(monkeypatch):
    """Let the files be older than any clock of a file system is coarse."""
    monkeypatch.setattr(folder_hash, "SETTLED", -60)


def lists_folders(monkeypatch):
    """Return the calls that list a folder."""
    calls, real = [], folder_hash.included_files

    def counted(*arguments, **options):
        calls.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(folder_hash, "included_files", counted)
    return calls


def test_an_unchanged_folder_is_not_listed_again(folder, monkeypatch):
    settled(monkeypatch)
    first, calls = hash_folder(folder), lists_folders(monkeypatch)

    assert hash_folder(folder) == first
    assert not calls


def test_a_folder_that_has_just_changed_is_listed_again(folder, monkeypatch):
    first, calls = hash_folder(folder), lists_folders(monkeypatch)

    assert hash_folder(folder) == first
    assert calls


def same_size(folder):
    (folder / "task.py").write_text("print(2)\n")
    os.utime(folder / "task.py", (OLD, OLD))


CHANGES = {
    "another content of the same size and age": same_size,
    "a new file": lambda folder: (folder / "below" / "new").write_text(""),
    "a new file in a new folder": lambda folder: (folder / "newer").mkdir() or (folder / "newer" / "x").touch(),
    "a new file in an empty folder": lambda folder: (folder / "empty" / "x").touch(),
    "a removed file": lambda folder: (folder / "below" / "data.csv").unlink(),
    "a renamed folder": lambda folder: (folder / "below").rename(folder / "above"),
    "an executable": lambda folder: (folder / "task.py").chmod(0o755),
    "another rule": lambda folder: (folder / ".gitignore").write_text("*.csv"),
    "another rule further down": lambda folder: (folder / "below" / ".gitignore").write_text("*.csv"),
    "a rule for Heroku": lambda folder: (folder / ".slugignore").write_text("*.csv"),
    "an environment that is a folder": lambda folder: (folder / "venv" / "pyvenv.cfg").unlink(),
    "another file behind a link": lambda folder: (folder.parent / "target.txt").write_text("b"),
    "a link to nothing": lambda folder: (folder.parent / "target.txt").unlink(),
    "another requirement outside": lambda folder: (folder.parent / "more.txt").write_text("wheel\n"),
    "a new file in a project outside": lambda folder: (folder.parent / "project" / "new.py").touch(),
    "config vars in a file": lambda folder: (folder / ".env").write_text("A=1"),
    "config vars": note_config_change,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_noticed(folder, monkeypatch, change):
    settled(monkeypatch)
    before = hash_folder(folder)
    assert hash_folder(folder) == before
    change(folder)
    after = hash_folder(folder)

    assert after != before
    folder_hash._known_folders.clear()
    assert hash_folder(folder) == after


def test_a_change_below_a_link_to_a_folder_is_noticed(folder, monkeypatch):
    settled(monkeypatch)
    (folder.parent / "elsewhere" / "deep").mkdir(parents=True)
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    before = hash_folder(folder)
    (folder.parent / "elsewhere" / "deep" / "x").touch()

    assert hash_folder(folder) != before


def test_a_variable_in_the_requirements_is_read_anew(folder, monkeypatch):
    settled(monkeypatch)
    (folder / "requirements.txt").write_text("-r ${WHERE}/more.txt\n")
    before = hash_folder(folder)
    monkeypatch.setenv("WHERE", str(folder.parent))

    assert hash_folder(folder) != before


def test_the_limit_of_files_holds_for_a_known_folder_too(folder, monkeypatch):
    settled(monkeypatch)

    assert hash_folder(folder)
    assert hash_folder(folder, 2) == ""


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_was_changed_back_has_changed_and_an_ignored_one_has_not(folder, monkeypatch, is_known):
    if is_known:
        settled(monkeypatch)
    before, began = hash_folder(folder), last_change(folder)
    (folder / "notes.log").write_text("more")
    assert last_change(folder) == began
    for text in ("print(2)\n", "print(1)\n"):
        (folder / "task.py").write_text(text)
    assert hash_folder(folder) == before
    assert last_change(folder) > began
