"""Code is checked against the Python of the app's dynos before a dyno is started."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from heroku_magic import connect
from heroku_magic.accounts.settings import Settings
from heroku_magic.app.bundler import Bundler
from heroku_magic.errors import InvalidParameters
from heroku_magic.protocol.records import Declaration
from heroku_magic.text.notifier import notifications_to
from heroku_magic.text.secret import Secret

MATCH = "x = 1\nmatch x:\n    case 1:\n        pass\n"


class Connection:
    app_name = "shop"

    def __init__(self, folder=None):
        self.settings = Settings(app="shop", worker=folder)
        self.client = SimpleNamespace(token=Secret("hunter2-hunter2"))


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
    with pytest.raises(InvalidParameters, match=r'"waits" uses "LOCK" \(lock\)(.|\n)*Create it inside waits'):
        made.bundle(waits, {}, (), {})


LOCK = threading.Lock()


def waits():
    LOCK.acquire()


def here():
    return ".".join(map(str, sys.version_info[:2]))


@pytest.mark.large
def test_a_function_is_refused_if_the_last_run_reported_another_minor_version():
    made, _ = bundler()
    made.learn(ran("3.9.18"))
    with pytest.raises(InvalidParameters) as caught:
        made.bundle(here, {}, (), {})
    assert f"Here it is {here()}, and shop has Python 3.9, as its last run reported." in str(caught.value)
    assert f".python-version file that says {here()}, or use a %%dyno cell" in str(caught.value)

    made.learn(ran(f"{here()}.99"))
    assert made.bundle(here, {}, (), {})


def test_a_function_that_the_python_version_file_excludes_gives_a_warning(tmp_path):
    (tmp_path / ".python-version").write_text("3.9")
    made, _ = bundler(tmp_path)
    with notifications_to((messages := []).append):
        assert made.bundle(here, {}, (), {})
        assert made.bundle(here, {}, (), {})
    assert len(messages) == 1
    assert "This function cannot run on Heroku: .python-version requires 3.9" in messages[0]


def test_cloudpickle_travels_until_a_run_reports_that_the_app_has_it():
    made, _ = bundler()
    size = len(made.bundle(len, {}, (), {}).build_env()["RUN_CODE"])
    declaration = Declaration("len", None, f"{here()}.1", cloudpickle=True)
    made.learn(SimpleNamespace(declaration=declaration, release=7))
    assert len(made.bundle(len, {}, (), {}).build_env()["RUN_CODE"]) < size - 1500
    made.learn(ran(f"{here()}.1"))  # a cell, which does not report it
    assert len(made.bundle(len, {}, (), {}).build_env()["RUN_CODE"]) < size - 1500


def test_the_token_does_not_travel():
    made, connection = bundler()
    text = connection.client.token.reveal()
    with pytest.raises(InvalidParameters, match="such as the API token"):
        made.bundle(lambda: text, {}, (), {})


def test_another_release_may_have_another_python():
    made, _ = bundler(release=8)
    made.learn(ran("3.9.18", release=7))

    assert made.bundle(MATCH, {}, (), {})


def test_a_run_without_a_declaration_is_ignored():
    made, _ = bundler()
    made.learn(SimpleNamespace(declaration=None, release=7))

    assert made.bundle(MATCH, {}, (), {})


@pytest.mark.parametrize(
    ("name", "text", "is_told"),
    [
        (".python-version", "3.9\n", True),
        (".python-version", "# ours\n\n3.9.18\n", True),
        ("runtime.txt", "python-3.9.18\n", True),
        ("Pipfile.lock", '{"_meta": {"requires": {"python_version": "3.9"}}}', True),
        (".python-version", "3.12", False),
        (".python-version", "3", False),
        (".python-version", "", False),
        ("README", "3.9", False),
    ],
)
def test_syntax_newer_than_the_python_that_a_file_requests_gives_a_warning(tmp_path, name, text, is_told):
    (tmp_path / name).write_text(text)
    made, _ = bundler(tmp_path)

    with notifications_to((messages := []).append):
        assert made.bundle(MATCH, {}, (), {})
    assert bool(messages) is is_told
    if is_told:
        assert f"This code cannot run on Heroku, because {name} requires 3.9: SyntaxError" in messages[0]


@pytest.mark.usefixtures("processes")
def test_a_run_reports_its_python(tmp_path):
    (tmp_path / "Procfile").write_text("web: true\n")
    heroku = connect(worker=tmp_path, say=lambda _: None)
    run = heroku.submit(code="1")
    run.result(60)

    assert run.declaration.python == ".".join(map(str, sys.version_info[:3]))
    last = heroku._planner.bundler._last
    assert (last.release, last.python) == (run.release, sys.version_info[:2])
