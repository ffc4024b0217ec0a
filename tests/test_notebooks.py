"""Each notebook runs from top to bottom, and its saved outputs are readable without a kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.usefixtures("processes")


NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
# A form without a front end says so, and what it would ask for.
ENDED = r"exit 0|✓ [\d,]+ done|deploy ✓ done|A form needs a notebook and its kernel"
NOTICE = re.compile(r'<div [^>]*role="(?:note|region)"')  # messages and lists
NEED_AN_ACCOUNT = {"deploy.ipynb"}
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def read(name):
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs(name, tmp_path, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    if name in NEED_AN_ACCOUNT:
        request.getfixturevalue("platform")
    notebook = read(name)

    nbclient.NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert saved_kinds(notebook) == saved_kinds(read(name)), "the saved outputs are those of this code"


def test_without_an_account_a_deploy_goes_to_the_embedded_heroku(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = read("deploy.ipynb")

    nbclient.NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(tmp_path)}}).execute()

    said = "".join(json.dumps(cell.get("outputs", [])) for cell in notebook.cells)
    assert "on the embedded Heroku, for as long as this kernel lives" in said
    assert "(embedded) \\u00b7" in said


def test_the_account_is_not_shown(platform, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = read("deploy.ipynb")
    nbclient.NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert platform.token not in nbformat.writes(notebook)


def saved_kinds(notebook):
    """Return the kinds of outputs of each cell; several streams count as one."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [sorted({output.output_type for output in cell.outputs}) for cell in cells]


@pytest.mark.parametrize("name", NAMES)
def test_the_saved_file_is_small_and_holds_no_secret_and_no_path(name):
    text = (NOTEBOOKS / name).read_text()

    assert len(text) < 300_000
    assert "HRKU-" not in text
    assert "stream?token" not in text
    assert not re.search(r"/(home|root|Users|work|tmp)/", text)


@pytest.mark.parametrize("name", NAMES)
def test_each_display_has_a_text_with_its_outcome(name):
    cells = json.loads((NOTEBOOKS / name).read_text())["cells"]
    shown = [o for cell in cells for o in cell.get("outputs", []) if o["output_type"] == "display_data"]
    markups = {id(o): "".join(o["data"].get("text/html", "")) for o in shown}
    runs = [o for o in shown if markups[id(o)] and not NOTICE.match(markups[id(o)])]

    assert runs
    assert all(re.search(ENDED, "".join(output["data"]["text/plain"])) for output in runs)


def test_a_failing_cell_stops_a_headless_run_and_its_error_is_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source)
        for source in ("%load_ext heroku_magic", "%%heroku --arg n=-1", "print('not reached')")
    ]

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="n is -1: expected 0 or more rows"):
        nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()

    (error,) = [o for o in notebook.cells[1].outputs if o.output_type == "error"]
    assert error.ename == "TaskFailed"
    assert error.evalue.startswith("ValueError: n is -1")
    assert "task.py" in error.evalue
    assert notebook.cells[2].outputs == []


def test_a_notebook_with_ten_thousand_lines_is_smaller_than_a_megabyte(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = nbformat.v4.new_notebook()
    flood = "%heroku run -- python -c \"print(chr(10).join('line %d ' % i + 'x' * 100 for i in range(10_000)))\""
    notebook.cells = [
        nbformat.v4.new_code_cell(source)
        for source in (
            "%load_ext heroku_magic",
            flood,
            "import heroku_magic; len(heroku_magic.last.logs().splitlines())",
        )
    ]

    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert notebook.cells[2].outputs[0]["data"]["text/plain"] == "10000"
    assert len(nbformat.writes(notebook)) < 1_000_000
    assert "line 9999 " in str(notebook.cells[1].outputs)
