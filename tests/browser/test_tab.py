"""Completion with the Tab key in a real JupyterLab: what is offered, annotated and inserted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

COMPLETER = ".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item"
# On how many lines the words beside our completions stand.
LINES = """[...document.querySelectorAll(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-typeExtended")]
    .filter(word => word.textContent)
    .map(word => {
        const range = document.createRange();
        range.selectNodeContents(word);
        return new Set([...range.getClientRects()].map(line => line.top)).size;
    })"""


def type_and_tab(lab, cell, text):
    """Type into an empty cell, press Tab; return the items that come up."""
    editor = lab._cell(cell).locator(".cm-content")
    editor.click()
    lab.page.keyboard.type(text)
    lab.page.keyboard.press("Tab")
    lab.page.wait_for_selector(COMPLETER)
    return [" ".join(item.inner_text().split()) for item in lab.page.locator(COMPLETER).all()]


def test_sizes_come_with_their_price_and_tab_inserts_a_parameter(lab, tmp_path):
    lab.open("completion.ipynb", ["%load_ext heroku_magic\n%heroku run --arg n=1 -q", "", "", ""])
    lab.run(0)
    sizes = type_and_tab(lab, 1, "%%heroku --size st")
    lab.screenshot(Path(os.environ.get("SHOTS", tmp_path)) / "sizes.png")
    assert len(sizes) == 2
    assert "standard-1x" in sizes[0]
    assert "$0.035/h" in sizes[0]

    lab.page.keyboard.press("Escape")
    type_and_tab(lab, 3, "%heroku l")
    lab.screenshot(Path(os.environ.get("SHOTS", tmp_path)) / "verbs.png")
    lab.page.keyboard.press("Escape")
    type_and_tab(lab, 2, "%%heroku bootstrap --arg ")
    assert lab.page.evaluate(LINES) == [1] * 5, "a word on a completion stands on one line"
    lab.screenshot(Path(os.environ.get("SHOTS", tmp_path)) / "parameters.png")
    lab.page.keyboard.press("Enter")
    assert lab._cell(2).locator(".cm-content").inner_text().strip() == "%%heroku bootstrap --arg data="
