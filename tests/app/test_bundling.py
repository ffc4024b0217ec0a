"""bundling: what is known of a dyno's Python is compared with the syntax before the dyno costs money."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from heroku_magic import connect
from heroku_magic.accounts.settings import Settings
from heroku_magic.app.bundling import Bundling
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.records import Declaration
from heroku_magic.text.notifier import notifications_to

MATCH = "x = 1\nmatch x:\n    case 1:\n        pass\n"


class Place:
    app_name = "shop"

    def __init__(self, folder=None):
        self.settings = Settings(app="shop", worker=folder)


def bundling(folder=None, release=7):
    place = Place(folder)
    catalogue = SimpleNamespace(release=lambda: SimpleNamespace(version=release))
    return Bundling(place, catalogue), place


def ran(python, release=7):
    return SimpleNamespace(declaration=Declaration("cell", None, python), release=release)


def test_syntax_that_the_last_runs_python_does_not_know_is_refused():
    made, _ = bundling()
    made.learn(ran("3.9.18"))

    with pytest.raises(InvalidParameters) as caught:
        made.bundle(MATCH, {}, (), {})
    assert "<cell>:" in str(caught.value)
    assert "Python 3.10 and greater" in str(caught.value)
    assert "shop has Python 3.9, as its last run told." in str(caught.value)


@pytest.mark.parametrize("python", ["3.10.1", "3.13.0", "", "pypy", "3.9.18; rm"])
def test_syntax_that_it_knows_or_may_know_goes(python):
    made, _ = bundling()
    made.learn(ran(python))

    assert made.bundle(MATCH, {}, (), {})


def test_syntax_that_only_a_newer_python_of_the_dynos_may_know_goes():
    made, _ = bundling()
    with pytest.raises(InvalidParameters, match="SyntaxError"):
        made.bundle("not yet python", {}, (), {})

    made.learn(ran("3.99.0"))
    assert made.bundle("not yet python", {}, (), {})
    with pytest.raises(InvalidParameters, match="IPython's"):
        made.bundle("!ls", {}, (), {})


def test_a_function_that_uses_what_cannot_travel_has_a_remedy():
    made, _ = bundling()
    with pytest.raises(InvalidParameters, match=r"LOG: a Logger has no form(.|\n)*Or make it inside of logs"):
        made.bundle(logs, {}, (), {})


LOG = logging.getLogger("test")


def logs():
    LOG.info("x")


def test_another_release_may_have_another_python():
    made, _ = bundling(release=8)
    made.learn(ran("3.9.18", release=7))

    assert made.bundle(MATCH, {}, (), {})


def test_a_run_without_a_word_of_it_teaches_nothing():
    made, _ = bundling()
    made.learn(SimpleNamespace(declaration=None, release=7))

    assert made.bundle(MATCH, {}, (), {})


@pytest.mark.parametrize(
    ("text", "is_told"),
    [("3.9\n", True), ("# ours\n\npython-3.9.18\n", True), ("3.12", False), ("3", False), ("", False), (None, False)],
)
def test_what_the_served_folder_asks_heroku_for_is_told(tmp_path, text, is_told):
    if text is not None:
        (tmp_path / ".python-version").write_text(text)
    made, _ = bundling(tmp_path)

    with notifications_to((messages := []).append):
        assert made.bundle(MATCH, {}, (), {})
    assert bool(messages) is is_told
    if is_told:
        assert "On Heroku this cannot run, for .python-version asks for 3.9: SyntaxError" in messages[0]


@pytest.mark.usefixtures("processes")
def test_a_run_tells_its_python(tmp_path):
    (tmp_path / "Procfile").write_text("web: true\n")
    heroku = connect(worker=tmp_path, say=lambda _: None)
    run = heroku.submit(code="1")
    run.result(60)

    assert run.declaration.python == ".".join(map(str, sys.version_info[:3]))
    assert heroku._ordering._bundling._seen == (run.release, sys.version_info[:2])
