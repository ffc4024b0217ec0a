"""The recipes of the documentation run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heroku_magic import connect

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "libraries.md"


def recipe(heading):
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


@pytest.mark.parametrize(
    ("heading", "packages"),
    [("joblib and scikit-learn", ["joblib", "sklearn"]), ("dask", ["dask"]), ("Optuna", ["optuna"])],
)
def test_a_recipe_runs_as_it_is_written(heading, packages, packed):
    for package in packages:
        pytest.importorskip(package)
    heroku = connect(worker=packed, say=lambda _: None)
    text = recipe(heading).replace("n_jobs=2", f"n_jobs=2, worker={str(packed)!r}")
    exec(compile(text, str(PAGE), "exec"), {"heroku": heroku})
    heroku.warm(0)
