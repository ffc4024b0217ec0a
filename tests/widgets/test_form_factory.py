"""Forms in a real kernel, with a front end and without one."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from kernels import kernel
from workers import make_worker

from heroku_magic.magics.parser import parse
from heroku_magic.platform_facts.dyno_sizes import DOLLARS_PER_MONTH
from heroku_magic.protocol.task import Task
from heroku_magic.runs import registry
from heroku_magic.runs.spec import RunSpec
from heroku_magic.widgets.form_factory import _price

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

WIDE = ", ".join(f"p{number}: int = {number}" for number in range(500))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("notebooks")
    make_worker(
        home / "worker",
        {"plain": "env | grep -E '^(NAME|n|API_KEY)='"},
        ticks="""
            import time
            from heroku_task import task

            @task
            def ticks(n: int = 2, every: float = 0.0, mark: str = "a"):
                '''Count.

                n: ticks <script>alert(1)</script>
                '''
                for i in range(n):
                    print(f"{mark} tick {i}")
                    yield {"i": i, "mark": mark}
                    time.sleep(every)
            """,
        wide=f"from heroku_task import task\n\n@task\ndef wide({WIDE}):\n    yield {{'p': p499}}\n",
    )
    return home


@pytest.fixture(scope="module")
def shared(folder, kernels):
    with kernel(folder) as started:
        yield started


def headless(started):
    """Run cells as nbclient does, without prompts."""
    started.client.allow_stdin = False
    return started


@pytest.fixture
def front_end(shared):
    shared.client.allow_stdin = True
    return shared


@pytest.fixture
def nobody(shared):
    yield headless(shared)
    shared.client.allow_stdin = True


def displays(out):
    return [content["data"] for content in out.of("display_data")]


VIEW = "application/vnd.jupyter.widget-view+json"
# Wait in the kernel until the result is bound, which may take pandas's import, and for the last update of the display.
BOUND = "\nimport time\nwhile df is None:\n    time.sleep(0.05)\ntime.sleep(1.5)\n"


def test_a_form_shows_widgets_then_its_record_then_outputs_for_log_and_table(front_end):
    out = front_end.run("%heroku form ticks --arg n=3")

    assert out.error is None
    view, record, log, table = displays(out)
    assert VIEW in view
    assert "n = 3" in record["text/plain"]
    assert VIEW not in record
    assert "<script>" not in record["text/html"]
    assert log["text/html"] == table["text/html"] == ""
    assert out.value is None, "it is shown once"


def test_the_cells_form_starts_with_the_body(front_end):
    out = front_end.run("%%heroku ticks --form --arg every=0\nn = (1, 9)\nmark = ['x', 'y']")

    assert out.error is None
    assert front_end.run("_.value").value == "{'n': 2, 'every': 0.0, 'mark': 'x'}"


def test_an_assigned_form_is_shown_again_as_the_value_of_a_cell(front_end):
    assert len(displays(front_end.run("form = %heroku form ticks"))) == 4
    assert len(displays(front_end.run("form"))) == 4
    assert len(displays(front_end.run("form = %heroku form ticks\nform"))) == 4


def test_run_shows_log_and_table_below_the_form_and_binds_the_result(front_end):
    out = front_end.run("form = %heroku form ticks --out df")
    ids = [content["transient"]["display_id"] for content in out.of("display_data")]
    sent = front_end.start(
        f"df = None; run = form.run(); other = 6 * 7; run.wait(){BOUND}(other, len(df), len(form.result))"
    )
    messages = [message for _, message in front_end.messages(sent)]

    values = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
    assert values == ["(42, 2, 2)"]
    last = {
        m["content"]["transient"]["display_id"]: m["content"]["data"]
        for m in messages
        if m["msg_type"] == "update_display_data"
    }
    assert "a tick 1" in last[ids[2]]["text/html"]
    assert "exit 0" in last[ids[2]]["text/plain"]
    assert "<th>mark</th>" in last[ids[3]]["text/html"]
    assert "✓ exit 0 · 2 rows" in last[ids[1]]["text/html"]
    assert not [m for m in messages if m["msg_type"] == "stream"], "nothing is printed into another cell"


def test_a_cell_with_each_starts_a_form_that_sweeps_these_fields(front_end):
    out = front_end.run("%%heroku ticks --form --each mark,n --jobs 2\nmark = ['x', 'y']\nn = range(1, 4)\nevery = 0")
    assert out.error is None
    assert "mark = each of x, y" in displays(out)[1]["text/plain"]
    front_end.run("form = _")
    assert front_end.run("form.offer").value == "'Run 6'"
    assert front_end.run("form.each, form.value").value == "({'mark': ['x', 'y'], 'n': range(1, 4)}, {'every': 0})"
    assert front_end.run("print(form.cell)").text == (
        "%%heroku ticks --jobs 2 --each mark,n\nmark = ['x', 'y']\nn = range(1, 4)\nevery = 0\n"
    )
    out = front_end.run(
        "line = %heroku form ticks --each n={[1, 2]} --chunk auto --retries 1 --retry-tasks\nline.offer, line.cell"
    )
    assert "'Run 2'" in out.value
    assert "%%heroku ticks --chunk auto --retries 1 --retry-tasks --each n\\nn = [1, 2]" in out.value


def test_a_sweep_is_shown_below_the_form_and_its_cell_gives_the_same_result(front_end):
    out = front_end.run("%%heroku ticks --form --each mark,n --out df\nmark = ['x', 'y']\nn = range(1, 4)")
    ids = [content["transient"]["display_id"] for content in out.of("display_data")]
    front_end.run("form = _")
    sent = front_end.start(f"df = None; sweep = form.run(); sweep.wait(){BOUND}df.equals(form.result)")
    messages = [message for _, message in front_end.messages(sent)]

    values = [m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"]
    assert values == ["True"]
    last = {
        m["content"]["transient"]["display_id"]: m["content"]["data"]
        for m in messages
        if m["msg_type"] == "update_display_data"
    }
    assert "ticks" in last[ids[2]]["text/plain"]
    assert "6" in last[ids[2]]["text/plain"]
    assert "<td>y</td>" in last[ids[3]]["text/html"]
    assert "✓ 6 of 6 runs done · 12 rows" in last[ids[1]]["text/html"]
    assert not [m for m in messages if m["msg_type"] == "stream"], "nothing is printed into another cell"
    cell = front_end.run("print(form.cell)").text
    front_end.run(cell.replace("--out df", "--out again"))
    assert front_end.run("again.equals(df), len(again)").value == "(True, 12)"


def test_stop_ends_all_dynos_of_a_forms_sweep(front_end):
    front_end.run("form = %heroku form ticks --each mark={list('abcdef')} --arg n=500 --arg every=0.1 --jobs 3")
    front_end.run("sweep = form.run(); import time; time.sleep(1.5); form.stop(); sweep.wait(30)")

    assert front_end.run("sweep.done(), sweep.counts()").value == "(True, {'cancelled': 6})"
    assert front_end.run("__import__('heroku_magic').connect().our_dynos()").value == "[]"
    assert front_end.run("form.ended.partition(' · ')[0]").value == "'■ 0 of 6 runs done, 6 cancelled'"


def test_the_price_of_a_sweep_is_estimated_from_earlier_runs():
    def price(size, last=None, *, runs=100, is_local=False):
        settings = SimpleNamespace(is_local=is_local, size=None, prices=DOLLARS_PER_MONTH)
        heroku = SimpleNamespace(settings=settings, app="priced", app_name="priced")
        return _price(heroku, Task("ticks", "", None), size, runs, last)

    assert price("standard-1x") == "$0.0347 per hour on standard-1x", "no run was measured yet"
    assert price("standard-1x", is_local=True) == "free"
    order = RunSpec("priced", "priced", "ticks", "ticks", {})
    for seconds in (36.0, 12.0):
        registry.record_duration(order, "standard-1x", seconds)

    assert price("standard-1x") == "about 2,400 s, $0.0231 on standard-1x"
    assert price("standard-1x", runs=100_000) == "about 2,400,000 s, $23.15 on standard-1x"
    assert price(None) == "about 2,400 s", "Heroku chooses the size"
    last = SimpleNamespace(size="standard-1x")
    assert price(None, last) == "about 2,400 s, $0.0231 on standard-1x", "as it did for the last run"
    assert price("eco", last) == ""


def test_values_that_a_form_cannot_sweep_are_rejected(front_end):
    for cell, fault in (
        ("%%heroku ticks --form --each n\nn = [1, 'x']", "n is the text 'x'"),
        ("%%heroku ticks --form --each n\nn = []", "there are no values"),
        ("%%heroku ticks --form --each rows\nrows = [{'n': 1}, {'n': 2}]", "a form has no field for rows"),
        ("%%heroku ticks --form --each nn\nnn = [1]", "ticks has no parameter nn. Did you mean n?"),
        ("%heroku form ticks --each n", "--each n has no values"),
    ):
        out = front_end.run(cell)
        assert fault in out.error[1], cell
        assert displays(out) == []


def test_two_forms_run_at_once_each_in_its_own_output(front_end):
    outs = [front_end.run(f"f{mark} = %heroku form ticks --arg mark={mark} --arg every=0.2") for mark in "ab"]
    places = [[content["transient"]["display_id"] for content in out.of("display_data")] for out in outs]
    sent = front_end.start("runs = fa.run(), fb.run(); [run.wait() for run in runs]; import time; time.sleep(1)")
    last = {}
    for _, message in front_end.messages(sent):
        if message["msg_type"] == "update_display_data":
            content = message["content"]
            last[content["transient"]["display_id"]] = content["data"]["text/html"]

    for mark, other, (_, _, log, table) in zip("ab", "ba", places, strict=True):
        assert f"{mark} tick 1" in last[log]
        assert f"{other} tick" not in last[log]
        assert f"<td>{mark}</td>" in last[table]


def test_invalid_start_values_are_rejected_before_anything_is_shown(front_end):
    out = front_end.run("%heroku form ticks --arg n=many --arg nn=1")

    assert out.error[0] == "InvalidParameters"
    assert "ticks has no parameter nn. Did you mean n?" in out.error[1]
    assert "n is 'many': expected a whole number" in out.error[1]
    assert displays(out) == []
    out = front_end.run("import heroku_magic\nheroku_magic.form('ticks', 3)")
    assert out.error == ("InvalidParameters", "parameters is 3: expected a dict of parameters, such as {'n': 10}.")


@pytest.mark.usefixtures("kernels")
def test_a_kernel_that_allows_no_prompt_sends_the_widgets_and_their_record(folder):
    with kernel(folder) as started:
        out = headless(started).run("form = %heroku form ticks --arg n=3")
        ran = started.run("form.run().result().i.tolist()")

    (view, record, log, table) = displays(out)
    assert VIEW in view
    assert log["text/html"] == table["text/html"] == ""
    assert record["text/plain"].startswith("A form needs a notebook and its kernel")
    assert "ticks(n: int = 2, every: float = 0.0, mark: str = 'a')" in record["text/plain"]
    assert "A form needs a notebook and its kernel" in record["text/html"]
    assert ran.value == "[0, 1, 2]"


def test_the_copied_cell_gives_the_same_result(nobody):
    nobody.run("form = %heroku form ticks --arg n=3 --arg mark=q")
    mine = nobody.run("form.run().result().to_dict()").value
    cell = nobody.run("print(form.cell)").text
    nobody.run(cell)

    assert nobody.run("_.to_dict()").value == mine


def test_an_undeclared_task_takes_names_and_values(nobody):
    nobody.run("%%heroku plain --form\nNAME = 'Daniela'")
    out = nobody.run(
        "form = _; form.value = {'n': 5}; run = form.run(); run.wait(); print(run.logs()); print(form.cell)"
    )

    assert sorted(out.text.splitlines()) == ["%%heroku plain", "NAME = 'Daniela'", "NAME=Daniela", "n = '5'", "n=5"]


@pytest.mark.usefixtures("kernels")
def test_a_secret_reaches_the_task_but_no_message(folder):
    with kernel(folder, API_KEY="hunter2-of-the-test") as started:
        outs = [
            started.run("form = %heroku form plain --secret API_KEY"),
            started.run(
                "run = form.run(); run.wait(); import time; time.sleep(1); print(run.logs(), form.cell, form.value)"
            ),
        ]
        ends = started.run("run.exit_status").value
    seen = json.dumps([message["content"] for out in outs for message in out.messages])

    assert ends == "0", "grep found the variable"
    assert "API_KEY=***" in seen
    assert "--secret API_KEY" in seen
    assert "hunter2" not in seen


def test_five_hundred_parameters_stay_below_the_message_limit_of_a_server(front_end):
    """Jupyter drops messages beyond 3,000 in 3 seconds; openings of comms do not count."""
    out = front_end.run("%heroku form wide", timeout=60)

    assert out.error is None
    assert VIEW in displays(out)[0]
    counted = [
        message for message in out.messages if message["msg_type"] not in {"comm_open", "status", "execute_input"}
    ]
    assert len(counted) < 2_500


def test_a_form_is_for_a_task(shared):
    assert "a command after --" in shared.run("%%heroku --form -- env").error[1]
    assert parse("form ticks --secret KEY --size eco", {}).options == {"secret": ["KEY"], "size": "eco"}


def test_the_python_api_makes_a_form_too(nobody):
    nobody.run("import heroku_magic; form = heroku_magic.form('ticks', {'n': 1})")

    assert nobody.run("len(form.run().result())").value == "1"
    assert len(displays(nobody.run("form"))) == 4
