"""The Python environment of an app."""

from __future__ import annotations

import os
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from emulators import wait_until
from loops import run_loop

from heroku_magic.emulator.code import installer
from heroku_magic.emulator.code.environment import Environment, Requirements
from heroku_magic.emulator.code.source_tree import SourceTree
from heroku_magic.emulator.dynos.reaper import Reaper

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
    looked_for = "tornado', 'setuptools', 'pytest', 'requests"
    command = f"""python -c "import importlib.util as u, sys
print([name for name in ('{looked_for}') if u.find_spec(name)], sys.prefix, sys.version_info[:3])" """
    output = emulator.output(command)[0].decode()
    assert output.startswith("[] ")
    assert str(emulator.folder / ".heroku") in output
    assert output.endswith(str(sys.version_info[:3]))
    assert (emulator.folder / ".heroku" / ".gitignore").read_text() == "*\n"
    assert (emulator.folder / ".heroku").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("pip", ["pip", "pip3", "python -m pip", "python3 -m pip"])
def test_pip_on_a_dyno_lists_the_packages_of_the_app(start, make_folder, pip):
    folder = make_folder(requirements__txt="./tiny-1.0-py3-none-any.whl\n")
    make_wheel(folder)
    emulator = start(folder, environ=OFFLINE)
    assert emulator.output(f"{pip} list --format freeze") == [b"tiny==1.0"]


def test_a_package_that_the_requirements_no_longer_name_is_gone(start, make_folder):
    folder = make_folder(requirements__txt="./tiny-1.0-py3-none-any.whl\n")
    make_wheel(folder)
    emulator = start(folder, environ=OFFLINE)
    assert emulator.output("pip list --format freeze") == [b"tiny==1.0"]
    (folder / "requirements.txt").write_text("# nothing\n")
    assert emulator.output("pip list --format freeze") == []


def test_what_a_dyno_installs_is_gone_with_it(start, make_folder):
    folder = make_folder()
    make_wheel(folder)
    emulator = start(folder, environ=OFFLINE)
    install = "pip install -q --no-index ./tiny-1.0-py3-none-any.whl"
    assert emulator.output(f"{install} && python -c 'import tiny; print(tiny.WORD)' && pip list --format freeze") == [
        b"tiny",
        b"tiny==1.0",
    ]
    assert b"No module named 'tiny'" in b"".join(emulator.output("python -c 'import tiny'"))
    assert emulator.output(f"{install} --user && python -c 'import tiny; print(tiny.WORD)'") == [b"tiny"]


@pytest.mark.parametrize("options", ["", "-q", "--log pip.log"])
def test_no_dyno_uninstalls_what_all_dynos_share(start, make_folder, options):
    folder = make_folder(requirements__txt="./tiny-1.0-py3-none-any.whl\n")
    make_wheel(folder)
    emulator = start(folder, environ=OFFLINE)
    assert b"Remove the line there." in b"".join(emulator.output(f"pip {options} uninstall -y tiny"))
    assert emulator.output("pip list --format freeze") == [b"tiny==1.0"]


def test_the_scripts_on_a_dyno_s_path_are_the_app_s(start, make_folder):
    found = start(make_folder()).output("type -P python python3 pip pip3 pytest jupyter ruff")
    assert [path.rpartition(b"/")[2] for path in found] == [b"python", b"python3", b"pip", b"pip3"]
    assert {path.split(b"/.heroku/")[0] for path in found} == {found[0].split(b"/.heroku/")[0]}


def test_an_environment_whose_installer_is_gone_is_built_again(start, make_folder, tmp_path):
    folder = make_folder()
    gone = tmp_path / "venv" / "bin" / "python"  # of a notebook's environment that was deleted
    assert start(folder).output("pip --version")
    (finished,) = folder.glob(".heroku/*/complete")
    assert finished.read_text() == sys.executable
    finished.write_text(str(gone))
    (finished.parent / "lib" / "stale").touch()
    assert start(folder).output("pip --version")
    assert finished.read_text() == sys.executable
    assert not (finished.parent / "lib" / "stale").exists()


def test_of_many_environments_those_stay_that_were_used_last_or_may_be_in_use(start, make_folder):
    folder = make_folder(requirements__txt="# nothing\n")
    for number in range(12):
        mark = folder / ".heroku" / f"old{number:02}" / "complete"
        mark.parent.mkdir(parents=True)
        mark.write_text(sys.executable)
        (mark.parent / "pyvenv.cfg").touch()
        days = 31 if number else 29
        os.utime(mark, (time.time() - days * 86_400 + number,) * 2)
    own = folder / ".heroku" / "data" / "complete"  # of the user
    own.parent.mkdir()
    own.touch()
    os.utime(own, (0, 0))
    emulator = start(folder)
    emulator.output("python --version")
    assert own.exists()
    own.unlink()
    (built,) = set(folder.glob(".heroku/*/complete")) - set(folder.glob(".heroku/old*/complete"))
    kept = sorted(mark.parent.name for mark in folder.glob(".heroku/old*/complete"))
    assert kept == ["old00", *(f"old{number:02}" for number in range(6, 12))]
    assert not (folder / ".heroku" / "old01").exists()

    os.utime(built, (0, 0))
    emulator.output("python --version")
    assert time.time() - built.stat().st_mtime < 60


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


@pytest.mark.parametrize(("status", "installers"), [(0, [b"uv"]), (1, [b"uv", b"pip"])])
def test_uv_installs_where_it_is_present_and_pip_where_uv_fails(start, make_folder, tmp_path, status, installers):
    (tmp_path / "uv").write_text(f'#!/bin/sh\necho "uv of the test: $1 $2 ${{UV_NO_INDEX}}"\nexit {status}\n')
    (tmp_path / "uv").chmod(0o755)
    folder = make_folder(requirements__txt="./tiny-1.0-py3-none-any.whl\n")
    make_wheel(folder)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    emulator = start(
        folder, environ={"PIP_NO_INDEX": "1", "PIP_QUIET": "1", "PIP_CONFIG_FILE": os.devnull, "PATH": path}
    )
    emulator.output("true")
    log = emulator.backlog(dyno="build")
    assert [line.partition(b"]: ")[2] for line in log if b"of the test" in line] == [b"uv of the test: pip install 1"]
    found = [b"uv"] + [b"pip" for line in log if b"Successfully installed tiny" in line]
    assert found == installers


@pytest.fixture
def requirements(tmp_path):
    """Return a function that writes files and returns the key of the environment."""

    def key(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", ".").replace("_in_", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Requirements(tmp_path, SourceTree(tmp_path).scan).key()

    return key


@pytest.mark.parametrize(
    "line",
    [
        "-r deep_in_a.txt",
        "-rdeep_in_a.txt",
        "--requirement=deep_in_a.txt",
        "--requirement  'deep_in_a.txt'  # why",
        "-r \\\ndeep_in_a.txt",
        "-c deep_in_a.txt",
        "--constraint deep_in_a.txt",
        "--cons=deep_in_a.txt",
    ],
)
def test_the_key_holds_the_files_that_are_included_at_any_depth(requirements, line):
    text = line.replace("_in_", "/")
    first = requirements(requirements__txt=text, deep_in_a__txt="-r b.txt\n", deep_in_b__txt="one\n")
    assert requirements(deep_in_b__txt="one\n") == first
    assert requirements(deep_in_b__txt="two\n") != first


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_hide_an_included_file(requirements, encoding):
    first = requirements(requirements__txt="-r a.txt\n".encode(encoding), a__txt="one\n")
    assert requirements(a__txt="two\n") != first


def test_files_that_include_each_other_have_a_key(requirements):
    first = requirements(requirements__txt="-r a.txt\n", a__txt="-r requirements.txt\n-r absent.txt\nsix\n")
    assert requirements(absent__txt="idna\n") != first


@pytest.mark.parametrize(
    ("line", "file", "is_part"),
    [
        (".", "lib_in_core__py", True),
        (".[extra]", "lib_in_core__py", True),
        ("./lib", "lib_in_core__py", True),
        ("lib/", "lib_in_core__py", True),
        ("file:lib", "lib_in_core__py", True),
        ("mine @ file:./lib ; python_version > '3'", "lib_in_core__py", True),
        ("-e ./lib", "lib_in_pyproject__toml", True),
        ("--editable=lib", "lib_in_setup__py", True),
        ("-e lib[extra]", "lib_in_setup__cfg", True),
        ("-e .", "lib_in_version__py", True),
        ("-e .", "lib_in_core__py", False),
        ("./lib", "other__py", False),
        ("lib", "lib_in_core__py", False),
        ("./lib/tiny.whl", "lib_in_tiny__whl", True),
        ("--find-links lib", "lib_in_tiny__whl", True),
        ("-f lib", "lib_in_tiny__whl", True),
    ],
)
def test_the_key_holds_local_projects_and_archives(requirements, line, file, is_part):
    before = requirements(**{"requirements__txt": line, "lib_in_pyproject__toml": "", "setup__py": "", file: "one"})
    assert requirements(**{file: "one"}) == before
    assert (requirements(**{file: "two"}) != before) is is_part


def test_a_new_module_of_an_editable_project_is_another_environment(requirements):
    before = requirements(requirements__txt="-e .", setup__py="")
    assert requirements(module__py="") != before


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({}, {}),
        ({"index-url": "https://a/simple", "quiet": "1"}, {"UV_DEFAULT_INDEX": "https://a/simple"}),
        ({"extra-index-url": "\nhttps://a\nhttps://b"}, {"UV_INDEX": "https://a https://b"}),
        ({"find-links": "/a /b", "timeout": "9"}, {"UV_FIND_LINKS": "/a,/b", "UV_HTTP_TIMEOUT": "9"}),
        ({"no-index": "", "cert": "/c.pem"}, {"SSL_CERT_FILE": "/c.pem"}),
        ({"proxy": "http://a"}, None),
    ],
)
def test_uv_gets_the_settings_of_pip_or_is_not_used(settings, variables):
    assert installer._uv_variables(settings) == variables


def test_an_editable_project_is_imported_from_the_dyno_s_own_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/dyno")
    packages = installer._packages(tmp_path)
    packages.mkdir(parents=True)
    (packages / "__editable__.mine-1.pth").write_text("/build/x/src\n/build/xy\nimport mine_finder\n")
    (packages / "__editable___mine_1_finder.py").write_text(
        "MAPPING = {'mine': '/build/x/src/mine', 'b': '/build/xy'}\n"
    )
    installer.move_editable(tmp_path, tmp_path.__class__("/build/x"))
    lines = (packages / "__editable__.mine-1.pth").read_text().splitlines()
    assert lines[1:] == ["/build/xy", "import mine_finder"]
    found = {}
    exec(f"{lines[0]}; found = sys.path.pop()", {}, found)
    exec((packages / "__editable___mine_1_finder.py").read_text(), {}, found)
    assert found["found"] == "/dyno/src"
    assert found["MAPPING"] == {"mine": "/dyno/src/mine", "b": "/build/xy"}


def test_an_installation_sees_only_the_variables_that_it_needs(tmp_path, monkeypatch):
    needed = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "PIP_INDEX_URL": "https://a/simple",
        "UV_CACHE_DIR": "/c",
        "https_proxy": "http://proxy:1",
        "NO_PROXY": "localhost",
        "REQUESTS_CA_BUNDLE": "/ca.pem",
    }
    others = {"HEROKU_API_KEY": "token", "AWS_SECRET_ACCESS_KEY": "secret", "MY_PIP_TOKEN": "x", "PYTHONPATH": "/x"}
    monkeypatch.setattr(installer.os, "environ", {**needed, **others})
    monkeypatch.setattr(installer.shutil, "which", lambda *_, **__: None)
    ((command, variables),) = run_loop(installer.commands(tmp_path / "env"))
    assert command[-2:] == ["-r", "requirements.txt"], "as Heroku's buildpack says it, without our folder"
    assert {name: value for name, value in variables.items() if name not in installer.PIP_SETTINGS} == needed


def test_an_installer_may_print_a_line_of_any_length(tmp_path):
    logged = []

    async def run(length):
        environment = Environment(tmp_path, lambda: tmp_path, Reaper(), logged.append, files=dict)
        return await environment._run([sys.executable, "-c", f"print('x' * {length}); print('end')"], {}, tmp_path)

    assert run_loop(run(3_000_000)) is None
    assert b"".join(logged) == b"x" * 3_000_000 + b"end"


BACKEND = """
import os, time, zipfile

def wait():
    while os.path.exists(os.path.join(os.environ["TMPDIR"], "wait")):
        time.sleep(0.02)

def build_wheel(folder, config_settings=None, metadata_directory=None):
    wait()
    name = "seen-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("seen.py", f"names = {sorted(os.environ)!r}")
        wheel.writestr("seen-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: seen\\nVersion: 1\\n")
        wheel.writestr("seen-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("seen-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "seen"
version = "1"
"""


@pytest.fixture
def folder(make_folder):
    """A folder with a package, which is not built as long as there is a file `wait` in TMPDIR."""
    folder = make_folder("task: sleep 60", requirements__txt="./seen\n")
    (folder / "seen").mkdir()
    (folder / "seen" / "pyproject.toml").write_text(PROJECT)
    (folder / "seen" / "backend.py").write_text(BACKEND)
    return folder


@pytest.fixture
def installing(start, folder, tmp_path):
    """An emulator that installs the package until the file is removed."""
    (tmp_path / "wait").touch()
    return start(folder, environ={**OFFLINE, "TMPDIR": str(tmp_path)})


def test_a_dyno_whose_installation_is_ended_is_refused(installing):
    with ThreadPoolExecutor(1) as thread:
        refused = thread.submit(installing.refused, 422, command="task")
        wait_until(lambda: installing.get("/emulator/requests")["spent"] == 1)
        installing.ask("DELETE", "/emulator/environments/demo")
        assert "installation of the app's requirements was ended" in refused.result()["message"]


def test_all_installations_are_ended_if_the_requirements_changed_meanwhile(installing, folder):
    path = "/emulator/environments/demo"
    for text in ("./seen\n", "./seen # changed\n"):
        (folder / "requirements.txt").write_text(text)
        wait_until(lambda: installing.ask("POST", path).json()["installing"]["line"])
    installing.ask("DELETE", path)  # and the emulator itself ends soon, which `start` checks


def test_a_dyno_that_is_stopped_before_its_installation_ends_leaves_nothing_behind(installing, tmp_path):
    for quantity in (1, 0):
        installing.ask("PATCH", "/apps/demo/formation/task", json={"quantity": quantity})
    wait_until(lambda: installing.get("/apps/demo/dynos") == [])
    time.sleep(1.5)  # what follows its end is over
    (tmp_path / "wait").unlink()
    assert installing.output("python -c 'import seen; print(1)'") == [b"1"]
    wait_until(lambda: list(tmp_path.glob("embedded-heroku-*/dyno-*")) == [])


def test_the_build_of_a_package_sees_no_token_of_the_notebook(start, folder):
    emulator = start(
        folder, environ={**OFFLINE, "HEROKU_API_KEY": "token", "AWS_SECRET_ACCESS_KEY": "secret", "TMPDIR": "/tmp"}
    )
    seen = b"".join(emulator.output("python -c 'import seen; print(*seen.names)'")).decode().split()
    assert "PATH" in seen
    assert not {"HEROKU_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(seen)
