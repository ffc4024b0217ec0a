"""The contents of the wheel, the public names and the links in Markdown files are checked."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import zipfile
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import heroku_magic

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.usefixtures("processes")
def test_the_wheel_contains_the_worker_and_no_stray_files(tmp_path):
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    (ROOT / "worker" / ".heroku").mkdir(exist_ok=True)
    (ROOT / "worker" / ".heroku" / "left-over").touch()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.split("/", 1)[1] for name in zipfile.ZipFile(wheel).namelist() if name.startswith("heroku_magic/")}

    assert {"_worker/Procfile", "_worker/heroku_task.py", "_worker/.python-version", "py.typed"} <= names
    assert "display/templates/run.html.j2" in names
    assert not [name for name in names if ".heroku/" in name or "__pycache__" in name]


def test_the_readme_has_at_most_150_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("name", heroku_magic.__all__)
def test_each_public_name_exists_and_is_documented(name):
    value = getattr(heroku_magic, name)

    assert name == "last" or value.__doc__


def test_an_unknown_name_raises_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        heroku_magic.nope  # noqa: B018 - asking is the test


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CHANGELOG.md",
        "benchmarks/README.md",
        "worker/README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ],
)
def test_relative_links_have_a_target(page):
    text = (ROOT / page).read_text()
    found = re.findall(r'\]\(([^)#]+)|(?:src|srcset)="([^"]+)"', text)
    links = [link for pair in found for link in pair if link and "://" not in link]

    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


def test_each_module_has_a_docstring():
    modules = [path for path in (ROOT / "heroku_magic").rglob("*.py") if "_worker" not in path.parts]

    assert not [path.name for path in modules if not path.read_text().startswith(('"""', 'r"""'))]


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_paths_that_a_page_names_exist(page):
    paths = re.findall(r"`([\w./-]+/[\w.-]*|\w+\.(?:py|md|toml))`", (ROOT / page).read_text())
    homes = (ROOT, ROOT / "heroku_magic")

    assert paths
    assert not [path for path in paths if not any((home / path).exists() for home in homes)]


KINDS = (ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def nodes_by_module():
    """The nodes of each module of the package that import something, or define a class or a function."""
    found = {}
    for path in (ROOT / "heroku_magic").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        nodes = ast.walk(ast.parse(path.read_text()))
        found[name] = [node for node in nodes if isinstance(node, KINDS)]
    return found


def imports_by_module():
    """The modules that each module of the package imports, for type checking too; its own lazy `__init__` apart."""
    names, imported = nodes_by_module(), {}
    for name, nodes in names.items():
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        found = {
            one for node in imports for alias in node.names for one in (f"{node.module}.{alias.name}", node.module)
        }
        # A package's own __init__ is imported with each of its modules, and may import them.
        imported[name] = {one for one in found & names.keys() if not name.startswith(f"{one}.") and one != name}
    return {name: found for name, found in imported.items() if name != "heroku_magic"}


@pytest.mark.large
def test_no_modules_import_each_other_in_a_circle():
    imported = imports_by_module()

    tuple(TopologicalSorter(imported).static_order())  # raises CycleError, which names the circle


@pytest.mark.large
def test_no_two_classes_have_the_same_name():
    nodes = itertools.chain(*nodes_by_module().values())
    counts = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))

    assert not [name for name, count in counts.items() if count > 1]


@pytest.mark.large
def test_no_function_has_a_body_of_more_than_40_lines():
    functions = [node for node in itertools.chain(*nodes_by_module().values()) if hasattr(node, "args")]
    bodies = [(node.name, node.body[ast.get_docstring(node) is not None :]) for node in functions]

    assert not [name for name, body in bodies if body and body[-1].end_lineno - body[0].lineno >= 40]


def test_no_module_has_more_than_400_lines():
    modules = (ROOT / "heroku_magic").rglob("*.py")

    assert not [path.name for path in modules if len(path.read_text().splitlines()) > 400]
