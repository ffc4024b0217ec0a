"""The reference pages name everything that the code defines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reference_tables as tables

import heroku_magic
from heroku_magic import errors
from heroku_magic.emulator.faults import FAULTS
from heroku_magic.emulator.timings import TIMINGS
from heroku_magic.emulator.web.routes import TABLE
from heroku_magic.magics.commands import DYNO, VERBS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
# What any program reads, and what another program sets for us to read.
OF_OTHERS = {"HOME", "MPLBACKEND", "SERVER_SOFTWARE", "PYTEST_CURRENT_TEST"}
OF_OTHERS |= {"GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_SSL_CAINFO"}


def all_errors(kind=errors.HerokuMagicError):
    return [kind, *(one for child in kind.__subclasses__() for one in all_errors(child))]


@pytest.mark.parametrize("verb", [*VERBS.values(), DYNO], ids=lambda verb: verb.name)
def test_a_verb_has_a_section_with_each_option_and_example(verb):
    title = verb.magic if verb is DYNO else f"%heroku {verb.name}"
    (section,) = [text for text in tables.verbs().split("### ") if text.startswith(f"`{title}`\n")]

    assert all(f"| `{option.usage.replace('|', chr(92) + '|')}` | {option.help}" in section for option in verb.options)
    assert all(example in section for example in (*verb.examples, *verb.cell_examples))


def test_a_summary_keeps_its_capitals():
    assert "Keep N dynos for calls with --warm" in tables.verbs()


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_each_error_says_what_to_do(kind):
    if kind.__module__ != errors.__name__ or kind.__name__.startswith("_"):
        return
    meaning, remedy = tables.meaning_and_remedy(kind)

    assert f"`{kind.__name__}` | {meaning} | {remedy} |" in tables.error_table()
    assert remedy.endswith((".", "com."))


def test_the_emulators_page_has_each_option_fault_time_and_route():
    assert len(tables.emulator_faults().splitlines()) == 2 + len(FAULTS)
    assert len(tables.emulator_times().splitlines()) == 2 + len(TIMINGS)
    assert all(f"{path.replace('([^/]+)', '{name}')}`" in tables.emulator_routes() for path in TABLE)
    assert "| `--fault NAME=VALUE` |" in tables.emulator_options()


def test_a_reference_page_marks_the_place_of_each_table():
    marks = [mark for page in REFERENCE.glob("*.md") for mark in re.findall(r"<!-- table: (.*) -->", page.read_text())]

    assert sorted(marks) == sorted(tables.TABLES)


@pytest.mark.parametrize("name", heroku_magic.__all__)
def test_each_public_name_is_on_the_api_page(name):
    assert re.search(rf"^\.\. (auto|py:)\w+:: {name}$", (REFERENCE / "python-api.md").read_text(), re.MULTILINE)


def test_each_environment_variable_that_is_read_is_on_its_page():
    sources = [path.read_text() for folder in ("heroku_magic", "worker") for path in (ROOT / folder).rglob("*.py")]
    names = {name for text in sources for name in re.findall(r'environ(?:\.get\(|\.pop\(|\[)"([A-Z_]+)"', text)}
    page = (REFERENCE / "settings.md").read_text()

    assert {"HEROKU_APP", "RUN_DATA"} <= names
    assert not [name for name in names - OF_OTHERS if f"`{name}`" not in page]


def test_the_names_of_a_parameter_entry_are_on_one_line():
    """Sphinx reads each line as an entry of its own."""
    sources = {path: path.read_text() for path in (ROOT / "heroku_magic").rglob("*.py")}
    entries = {
        path.name: re.findall(r"^ +(?:\w+, )+\w+,\n +\w+(?:, \w+)*\n +[A-Z]", text, re.MULTILINE)
        for path, text in sources.items()
    }

    assert not {name: found for name, found in entries.items() if found}
