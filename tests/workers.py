"""Worker folders for tests: written anew for each, served by an embedded Heroku of its own."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

WORKER = Path(__file__).resolve().parent.parent / "worker"


def make_worker(folder: Path, procfile: dict[str, str] | None = None, **files: str) -> Path:
    """Write a worker folder: the helper, `NAME=source` files (NAME.py), and a Procfile.

    A file that uses the helper becomes a task of its name; `procfile` adds other lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(WORKER / "heroku_task.py", folder)
    lines = dict(procfile or {})
    for name, source in files.items():
        text = textwrap.dedent(source)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        if "@task" in text:
            lines[name] = f"python -m heroku_task {name}"
    lines.setdefault("describe", "python -m heroku_task --describe")
    (folder / "Procfile").write_text("".join(f"{name}: {command}\n" for name, command in lines.items()))
    return folder
