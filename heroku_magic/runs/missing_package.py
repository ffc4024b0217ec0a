"""What to do about a module that is missing on the dyno: the line to add, and a cell to paste that adds it."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from heroku_magic.platform_facts.folders import shown_path
from heroku_magic.protocol.helper import HELPER
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from pathlib import Path

HELPER_REMEDY = "The app has no heroku_task.py. Put the one that `%heroku init` writes beside the Procfile."
# PyPI packages that are imported under another name.
_PACKAGES = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "distutils": "setuptools",  # left out of Python 3.12
    "dotenv": "python-dotenv",
    "jwt": "pyjwt",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def may_be_installed(module: str) -> bool:
    """Return whether a module can come from a package, as the worker's helper and those of Python itself cannot."""
    top = module.partition(".")[0]
    return top in _PACKAGES or top not in {HELPER, *sys.stdlib_module_names}


def remedy(module: str, requirements: Path | None, *, accepts_packages: bool) -> str:
    """Return a sentence about a missing module.

    requirements: the app's file, where it is known. accepts_packages: whether the run could have packages of its own.
    """
    top = clean_line(module.partition(".")[0])
    missing, every = f"The module {top!r} is not installed on the dyno.", "Add"
    if accepts_packages:
        missing, every = f"{missing}\nFor this run alone: --with {_package(top)}\n", "For all runs, add"
    else:
        missing += " "
    if requirements is None:
        return (
            f"{missing}{every} this line to the worker's requirements.txt: {_package(top)}\n"
            "(If it is your own file, put it into the worker's folder instead.\n`%heroku init` creates a folder.)"
        )
    own = f"(If it is your own file, put it into {shown_path(requirements.parent)} instead.)"
    return f"{missing}{every} it to {shown_path(requirements)} with the cell below.\n{own}"


def cell(module: str, requirements: Path) -> str:
    """Return the cell that adds the package to the file, on a line of its own even if the last one has no end."""
    name = shown_path(requirements)
    package = _package(clean_line(module.partition(".")[0]))
    gap = "" if _ends_with_line(requirements) else "\n"
    quoted = f'"{name}"' if " " in name else name
    return f"%%writefile -a {quoted}\n{gap}{package}"


@cache
def _package(top: str) -> str:
    """Return the package that has a module: the one that is installed here, if any, else that of the same name."""
    if top in _PACKAGES or PathFinder.find_spec(top) is None:
        return _PACKAGES.get(top, top)
    from importlib.metadata import packages_distributions  # it takes long to import

    installed = {*packages_distributions().get(top, ())}
    return installed.pop() if len(installed) == 1 else top


def _ends_with_line(file: Path) -> bool:
    with suppress(OSError):
        return file.read_bytes()[-1:] in {b"\n", b"\r", b""}
    return True
