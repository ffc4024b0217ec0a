"""The fixture `lab`, one JupyterLab for all tests of this folder, and `web_page`, a page without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab import FLAGS, Lab, chromium, missing
from web_page import WebPage

ROOT = Path(__file__).resolve().parents[2]


def _require(*packages):
    if lacking := missing(*packages):
        required = os.environ.get("CI_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(lacking)


@pytest.fixture(scope="session")
def playwright():
    _require("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def shared_lab(playwright, tmp_path_factory):
    _require("jupyterlab", "ipykernel")
    with Lab(tmp_path_factory.mktemp("notebooks"), playwright, path=ROOT) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab):
    yield shared_lab
    shared_lab.end_kernels()
    assert shared_lab.outside == [], "the page asked for something outside of this machine"


@pytest.fixture(scope="session")
def shared_browser(playwright):
    browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def web_page(shared_browser):
    page = WebPage(shared_browser)
    yield page
    page.close()
    assert page.outside == [], "the page asked for something outside of this machine"
