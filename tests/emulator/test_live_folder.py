"""Live folders: new code at once, .env as `heroku local` reads it, and errors at the start."""

from __future__ import annotations

import os

import pytest

from heroku_magic.deploy.archive import pack
from heroku_magic.emulator.code import live_folder
from heroku_magic.emulator.code.procfile import expand, read
from heroku_magic.emulator.code.source_tree import SourceTree
from heroku_magic.emulator.errors import StartError


def test_a_changed_file_is_a_new_release_with_another_slug_and_the_new_code_runs(start, make_folder):
    folder = make_folder("task: python task.py", task__py="print('old')")
    emulator = start(folder)
    before = emulator.get("/apps/demo/releases")[-1]
    assert emulator.output("task") == [b"old"]
    assert emulator.get("/apps/demo/releases")[-1] == before
    (folder / "task.py").write_text("print('brand new')")
    (folder / "Procfile").write_text("task: python task.py\nother: true\n")
    assert {each["type"] for each in emulator.get("/apps/demo/formation")} == {"task", "other"}
    after = emulator.get("/apps/demo/releases")[-1]
    assert (after["version"], after["current"]) == (before["version"] + 1, True)
    assert after["slug"]["id"] != before["slug"]["id"]
    dyno = emulator.create("task")
    assert dyno["release"] == {"id": after["id"], "version": after["version"]}
    assert b"brand new" in b"".join(emulator.log(dyno))


def test_a_procfile_that_becomes_invalid_keeps_the_process_types_and_is_reported(start, make_folder):
    folder = make_folder("task: echo task")
    emulator = start(folder)
    (folder / "Procfile").unlink()
    assert [each["type"] for each in emulator.get("/apps/demo/formation")] == ["task"]
    assert b"has no Procfile" in b"".join(emulator.backlog(dyno="build"))


@pytest.mark.parametrize("name", [".git", ".heroku", "__pycache__", ".ipynb_checkpoints", ".venv", "ignored"])
def test_the_files_of_tools_are_not_a_change(make_folder, name):
    folder = make_folder(__gitignore="ignored/\n")
    before = SourceTree(folder).scan()
    (folder / name).mkdir()
    (folder / name / "file").write_text("x")
    assert SourceTree(folder).scan() == before


@pytest.mark.parametrize(
    "name", [".env", ".profile.d/x.sh", "package/module.py", "requirements.txt", "node_modules/x.js", ".config/x"]
)
def test_a_file_of_the_app_is_a_change(make_folder, name):
    folder = make_folder()
    before = SourceTree(folder).scan()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert SourceTree(folder).scan() != before


def test_an_edit_that_keeps_size_and_time_is_a_change(make_folder):
    folder = make_folder(task__py="x = 1")
    tree = SourceTree(folder)
    before, status = tree.scan(), (folder / "task.py").stat()
    (folder / "task.py").write_text("x = 2")
    os.utime(folder / "task.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tree.scan() != before


IGNORED = {
    ".gitignore": "\ufeffprivate/\n*.csv\n/top.txt\nall/**\n!all/kept.txt\n[z-a]\n",
    ".slugignore": "docs\n",
    "data/.gitignore": "!prices.csv\n",
    "data/prices.csv": "",
    "data/others.csv": "",
    "data/top.txt": "",
    "top.txt": "",
    "private/key.txt": "",
    "all/kept.txt": "",
    "all/other.txt": "",
    "docs/a/b.md": "",
    "env/pyvenv.cfg": "",
    "env/bin/tool": "",
    ".ruff_cache/x": "",
    ".hidden/x": "",
    "a/__pycache__/m.cpython-311.pyc": "",
}


def test_ignored_files_are_not_part_of_the_app(make_folder):
    folder = make_folder()
    for name, text in IGNORED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    kept = {"Procfile", ".gitignore", ".slugignore", "data/.gitignore", "data/prices.csv", "data/top.txt"}
    tree = SourceTree(folder)
    assert set(tree.scan()) == {*kept, "all/kept.txt", ".hidden/x"} == set(pack(folder, allow=kept).names)
    (folder / "data" / ".gitignore").unlink()
    assert set(tree.scan()) == {*kept, "all/kept.txt", ".hidden/x"} - {"data/.gitignore", "data/prices.csv"}


def test_a_link_in_the_folder_stays_one_and_a_link_out_of_it_is_its_content(make_folder, tmp_path):
    folder = make_folder(data__txt="inside")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("outside")
    (tmp_path / "other" / "again").symlink_to(tmp_path / "other")
    for name, target in {
        "near": "data.txt",
        "round": "round",
        "absolute": folder / "data.txt",
        "detour": f"../{folder.name}/data.txt",
        "folder": tmp_path / "other",
        "file": tmp_path / "other" / "file",
        "above": "..",
        "dangling": "nothing",
        "lost": tmp_path / "nothing",
    }.items():
        (folder / name).symlink_to(target)
    targets = {path: found[5] for path, found in SourceTree(folder).scan().items()}
    assert targets == {
        "Procfile": "",
        "data.txt": "",
        "near": "data.txt",
        "round": "round",
        "absolute": "data.txt",
        "detour": "data.txt",
        "dangling": "nothing",
        "folder/file": "",
        "file": "",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\n\n# B=2\n  C = 3 ", {"A": "1", "C": "3"}),
        ("A=\"1 2\"\nB='x=y'\nC=it's", {"A": "1 2", "B": "x=y", "C": "it's"}),
        ("A=b=c\nno assignment\nA-B=1\nexport E=1", {"A": "b=c", "E": "1"}),
        ('{"a": "1", "b": {"c": 2}}', {"A": "1", "B_C": "2"}),
        ("A=\r\n", {"A": ""}),
    ],
)
def test_dotenv_is_read_as_heroku_local_does(make_folder, text, found):
    assert live_folder.dotenv(make_folder(__env=text)) == found


def test_a_folder_without_dotenv_has_no_variables(make_folder):
    assert live_folder.dotenv(make_folder()) == {}


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("task", "python t.py"),
        ("task 42 #hm-1", "python t.py 42 #hm-1"),
        ("task ; echo $?", "python t.py ; echo $?"),
        ("task; echo", "task; echo"),
        ("echo task", "echo task"),
    ],
)
def test_the_first_word_of_a_command_may_be_a_process_type(command, found):
    assert expand(command, {"task": "python t.py"}) == found


def test_a_folder_without_a_procfile_is_an_error(tmp_path):
    with pytest.raises(StartError, match="no Procfile"):
        read(tmp_path)


def test_the_last_declaration_of_a_type_counts(make_folder):
    assert read(make_folder("a: 1\na: 2")) == {"a": "2"}
