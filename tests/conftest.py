"""Fixtures that many tests share: a clean environment, and a scripted API on a real socket."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

OURS = ("HEROKU_API_KEY", "HEROKU_APP", "HEROKU_HOST", "RUN_KEY")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy")


# Each of these fixtures marks the tests that use it, directly or through another fixture.
MARKED_BY = {
    "processes": "process",
    "kernels": "kernel",
    "lab": "browser",
    "web_page": "browser",
    "embedded_heroku": "process",
}
IMPLY_PROCESS = ("kernel", "browser", "cli", "chaos", "large")


def pytest_configure():
    """Let tests send Ctrl-C, which a process that a shell started in the background ignores, and take their time."""
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
    sys.modules["rfc3987_syntax"] = None  # jsonschema would make 38 parsers of it, for seconds, and no test needs one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(_guard)


def pytest_collection_modifyitems(items):
    """Mark tests by the fixtures they use and those that draw hundreds of examples, and run browser tests last.

    Browser tests are slow, and Playwright keeps an event loop in this thread until the end.
    """
    for item in items:
        for fixture, marker in MARKED_BY.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if hasattr(getattr(item, "obj", None), "hypothesis"):
            item.add_marker("large")
        if any(item.get_closest_marker(marker) for marker in IMPLY_PROCESS):
            item.add_marker("process")
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


class _ProcessGuard:
    """Fails a test that starts a process without the marker `process`, so that the fast lane stays fast."""

    unmarked = None  # the test that runs now, if it lacks the marker

    def __call__(self, event, arguments):
        if event != "subprocess.Popen" or self.unmarked is None:
            return
        if threading.current_thread() is not threading.main_thread() or Path(os.fsdecode(arguments[0])).name == "git":
            return
        raise AssertionError(f"{self.unmarked} starts a process. Let it use the fixture `processes`.")


_guard = _ProcessGuard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Tell the guard whether the test may start processes."""
    _guard.unmarked = None if item.get_closest_marker("process") else item.nodeid
    try:
        return (yield)
    finally:
        _guard.unmarked = None


@pytest.fixture(scope="session")
def processes():
    """Request this in whatever starts a process: an emulator, a dyno, another Python."""


@pytest.fixture(scope="session")
def kernels():
    """Request this in whatever starts a Jupyter kernel."""


_homes = itertools.count()


@pytest.fixture(autouse=True)
def clean_environment(request, monkeypatch, tmp_path_factory):
    """No test sees the account, the home folder or the proxy of the machine that it runs on, and no kernel a history."""
    from heroku_magic.accounts import settings as choices

    for name in (*OURS, *PROXIES, "VIRTUAL_ENV"):  # IPython warns of another one than it runs in
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home := tmp_path_factory.getbasetemp() / f"home{next(_homes)}"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(choices, "_notebook", choices._notebook)  # no later test follows the notebook of this one
    if request.node.get_closest_marker("process") or "home" in request.fixturenames:
        profile = home / ".ipython" / "profile_default"
        profile.mkdir(parents=True)
        (profile / "ipython_config.py").write_text("get_config().HerokuMagics.history = False\n")


@pytest.fixture
def home(clean_environment):
    """The home folder of a test; tests that start no process have none unless they request this."""
    return Path.home()


def _stop_new_servers():
    """Stop the servers that were started since, and forget the connections: the next test starts as this one did."""
    from heroku_magic.app.emulator_process import running
    from heroku_magic.app.open_connections import open_connections

    before, connections = {server.folder for server in running()}, {*open_connections}
    yield
    for server in running():
        if server.folder not in before:
            server.stop()
    for key in open_connections.keys() - connections:
        del open_connections[key]


_stop_servers_of_module = pytest.fixture(_stop_new_servers, autouse=True, scope="module")
_stop_servers_of_test = pytest.fixture(_stop_new_servers, autouse=True)


@pytest.fixture(scope="module")
def shared_server(folder, processes):
    """One embedded Heroku for all tests of a module that use the app in its fixture `folder`."""
    from heroku_magic.app.emulator_process import embedded

    return embedded(folder)


class ScriptedApi:
    """An HTTP server on loopback that sends queued responses and records the requests."""

    def __init__(self):
        self.answers = deque()
        self.requests = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each response waits 40 ms for an acknowledgement of its headers

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                api.requests.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
                status, headers, answer = api.answers.popleft() if api.answers else (404, {}, b"{}")
                if status == "hang up":
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815 - http.server's names

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Clients that leave raise errors here. Python 3.11 cannot print two tracebacks at once, of which a test may be one.
        self.server.handle_error = lambda *_: None
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.001}, daemon=True)
        self.thread.start()

    def answer(self, status, data=None, **headers):
        """Queue one response; `data` is sent as JSON, or unchanged if it is bytes."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        kind = "text/html" if isinstance(data, bytes) else "application/json"
        self.answers.append(
            (status, {"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}, body)
        )

    def hang_up(self):
        """Queue a connection that is closed without a response."""
        self.answers.append(("hang up", {}, b""))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture
def no_other_python(monkeypatch):
    """No Python but this one is installed, so that the checks of a deploy start no process."""
    monkeypatch.setattr("heroku_magic.deploy.syntax.shutil.which", lambda name: None)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Run the test in an empty folder outside any git repository; return the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture
def use_as_heroku(elsewhere, monkeypatch):
    """Return a function that makes a running emulator the Heroku that the environment names."""

    def use(server):
        monkeypatch.setenv("HEROKU_HOST", server.url)
        monkeypatch.setenv("HEROKU_API_KEY", getattr(server.token, "reveal", lambda: server.token)())
        return server

    return use


@pytest.fixture
def platform(embedded_heroku, use_as_heroku):
    """An empty account on an emulator of its own."""
    return use_as_heroku(embedded_heroku())


@pytest.fixture
def start_shell(processes):
    """Return a function that starts the notebook's shell, with the extension loaded, for a worker folder."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    def start(worker=None):
        config = Config(HistoryManager={"enabled": False})
        if worker:
            config.HerokuMagics.worker = str(worker)
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance(config=config)
        shell.run_line_magic("load_ext", "heroku_magic")
        return shell

    yield start
    if InteractiveShell.initialized():
        InteractiveShell.instance().run_line_magic("unload_ext", "heroku_magic")
        InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def packed(tmp_path_factory, processes):
    """The folder of an app whose dynos have the packages of this Python."""
    import sysconfig

    from workers import make_worker

    from heroku_magic import Secret, connect

    folder = make_worker(tmp_path_factory.mktemp("packed") / "app", {"other": "echo hi"})
    connect(worker=folder, say=lambda _: None).set_config("PYTHONPATH", Secret(sysconfig.get_path("purelib")))
    return folder
