"""The Python environment of an app."""

from __future__ import annotations

import sys
import zipfile

import pytest

from conftest import wait_until

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_QUIET": "1"}


def make_wheel(folder):
    """A package that needs neither network nor build."""
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "WORD = 'tiny'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def test_an_empty_requirements_file_gives_a_python_that_sees_none_of_our_packages(start, make_folder):
    emulator = start(make_folder(requirements__txt="# nothing\n\n"))
    looked_for = "tornado', 'pip', 'pytest', 'requests"
    command = f"""python -c "import importlib.util as u, sys
print([name for name in ('{looked_for}') if u.find_spec(name)], sys.prefix, sys.version_info[:3])" """
    output = emulator.output(command)[0].decode()
    assert output.startswith("[] ")
    assert str(emulator.folder / ".heroku") in output
    assert output.endswith(str(sys.version_info[:3]))
    assert (emulator.folder / ".heroku" / ".gitignore").read_text() == "*\n"
    assert (emulator.folder / ".heroku").stat().st_mode & 0o777 == 0o700


def test_two_emulators_install_the_requirements_of_one_folder_once(start, make_folder):
    folder = make_folder(requirements__txt="-r more.txt\n", more__txt="./tiny-1.0-py3-none-any.whl\n")
    make_wheel(folder)
    both = [start(folder, environ=OFFLINE, wait=False) for _ in range(2)]
    for emulator in both:
        emulator.wait()
        assert emulator.output("python -c 'import tiny; print(tiny.WORD)'") == [b"tiny"]
    built = [b"Successfully installed tiny" in b"".join(each.backlog(dyno="build")) for each in both]
    assert sorted(built) == [False, True]


def test_requirements_that_cannot_be_installed_are_a_422_with_pips_message(start, make_folder):
    emulator = start(make_folder(requirements__txt="no-such-package-at-all\n"), environ=OFFLINE)
    refused = emulator.refused(command="true")
    assert "no-such-package-at-all" in refused["message"]
    assert b"app[build]: ERROR" in b"\n".join(emulator.backlog(dyno="build", source="app"))
    (emulator.folder / "requirements.txt").write_text("")
    assert emulator.output("echo repaired") == [b"repaired"]


def test_an_installed_app_is_not_written_to(start, make_folder):
    folder = make_folder() / "site-packages" / "worker"
    folder.mkdir(parents=True)
    (folder / "Procfile").write_text("task: true\n")
    emulator = start(folder)
    prefix = emulator.output("python -c 'import sys; print(sys.prefix)'")[0].decode()
    assert not prefix.startswith(str(folder))
    assert not (folder / ".heroku").exists()
    temporary = prefix.partition("embedded-heroku-")
    from pathlib import Path

    scratch = Path(temporary[0] + temporary[1] + temporary[2].partition("/")[0])
    assert scratch.stat().st_mode & 0o777 == 0o700
    emulator.process.kill()
    wait_until(lambda: not scratch.exists())


@pytest.mark.parametrize("text", ["", "\n", "# a\n  # b"])
def test_requirements_with_comments_only_do_not_need_pip(start, make_folder, text):
    emulator = start(make_folder(requirements__txt=text), environ={"PIP_INDEX_URL": "http://127.0.0.1:1"})
    assert emulator.output("python -c 'print(1)'") == [b"1"]
    assert emulator.backlog(dyno="build") == []
