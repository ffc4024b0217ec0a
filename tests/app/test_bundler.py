"""Code is checked against the Python of the app's dynos before a dyno is started."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from heroku_magic import connect
from heroku_magic.accounts.settings import Settings
from heroku_magic.app.bundler import Bundler
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.records import Declaration
from heroku_magic.text.notifier import notifications_to

MATCH = "x = 1\nmatch x:\n    case 1:\n        pass\n"


class Connection:
    app_name = "shop"

    def __init__(self, folder=None):
        self.settings = Settings(app="shop", worker=folder)


def bundler(folder=None, release=7):
    connection = Connection(folder)
    catalog = SimpleNamespace(release=lambda: SimpleNamespace(version=release))
    return Bundler(connection, catalog), connection


def ran(python, release=7):
    return SimpleNamespace(declaration=Declaration("cell", None, python), release=release)


def test_syntax_newer_than_the_python_of_the_last_run_is_refused():
    made, _ = bundler()
    made.learn(ran("3.9.18"))

    with pytest.raises(InvalidParameters) as caught:
        made.bundle(MATCH, {}, (), {})
    assert "<cell>:" in str(caught.value)
    assert "Python 3.10 and greater" in str(caught.value)
    assert "shop has Python 3.9, as its last run reported." in str(caught.value)


@pytest.mark.parametrize("python", ["3.10.1", "3.13.0", "", "pypy", "3.9.18; rm"])
def test_syntax_that_the_python_of_the_last_run_may_know_is_sent(python):
    made, _ = bundler()
    made.learn(ran(python))

    assert made.bundle(MATCH, {}, (), {})


def test_syntax_that_a_newer_python_of_the_dynos_may_know_is_sent():
    made, _ = bundler()
    with pytest.raises(InvalidParameters, match="SyntaxError"):
        made.bundle("not yet python", {}, (), {})

    made.learn(ran("3.99.0"))
    assert made.bundle("not yet python", {}, (), {})
    with pytest.raises(InvalidParameters, match="That is IPython syntax, and the dyno runs plain Python"):
        made.bundle("!ls", {}, (), {})


def test_the_error_for_a_global_that_cannot_be_sent_suggests_a_remedy():
    made, _ = bundler()
    with pytest.raises(InvalidParameters, match=r"LOG: a Logger cannot be passed(.|\n)*Or create it inside logs"):
        made.bundle(logs, {}, (), {})


LOG = logging.getLogger("test")


def logs():
    LOG.info("x")


def test_another_release_may_have_another_python():
    made, _ = bundler(release=8)
    made.learn(ran("3.9.18", release=7))

    assert made.bundle(MATCH, {}, (), {})


def test_a_run_without_a_declaration_is_ignored():
    made, _ = bundler()
    made.learn(SimpleNamespace(declaration=None, release=7))

    assert made.bundle(MATCH, {}, (), {})


@pytest.mark.parametrize(
    ("text", "is_told"),
    [("3.9\n", True), ("# ours\n\npython-3.9.18\n", True), ("3.12", False), ("3", False), ("", False), (None, False)],
)
def test_syntax_newer_than_the_python_version_file_gives_a_warning(tmp_path, text, is_told):
    if text is not None:
        (tmp_path / ".python-version").write_text(text)
    made, _ = bundler(tmp_path)

    with notifications_to((messages := []).append):
        assert made.bundle(MATCH, {}, (), {})
    assert bool(messages) is is_told
    if is_told:
        assert "This code cannot run on Heroku, because .python-version requires 3.9: SyntaxError" in messages[0]


@pytest.mark.usefixtures("processes")
def test_a_run_reports_its_python(tmp_path):
    (tmp_path / "Procfile").write_text("web: true\n")
    heroku = connect(worker=tmp_path, say=lambda _: None)
    run = heroku.submit(code="1")
    run.result(60)

    assert run.declaration.python == ".".join(map(str, sys.version_info[:3]))
    assert heroku._planner.bundler._seen == (run.release, sys.version_info[:2])
