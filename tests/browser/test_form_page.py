"""The form in a real JupyterLab: by mouse, by keyboard alone, in both themes, on a narrow page, and without its kernel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from workers import make_worker  # noqa: E402 - the folder has to be on the path

pytestmark = pytest.mark.browser

SIMULATE = """
    import time
    from typing import Literal, Optional
    from heroku_task import progress, task

    @task
    def simulate(n: int = 20, rate: float = 0.5, method: Literal["naive", "fast"] = "fast", label: str = "one",
                 seed: Optional[int] = None, deep: bool = False, weights: list[float] = [0.2, 0.8], every: float = 0.0):
        '''Estimate pi by throwing darts at a square.

        n: points to draw
        rate: of learning
        weights: of the parts, one a layer
        every: seconds between two epochs
        '''
        for i in progress(range(n)):
            print(f"epoch {i + 1} loss {rate / (i + 2):.4f}")
            yield {"epoch": i + 1, "loss": rate / (i + 2), "method": method, "label": label, "deep": deep,
                   "seed": seed, "weights": sum(weights)}
            time.sleep(every)
    """
FORM = "%%heroku simulate --form --out df\nn = (1, 500)"


@pytest.fixture
def form(lab, request):
    """A notebook with a form in its second cell, and the console's errors."""
    name = re.sub(r"\W", "-", request.node.name)
    home = lab.folder / name
    make_worker(home / "worker", {"plain": "echo hello $NAME"}, simulate=SIMULATE)
    errors = []
    lab.page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    lab.complaints.clear()
    load = f"%load_ext heroku_magic\n%config HerokuMagics.worker = {str(home / 'worker')!r}"
    lab.open(f"{name}.ipynb", [load, FORM, "df.to_dict()", "print('free')", "%heroku ps"])
    lab.run(0)
    lab.run(1)
    lab.page.wait_for_selector(".heroku-form .heroku-run")
    lab.errors, lab.worker = errors, home / "worker"
    yield lab
    lab.page.set_viewport_size({"width": 1100, "height": 900})
    lab.page.evaluate("jupyterapp.shell.mode = 'multiple-document'; jupyterapp.shell.expandLeft()")
    lab.theme("JupyterLab Light")


def panel(lab):
    return lab.page.locator(".heroku-form").first


def labelled(lab, name):
    return panel(lab).get_by_label(name, exact=True)


def button(lab, name):
    return panel(lab).get_by_role("button", name=name, exact=True)


def focused(lab):
    """The label or text of the focused control."""
    return lab.page.evaluate(
        "() => { const e = document.activeElement; return e.labels?.[0]?.textContent.trim() || e.textContent.trim() }"
    )


def tab_to(lab, name, *, presses=40):
    for _ in range(presses):
        if focused(lab) == name:
            return
        lab.page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by the keyboard; the focus is on {focused(lab)!r}")


def settled(lab, cell=1):
    lab.wait_for_text(cell, "✓ exit 0")
    lab.page.wait_for_selector(".heroku-form .heroku-run:not(.heroku-stop)")


def shown_cell(lab):
    lab.wait_until("document.querySelector('.heroku-cell textarea').value")
    return labelled(lab, "Cell").input_value()


def run_copied_cell(lab):
    """Run what the form shows as its cell; return its text, the form's result and the cell's."""
    text = shown_cell(lab)
    lab.run(2)
    mine = lab.text(2)
    set_source(lab, 3, text.replace("--out df", "--out again"))
    lab.run(3)
    set_source(lab, 2, "again.to_dict()")
    lab.run(2)
    return text, mine, lab.text(2)


def set_source(lab, cell, text):
    lab.page.evaluate("([cell, text]) => lab.cell(cell).model.sharedModel.setSource(text)", [cell, text])


def dict_of(text):
    return text[text.index("{") :].strip()


def test_every_control_works_by_mouse_and_the_copied_cell_gives_the_same(form, tmp_path):
    labelled(form, "n").fill("4")
    labelled(form, "rate").fill("0.25")
    labelled(form, "method").select_option("naive")
    labelled(form, "label").fill("two words")
    labelled(form, "no seed").uncheck()
    labelled(form, "seed").fill("7")
    labelled(form, "deep").check()
    labelled(form, "weights").fill("[0.5, 1.5]")
    form.look(1)
    button(form, "Run").click()
    settled(form)
    ends = [text for _, text in form.seen()["texts"]]
    assert any("epoch 4" in text for text in ends) or "epoch 4" in form.text(1)
    button(form, "Copy as cell").click()
    text, mine, again = run_copied_cell(form)

    assert text == (
        "%%heroku simulate --out df\nn = 4\nrate = 0.25\nmethod = 'naive'\nlabel = 'two words'\nseed = 7\n"
        "deep = True\nweights = [0.5, 1.5]\nevery = 0.0"
    )
    assert "'naive'" in mine
    assert "two words" in mine
    assert dict_of(again) == dict_of(mine)
    assert form.complaints == []
    assert form.errors == []


def test_a_form_can_be_run_and_stopped_by_keyboard_alone(form):
    page = form.page
    labelled(form, "n").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("300")
    tab_to(form, "rate")
    page.keyboard.press("ArrowUp")
    tab_to(form, "method")
    page.keyboard.type("n")
    tab_to(form, "no seed")
    page.keyboard.press("Space")
    tab_to(form, "deep")
    page.keyboard.press("Space")
    tab_to(form, "weights")
    page.keyboard.press("Control+a")
    page.keyboard.type("[1, 2]")
    tab_to(form, "every")
    page.keyboard.press("Control+a")
    page.keyboard.type("0.1")
    tab_to(form, "Run")
    page.keyboard.press("Enter")
    form.wait_for_text(1, "epoch 3 ")
    assert focused(form) == "Stop", "the button that was pressed keeps the keyboard"
    latest = max(int(number) for number in re.findall(r"epoch (\d+) loss", form.text(1)))
    form.wait_for_text(1, f"epoch {latest + 3} ")  # lines stream
    page.keyboard.press("Enter")
    form.wait_for_text(1, "■ cancelled")
    page.wait_for_selector(".heroku-form .heroku-run:not(.heroku-stop)")
    assert focused(form) == "Run"
    tab_to(form, "Copy as cell")
    page.keyboard.press("Enter")
    tab_to(form, "Cell")
    cell = shown_cell(form)

    assert "n = 300\nrate = " in cell
    assert "method = 'naive'" in cell
    assert "seed = 0\ndeep = True\nweights = [1, 2]\nevery = 0.1" in cell
    form.run(4)
    assert "run." not in form.text(4), "no dyno is left"
    assert form.complaints == []
    assert form.errors == []


def test_the_kernel_is_free_while_a_form_runs(form):
    labelled(form, "every").fill("0.2")
    button(form, "Run").click()
    form.wait_for_text(1, "epoch 2 ")
    form.run(3)

    assert form.text(3).strip() == "free"
    assert "exit" not in form.text(1)
    button(form, "Stop").click()
    form.wait_for_text(1, "■ cancelled")


def test_the_slider_moves_by_mouse_with_its_entry(form):
    value = "document.querySelector('.heroku-form input[type=number]').value"
    box = panel(form).locator(".heroku-slider .noUi-target").first.bounding_box()
    form.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    form.wait_until(f"Math.abs({value} - 250) < 15")
    form.page.wait_for_selector(".heroku-slider .noUi-state-tap", state="detached")  # it glides there
    handle = panel(form).locator(".heroku-slider .noUi-handle").first.bounding_box()
    form.page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    form.page.mouse.down()
    form.page.mouse.move(box["x"] + box["width"] - 1, handle["y"], steps=5)
    form.page.mouse.up()

    form.wait_until(f"{value} > 480")


def test_a_fault_appears_at_its_field_while_typing(form):
    labelled(form, "weights").fill("[1,")
    panel(form).get_by_role("alert").filter(has_text="weights is not valid JSON").wait_for()
    button(form, "Run").click()
    form.page.wait_for_timeout(300)
    assert button(form, "Run").is_visible()
    labelled(form, "weights").fill("[1]")
    panel(form).get_by_role("alert").wait_for(state="detached")


@pytest.mark.parametrize("width", [1100, 400])
def test_axe_finds_nothing_in_either_theme(form, tmp_path, width):
    labelled(form, "weights").fill("[1,")
    labelled(form, "n").fill("3")
    panel(form).get_by_role("alert").wait_for()
    button(form, "Copy as cell").click()
    shown_cell(form)
    make_narrow(form, width)
    for theme in ("Light", "Dark"):
        form.theme(f"JupyterLab {theme}")
        assert violations(form) == []
        picture(form, tmp_path, f"fault-{width}-{theme.lower()}")
    labelled(form, "weights").fill("[1]")
    button(form, "Run").click()
    settled(form)
    form.wait_until("lab.area(1).querySelector('table.dataframe')")
    for theme in ("Light", "Dark"):
        form.theme(f"JupyterLab {theme}")
        assert violations(form) == []
        picture(form, tmp_path, f"done-{width}-{theme.lower()}")
    assert form.page.evaluate(
        "[...document.querySelectorAll('.heroku-form')].every(f => f.scrollWidth <= f.clientWidth)"
    )


# Of each field, how far the middle of its tick box is from that of its entry, and the tick box's left edge.
TICKS = """[...document.querySelectorAll('.heroku-field:has(.heroku-sweep)')].map(field => {
    const middle = box => box.top + box.height / 2;
    const tick = field.querySelector('.heroku-sweep input').getBoundingClientRect();
    const entry = field.querySelector(':is(input:not([type=checkbox]), select, textarea)');
    return [entry ? Math.abs(middle(tick) - middle(entry.getBoundingClientRect())) : 0, Math.round(tick.left)];
})"""


@pytest.mark.parametrize("width", [1400, 800])
def test_the_tick_boxes_are_a_column_and_each_is_in_line_with_its_field(form, tmp_path, width):
    form.page.set_viewport_size({"width": width, "height": 1300})
    form.page.evaluate("jupyterapp.shell.collapseLeft()")
    form.page.wait_for_timeout(300)
    picture(form, tmp_path, f"ticks-{width}")
    ticks = form.page.evaluate(TICKS)
    assert len(ticks) == 8
    assert max(distance for distance, _ in ticks) < 8
    assert len({left for _, left in ticks}) == 1


DATES = """
    from __future__ import annotations
    from datetime import date, datetime
    from heroku_task import task

    @task
    def dates(since: date | None = None, at: datetime = datetime(2024, 1, 1, 12), first_measurement: int = 1):
        yield {"since": since, "at": at}
    """
# How many pixels are between the words of a box that removes a value and the box that sweeps it, the height of the
# entries of a date and of a time, and the width of the labels.
BOXES = """(() => {
    const box = selector => document.querySelector('.heroku-form ' + selector).getBoundingClientRect();
    return {gap: box('.heroku-sweep input').left - box('.heroku-none span').right,
            heights: [box('[type=date]').height, box('[type=datetime-local]').height],
            label: box('.widget-label').width};
})()"""


def test_an_optional_date_keeps_its_boxes_apart_and_a_second_form_leaves_the_first_as_it_was(lab, tmp_path):
    make_worker(lab.folder / "dates", dates=DATES, simulate=SIMULATE)
    load = "%load_ext heroku_magic\n%config HerokuMagics.worker = 'dates'"
    lab.open("dates.ipynb", [load, "%heroku form dates", "%heroku form simulate"])
    lab.run(0)
    lab.run(1)
    lab.page.wait_for_selector(".heroku-form .heroku-run")
    alone = lab.page.evaluate(BOXES)
    picture(lab, tmp_path, "dates")
    assert alone["gap"] >= 8
    assert alone["heights"] == [28, 28]

    lab.run(2)
    lab.wait_until("document.querySelectorAll('.heroku-form .heroku-run').length === 2")
    assert lab.page.evaluate(BOXES) == alone


def violations(lab):
    """The findings of axe-core in the form's own output, on a page that does not clip the notebook."""
    from axe_playwright_python.sync_playwright import Axe

    panel(lab).scroll_into_view_if_needed()
    style = lab.page.add_style_tag(content="html, body { min-height: 100vh; overflow: visible !important }")
    found = Axe().run(
        lab.page,
        context={"include": [[".jp-OutputArea:has(.heroku-form)"]]},
        options={"resultTypes": ["violations", "passes"]},
    )
    style.evaluate("element => element.remove()")
    assert any(one["id"] == "color-contrast" for one in found.response["passes"]), "contrast was looked at"
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found.response["violations"]]


def make_narrow(lab, width):
    """Give the page a width; below 800 px without the side bar, as a narrow screen has it."""
    lab.page.set_viewport_size({"width": width, "height": 1300})
    if width < 800:
        lab.page.evaluate("jupyterapp.shell.mode = 'single-document'; jupyterapp.shell.collapseLeft()")


def picture(lab, folder, name):
    """Take a screenshot; with LAB_SHOTS it is kept in that folder."""
    lab.page.evaluate("document.activeElement.blur()")
    lab.page.wait_for_timeout(300)
    lab.screenshot(Path(os.environ.get("LAB_SHOTS", folder)) / f"form-{name}.png")


def test_after_restart_and_reload_the_record_is_readable_and_nothing_runs(form):
    labelled(form, "n").fill("3")
    button(form, "Run").click()
    settled(form)
    labelled(form, "n").fill("400")
    labelled(form, "every").fill("0.5")
    button(form, "Run").click()
    form.wait_for_text(1, "epoch 4 ")
    assert dynos_with(b"n=400") != []
    form.wait_for_text(1, "had not ended")
    form.save()
    form.page.evaluate("lab.panel().sessionContext.session.kernel.restart()")
    record = form.page.locator(".heroku-record").first
    record.wait_for(state="visible")
    assert not panel(form).is_visible(), "a form that is dead is not shown"
    assert form.page.locator(".jupyter-widgets-disconnected:visible").count() == 0, "nor are marks of its widgets"
    form.page.reload()
    form.wait_until("window.lab?.ready()")
    record.wait_for(state="visible")
    form.page.wait_for_timeout(1500)

    shown = form.page.evaluate("lab.area(1).innerText")
    assert "Error displaying widget" not in shown
    assert "Loading widget" not in shown
    assert "400" in shown
    assert "had not ended" in shown
    assert dynos_with(b"n=400") == []
    assert form.complaints == []


def dynos_with(variable):
    """The processes with this variable in their environment: a dyno has its parameters there."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [file.parent.name] if variable in file.read_bytes().split(b"\0") else []
    return found


def test_the_saved_record_is_readable_without_styles_and_scripts(form):
    labelled(form, "n").fill("3")
    button(form, "Run").click()
    settled(form)
    outputs = json.loads(form.save().read_text())["cells"][1]["outputs"]
    pages = ("".join(o["data"]["text/html"]) for o in outputs if "text/html" in o.get("data", {}))
    record = next(page for page in pages if "heroku-record" in page)
    plain = re.sub(r'(?s)<style.*?</style>|\s(style|class)="[^"]*"', "", record)

    assert "<script" not in plain
    assert re.search(r"<td>n</td>\s*<td>3</td>", plain)
    assert "✓ exit 0 · 3 rows" in plain
    assert "%%heroku simulate --out df\nn = 3" in plain


def test_rows_are_added_removed_and_run(lab, tmp_path):
    home = lab.folder / "rows"
    make_worker(home / "worker", {"plain": "echo hello $NAME of $CITY"})
    load = f"%load_ext heroku_magic\n%config HerokuMagics.worker = {str(home / 'worker')!r}"
    lab.open("rows.ipynb", [load, "%%heroku plain --form\nNAME = 'Daniela'"])
    lab.run(0)
    lab.run(1)
    button(lab, "Add parameter").click()
    labelled(lab, "Name 2").fill("CITY")
    labelled(lab, "Value 2").fill("Rome")
    button(lab, "Run").click()
    lab.wait_for_text(1, "hello Daniela of Rome")
    settled(lab)
    button(lab, "Remove 1").click()
    button(lab, "Run").click()
    lab.wait_for_text(1, "hello of Rome")
    labelled(lab, "sweep 1").check()
    labelled(lab, "Each 1").fill("Rome\nOslo")
    button(lab, "Run 2").click()
    lab.wait_for_text(1, "✓ 2 of 2 runs done")
    for theme in ("Dark", "Light"):
        lab.theme(f"JupyterLab {theme}")
        assert violations(lab) == []
        picture(lab, tmp_path, f"rows-{theme.lower()}")


def test_fields_are_swept_by_keyboard_and_mouse_and_the_button_says_how_many_runs(form, tmp_path):
    page = form.page
    labelled(form, "n").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    tab_to(form, "sweep seed")
    page.keyboard.press("Space")
    labelled(form, "each seed").wait_for()
    assert focused(form) == "sweep seed", "what was ticked keeps the keyboard"
    page.keyboard.press("Shift+Tab")
    assert focused(form) == "each seed"
    page.keyboard.type("1..5 by 2")
    button(form, "Run 3").wait_for()
    labelled(form, "sweep method").check()
    button(form, "Run 6").wait_for()
    labelled(form, "each seed").fill("1..5 by 2, x")
    panel(form).get_by_role("alert").wait_for()
    assert "seed: 'x' is not a number" in panel(form).get_by_role("alert").inner_text()
    assert button(form, "Run").is_visible()
    for theme in ("Light", "Dark"):
        form.theme(f"JupyterLab {theme}")
        assert violations(form) == []
        picture(form, tmp_path, f"sweep-fault-{theme.lower()}")
    labelled(form, "each seed").fill("1..5 by 2")
    labelled(form, "sweep label").check()
    labelled(form, "each label").fill("one\ntwo words")
    button(form, "Run 12").click()
    form.wait_for_text(1, "✓ 12 of 12 runs done · 24 rows")
    page.wait_for_function("lab.area(1).querySelector('table.dataframe')")
    button(form, "Copy as cell").click()
    text, mine, again = run_copied_cell(form)
    for theme in ("Light", "Dark"):
        form.theme(f"JupyterLab {theme}")
        assert violations(form) == []
        picture(form, tmp_path, f"sweep-done-{theme.lower()}")

    assert text == (
        "%%heroku simulate --out df --each seed,method,label\nseed = range(1, 7, 2)\n"
        "method = ['naive', 'fast']\nlabel = ['one', 'two words']\nn = 2\nrate = 0.5\ndeep = False\nweights = [0.2, 0.8]\nevery = 0.0"
    )
    assert dict_of(again) == dict_of(mine)
    labelled(form, "sweep label").uncheck()
    labelled(form, "label").wait_for()
    assert labelled(form, "label").input_value() == "one", "the one value is still there"
    assert form.complaints == []
    assert form.errors == []


SECRETIVE = """
    from heroku_task import Secret, task

    @task
    def secretive(API_TOKEN: Secret):
        print("the token is", API_TOKEN)
        yield {"length": len(API_TOKEN)}
    """
SAVE_WIDGETS = "jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')"


def test_a_secret_is_in_no_byte_of_a_notebook_that_is_saved_with_its_widgets(lab):
    home = lab.folder / "secretive"
    make_worker(home / "worker", secretive=SECRETIVE)
    secret = home / "token.txt"
    secret.write_text("correct-horse-battery")
    load = f"import os\nos.environ['API_TOKEN'] = open({str(secret)!r}).read()\n%load_ext heroku_magic"
    lab.open(
        "secretive.ipynb", [f"{load}\n%config HerokuMagics.worker = {str(home / 'worker')!r}", "%heroku form secretive"]
    )
    lab.run(0)
    lab.run(1)
    button(lab, "Run").wait_for()
    assert labelled(lab, "API_TOKEN").evaluate("box => box.tagName") == "SELECT", "there is nothing to type into"
    assert panel(lab).locator("input:not([type=checkbox])").count() == 0
    button(lab, "Run").click()
    settled(lab)
    lab.wait_until("lab.area(1).querySelector('table.dataframe')")
    button(lab, "Copy as cell").click()
    shown_cell(lab)
    lab.page.evaluate(SAVE_WIDGETS)
    try:
        saved = lab.save().read_bytes()
    finally:
        lab.page.evaluate(SAVE_WIDGETS)

    states = json.loads(saved)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert "API_TOKEN" in [model["state"].get("description") for model in states.values()]
    assert b"the token is ***" in saved
    assert b"correct-horse" not in saved
