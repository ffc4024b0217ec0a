"""`--secret NAME`: the task gets the value, which is masked in whatever the task prints, raises or emits."""

from __future__ import annotations

import json

import nbclient
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from workers import make_worker

from heroku_magic import InvalidOptions, InvalidParameters, Secret, TaskFailed, connect
from heroku_magic.display import RunView
from heroku_magic.display.html import run_html
from heroku_magic.display.words import text

VALUE = 'hunter2-"quoted"/é'
FILL = 9_995  # characters after which Logplex cuts a line in the middle of the value

TASK = """
    import json, os, sys, urllib.parse
    from heroku_task import emit, metric, progress, task

    @task
    def spills(KEY: str, way: str = "log"):
        if way == "log":
            print(KEY)
            print("x" * 9_995 + KEY + "y" * 20_000)
            print(repr(KEY), json.dumps(KEY), urllib.parse.quote(KEY), file=sys.stderr)
            print(dict(os.environ))
        elif way == "raises":
            raise ValueError("cannot log in with " + KEY)
        elif way == "named":
            raise type("E" + KEY, (Exception,), {})(KEY)
        elif way == "told":
            for _ in progress([1], text=KEY):
                metric(KEY, 1.0)
        emit({"length": len(KEY), "value": KEY, "list": [KEY]})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_worker(
        tmp_path_factory.mktemp("secrets") / "worker",
        {"plain": """python -c 'import json, os; print(json.dumps({"key": os.environ["KEY"], "n": 1}))'"""},
        spills=TASK,
        fixed="from heroku_task import task\n\n@task\ndef fixed(KEY: int):\n    print(KEY)\n",
    )


@pytest.fixture
def heroku(folder, monkeypatch, shared_server):
    monkeypatch.setenv("KEY", VALUE)
    return connect(worker=folder, say=lambda _: None)


def seen(run):
    """All that is to be seen of a run."""
    run.wait(60)
    texts = [repr(run), repr(run._spec), str(run.exception()), repr(run.exception()), run.logs(), repr(run.metrics)]
    for verbose in (False, True):
        view = RunView(verbose=verbose)
        for event in run:
            view.feed(event)
            texts.append(repr(event))
        texts += [text(view, with_error=True), run_html(view, final=False), run_html(view, final=True, with_error=True)]
    if run.partial is not None:
        texts += [run.partial.to_csv(), run.partial.to_html(), str(run.partial.attrs)]
    return "\n".join(texts)


def assert_hidden(text):
    assert "hunter2" not in text
    assert "unter2-" not in text


@pytest.mark.parametrize("way", ["log", "raises", "named", "told", "emitted"])
def test_a_secret_is_masked_however_the_task_reveals_it(heroku, way):
    run = heroku.submit("spills", {"way": way}, secrets=["KEY"])
    shown = seen(run)
    assert_hidden(shown)
    assert "***" in shown
    if way not in {"raises", "named"}:
        assert run.result().to_dict("records") == [{"length": len(VALUE), "value": "***", "list": ["***"]}]
        assert run.facts()["verified"], "what was masked is the result all the same"


def test_a_secret_across_the_cut_of_a_long_line_is_masked(heroku):
    run = heroku.submit("spills", secrets=["KEY"])
    run.result(60)
    assert f"{'x' * FILL}***{'y' * 20_000}" in run.logs().splitlines()


def test_plain_rows_are_masked(heroku):
    run = heroku.submit("plain", secrets=["KEY"])
    assert run.result(60).to_dict("records") == [{"key": "***", "n": 1}]
    assert_hidden(seen(run))


def test_a_log_read_later_is_masked(heroku):
    run = heroku.submit("spills", secrets=["KEY"])
    run.result(60)
    assert_hidden("\n".join(map(str, heroku.logs(run.dyno))))


def test_a_parameters_value_may_be_a_secret_object(heroku):
    run = heroku.submit("spills", {"KEY": Secret("another-one")})
    assert run.result(60)["length"].tolist() == [11]
    assert "another-one" not in seen(run)


def test_invalid_secrets_are_refused_without_revealing_them(heroku, monkeypatch):
    with pytest.raises(InvalidParameters, match="KEY is a secret: expected a whole number") as caught:
        heroku.submit("fixed", secrets=["KEY"])
    assert_hidden(str(caught.value))
    with pytest.raises(InvalidOptions, match="KEY: given twice"):
        heroku.submit("spills", {"KEY": "x"}, secrets=["KEY"])
    with pytest.raises(InvalidOptions, match="KEY: given twice"):
        heroku.submit("spills", secrets=["KEY", "KEY"])
    monkeypatch.setenv("KEY", "abc")
    with pytest.raises(InvalidParameters, match="KEY: a secret needs at least 4 characters, or it cannot be masked"):
        heroku.submit("spills", secrets=["KEY"])


def test_an_invalid_parameter_name_is_refused_before_prompting(heroku, monkeypatch):
    monkeypatch.setattr("heroku_magic.accounts.secret_sources.ask", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(InvalidParameters, match="RUN_KEY cannot name a parameter: it holds the run's own key"):
        heroku.submit("spills", secrets=["RUN_KEY"])
    with pytest.raises(InvalidParameters, match="'A B' is not a valid environment variable name"):
        heroku.submit("spills", secrets=["A B"])


@pytest.mark.parametrize("xmode", ["Context", "Verbose"])
@pytest.mark.usefixtures("processes")
def test_no_traceback_shows_a_secret(folder, monkeypatch, capsys, xmode):
    monkeypatch.setenv("KEY", VALUE)
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.run_line_magic("xmode", xmode)
    shell.run_cell(f"%%heroku spills --secret KEY --arg way=raises --worker {folder}\n")
    shell.run_cell(f"%%heroku spills --secret KEY --verbose --arg way=raises --worker {folder}\n")
    shell.run_cell("import traceback; traceback.print_exc()")
    out = "".join(capsys.readouterr())
    assert "cannot log in with ***" in out
    assert_hidden(out)


@pytest.mark.usefixtures("processes")
def test_a_saved_notebook_does_not_contain_a_secret(folder, monkeypatch):
    monkeypatch.setenv("KEY", VALUE)
    cells = [
        "%load_ext heroku_magic",
        f"%%heroku spills --secret KEY --verbose --worker {folder}",
        f"%%heroku spills --secret KEY --arg way=raises --verbose --worker {folder}",
        "%heroku last",
        "%heroku last\n_.facts()",
        "%history",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, allow_errors=True, kernel_name="python3").execute()
    saved = nbformat.writes(notebook)
    assert "cannot log in with ***" in saved
    assert_hidden(saved)
    assert_hidden(json.loads(saved)["cells"][1]["outputs"][-1]["data"]["text/html"])


def test_a_failed_task_raises_without_the_secret(heroku):
    with pytest.raises(TaskFailed, match=r"cannot log in with \*\*\*") as caught:
        heroku.run("spills", {"way": "raises"}, secrets=["KEY"])
    assert_hidden(str(caught.value))


@pytest.mark.usefixtures("processes")
def test_a_sweep_row_may_not_contain_a_secret(tmp_path):
    source = (
        "from heroku_task import Secret, task\n\n\n@task\ndef job(n: int, token: Secret = ''):\n    return {'n': n}\n"
    )
    heroku = connect(worker=make_worker(tmp_path / "worker", job=source), say=lambda _: None)
    for rows in ([{"n": 1}, {"n": 2, "token": "swordfish"}], [{"n": 1}, {"n": 2, "token": Secret("swordfish")}]):
        with pytest.raises(InvalidParameters, match="a secret must be the same in every run") as caught:
            heroku.sweep("job", {"rows": rows}, save=tmp_path / "s.jsonl")
        assert "swordfish" not in str(caught.value)
        assert not (tmp_path / "s.jsonl").exists()
