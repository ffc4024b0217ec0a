"""Packages that a run brings along are resolved here once, and its dyno installs them first."""

from __future__ import annotations

import os
import random
import shutil
import string
import sys
import zipfile

import pytest
from workers import make_worker

import heroku_magic
from heroku_magic import InvalidOptions, TaskFailed
from heroku_magic.app import packages, planner
from heroku_magic.app.packages import Target, resolve, split
from heroku_magic.app.rerun import rerun
from heroku_magic.errors import InstallFailed
from heroku_magic.ledger import location
from heroku_magic.ledger.comparison import compare
from heroku_magic.ledger.history import find
from heroku_magic.runs.options import RunOptions
from heroku_magic.text.notifier import notifications_to

HERE = Target(sys.version_info[:2], is_here=True)
TASK = """
    from heroku_task import task

    @task
    def version(name: str = "tinypack"):
        import importlib
        return [{"version": importlib.import_module(name).VERSION}]
    """


def wheel(folder, name, version, needs="", broken=False):
    """Write a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "" if not broken else "no record\n")


@pytest.fixture(scope="module")
def index(tmp_path_factory, processes):
    """A folder of wheels, which takes the place of PyPI."""
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "tinypack", "1.0")
    wheel(folder, "tinypack", "2.5", needs="smallpack>=3")
    wheel(folder, "smallpack", "3.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield folder


@pytest.fixture(scope="module")
def heroku(index, tmp_path_factory):
    folder = make_worker(tmp_path_factory.mktemp("packages") / "shop", version=TASK)
    return heroku_magic.connect(worker=folder, say=lambda _: None)


@pytest.fixture(autouse=True)
def uses_the_index(index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def test_a_comma_separates_only_where_a_name_begins():
    assert split("pandas") == ["pandas"]
    assert split("a, b-c ,d_e") == ["a", "b-c", "d_e"]
    assert split("scipy>=1.10,<2,!=1.11.0,numpy") == ["scipy>=1.10,<2,!=1.11.0", "numpy"]
    assert split("dask[array,dataframe]>=2024,polars") == ["dask[array,dataframe]>=2024", "polars"]
    assert split('tomli; python_version < "3.11"') == ['tomli; python_version < "3.11"']
    assert split('a; python_version in "3.9, 3.10", b') == ['a; python_version in "3.9,3.10"', "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",a",
        "a,",
        "a==",
        "-r x.txt",
        "./folder",
        "a @ https://example.com/a.whl",
        "a b",
        "a==1,26",
        "a-1.0-py3-none-any.whl",
        "a.tar.gz",
    ],
)
def test_what_is_not_a_requirement_is_refused_by_name(text):
    with pytest.raises(InvalidOptions, match="is not the requirement of a package: expected a name"):
        split(text)


def test_requirements_become_exact_versions_of_them_and_of_what_they_need(index):
    said = []
    with notifications_to(said.append):
        pins = resolve(["tinypack"], HERE)
        again = resolve(["tinypack<2"], HERE)
    assert pins == ("smallpack==3.1", "tinypack==2.5")
    assert again == ("tinypack==1.0",)
    assert said == ["The dyno gets tinypack 2.5, smallpack 3.1.", "The dyno gets tinypack 1.0."]
    assert resolve([], HERE) == ()


def test_what_cannot_be_resolved_is_refused_with_the_words_of_the_resolver(index):
    with pytest.raises(InvalidOptions, match=r"(?s)tinypack>9: no versions .* Python 3\.\d+ here\..*tinypack>9"):
        resolve(["tinypack>9"], HERE)


@pytest.mark.parametrize(
    "setting", [("PIP_VERBOSE", "1"), ("PIP_USER", "1"), ("PIP_REQUIRE_VIRTUALENV", "1"), ("PIP_QUIET", "3")]
)
def test_settings_of_pip_that_only_change_its_output_do_not_matter(index, monkeypatch, setting):
    monkeypatch.setenv(*setting)
    assert resolve(["smallpack"], HERE) == ("smallpack==3.1",)


def test_uv_resolves_for_the_platform_of_heroku(index, tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.write_text(f"""#!/bin/sh
printf '%s ' "$@" > {tmp_path}/arguments
cat > {tmp_path}/wanted
echo 'numpy==2.4.1'
echo 'acme==1!2.0+local'
""")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert resolve(["acme", "numpy<3"], Target((3, 12), is_here=False)) == ("acme==1!2.0+local", "numpy==2.4.1")
    assert (tmp_path / "wanted").read_text() == "acme\nnumpy<3"
    arguments = (tmp_path / "arguments").read_text()
    assert "--python-version 3.12 --python-platform x86_64-manylinux_2_35 --no-build" in arguments
    uv.write_text("#!/bin/sh\necho './acme-1.0-py3-none-any.whl'\n")
    with pytest.raises(InvalidOptions, match="not an exact version"):
        resolve(["acme"], Target((3, 12), is_here=False))


def test_the_resolver_sees_no_token(index, monkeypatch):
    seen = []
    monkeypatch.setenv("HEROKU_API_KEY", "HRKU-not-for-pip")
    run = packages.subprocess.run
    monkeypatch.setattr(packages.subprocess, "run", lambda *a, **k: seen.append(k["env"]) or run(*a, **k))
    resolve(["smallpack>=3"], HERE)
    assert seen
    assert not [env for env in seen if "HRKU-not-for-pip" in env.values()]


def test_a_cell_a_function_a_task_and_a_sweep_get_their_packages(heroku):
    wanted = ["tinypack"]
    assert heroku.run(code="import tinypack\n[{'v': tinypack.VERSION}]", packages=wanted)["v"].tolist() == ["2.5"]
    assert heroku.run("version", packages=wanted)["version"].tolist() == ["2.5"]
    assert heroku.run("version", packages=["tinypack==1.0"])["version"].tolist() == ["1.0"]
    table = heroku.sweep("version", {"name": ["tinypack", "smallpack"]}, packages=wanted).result()
    assert sorted(table["version"]) == ["2.5", "3.1"]

    @heroku.function(packages=wanted)
    def version(n):
        import subprocess
        import sys

        import tinypack

        code = "import tinypack; print(tinypack.VERSION)"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return n, tinypack.VERSION, child.stdout.strip()

    assert version.remote(1) == (1, "2.5", "2.5")
    assert version.map([1, 2], jobs=1, warm=True) == [(1, "2.5", "2.5"), (2, "2.5", "2.5")]
    assert [dyno.calls for dyno in heroku.warm()] == [2]
    heroku.warm(0)


def test_packages_are_installed_once_and_leave_no_trace_in_the_environment(heroku):
    code = "import os\n[{'names': sorted(n for n in os.environ if 'PACKAGES' in n or 'SETUP' in n or n.startswith('PIP'))}]"
    first = heroku.submit(code=code, packages=["smallpack"])
    assert first.result()["names"].tolist() == [[]]
    second = heroku.submit(code=code, packages=["smallpack"])
    second.result()
    assert "installed 1 package in " in first.logs()
    assert "install" not in second.logs()


def test_a_comparison_of_runs_names_the_packages_and_the_size_that_differ(heroku, tmp_path, monkeypatch):
    monkeypatch.setattr(location, "start_folder", lambda: tmp_path)
    for options in ({"packages": ["tinypack<2"]}, {"packages": ["tinypack"], "size": "standard-2x"}):
        heroku.run(code="[{'x': 1}]", **options)
    lines = compare(-2, -1).text.splitlines()
    assert [line for line in lines if line.startswith(("package", "size"))] == [
        "package tinypack: 1.0 → 2.5",
        "package smallpack: (none) → 3.1",
        "size: Standard-1X → Standard-2X",
    ]


def test_each_set_of_packages_has_warm_dynos_of_its_own(heroku, start_shell):
    shutil.rmtree(
        heroku.settings.worker / ".heroku" / "packages", ignore_errors=True
    )  # so that a warm dyno installs, too
    code = "import os, tinypack\n[{'v': tinypack.VERSION, 'pid': os.getppid()}]"
    calls = [heroku.run(code=code, warm=True, packages=[one]) for one in ("tinypack", "tinypack<2", "tinypack")]
    assert [call["v"][0] for call in calls] == ["2.5", "1.0", "2.5"]
    assert calls[0]["pid"][0] == calls[2]["pid"][0] != calls[1]["pid"][0]
    shell = start_shell(heroku.settings.worker)
    shell.run_cell("listed = %heroku warm")
    assert sorted(shell.user_ns["listed"]["packages"]) == ["smallpack==3.1, tinypack==2.5", "tinypack==1.0"]
    with pytest.raises(TaskFailed, match="No module named 'tinypack'"):
        heroku.run(code=code, warm=True)
    heroku.warm(0)


@pytest.mark.parametrize("warm", [False, True])
def test_packages_that_cannot_be_installed_end_the_run_with_the_words_of_the_installer(heroku, monkeypatch, warm):
    monkeypatch.setattr(packages, "_resolve", lambda *_: ("gonepack==1.0",))
    run = heroku.submit(code="1", packages=["gonepack"], warm=warm)
    text = str(run.exception())
    assert text.startswith("The dyno cannot install gonepack==1.0:\n"), text
    assert "No matching distribution found for gonepack==1.0" in text
    assert isinstance(run.exception(), InstallFailed if warm else TaskFailed)
    assert heroku.dynos() == []


def test_packages_for_another_python_are_refused_on_the_dyno(heroku, monkeypatch):
    monkeypatch.setattr(planner, "THIS_COMPUTER", Target((3, 99), is_here=True))
    monkeypatch.setattr(packages, "_resolve", lambda *_: ("tinypack==1.0",))
    error = heroku.submit(code="1", packages=["tinypack"]).exception()
    assert str(error).startswith(
        "The dyno cannot install packages that were resolved for Python 3.99, as it has Python"
    )


def test_a_run_with_packages_does_not_show_what_the_app_has(heroku, index):
    wheel(index, "cloudpickle", "99.0")
    (heroku.settings.worker / "Procfile").touch()  # another release

    def f():
        return 1

    heroku.submit(code=f, packages=["cloudpickle==99.0"]).wait(60)
    known = heroku._planner.bundler._known()
    assert known is None or not known.has_cloudpickle


def test_packages_count_toward_the_size_of_the_environment(heroku):
    letters = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=22_000))
    cells = (f"#{letters[:size]}\n1" for size in range(len(letters), 0, -400))
    largest = next(cell for cell in cells if not heroku._planner.plan(None, {}, RunOptions(code=cell)).is_once)
    options = heroku._planner.with_packages(RunOptions(code=largest, packages=["tinypack"]))
    assert heroku._planner.plan(None, {}, options).is_once, "its input travels over a connection"
    assert heroku.submit(code=largest, packages=["tinypack"]).result()["value"].tolist() == [1]


def test_an_iterator_of_packages_is_read_once(heroku):
    options = RunOptions(packages=iter(["tinypack"]))
    assert options.packages == ("tinypack",)
    function = heroku.function(packages=(one for one in ["tinypack"]))(lambda: __import__("tinypack").VERSION)
    assert [function.remote(), function.remote()] == ["2.5", "2.5"]


def test_a_command_and_a_task_in_another_language_have_no_packages(heroku):
    with pytest.raises(InvalidOptions, match="leave out --with"):
        heroku.submit(command="date", packages=["tinypack"])
    with pytest.raises(InvalidOptions, match=r"expected a list of texts, such as \['tinypack'\]"):
        heroku.submit("version", packages="tinypack")


def test_a_resumed_sweep_installs_the_same_versions(heroku, tmp_path):
    file = tmp_path / "sweep.jsonl"
    with pytest.raises(heroku_magic.SweepFailed):
        heroku.sweep("version", {"name": ["tinypack", "nopack"]}, packages=["tinypack<2"], save=file).result()
    text = file.read_text()
    assert "tinypack==1.0" in text
    assert "RUN_SETUP" not in text
    resumed = heroku.resume(file)
    assert resumed.exception() is not None
    assert [one.parts[0].rows[0]["version"] for one in resumed.known() if one.state == "done"] == ["1.0"]


def test_a_run_is_repeated_with_its_exact_versions_without_resolving_them_again(heroku, tmp_path, monkeypatch):
    monkeypatch.setattr(location, "start_folder", lambda: tmp_path)
    first = heroku.submit("version", packages=["tinypack<2"])
    assert first.result()["version"].tolist() == ["1.0"]

    monkeypatch.setattr(packages, "_resolve", None)
    with notifications_to(lambda _: None):
        again = rerun(heroku, find(first.id), {}, {})
    assert again.result()["version"].tolist() == ["1.0"]


def test_a_sweep_whose_packages_cannot_be_installed_ends_after_the_first_runs(heroku, monkeypatch):
    monkeypatch.setattr(packages, "_resolve", lambda *_: ("gonepack==1.0",))
    sweep = heroku.sweep("version", {"name": ["tinypack"] * 6}, packages=["gonepack"], jobs=1)
    text = str(sweep.exception())
    assert text.count("No matching distribution found for gonepack==1.0") == 1
    assert sum(one.state == "failed" for one in sweep.known()) == 1
