"""From nothing to a running app in a real JupyterLab: the build streams into the cell, a prompt hides its input."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SLOW = """from pathlib import Path
with Path("worker/Procfile").open("a") as procfile:
    procfile.write("release: for i in 1 2 3 4 5 6; do echo migrated $i; sleep 0.4; done\\n")"""


def test_an_app_is_created_deployed_and_run_in_cells(lab, tmp_path):
    (lab.folder / "ship").mkdir()
    cells = [
        "import os; os.chdir('ship')\n%load_ext heroku_magic",
        "%heroku init worker",
        "%heroku create",
        SLOW,
        "%heroku deploy worker",
        "%%heroku --arg n=5",
        "%heroku config API_PASSWORD",
        "%heroku config",
        (
            "from pathlib import Path\nPath('worker/broken-1.0-py3-none-any.whl').touch()\n"
            "Path('worker/requirements.txt').write_text('./broken-1.0-py3-none-any.whl')"
        ),
        "%heroku deploy worker",
    ]
    lab.open("ship.ipynb", cells)
    for number in range(4):
        lab.run(number)
    lab.look(4)
    lab.run(4, wait=False)
    lab.wait_for_text(4, "migrated 3")
    lab.screenshot(tmp_path / "deploying.png", cell=4)
    lab.wait()
    texts = [text for _, text in lab.seen()["texts"]]
    assert {n for n in range(1, 7) if any(f"migrated {n}" in text for text in texts)} == set(range(1, 7)), "it streamed"
    assert "Released v2 of" in lab.text(4)
    lab.screenshot(tmp_path / "deployed.png", cell=4)
    lab.run(5)
    assert "5 rows verified" in lab.text(5)

    lab.run(6, wait=False)
    field = lab.page.locator(".jp-Stdin-input:visible")
    field.wait_for()
    assert field.get_attribute("type") == "password"
    field.type("hunter2-value")
    field.press("Enter")
    lab.wait()
    lab.run(7)
    assert "API_PASSWORD  ***" in lab.text(7)

    lab.run(8)
    lab.run(9)
    assert "BuildFailed" in lab.text(9)
    assert "at 14," not in lab.text(9), "how much was sent is of no interest once it was"
    assert "broken-1.0-py3-none-any.whl" in lab.text(9)
    lab.screenshot(tmp_path / "failed.png", cell=9)
    lab.theme("JupyterLab Dark")
    lab.screenshot(tmp_path / "failed-dark.png", cell=9)
    lab.theme("JupyterLab Light")
    saved = lab.save().read_text()
    assert "hunter2" not in saved
    assert lab.complaints == []
