"""Everything that would break a build or a run is found before anything is sent, and reported at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.deploy import syntax
from heroku_magic.deploy.checks import findings
from heroku_magic.deploy.syntax import _COMPILE, NOT_DECODED
from heroku_magic.platform_facts.procfile import process_types

pytestmark = pytest.mark.usefixtures("no_other_python")

LOCK = '{"_meta": {"requires": {"python_version": "%s"}}}'
HERE = f"3.{sys.version_info.minor}"
NOT_PYTHON = {"Procfile": "shell: bash go.sh", "requirements.txt": None, ".python-version": None}
GOOD = {
    "Procfile": "task: python -m heroku_task task\nplain: python -u plain.py --fast\nshell: bash go.sh\n",
    "heroku_task.py": "",
    "task.py": "x = 1\n",
    "plain.py": "",
    "go.sh": "",
    "requirements.txt": "",
    ".python-version": f"{HERE}\n",
}


def changed(**changes):
    return {name: text for name, text in {**GOOD, **changes}.items() if text is not None}


def problems(names, texts):
    return [finding.text for finding in findings(names, texts) if finding.is_certain]


def warnings(names, texts):
    return [finding.text for finding in findings(names, texts) if not finding.is_certain]


def faults(**changes):
    files = changed(**changes)
    return problems(files, files)


def surprises(**changes):
    files = changed(**changes)
    return warnings(files, files)


def test_a_good_app_has_no_faults():
    assert findings(GOOD, GOOD) == []


def test_the_python_checks_skip_other_languages():
    files = {"Procfile": "task: node task.js\n", "package.json": "{}"}
    assert findings(files, files) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"requirements.txt": None}, "add a requirements.txt"),
        ({"requirements.txt": None, ".python-version": None}, "add a requirements.txt"),
        ({**NOT_PYTHON, "requirement.txt": ""}, "add a requirements.txt"),
        ({**NOT_PYTHON, "requirements/base.txt": ""}, "add a requirements.txt"),
        ({"venv/pyvenv.cfg": ""}, "venv/ is a virtual environment, which Heroku rejects"),
        ({".heroku/python/bin/python": ""}, ".heroku/python/ is where Heroku installs Python"),
        ({"uv.lock": ""}, "accepts one file of packages, but there are requirements.txt, uv.lock"),
        ({"requirements.txt": None, "uv.lock": "", ".python-version": None}, "With uv.lock Heroku also needs"),
        ({"requirements.txt": None, "uv.lock": "", "runtime.txt": "python-3.13"}, "does not support runtime.txt"),
        ({"requirements.txt": None, "uv.lock": ""}, "uv.lock without the pyproject.toml"),
        ({"requirements.txt": None, "poetry.lock": ""}, "poetry.lock without the pyproject.toml"),
        ({"Pipfile": ""}, "Pipfile without a Pipfile.lock"),
        ({"requirements.txt": None, "Pipfile.lock": "{"}, "Pipfile.lock is not valid JSON"),
        (
            {"requirements.txt": None, ".python-version": None, "Pipfile.lock": LOCK % "3.9"},
            "Python 3.9 is too old",
        ),
        (
            {"requirements.txt": None, ".python-version": None, "Pipfile.lock": LOCK % ">=3.9"},
            "Pipfile.lock says '>=3.9'",
        ),
        ({"requirements.txt": None, ".python-version": None, "Pipfile.lock": LOCK % ""}, "Pipfile.lock says ''"),
        ({".python-version": "latest"}, ".python-version says 'latest': expected a version such as 3.13"),
        ({".python-version": "python-3.13"}, ".python-version says 'python-3.13'"),
        ({".python-version": "3.13 # why"}, ".python-version says '3.13 # why'"),
        ({".python-version": "3.013"}, ".python-version says '3.013'"),
        ({".python-version": "3.13.1.2"}, ".python-version says '3.13.1.2'"),
        ({".python-version": "\ufeff3.13"}, "as plain UTF-8 without a byte-order mark"),
        ({".python-version": "\ufffd\ufffd3\0.\x001\x003\0"}, "as plain UTF-8 without a byte-order mark"),
        ({".python-version": "# none\n\n"}, ".python-version says ''"),
        ({".python-version": "3.13\n# older\n3.12\n"}, ".python-version has 2 versions: keep one"),
        ({".python-version": "3.8.1"}, "Python 3.8 is too old for Heroku"),
        ({".python-version": "2.7"}, "Python 2.7 is too old for Heroku"),
        ({".python-version": "3.99"}, "Heroku may not support Python 3.99"),
        ({".python-version": "4.0"}, "Heroku may not support Python 4.0"),
        ({".python-version": None, ".python_version": "3.13"}, "'.python_version' is a misspelled .python-version"),
        ({".python-version": None, ".python-version.txt": "3.13"}, "'.python-version.txt' is a misspelled"),
        ({"runtime.txt": "3.13.1"}, "runtime.txt says '3.13.1': expected a version such as python-3.13"),
        ({"runtime.txt": "python-2.7"}, "Python 2.7 is too old"),
        ({"task.py": None}, "task runs `python -m heroku_task task`, but there is no task.py"),
        ({"heroku_task.py": None}, "there is no heroku_task.py"),
        ({"go.sh": None}, "shell runs `bash go.sh`, but there is no go.sh"),
        ({"plain.py": "def f(:\n"}, f"plain.py, line 1, is not valid source of Python {HERE}"),
        ({"plain.py": "return 1\n"}, f"plain.py, line 1, is not valid source of Python {HERE}"),
        ({"plain.py": NOT_DECODED}, "it is not encoded as it says"),
        ({"plain.py": NOT_DECODED, ".python-version": None}, "it is not encoded as it says"),
        ({"task.py": "x = '\0'"}, "task.py"),
    ],
)
def test_each_fault_is_named(changes, expected):
    assert any(expected in fault for fault in faults(**changes)), faults(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {".python-version": " 3.13.2 \r\n# a comment\r\n"},
        {".python-version": None},
        {".python-version": None, "runtime.txt": "python-3.12\n"},
        {".python-version": None, "runtime.txt": "# pinned\npython-3.12.4"},
        {"runtime.txt": "python-3.13", ".python_version": ""},
        {"requirements.txt": None, "Pipfile": "", "Pipfile.lock": "{}"},
        {"requirements.txt": None, "poetry.lock": "", "pyproject.toml": ""},
        {"requirements.txt": None, "uv.lock": "", "pyproject.toml": ""},
        {"Procfile": "t: bash ./go.sh\nu: python ./task.py\nv: sh 'go.sh'\nw: python $HOME/none.py"},
        {"Procfile": "t: python /app/task.py\nu: python -c 'import x'\nv: python -m http.server"},
        {"Procfile": "t: python pkg\nu: python link/x.py", "pkg/__main__.py": "", "link": ""},
        {"Procfile": "t: bash -c 'python none.py'\nu: if true; then python none.py; fi"},
        {"Procfile": "t: python 'no end"},
        {"plain.py": "\ufeffx = 1\n"},
        {"plain.py": "'\\d'\n"},
    ],
)
def test_what_the_platform_accepts_is_not_an_error(changes):
    assert faults(**changes) == []


@pytest.mark.parametrize(
    "command",
    [
        "(cd sub && ls) && python task.py",
        "cd sub; ls; cd -; python task.py",
        "pushd sub; python none.py; popd",
        "bash <(echo go)",
        "python task.py > >(tee log)",
    ],
)
def test_where_only_a_shell_can_tell_what_runs_there_is_no_warning(command):
    files = changed(Procfile=f"t: {command}\n")
    assert findings(files, files) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"runtime.txt": "python-3.13"}, "runtime.txt overrides .python-version"),
        ({"Procfile": "t: cd sub && python none.py"}, "there is no sub/none.py"),
        ({"Procfile": "t: python none.py || true"}, "there is no none.py"),
        ({"Procfile": "t: make && python none.py > log"}, "there is no none.py"),
        ({"Procfile": "t: python none.py", "bin/post_compile": ""}, "there is no none.py"),
        (
            {
                "Procfile": "t: PYTHONPATH=lib python -m heroku_task task",
                "heroku_task.py": None,
                "lib/heroku_task.py": "",
            },
            "there is no heroku_task.py",
        ),
        ({"package.json": "{}", ".python-version": "new"}, ".python-version says 'new'"),
        ({"Gemfile": "", "requirements.txt": None}, "add a requirements.txt"),
        ({"go.mod": "", "requirements.txt": None, ".python-version": None}, "add a requirements.txt"),
        (
            {"task.py": "match x:\n    case 1: pass\n", ".python-version": "3.9"},
            "task.py, line 2, is not valid source of Python 3.9",
        ),
        ({"task.py": "x ==\n", ".python-version": None}, "task.py, line 1, is not valid source"),
    ],
)
def test_what_may_work_is_only_a_warning(changes, expected):
    assert any(expected in warning for warning in surprises(**changes)), surprises(**changes)
    assert not any(expected in fault for fault in faults(**changes))


def test_a_version_that_may_be_out_by_now_is_only_a_warning(monkeypatch):
    at = time.strptime("2026-11-01", "%Y-%m-%d")
    monkeypatch.setattr("heroku_magic.deploy.buildpack.time.gmtime", lambda: at)
    assert "Python 3.15" in surprises(**{".python-version": "3.15"})[0]
    assert "Python 3.16" in faults(**{".python-version": "3.16"})[0]


def test_source_for_a_newer_python_is_not_refused():
    newer = f"3.{sys.version_info.minor + 1}"
    assert not [
        fault for fault in faults(**{"task.py": "type x = = 1\n", ".python-version": newer}) if "task.py" in fault
    ]


@pytest.mark.usefixtures("processes")
def test_source_is_parsed_by_the_python_of_the_app_if_it_is_installed(monkeypatch, tmp_path):
    other = 10 if sys.version_info.minor != 10 else 11
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat > /dev/null; echo '[{other}, [7, \"no such syntax\"]]'\n")
    python.chmod(0o755)
    monkeypatch.setattr("heroku_magic.deploy.syntax.shutil.which", lambda name: str(python))
    assert syntax.problem("x = 1", other) == (7, "no such syntax", f"3.{other}", True)
    # What answers as another version has no say.
    assert syntax.problem("x = 1", other + 1 if sys.version_info.minor != other + 1 else other + 2) is None


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("source", [b"x = 1", b"def f(:", b"\xff"])
def test_another_python_compiles_what_it_reads(source):
    asked = subprocess.check_output([sys.executable, "-I", "-W", "error", "-c", _COMPILE], input=source)
    version, found = json.loads(asked)
    assert version == sys.version_info.minor
    assert (found is None) == (source == b"x = 1")


@pytest.mark.parametrize(
    ("procfile", "expected"),
    [
        (None, "There is no Procfile"),
        ("# nothing\n\n", "The Procfile declares no task"),
        ("task node x\n", "Procfile, line 1: Heroku runs `node x` as task: expected `name: command`"),
        ("task : node x\n", "Procfile, line 1: Heroku runs `: node x` as task: expected `name: command`"),
        ("\na: node x\na: node y\n", "Procfile: a is declared 2 times; the last line counts"),
        ("task:node x.js\n", "Procfile, line 1: Heroku ignores `task:node x.js`: expected `name: command`"),
        ("task:\n", "Procfile, line 1: Heroku ignores `task:`"),
        ("größe: node x.js\n", "Procfile, line 1: Heroku ignores `größe: node x.js`"),
        ("\ufefftask: node x.js\n", "Procfile, line 1 begins with a byte-order mark"),
        ("# f\ufffdr\ntask: node x.js\n", "The Procfile is not UTF-8"),
    ],
)
def test_a_line_that_heroku_accepts_and_that_may_surprise_is_a_warning(procfile, expected):
    files = {"package.json": "{}"} | ({} if procfile is None else {"Procfile": procfile})
    found = warnings(files, files)
    assert any(expected in warning for warning in found), found
    assert problems(files, files) == []


def test_all_problems_are_reported_at_once():
    files = changed(**{"task.py": "(", "plain.py": None, ".python-version": "new"})
    assert [finding.is_certain for finding in findings(files, files)] == [True, False, True]


@given(st.text(max_size=200))
def test_any_procfile_text_is_parsed_without_an_error(text):
    assert all(name and command for name, command in process_types(text).items())
    findings({"Procfile"}, {"Procfile": text})
