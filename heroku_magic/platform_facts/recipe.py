"""What an app's environment is made from: requirements.txt, what it includes, and local projects.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from heroku_magic.platform_facts import requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_NAMED = re.compile(r"[\w.-]+\s*(?:\[[^]]*\])?\s*@\s*")
_EXTRAS = re.compile(r"\[[^]]*\]$")


@dataclass
class Recipe:
    """What the environment of a folder is made from now.

    variables: replace `${NAME}`. texts: requirements and constraints by path. projects: local folders and archives;
    True: editable.
    """

    folder: Path
    variables: Mapping[str, str]
    texts: dict[Path, bytes] = field(default_factory=dict)
    projects: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read(self.folder / "requirements.txt")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to install."""
        return not any(line for text in self.texts.values() for line in self._lines(text))

    @property
    def count(self) -> int:
        """The number of requirements, without those that they require themselves."""
        return sum(line.option in {"", "e"} for text in self.texts.values() for line in self._lines(text))

    def _read(self, file: Path) -> None:
        beside, file = file.parent, file.resolve()  # pip looks beside a link, not beside its target
        if file in self.texts:
            return
        try:
            text = self.texts[file] = file.read_bytes()
        except OSError:
            return
        for line in self._lines(text):
            if line.option in {"r", "c"}:
                self._read(beside / line.value)
            elif path := self._local(line.value if line.option else line.text, is_path=bool(line.option)):
                self.projects[path] = self.projects.get(path, True) and line.option == "e"

    def _local(self, requirement: str, *, is_path: bool) -> Path | None:
        """Return the folder or archive that a requirement names, or None."""
        text = re.split(r"\s*;\s|\s+--?[a-z]", requirement.strip("\"'"))[0]
        url = _NAMED.sub("", text, count=1)
        if url.startswith("file:"):
            text, is_path = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", url).partition("#")[0]), True
        text = _EXTRAS.sub("", text.strip())
        if not (is_path or "/" in text or text.startswith(".") or text.endswith((".whl", ".zip", ".gz", ".bz2"))):
            return None
        path = (self.folder / text).resolve()
        return path if path.exists() else None

    def _lines(self, data: bytes) -> Iterator[requirements.RequirementLine]:
        """Yield the lines with variables replaced."""
        return requirements.lines(
            requirements.decoded(data),
            lambda line: _VARIABLE.sub(lambda match: self.variables.get(match[1]) or match[0], line),
        )
