"""The package: what the wheel holds, what the public names are, what Markdown links to."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import heroku_magic

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.usefixtures("processes")
def test_the_wheel_holds_the_worker_and_nothing_that_lies_about(tmp_path):
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


@pytest.mark.parametrize("name", heroku_magic.__all__)
def test_each_public_name_is_there_and_documented(name):
    value = getattr(heroku_magic, name)

    assert name == "last" or value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        heroku_magic.nope  # noqa: B018 - asking is the test


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "worker/README.md"])
def test_relative_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]

    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


def test_each_modules_first_sentence_says_its_job():
    modules = [path for path in (ROOT / "heroku_magic").rglob("*.py") if "_worker" not in path.parts]

    assert not [path.name for path in modules if not path.read_text().startswith(('"""', 'r"""'))]
