"""Broken links within the built documentation are found."""

from __future__ import annotations

import pytest

site_index = pytest.importorskip("site_index", reason="the extra `docs` is not installed")


@pytest.mark.parametrize(
    "link",
    [
        "other.html",
        "#here",
        "../index.html",
        "other.html#there",
        "https://example.com/x",
        "mailto:a@b.c",
        "picture.png",
    ],
)
def test_a_link_that_has_a_target_is_accepted(tmp_path, link):
    build(tmp_path, link)

    assert site_index.broken_links(tmp_path) == []


@pytest.mark.parametrize(
    "link", ["gone.html", "#gone", "other.html#gone", "../gone/index.html", "/other.html", "gone.png"]
)
def test_a_link_without_a_target_is_reported_with_its_page(tmp_path, link):
    build(tmp_path, link)

    assert site_index.broken_links(tmp_path) == [("howto/page.html", link)]


def build(folder, link):
    (folder / "howto").mkdir()
    (folder / "index.html").write_text("<h1 id='top'>Home</h1>")
    (folder / "howto" / "picture.png").touch()
    (folder / "howto" / "other.html").write_text('<h2 id="there">There</h2>')
    (folder / "howto" / "page.html").write_text(f'<h2 id="here">Here</h2><a class="reference" href="{link}">a link</a>')
