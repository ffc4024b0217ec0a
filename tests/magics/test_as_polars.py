"""`--as polars` and `result(as_="polars")` give the rows as a DataFrame of polars."""

from __future__ import annotations

import threading

import pytest
from workers import WORKER

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol import polars_frame

polars = pytest.importorskip("polars", reason="polars is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed, or does not fit this NumPy", exc_type=ImportError)

pytestmark = pytest.mark.usefixtures("processes")


def test_a_run_a_sweep_and_a_background_run_give_polars(start_shell, capsys):
    shell = start_shell(WORKER)
    df = shell.run_line_magic("heroku", "run --arg n=2 --as polars")
    shell.run_cell("%heroku run --each n={[1,2]} --as polars --out rows").raise_error()
    run = shell.run_line_magic("heroku", "run --arg n=3 --bg --as polars --out later")
    refused = shell.run_line_magic("heroku", 'run --bg --as polars --out none -- echo \'{"a": [1, "x"]}\'')

    for job in (run, refused):
        is_bound = threading.Event()
        job.add_done_callback(lambda _, is_bound=is_bound: is_bound.set())
        assert is_bound.wait(60)

    assert isinstance(df, polars.DataFrame)
    assert df.columns == ["darts", "inside", "estimate", "error"]
    assert shell.user_ns["rows"]["n"].to_list() == [1, 2, 2]
    assert run.result(as_="polars").equals(shell.user_ns["later"])
    assert run.result()["darts"].tolist() == [1000, 2000, 3000]
    with pytest.raises(InvalidOptions, match='Column "a"'):
        refused.result(as_="polars")
    assert "none" not in shell.user_ns
    assert 'Column "a" (object) has no exact type in polars' in capsys.readouterr().out
    with pytest.raises(InvalidOptions, match=r"^as_ is 'arrow': expected pandas or polars\.$"):
        run.result(as_="arrow")


def test_without_polars_nothing_starts(start_shell, monkeypatch):
    shell = start_shell(WORKER)
    before = shell.run_line_magic("heroku", "last")
    monkeypatch.setattr(polars_frame, "find_spec", lambda name: None)

    with pytest.raises(InvalidOptions, match=r'this needs polars and pyarrow\. Run `pip install "heroku-magic'):
        shell.run_line_magic("heroku", "run --as polars")
    with pytest.raises(InvalidOptions, match="expected pandas or polars"):
        shell.run_line_magic("heroku", "run --as dask")
    assert shell.run_line_magic("heroku", "last") is before


def test_tab_completes_the_libraries(start_shell):
    magics = start_shell(WORKER).magics_manager.registry["HerokuMagics"]

    assert [match.text for match in magics.complete("%heroku run --as p", True).found] == ["pandas", "polars"]
