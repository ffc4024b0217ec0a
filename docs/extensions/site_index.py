"""After a build: write `llms.txt`, an index of the pages, and check every link within the site."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from docutils import nodes
from sphinx.util import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_logger = logging.getLogger(__name__)
_HREF = re.compile(r'<a [^>]*?href="([^"]+)"')
_ID = re.compile(r' (?:id|name)="([^"]+)"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir)
        (folder / "llms.txt").write_text(index(app.env), encoding="utf-8")
        for page, link in broken_links(folder):
            _logger.warning("%s links to %s, which does not exist", page, link)


def index(environment: BuildEnvironment) -> str:
    """Return the pages in the order of the menu, as https://llmstxt.org proposes: title, address, first sentence."""
    root = environment.get_doctree(environment.config.root_doc)
    lines = [f"# {root.next_node(nodes.title).astext()}", "", f"> {_summary(root)}", ""]
    for page in _in_order(environment, environment.config.root_doc):
        tree = environment.get_doctree(page)
        title = tree.next_node(nodes.title).astext()
        is_section = page in environment.toctree_includes
        lines += ["", f"## {title}", ""] if is_section else []
        lines += [f"- [{title}]({page}.html): {_summary(tree)}"]
    return "\n".join(lines) + "\n"


def _in_order(environment: BuildEnvironment, page: str) -> Iterator[str]:
    for child in environment.toctree_includes.get(page, ()):
        yield child
        yield from _in_order(environment, child)


def _summary(tree: nodes.document) -> str:
    paragraph = tree.next_node(nodes.paragraph)
    return re.split(r"(?<=[.!?:])\s", " ".join(paragraph.astext().split()), maxsplit=1)[0]


def broken_links(folder: Path) -> list[tuple[str, str]]:
    """Return the links to pages, files or headings of the site that do not exist, each with its page."""
    pages = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    ids = {path: {unescape(name) for name in _ID.findall(text)} for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for link in map(unescape, _HREF.findall(text)):
            if re.match(r"[a-z]+:|//", link):
                continue
            place, _, anchor = unquote(link).partition("#")
            target = (path.parent / place.partition("?")[0]).resolve() if place else path
            if not target.exists() or (anchor and anchor not in ids.get(target, {anchor})):
                broken.append((str(path.relative_to(folder)), link))
    return broken
