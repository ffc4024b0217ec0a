"""A real JupyterLab in a real headless Chromium, driven by the keyboard and independent of this project.

Everything is private to one `Lab`: port, token, settings, kernels' folders, browser profile. Only
loopback addresses can be reached; requests of the page to others are listed in `outside`.
Cells are counted from 0. The state of a cell is read from JupyterLab's own model (its
`expose_app_in_browser`), because the page is redrawn while a notebook settles.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

PATIENCE = 60.0
# Nothing but loopback addresses can be reached.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]

_OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}

# The panel is the notebook in front; seen() is what arrived on the page since look() was called.
_PAGE = """
window.lab = {
  // A page that was reloaded may bring the notebook of its address to the front at any time.
  isUsable() { return !!window.jupyterapp && !document.querySelector('.jp-Dialog')
                      && performance.getEntriesByType('navigation')[0].type !== 'reload' },
  async open(path) {
    for (const w of [...jupyterapp.shell.widgets('main')]) { if (w.context) w.context.model.dirty = false; w.dispose() }
    await jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook', kernel: {name: 'python3'}});
  },
  panel() { const w = window.jupyterapp?.shell.currentWidget; return w?.sessionContext && w.content?.widgets ? w : null },
  cell(i) { return this.panel().content.widgets[i] },
  ready() { const p = this.panel(); const k = p?.sessionContext.session?.kernel;
            return !!(p?.context.isReady && p.content.widgets.length && k?.connectionStatus === 'connected' && k.status === 'idle') },
  count(i) { const m = this.cell(i).model; return m.executionState === 'running' ? 0 : m.executionCount || 0 },
  area(i) { return this.cell(i).node.querySelector('.jp-Cell-outputWrapper') },
  look(i) {
    const s = this.sight = {texts: [], gaps: [], frames: 0, last: performance.now(), began: performance.now()};
    const observer = new MutationObserver(() => s.texts.push([Math.round(performance.now() - s.began), this.area(i).textContent.slice(-80)]));
    observer.observe(this.area(i), {childList: true, subtree: true, characterData: true});
    const frame = () => { const now = performance.now(); s.frames++; s.gaps.push(Math.round(now - s.last)); s.last = now;
                          if (this.sight === s) requestAnimationFrame(frame); else observer.disconnect() };
    requestAnimationFrame(frame);
  },
  seen() { const s = this.sight; this.sight = null;
           return {texts: s.texts, frames: s.frames, ms: Math.round(s.last - s.began), worst: Math.max(...s.gaps),
                   stalled: s.gaps.filter(g => g > 100).reduce((a, b) => a + b, 0)} },
}
"""


def chromium() -> str | None:
    """Return the browser: $LAB_CHROMIUM, or the first that PATH knows."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("LAB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def missing(*packages: str) -> str | None:
    """Return what a browser test lacks here, a browser or one of these packages, or None."""
    lacking = [name for name in packages if find_spec(name) is None]
    if chromium() is None:
        lacking.append("a Chromium ($LAB_CHROMIUM)")
    return f"needs {', '.join(lacking)}" if lacking else None


class Lab:
    """One server on a folder, one browser, one page; to be used in a `with` statement."""

    def __init__(
        self, folder: Path, playwright, *, path: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._playwright = playwright
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self._private = Path(tempfile.mkdtemp(prefix="lab-"))
        self._env = os.environ | self._own_env() | (env or {})
        if path is not None:
            self._env["PYTHONPATH"] = str(path)
        self._name = ""

    def __enter__(self) -> Self:
        self._serve()
        self._browse()
        return self

    def __exit__(self, *exception) -> None:
        self._context.close()
        self._server.terminate()
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._private, ignore_errors=True)

    def open(self, name: str, cells: list[str]) -> None:
        """Write a notebook of code cells, and show it."""
        (self.folder / name).write_text(json.dumps(_notebook(cells)))
        self.show(name)

    def show(self, name: str) -> None:
        """Open a notebook in place of all others, and wait for its kernel.

        The page is loaded only if nothing usable is there: that takes the processor 7 seconds.
        """
        self._name = name
        if self.page.evaluate("!!window.lab?.isUsable()"):
            self.page.evaluate("path => lab.open(path)", name)
        else:
            self.page.goto(f"{self.url}lab/tree/{name}?reset&token={self.token}")
        self.wait_until("window.lab?.ready()")

    def run(self, cell: int, *, wait: bool = True, timeout: float = PATIENCE) -> None:
        """Click into a cell and press Ctrl+Enter; wait until it is no longer running."""
        last = self.page.evaluate("Math.max(...lab.panel().content.widgets.map((_, i) => lab.count(i)))")
        self._cell(cell).locator(".cm-content").first.click()
        self.page.keyboard.press("Control+Enter")
        self._awaited = f"lab.count({cell}) > {last}"
        if wait:
            self.wait(timeout=timeout)

    def wait(self, *, timeout: float = PATIENCE) -> None:
        """Wait until the cell that was run last is no longer running."""
        self.wait_until(self._awaited, timeout=timeout)

    def wait_for_text(self, cell: int, text: str, *, timeout: float = PATIENCE) -> None:
        """Wait until a cell's output shows a text."""
        shows = "([cell, text]) => lab.area(cell).textContent.includes(text)"
        self.wait_until(shows, [cell, text], timeout=timeout)

    def wait_until(self, condition: str, arg=None, *, timeout: float = PATIENCE) -> None:
        """Wait until a JavaScript expression or a function of `arg` is true."""
        self.page.wait_for_function(condition, arg=arg, timeout=timeout * 1000, polling=50)

    def text(self, cell: int) -> str:
        """Return the text of a cell's output, on screen or not."""
        return self.page.evaluate(f"lab.area({cell}).textContent")

    def look(self, cell: int) -> None:
        """Begin to note what arrives in a cell's output and how evenly the page is drawn."""
        self.page.evaluate(f"lab.look({cell})")

    def seen(self) -> dict:
        """Return what was noted: texts (their ends, with milliseconds), frames, ms, worst, stalled."""
        return self.page.evaluate("lab.seen()")

    def interrupt(self) -> None:
        """Press the stop button of the notebook's toolbar."""
        self.page.locator('[data-jp-item-name="interrupt"]:visible').locator("button, jp-button").first.click()

    def save(self) -> Path:
        """Press Ctrl+S; return the file once JupyterLab says that it is written."""
        self.page.evaluate("lab.panel().context.model.dirty = true")
        self.page.locator(".jp-Notebook:visible").first.focus()
        self.page.keyboard.press("Control+s")
        self.wait_until("!lab.panel().context.model.dirty")
        return self.folder / self._name

    def theme(self, name: str) -> None:
        """Change to `JupyterLab Light` or `JupyterLab Dark`."""
        self.page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        light = "true" if "Light" in name else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")  # it fades away over the page

    def screenshot(self, path: Path, *, cell: int | None = None) -> Path:
        """Take a picture of the page, or of one cell."""
        target = self.page if cell is None else self._cell(cell)
        if cell is not None:
            target.scroll_into_view_if_needed()
        target.screenshot(path=str(path), animations="disabled")
        return path

    def end_kernels(self) -> None:
        """End every kernel of the server."""
        for kernel in self._ask("api/kernels"):
            self._ask(f"api/kernels/{kernel['id']}", "DELETE")

    def _cell(self, number: int):
        return self.page.locator(".jp-Notebook:visible .jp-Notebook-cell").nth(number)

    def _own_env(self) -> dict[str, str]:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        return {name: str(self._private / name.lower()) for name in names}

    def _serve(self) -> None:
        settings = self._private / "jupyter_config_dir" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(_OVERRIDES))
        self._log = (self._private / "server.log").open("wb")
        # A test that is killed leaves a server; it ends by itself when nobody uses it.
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
        command += [f"--ServerApp.root_dir={self.folder}", "--ServerApp.shutdown_no_activity_timeout=600"]
        command += ["--MappingKernelManager.cull_idle_timeout=500", "--LabApp.extension_manager=readonly"]
        command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url="]
        command += [
            "--LabApp.expose_app_in_browser=True",
            f"--LabApp.workspaces_dir={self._private}/workspaces",
        ]
        command += [f"--LabApp.user_settings_dir={self._private}/settings"]
        command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        self._server = subprocess.Popen(
            command,
            env=self._env,
            cwd=self.folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.url, self.token = self._address()

    def _address(self) -> tuple[str, str]:
        """Read where it listens from the file that the server writes for its own tools."""
        file = self._private / "jupyter_runtime_dir" / f"jpserver-{self._server.pid}.json"
        deadline = time.monotonic() + PATIENCE
        while not (file.exists() and file.read_text().rstrip().endswith("}")):
            if self._server.poll() is not None or time.monotonic() > deadline:
                log = (self._private / "server.log").read_text(errors="replace")
                raise RuntimeError(f"JupyterLab did not start:\n{log[-3000:]}")
            time.sleep(0.05)
        told = json.loads(file.read_text())
        return told["url"], told["token"]

    def _browse(self) -> None:
        self._context = self._playwright.chromium.launch_persistent_context(
            str(self._private / "profile"),
            executable_path=chromium(),
            viewport={"width": 1100, "height": 900},
            args=FLAGS,
        )
        self._context.add_init_script(_PAGE)
        self._context.set_default_timeout(PATIENCE * 1000)
        self.page = self._context.pages[0]
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname not in {
            "127.0.0.1",
            "localhost",
        }:
            self.outside.append(request.url)

    def _ask(self, path: str, method: str = "GET"):
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")


def _notebook(cells: list[str]) -> dict:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    code = [
        {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for number, source in enumerate(cells)
    ]  # fmt: skip
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": code}
