"""The fixture `lab`: one JupyterLab and one browser for all tests of this folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab import Lab, missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory):
    if lacking := missing():
        required = os.environ.get("CI_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(lacking)
    with Lab(tmp_path_factory.mktemp("notebooks"), path=ROOT) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab):
    yield shared_lab
    shared_lab.end_kernels()
    assert shared_lab.outside == [], "the page asked for something outside of this machine"
