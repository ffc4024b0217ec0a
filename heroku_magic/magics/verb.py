"""Describes a verb of `%heroku` and an option of a verb."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Option:
    """An option. It is a flag unless its usage names a value.

    usage: as help shows it, the long name last. completes: what kind of thing the value is, for completion,
    where its name in `usage` does not say so. group: the heading below which help lists it.
    """

    usage: str
    help: str
    many: bool = False
    convert: Callable[[str], Any] = str
    completes: str = ""
    group: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All spellings, the long one last."""
        return tuple(spelling.partition(" ")[0] for spelling in self.usage.split(", "))

    @property
    def name(self) -> str:
        """The key in `ParsedLine.options`."""
        return self.names[-1].lstrip("-").replace("-", "_")

    @property
    def metavar(self) -> str:
        """What help calls the value; empty for a flag."""
        return self.usage.rpartition("--")[2].partition(" ")[2]

    @property
    def kind(self) -> str:
        """What kind of thing the value is, for completion."""
        return self.completes or self.metavar.lower()


@dataclass(frozen=True)
class Verb:
    """A verb.

    usage: the verb and the words it takes, as help shows them; `[…]` may be left out, `…` may be repeated.
    completes: what kind of thing the words are, where `usage` does not say so. magic: the cell magic that
    runs this verb; body: what help says about the cell's body. session: lines that make what the examples use.
    """

    usage: str
    summary: str
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    completes: str = ""
    magic: str = ""
    body: str = ""
    cell_examples: tuple[str, ...] = ()
    session: str = ""

    @property
    def name(self) -> str:
        """The first word of a line."""
        return self.usage.partition(" ")[0]

    @property
    def words(self) -> str:
        """What follows the verb, as help shows it."""
        return self.usage.partition(" ")[2]

    @property
    def least(self) -> int:
        """The smallest number of words."""
        return sum(not word.startswith("[") and not word.endswith("]") for word in self.words.split())

    @property
    def most(self) -> int | None:
        """The largest number of words; None for no limit."""
        return None if "…" in self.words else max(self.least, int(bool(self.words)))

    @property
    def kind(self) -> str:
        """What kind of thing the words are, for completion."""
        return self.completes or self.words.partition(" ")[0].strip("[]…").lower()
