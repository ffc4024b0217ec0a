"""Secrets from any source never appear in what a notebook shows, saves, logs, remembers or starts."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[2]

GIVEN = {
    "FROM_ENVIRONMENT": "hunter2-of-the-environment",
    "FROM_KEYRING": "hunter2-of-the-keyring",
    "FROM_PROMPT": "hunter2-of-the-prompt",
    "CONFIGURED": "hunter2-of-the-config",
}
CANARY = "canary-that-is-to-be-seen"  # what each place must hold, or the test looks at nothing
RING = f"""
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1

    set_password = delete_password = None

    def get_password(self, service, name):
        return {GIVEN["FROM_KEYRING"]!r} if (service, name) == ("heroku_magic", "FROM_KEYRING") else None
"""
SETUP = f"""%load_ext heroku_magic
%xmode Verbose
import logging, pickle, sys, traceback, heroku_magic
logging.basicConfig(filename="debug.log", level=logging.DEBUG)
logging.debug("{CANARY}"); print("{CANARY}")"""
OBJECTS = """heroku = heroku_magic.connect("shop")
def fails(heroku, account, client, transport, auth, run, login):
    1 / 0"""
SHOWN = 'heroku, vars(heroku), heroku.client, vars(heroku.client), f"{vars(heroku.client._transport)}"'
FAILS = (
    "fails(heroku, heroku.account, heroku.client, heroku.client._transport, heroku.client._transport._auth, "
    "vars(heroku_magic.last), heroku_magic.accounts.tokens._kept)"
)
# Without prompts: what a headless run can do, too.
CELLS = [
    SETUP,
    "%heroku login",
    "%heroku status",
    "%heroku apps",
    "%heroku config",
    "%%heroku task --secret FROM_ENVIRONMENT --secret FROM_KEYRING --verbose",
    "%heroku run --secret FROM_ENVIRONMENT --verbose -- echo $$FROM_ENVIRONMENT; exit 3",
    "%heroku last",
    "%%dyno --secret FROM_ENVIRONMENT --verbose\nprint(f'{FROM_ENVIRONMENT=!s}', [FROM_ENVIRONMENT])\nFROM_ENVIRONMENT",
    "%%dyno --secret FROM_ENVIRONMENT\nraise ValueError(FROM_ENVIRONMENT)",
    OBJECTS,
    SHOWN,
    FAILS,
    "%heroku use no-such-app",
    "%heroku create shop --verbose",
    "heroku.account.create('shop')",
    "heroku.client.app('no-such-app')",
    "pickle.dumps(heroku.client._transport.token)",
    "%heroku login --scope identity,read --expires 1h",
    "kept = heroku_magic.accounts.tokens.find_token(heroku.client.base_url); kept",
    "_ = open('../narrow', 'w').write(kept[0].reveal())",
    "heroku_magic.account().create('not-by-a-narrow-token')",
    "narrow = heroku_magic.connect('shop').client; vars(narrow._transport)",
    FAILS,
    "%heroku logout",
    "narrow.account()",
    "heroku.client._transport.base_url = 'http://127.0.0.1:9'\nheroku.dynos()",
    "%tb",
    "traceback.print_exception(sys.last_value)",
    "%whos",
    "%history",
]
PROMPTS = [
    "%heroku config CONFIGURED",
    "%heroku config",
    "%%heroku task --secret FROM_PROMPT --verbose",
    "heroku_magic.last.logs()",
]


@pytest.fixture(params=["HEROKU_API_KEY", "netrc", "prompt"])
def place(request, embedded_heroku, tmp_path, monkeypatch):
    """A folder, a home and an app on an emulator of its own, with the token given in one of the ways."""
    home, work, served = tmp_path / "home", tmp_path / "work", tmp_path / "served"
    for folder in (home, work, served):
        folder.mkdir()
    (served / "Procfile").write_text("task: env | grep FROM_\n")
    (tmp_path / "ring.py").write_text(RING)
    heroku = embedded_heroku("--app", f"shop={served}")
    env = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "HEROKU_HOST": heroku.url,
        "HEROKU_APP": "shop",
        "FROM_ENVIRONMENT": GIVEN["FROM_ENVIRONMENT"],
        "PYTHON_KEYRING_BACKEND": "ring.Ring",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    if request.param == "HEROKU_API_KEY":
        env["HEROKU_API_KEY"] = heroku.token
    if request.param == "netrc":
        netrc = home / ".netrc"
        netrc.write_text(f"machine {urlsplit(heroku.url).netloc} login me password {heroku.token}\n")
        netrc.chmod(0o600)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return SimpleNamespace(way=request.param, token=heroku.token, home=home, work=work)


def secrets(place):
    narrow = place.work.parent / "narrow"
    found = {**GIVEN, "token": place.token, "narrow token": narrow.read_text()}
    assert len(found["narrow token"]) > 20
    return found


def files(place):
    """All that was written: logs, histories with their journals, what heroku_magic keeps; not what the test gave."""
    paths = (path for folder in (place.home, place.work) for path in folder.rglob("*"))
    return {str(path): path.read_bytes() for path in paths if path.is_file() and path.name != ".netrc"}


def commands():
    """What all processes were started with, as far as it can be seen."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


def assert_hidden(place, shown):
    leaks = [
        (name, where)
        for name, value in secrets(place).items()
        for where, text in shown.items()
        if (value.encode() if isinstance(text, bytes) else value) in text
    ]
    assert leaks == []


class Notebook:
    """A kernel whose prompts are answered; it keeps every message that came."""

    def __init__(self, client, answers):
        self.client = client
        self.answers = answers
        self.prompts = []
        self.messages = []

    def run(self, cell):
        self.client.execute_interactive(
            cell,
            store_history=True,
            allow_stdin=True,
            stdin_hook=self.type,
            output_hook=lambda message: self.messages.append(str(message["content"])),
            timeout=60,
        )

    def type(self, message):
        prompt = message["content"]["prompt"]
        assert message["content"]["password"], "what is typed is not to be seen"
        self.prompts.append(prompt)
        self.client.input(next(value for name, value in self.answers.items() if name in prompt))


@pytest.fixture
def notebook(place, processes):
    manager = KernelManager(kernel_name="python3")
    log = place.work / "kernel.log"
    with log.open("wb") as output:
        manager.start_kernel(cwd=str(place.work), stdout=output, stderr=output)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield Notebook(client, {**GIVEN, "API key": place.token})
    client.stop_channels()
    if manager.has_kernel:
        manager.shutdown_kernel()
    manager.cleanup_resources()


def test_a_kernel_reveals_no_secret_in_output_logs_history_or_processes(place, notebook):
    for cell in [*CELLS[:8], *PROMPTS, *CELLS[8:]]:
        notebook.run(cell)
        if cell == "%heroku login":
            assert_hidden_in_commands(place)
    prompted = ["API key: "] * (place.way == "prompt")
    # login asks again for a narrower token: what was typed before is forgotten first
    assert notebook.prompts == [*prompted, "Value of CONFIGURED: ", "Value of FROM_PROMPT: ", *prompted]

    notebook.client.shutdown()
    messages = "\n".join(notebook.messages)
    written = files(place)
    assert_hidden(place, {"messages": messages, **written})

    assert CANARY in messages
    assert "FROM_ENVIRONMENT=***" in messages
    assert "FROM_KEYRING=***" in messages
    assert "FROM_PROMPT=***" in messages
    assert "CONFIGURED  ***" in messages
    assert "ZeroDivisionError" in messages
    assert "Secret(***)" in messages
    debug = written[str(place.work / "debug.log")].decode()
    assert CANARY in debug
    assert "POST /apps/shop/dynos" in debug
    history = b"".join(data for path, data in written.items() if "history.sqlite" in path)
    assert CANARY.encode() in history
    assert b"%heroku login" in history


def assert_hidden_in_commands(place):
    seen = list(commands())
    assert any(b"ipykernel" in command for command in seen) or not seen
    assert not [command for command in seen if place.token.encode() in command]


@pytest.mark.parametrize("place", ["HEROKU_API_KEY", "netrc"], indirect=True)
def test_a_saved_notebook_contains_no_secret(place):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    path = {"metadata": {"path": str(place.work)}}
    nbclient.NotebookClient(notebook, timeout=60, allow_errors=True, kernel_name="python3", resources=path).execute()
    saved = nbformat.writes(notebook)

    assert_hidden(place, {"notebook": saved, **files(place)})
    assert CANARY in saved
    assert "FROM_ENVIRONMENT=***" in saved
    assert "may not do this" in saved
    assert "<Heroku shop>" in saved
