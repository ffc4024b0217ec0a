"""Wheels of packages that are installed, in place of a download by pip."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution


def wheel_of(name, folder):
    """Build a wheel of an installed package, in place of a download by pip."""
    package = distribution(name)
    wheel = f"{name}-{package.version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for file in package.files:
            if "__pycache__" not in file.parts:
                archive.write(file.locate(), str(file))
    return wheel
