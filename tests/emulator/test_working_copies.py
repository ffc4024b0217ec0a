"""Each dyno of a served folder has its own working copy."""

from __future__ import annotations

import asyncio
import os
import py_compile
import sys
import threading
import time
from pathlib import Path

import pytest
from emulators import is_running, wait_until
from loops import run_loop

from heroku_magic.emulator.code import file_copy
from heroku_magic.emulator.code.bytecode import Bytecode
from heroku_magic.emulator.code.live_folder import LiveFolder
from heroku_magic.emulator.code.working_copies import MOST_SPARES, WorkingCopies
from heroku_magic.emulator.errors import BuildError


def state(folder):
    """Every file of a folder with its content, inode and times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".heroku" not in path.parts)
    return {path: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_no_dyno_sees_what_another_one_writes(start, make_folder):
    emulator = start(make_folder(out__txt="of the user"), "--one-offs", "20")
    before = state(emulator.folder)
    command = "cat out.txt; echo; echo $N > out.txt; sleep 0.3; cat out.txt; touch left-$N; ls left-*"
    dynos = [emulator.create(command, env={"N": str(number)}) for number in range(12)]
    for number, dyno in enumerate(dynos):
        output = [line.partition(b"]: ")[2].decode() for line in emulator.log(dyno) if b" app[" in line]
        assert output == ["of the user", str(number), f"left-{number}"]
    assert state(emulator.folder) == before
    assert emulator.output("ls") == [b"Procfile", b"out.txt"]


def test_a_copy_has_modes_times_and_links_and_no_inode_of_the_user(start, make_folder):
    folder = make_folder(tool__sh="#!/bin/sh\necho ran\n")
    (folder / "tool.sh").chmod(0o755)
    os.utime(folder / "tool.sh", ns=(0, 1_500_000_000_123_456_789))
    (folder / "link").symlink_to("tool.sh")
    (folder / "absolute").symlink_to(folder / "tool.sh")
    (folder / "empty").mkdir()
    emulator = start(folder)
    for _ in range(3):
        emulator.output("true")
    found = emulator.output("./tool.sh; readlink link absolute; stat -c '%a %.9Y %h %i' tool.sh; ls; echo >> absolute")
    assert found[:3] == [b"ran", b"tool.sh", b"tool.sh"]
    mode, modified, links, inode = found[3].split()
    assert (mode, modified, links) == (b"755", b"1500000000.123456789", b"1")
    assert int(inode) != (folder / "tool.sh").stat().st_ino
    assert found[4:] == [b"Procfile", b"absolute", b"link", b"tool.sh"]
    assert (folder / "tool.sh").read_text() == "#!/bin/sh\necho ran\n"
    assert (folder / "tool.sh").stat().st_nlink == 1


def test_each_edit_between_two_runs_is_seen_by_the_second(start, make_folder):
    emulator = start(make_folder("task: python task.py", task__py="import word", word__py="print(0)"))
    for number in [*range(1, 8), 7]:  # all files have one size, and are written within a second
        (emulator.folder / "word.py").write_text(f"print({number})")
        assert emulator.output("task") == [b"%d" % number]
    (emulator.folder / "word.py").unlink()
    assert b"No module named 'word'" in b"".join(emulator.output("task"))


def test_the_copy_of_a_dyno_is_removed(start, make_folder):
    emulator = start(make_folder())
    copy = Path(emulator.output("mkdir -p a/b; touch a/b/c; chmod 0 a/b; pwd")[0].decode())
    wait_until(lambda: not copy.exists())
    emulator.process.stdin.close()
    emulator.process.wait(10)
    assert not copy.parent.exists()


def test_a_stray_process_does_not_keep_the_copy_of_its_dyno(start, make_folder):
    emulator = start(make_folder())
    command = "setsid bash -c 'while :; do mkdir -p d; touch d/$RANDOM; done' & pwd; echo $!; sleep 0.2"
    copy, pid = emulator.output(command)
    wait_until(lambda: not is_running(int(pid)))
    wait_until(lambda: not Path(copy.decode()).exists())


def test_a_folder_that_cannot_be_read_or_is_too_large_is_reported(start, make_folder):
    emulator = start(make_folder())
    with (emulator.folder / "huge").open("wb") as file:
        file.truncate(2_000_000_000)
    assert b"too large for an app: 2,000,00" in b"\n".join(emulator.run("true"))
    (emulator.folder / "huge").unlink()
    assert emulator.output("echo repaired") == [b"repaired"]


def test_the_compiled_modules_are_there_and_stale_ones_are_not(start, make_folder):
    folder = make_folder(one__py="print('one')", two__py="print('old')")
    time.sleep(0.02)
    for name in ("one.py", "two.py"):
        py_compile.compile(str(folder / name))
    emulator = start(folder)
    time.sleep(0.02)
    modified = (folder / "two.py").stat().st_mtime
    (folder / "two.py").write_text("print('new')")
    os.utime(folder / "two.py", (modified, modified))
    tag = sys.implementation.cache_tag
    assert emulator.output("ls __pycache__; python -c 'import one, two'") == [f"one.{tag}.pyc".encode(), b"one", b"new"]


def test_what_a_dyno_compiles_is_compiled_for_the_next_ones(start, make_folder):
    emulator = start(make_folder(module__py="X = 1"))
    name = f"module.{sys.implementation.cache_tag}.pyc".encode()
    assert emulator.output("python -c 'import module'; ls __pycache__") == [name]
    wait_until(lambda: emulator.output("ls __pycache__") == [name])
    assert not (emulator.folder / "__pycache__").exists()
    again = start(emulator.folder)
    assert again.output("ls __pycache__") == [name]


def test_bytecode_that_a_dyno_forged_reaches_no_other(start, make_folder):
    emulator = start(make_folder(module__py="print('of the user')", other__py="print('forged')"))
    name = f"__pycache__/module.{sys.implementation.cache_tag}.pyc"
    forge = f"import os, py_compile; py_compile.compile('other.py', '{name}'); os.utime('module.py')"
    emulator.output(f'python -c "{forge}"')
    wait_until(lambda: emulator.output(f"ls {name}") == [name.encode()])
    assert emulator.output("python -c 'import module'") == [b"of the user"]


@pytest.fixture
def make_copies(make_folder, tmp_path):
    """Return the working copies of a folder with some files."""

    def make(**files):
        live = LiveFolder(make_folder(**files))
        bytecode = Bytecode(live.root, lambda: tmp_path / "bytecode")
        return live, WorkingCopies(live, bytecode, lambda: tmp_path / "spares"), tmp_path / "spares"

    return make


def filled(spares, count):
    return spares.is_dir() and len(list(spares.iterdir())) == count


@pytest.mark.parametrize(("wanted", "made"), [(3, 3), (100, MOST_SPARES), (0, 0)])
def test_there_is_a_spare_for_each_free_one_off_and_at_most_eight(make_copies, wanted, made):
    async def main():
        _, copies, spares = make_copies()
        copies.fill(wanted)
        await copies._work
        assert filled(spares, made) or (made == 0 and not spares.exists())

    run_loop(main())


def test_a_spare_is_taken_once_and_only_for_the_state_it_was_made_of(make_copies, tmp_path):
    async def main():
        live, copies, _ = make_copies(a__txt="one", b__txt="b")
        copies.fill(2)
        await copies._work
        assert copies.take(tmp_path / "first")
        assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["Procfile", "a.txt", "b.txt"]
        folder = Path(live.root)
        (folder / "a.txt").write_text("two")
        (folder / "b.txt").unlink()
        (folder / "b.txt").mkdir()
        (folder / "b.txt" / "c").write_text("c")
        assert live.has_changed()
        assert not copies.take(tmp_path / "second")
        await copies.make(tmp_path / "second")
        assert (tmp_path / "second" / "a.txt").read_text() == "two"
        assert (tmp_path / "second" / "b.txt" / "c").read_text() == "c"
        copies.fill(1)
        await copies._work
        assert copies.take(tmp_path / "third")
        assert not copies.take(tmp_path / "fourth")

    run_loop(main())


def test_a_dyno_gets_the_spare_that_is_being_made(make_copies, monkeypatch, tmp_path):
    async def main():
        _, copies, spares = make_copies()
        copied, is_seen = [], threading.Event()
        copy_file = file_copy.copy_file

        def copy_once_seen(source, target):
            is_seen.wait(30)
            copied.append(target)
            return copy_file(source, target)

        monkeypatch.setattr(file_copy, "copy_file", copy_once_seen)
        copies.fill(1)
        while copies._underway is None:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
        is_seen.set()
        await copies.make(tmp_path / "copy")
        await copies._work
        assert (tmp_path / "copy" / "Procfile").exists()
        assert len(copied) == 2  # the spare that was taken, and its successor
        assert filled(spares, 1)

    run_loop(main())


def test_a_spare_made_while_the_folder_changes_is_discarded(make_copies, monkeypatch):
    async def main():
        live, copies, spares = make_copies(a__txt="one")
        copy_file = file_copy.copy_file

        def edit_and_copy(source, target):
            Path(live.root, "a.txt").write_text("two")
            return copy_file(source, target)

        monkeypatch.setattr(file_copy, "copy_file", edit_and_copy)
        copies.fill(1)
        await copies._work
        assert list(spares.iterdir()) == []

    run_loop(main())


def test_a_folder_of_too_many_files_is_refused(make_copies, monkeypatch, tmp_path):
    monkeypatch.setattr("heroku_magic.emulator.code.working_copies.MOST_FILES", 3)
    _, copies, _ = make_copies(a="", b="", c="")
    with pytest.raises(BuildError, match="in 4 files"):
        run_loop(copies.make(tmp_path / "copy"))
